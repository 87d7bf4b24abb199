//! A storage sled over four boots: everything that happens to its disks.

use super::drives::{HDD, anothers, dead, hdd, sparse, ssd, taken};
use super::support::{MGMT, READY, SOON, Scene, said, scene};
use qemu_tests::console;
use qemu_tests::guest::Guest;
use qemu_tests::judge;
use serde_json::{Value, json};
use sledos::qemu::Disk;
use std::time::Instant;

/// Mount points that the sled's agent offers.
fn offered(scene: &Scene) -> Vec<String> {
    let agents: Vec<_> = scene.agents().into_iter().filter(|a| a["active"] == true).collect();
    assert_eq!(agents.len(), 1, "{agents:?}");
    let all = agents[0]["unreserved_resources_full"].as_array().cloned().unwrap_or_default();
    let roots = all.iter().filter_map(|r| Some(r.pointer("/disk/source/mount/root")?.as_str()?.to_owned()));
    let mut roots: Vec<_> = roots.collect();
    roots.sort();
    roots
}

/// Makes persistent volumes on these disks, as a master tells its agent to. Returns the agent's id.
fn make_volumes(scene: &Scene, guest: &Guest, numbers: [u32; 2]) -> Value {
    let agent = scene.agents().remove(0);
    let all = agent["unreserved_resources_full"].as_array().expect("a list");
    let volumes = numbers.map(|n| {
        let root = format!("/data/{n:02}");
        let is_it = |r: &&Value| r.pointer("/disk/source/mount/root") == Some(&root.as_str().into());
        let mut volume = all.iter().find(is_it).expect("it is offered").clone();
        volume["role"] = "web".into();
        volume["disk"]["persistence"] = json!({"id": format!("v{n}")});
        volume["disk"]["volume"] = json!({"container_path": "data"});
        volume
    });
    let pid = agent["pid"].as_str().and_then(|pid| pid.split_once('@')).expect("slave(1)@IP:PORT");
    let post = "curl --silent --show-error --fail --header 'Content-Type: application/json' --data-binary @-";
    guest.feed(&format!("{post} http://{}/double/checkpoint", pid.1), json!(volumes).to_string().as_bytes());
    agent["id"].clone()
}

/// The id of the one agent that is there.
fn agent(scene: &Scene) -> Value {
    let mut agents: Vec<_> = scene.agents().into_iter().filter(|a| a["active"] == true).collect();
    agents.remove(0)["id"].take()
}

fn places(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("/data/{n:02}")).collect()
}

/// What `sledctl disks` reported.
fn report(guest: &Guest) -> Value {
    serde_json::from_str(&guest.run("cat /run/sledos/disks.json")).expect("the report is JSON")
}

/// Serial numbers of disks in a state.
fn serials(report: &Value, is: impl Fn(&Value) -> bool) -> Vec<String> {
    let all = report["disks"].as_array().expect("a list");
    let mut serials: Vec<_> =
        all.iter().filter(|d| is(d)).filter_map(|d| Some(d["serial"].as_str()?.to_owned())).collect();
    serials.sort();
    serials
}

/// Waits until a command in the guest says this.
pub(super) fn until(guest: &Guest, command: &str, wanted: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let said = guest.run(command);
        if wanted(&said) {
            return said;
        }
        assert!(start.elapsed() < READY, "{command}: {said}");
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
}

/// Switches it off; its console had nothing that does not belong there.
pub(super) fn off(guest: Guest) -> String {
    let all = guest.power_off().expect("goes off");
    println!("{}", said(&all));
    assert_eq!(console::trouble(&all), Vec::<&str>::new());
    all
}

