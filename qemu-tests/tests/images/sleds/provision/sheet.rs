//! From a vendor's sheet to a running sled, with the commands an operator types.

use super::support::{MGMT, SOON, Scene, said, sled};
use clap::Parser as _;
use sledos::cli::{Cli, run};
use sledos::qemu::Boot;
use std::path::Path;

/// 40 sleds with planted mistakes, and the same as they should be. Its bay 7 has a board
/// `ZM18AS036407` with the MAC address `52:54:00:13:00:07`.
const BAD: &str = "metadata/tests/fleet/vendor-bad.csv";
const GOOD: &str = "metadata/tests/fleet/vendor-good.csv";

/// Runs a command; what it says when it fails.
fn sledos(arguments: &[&str]) -> Result<(), String> {
    let arguments = std::iter::once("sledos").chain(arguments.iter().copied());
    run(&Cli::try_parse_from(arguments).expect("such a command exists")).map_err(|failure| {
        let mut text = Vec::new();
        failure.print(&mut text);
        String::from_utf8(text).expect("errors are text")
    })
}

fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are text")
}

#[test]
fn a_sheet_with_mistakes_is_refused_at_its_lines_and_a_mended_one_boots() {
    let scene = Scene::new("sheet");
    let file = |name: &str| scene.dir.join(name);
    let (ops, fleet) = (file("ops"), file("fleet.yaml"));
    sledos(&["keys", "new", text(&ops)]).expect("a new key");
    let public = std::fs::read_to_string(file("ops.pub")).expect("it was written");
    let public = public.lines().nth(1).expect("a comment and the key");
    let rack =
        "  r14:\n    bays: 40\n    subnets: {data: {network: 10.77.14.0/24, first: 10.77.14.11}}\nroles:\n";
    let yaml = scene.yaml("", &sled("r1-b07", 7, MGMT)).replace("roles:\n", rack);
    let yaml = yaml.replace("KEY", public).replace("URL", &scene.rack.web.url());
    std::fs::write(&fleet, &yaml).expect("it can be written");
    sledos(&["fleet", "check", text(&fleet)]).expect("a fleet without mistakes");

    let import = |sheet: &str| {
        let sheet = qemu_tests::image::top().join(sheet);
        let arguments = ["fleet", "import", text(&sheet), "--fleet", text(&fleet)];
        sledos(&[&arguments[..], &["--rack", "r14", "--role", "compute", "--write"]].concat())
    };
    let mistakes = import(BAD).expect_err("it has mistakes");
    println!("{mistakes}");
    for line in [6, 8, 10, 14, 16, 18, 20, 22, 24, 26, 32] {
        assert!(mistakes.contains(&format!("vendor-bad.csv:{line}:")), "line {line} in {mistakes}");
    }
    assert_eq!(std::fs::read_to_string(&fleet).expect("it is there"), yaml, "nothing is written");
    import(GOOD).expect("the mended sheet");
    sledos(&["fleet", "check", text(&fleet)]).expect("still without mistakes");
    let (images, key, www) = (scene.fleet.root.join("images"), file("ops.key"), &scene.fleet.root);
    let compile = ["--images", text(&images), "--key", text(&key), "--output", text(www)];
    sledos(&[&["fleet", "compile", text(&fleet)], &compile[..]].concat()).expect("it compiles");

    let (mut spec, _) = scene.given_kernel(1536, "52:54:00:13:00:07", "52:54:00:13:01:07");
    let Boot::Kernel { cmdline, .. } = &mut spec.boot else { panic!("a blank sled boots a kernel") };
    *cmdline = cmdline.replace(&scene.fleet.public, public);
    spec.smbios.board_serial = Some("ZM18AS036407".into());
    let machine = scene.power_on("sheet", &spec);
    let console = machine.wait_for("sledos: hand-over", SOON).expect("it is configured");
    let from = format!("metadata: r14-b07 generation 1 from {} by board ZM18AS036407", scene.rack.web.url());
    assert!(console.contains(&from), "{}", said(&console));
}
