//! The rack page in the real Chromium: 20 racks of 40 bays, live, by keyboard, and
//! without a complaint of an accessibility checker (axe-core).
#![allow(clippy::unwrap_used)]

mod browser;
#[allow(dead_code)]
#[path = "../serve/support.rs"]
mod support;

use browser::Browser;
use serde_json::json;
use server::bind::Binding;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{OPERATOR, Server, World, inventory, ready, report};

/// A fleet file that remembers what was bound, so that the page has the form for it.
struct Bound(Arc<Mutex<Vec<Binding>>>);

impl server::Fleet for Bound {
    fn changed(&mut self) -> bool {
        false
    }
    fn compile(&mut self) -> Result<String, String> {
        Ok("compiled".into())
    }
    fn bind(&mut self, binding: &Binding) -> Result<String, String> {
        self.0.lock().unwrap().push(binding.clone());
        Ok("bound".into())
    }
}

fn yaml() -> String {
    let mut racks = String::new();
    let mut sleds = String::new();
    for rack in 1..=20 {
        racks += &format!(
            "  r{rack:02}: {{bays: 40, switches: [{{chassis: leaf-{rack}, port: 'Ethernet{{bay}}'}}]}}\n"
        );
        for bay in (1..=40).filter(|bay| bay % 13 != 0) {
            sleds += &format!(
                "  r{rack:02}-b{bay:02}: {{rack: r{rack:02}, bay: {bay}, role: compute, board-serial: ZM{rack}-{bay}}}\n"
            );
        }
    }
    format!(
        "fleet: berlin\nservers: {{metadata: [http://10.0.0.1:8080], image: [http://10.0.0.1:8080/images]}}\ntrust: [KEY]\n\
         racks:\n{racks}roles: {{compute: {{image: compute}}}}\nsleds:\n{sleds}"
    )
}

/// Every state there is.
fn lives(world: &World, server: &Server) {
    for rack in 1..=20_u32 {
        for bay in (1..=40_u32).filter(|bay| bay % 13 != 0) {
            let (name, board) = (format!("r{rack:02}-b{bay:02}"), format!("ZM{rack}-{bay}"));
            let token = world.token_at(&format!("r{rack:02}"), bay);
            let mut says = match (rack * 41 + bay) % 17 {
                0 => continue,
                1 => report("boot", &board, "x"),
                2 => {
                    let mut failed = report("failed", &board, "x");
                    failed["failure"] = json!({"code": "SLED-104", "title": "/usr does not match its hash", "detail": "vda3"});
                    failed
                }
                3 => ready("ZM1-1", "x"),
                4 => {
                    let mut other = ready(&board, "x");
                    other["usrhash"] = "ab".repeat(32).into();
                    other
                }
                _ => ready(&board, "x"),
            };
            says["steps"] = ["mounts", "modules", "disks", "metadata", "usr", "configuration", "hand-over"]
                .iter()
                .zip(0_u32..)
                .map(|(step, n)| json!({"step": step, "start_ms": n * 700, "took_ms": 200 + n * 90, "result": "ok", "detail": "as it should be"}))
                .collect();
            assert_eq!(server.report(&name, &token, &says).status, 204, "{name}");
        }
    }
    server.ask("POST", "/v1/inventory", "", inventory("NEW1").to_string().as_bytes());
}

#[test]
fn the_page_shows_the_racks_live_and_to_everybody() {
    let world = World::new();
    world.compile(&yaml());
    let bound = Arc::default();
    let server = world.start_fleet(Box::new(Bound(Arc::clone(&bound))));
    lives(&world, &server);
    let browser = Browser::start(world.dir.path());
    browser.go(&format!("http://{}/", server.address()));
    browser.until("every cell", "return document.querySelectorAll('button.bay').length === 740");
    browser.until("live", "return document.getElementById('link').textContent === 'live'");
    browser.screenshot("racks.png");
    browser.accessible("the racks");

    // A bay that has a sled is bound only by somebody who has confirmed that its hardware is retired.
    let fill = format!(
        "const form = document.querySelector('form.bind'); form.rack.value = 'r01'; form.bay.value = 1; \
         form.bay.dispatchEvent(new Event('input')); form.token.value = '{OPERATOR}'; \
         const warning = form.querySelector('.warning'); const confirm = form.elements.replace;"
    );
    browser.until(
        "a warning",
        &format!(
            "{fill} return !warning.hidden && warning.textContent.includes('r01-b01') && confirm.required"
        ),
    );
    let refused = browser.run(&format!("{fill} form.requestSubmit(); return form.checkValidity()"));
    assert_eq!(refused, false, "it is not sent without the confirmation");
    let taken = browser.run(&format!(
        "{fill} confirm.checked = true; const good = form.checkValidity(); form.requestSubmit(); return good"
    ));
    assert_eq!(taken, true);
    let wait = Instant::now();
    while bound.lock().unwrap().is_empty() && wait.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let orders = std::mem::take(&mut *bound.lock().unwrap());
    let orders: Vec<_> = orders.iter().map(|o| (&*o.wanted.rack, o.wanted.bay, o.wanted.replace)).collect();
    assert_eq!(orders, [("r01", 1, true)]);
    browser.accessible("after the form");

    // Live: a cell changes without the page being asked for again.
    let word = "return document.querySelector('[data-sled=r01-b01] .word').textContent";
    let before = Instant::now();
    let mut failed = report("failed", "ZM1-1", "x");
    failed["failure"] = json!({"code": "SLED-101", "title": "no disk", "detail": "none"});
    server.report("r01-b01", &world.token_at("r01", 1), &failed);
    browser.until("changed", &format!("{} === 'failed SLED-101'", word));
    println!("a change is on the page after {} ms", before.elapsed().as_millis());

    // By keyboard alone: to a rack, up a bay, into the sled, and out again.
    browser.run("document.querySelector('[data-sled=r01-b01]').focus()");
    browser.keys("\u{e013}\u{e013}\u{e007}");
    browser.until("the detail of r01-b03", "return document.getElementById('detail').open && document.getElementById('detail-title').textContent === 'r01-b03' && document.querySelectorAll('svg.chart rect').length === 7");
    browser.screenshot("detail.png");
    browser.accessible("a sled");
    browser.keys("\u{e00c}");
    browser.until(
        "closed, and back",
        "return !document.getElementById('detail').open && document.activeElement.dataset.sled === 'r01-b03'",
    );

    // All cells change at once: how long the page is not there for its user.
    let longest = browser.run_async(
        "const done = arguments[0]; let last = performance.now(), longest = 0, end = last + 4000; \
         const frame = (now) => { longest = Math.max(longest, now - last); last = now; now < end ? requestAnimationFrame(frame) : done(longest); }; \
         requestAnimationFrame(frame);",
        || {
            for bay in (2..=40).filter(|bay| bay % 13 != 0) {
                server.report(&format!("r02-b{bay:02}"), &world.token_at("r02", bay), &report("boot", &format!("ZM2-{bay}"), "x"));
            }
        },
    );
    println!("longest time between two frames while a rack restarts: {longest} ms");

    // A server that is gone is said, too.
    drop(server);
    browser.until(
        "it is said",
        "return document.getElementById('link').textContent.includes('does not answer')",
    );
}