#[test]
fn a_storage_sled_keeps_its_data() {
    let scene = scene("sled");
    scene.serve_disks(16);
    let dir = &scene.dir;
    let [a, b, c] = ["SSD-A", "SSD-B", "SSD-C"].map(|serial| ssd(dir, serial));
    let mut hdds: Vec<Disk> = (1..=16)
        .map(|n| {
            // Of different size, two of them with sectors of 4096 bytes.
            let (bytes, sector) = if n > 14 { (HDD / 2, 4096) } else { (HDD, 512) };
            hdd(dir, &format!("HDD-{n:02}"), bytes, sector)
        })
        .collect();

    // A new sled: everything is blank.
    let disks = [a.clone(), b.clone()].into_iter().chain(hdds.clone()).collect();
    let machine = scene.power_on("first", &scene.netboot(disks));
    let guest = scene.ready(machine, MGMT);
    println!(
        "{}",
        guest
            .run("lsblk -o NAME,SIZE,LOG-SEC,PARTLABEL,FSTYPE,MOUNTPOINTS; cat /proc/mdstat; sledctl status")
    );
    let first = report(&guest);
    println!("{first:#}");
    assert_eq!(offered(&scene), places(1..=16));
    assert_eq!(serials(&first, |d| d["formatted"] == true).len(), 16);
    assert!(guest.run("cat /proc/mdstat").contains("[2/2] [UU]"));
    assert_eq!(guest.run("systemctl --failed --no-legend --plain").trim(), "");
    guest.run("for d in /data/*; do head -c 3000000 /dev/urandom > $d/data; done; sync");
    let sums = guest.run("cd /data; sha256sum */data");
    guest.run("echo kept > /var/marker; sync");
    // On one that will be replaced, and on one that will be pulled and come back.
    let id = make_volumes(&scene, &guest, [5, 9]);
    off(guest);
    println!("on the host: {}", taken(dir));

    // One SSD is pulled. The disks come in another order. In bay 5 a new disk is put, in
    // bay 6 somebody else's; that of bay 9 appears late. Two more are plugged in: one of
    // another sled, and one that is dead.
    hdds[4] = hdd(dir, "HDD-17", HDD, 512);
    hdds[5] = sparse(dir, "HDD-18", |file| {
        let small: [&std::ffi::OsStr; 5] =
            ["-q".as_ref(), "-f".as_ref(), "-l".as_ref(), "size=64m".as_ref(), file.as_ref()];
        drop(judge::run("xfsprogs", "mkfs.xfs", small));
    });
    let foreign = std::fs::metadata(&hdds[5].file).expect("it was made").modified().expect("it has a time");
    let late = hdds.remove(8);
    hdds.push(anothers(dir, "HDD-19", "r1-b08:data:03"));
    hdds.push(dead(dir, "HDD-20"));
    hdds.reverse();
    let disks = [b.clone()].into_iter().chain(hdds).collect();
    let machine = scene.power_on("second", &scene.diskboot(disks));
    let mut guest = scene.ready(machine, MGMT);
    let second = report(&guest);
    println!("{second:#}");
    println!("{}", guest.run("lsblk -o NAME,SIZE,SERIAL,PARTLABEL,FSTYPE,MOUNTPOINTS; cat /proc/mdstat"));
    assert_eq!(serials(&second, |d| d["formatted"] == true), ["HDD-17"], "only the new one is formatted");
    assert_eq!(serials(&second, |d| d["state"] == "refused"), ["HDD-18", "HDD-19", "HDD-20"]);
    let why = |serial: &str| {
        let all = second["disks"].as_array().expect("a list");
        let disk = all.iter().find(|d| d["serial"] == serial).expect("it is reported");
        format!("{} {}", disk["says"], disk["problem"])
    };
    assert!(why("HDD-18").contains("an XFS filesystem"), "{}", why("HDD-18"));
    assert!(why("HDD-19").contains("data disk data-03 of sled r1-b08"), "{}", why("HDD-19"));
    assert!(why("HDD-20").contains("unreadable"), "{}", why("HDD-20"));
    // Places without their disk are kept for the agent, which has volumes on this sled.
    assert_eq!((agent(&scene), offered(&scene)), (id.clone(), places(1..=16)));
    assert_eq!(guest.run("findmnt -no FSTYPE,OPTIONS /data/09 | grep -c '^tmpfs *ro'").trim(), "1");
    let lost =
        "/data/05 is on disk HDD-17 now and was on HDD-05: persistent volumes that were there are lost";
    assert!(second["warnings"].to_string().contains(lost), "{second:#}");
    let kept = |sums: &str, but: &[u32]| -> String {
        let ours = |line: &&str| !but.iter().any(|n| line.contains(&format!(" {n:02}/")));
        sums.lines().filter(ours).map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(guest.run("cd /data; sha256sum */data"), kept(&sums, &[5, 6, 9]));
    assert_eq!(guest.run("cat /var/marker").trim(), "kept");
    assert!(guest.run("cat /proc/mdstat").contains("[2/1]"));
    // The servers know, too.
    let posted = scene.rack.web.wait_for("report of the second boot", SOON, |r| {
        let body: Value = serde_json::from_slice(&r.body).unwrap_or_default();
        r.path == "/v1/report/r1-b07"
            && body["event"] == "ready"
            && body["data-disks"]["mirror"]["degraded"] == true
    });
    assert!(String::from_utf8_lossy(&posted.body).contains("HDD-18"));

    // The late one.
    let file = json!({"driver": "file", "filename": late.file});
    guest
        .machine
        .control("blockdev-add", json!({"driver": "qcow2", "node-name": "late", "file": file}))
        .expect("QEMU takes it");
    let device = json!({
        "driver": "scsi-hd", "id": "late", "drive": "late", "bus": "scsi.0", "serial": "HDD-09",
        "rotation_rate": 7200, "discard_granularity": 0,
    });
    guest.machine.control("device_add", device).expect("QEMU plugs it in");
    until(&guest, "findmnt -no FSTYPE /data/09", |said| said.trim_end().ends_with("xfs"));
    guest.run("systemctl restart mesos-agent");
    until(&guest, "sledctl status", |said| said.contains("mesos      agent "));
    assert_eq!((agent(&scene), offered(&scene)), (id.clone(), places(1..=16)));
    let third = report(&guest);
    assert_eq!(serials(&third, |d| d["state"] == "missing").len(), 1, "it serves with 15: {third:#}");
    assert_eq!(guest.run("cd /data; sha256sum */data"), kept(&sums, &[5, 6]));
    guest.run("echo alone > /var/alone; sync");
    let all = off(guest);
    assert!(all.contains("mirror: warning: ROOT runs on nvme0n1 alone: 1 of 2 disks"), "{all}");
    assert!(all.contains("data: refuse "), "the plan is on the console: {all}");
    let after = std::fs::metadata(dir.join("HDD-18.raw")).expect("it is there").modified().expect("a time");
    assert_eq!(after, foreign, "nothing was written to somebody else's disk");

    // A blank SSD in the place of the pulled one: it becomes like the other.
    scene.serve_disks(2);
    let few = |n: &str| Disk { file: dir.join(format!("HDD-{n}.qcow2")), ..hdd_like(n) };
    let disks = vec![c.clone(), b, few("01"), few("02")];
    let machine = scene.power_on("third", &scene.diskboot(disks));
    let guest = scene.ready(machine, MGMT);
    println!("{}", until(&guest, "cat /proc/mdstat", |said| said.contains("[2/2] [UU]")));
    // Fourteen are gone, and the agent stays.
    assert_eq!((agent(&scene), offered(&scene)), (id, places(1..=16)));
    guest.run("echo both > /var/both; sync");
    let all = off(guest);
    assert!(all.contains("mirror: nvme0n1 takes the place of the missing disk"), "{all}");
    assert!(all.contains("joins md127 and is synced"), "{all}");

    // It boots alone, and has everything.
    let disks = vec![c, few("01"), few("02")];
    let machine = scene.power_on("fourth", &scene.diskboot(disks));
    let guest = scene.ready(machine, MGMT);
    assert_eq!(guest.run("cat /var/marker /var/alone /var/both"), "kept\nalone\nboth\n");
    println!("{}", guest.run("cat /proc/mdstat; sledctl status; findmnt /var"));
    off(guest);
}

/// A data disk that was made before.
fn hdd_like(n: &str) -> Disk {
    Disk {
        qcow2: true,
        rotational: true,
        serial: Some(format!("HDD-{n}")),
        ..Disk::new("", sledos::qemu::Bus::Scsi)
    }
}
