//! Whole conversations.

use super::super::apply::apply;
use super::super::console::Console;
use super::super::settings::{self, Layout};
use super::super::testing::{Fake, image};
use super::*;
use proptest::prelude::*;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;

/// A fleet without mistakes.
const FLEET: &str = "fleet: berlin # ours
images: {trust: none}
racks:
  r1: {bays: 8}
roles:
  compute: {image: compute}
sleds:
  r1-b01: {rack: r1, bay: 1, role: compute, macs: ['52:54:00:00:01:01']}
";

/// The shortest way through, with the fleet file pasted.
fn script() -> String {
    format!("\n10.0.0.2/24\n10.0.0.100,10.0.0.200\n\nusb\npaste\n{FLEET}.\nyes\n")
}

struct Scene {
    host: Fake,
    layout: Layout,
    dir: tempfile::TempDir,
}

fn nic(n: u8, carrier: bool) -> Nic {
    let (name, mac) = (format!("eth{n}"), format!("52:54:00:00:00:0{n}").parse().unwrap());
    Nic { name, mac, driver: "virtio_net".into(), carrier, speed: None }
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let stick = dir.path().join("stick");
    image(&stick.join("images"), "compute", "1", b"usr");
    std::fs::write(stick.join("fleet.yaml"), FLEET).unwrap();
    let nics = vec![nic(0, false), nic(1, true)];
    let host = Fake { nics, stick: Some(stick), free: 1 << 30, ..Fake::default() };
    Scene { host, layout: Layout(dir.path().join("seed")), dir }
}

/// What comes of these answers, and all that was said.
fn talk(scene: &mut Scene, input: &[u8]) -> (Result<Plan, Error>, String) {
    let mut said = Vec::new();
    let before = settings::before(&scene.layout).unwrap();
    let mut console = Console::new(BufReader::new(input), &mut said);
    let done = ask(&mut console, &mut scene.host, &scene.layout.images(), before.as_ref());
    (done, String::from_utf8(said).unwrap())
}

fn done(scene: &mut Scene) -> Result<(), Error> {
    let (plan, said) = talk(scene, script().as_bytes());
    let plan = plan.unwrap_or_else(|e| panic!("{e}: {said}"));
    apply(&plan, &scene.layout, &mut scene.host, &mut |_| Ok(()))
}

#[test]
fn the_shortest_way() {
    let mut scene = scene();
    let (plan, said) = talk(&mut scene, script().as_bytes());
    let plan = plan.unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(plan.nic.name, "eth1", "the one with a cable");
    assert_eq!(plan.copy.iter().map(Image::name).collect::<Vec<_>>(), ["compute/1"]);
    assert!(plan.fleet.starts_with("fleet: berlin # ours\n"), "{}", plan.fleet);
    assert!(plan.fleet.contains("http://10.0.0.2:8080/images") && plan.fleet.contains(&plan.key.line));
    let shown = plan.to_string();
    for line in [
        "  have the address 10.0.0.2/24 on eth1 (virtio_net, 52:54:00:00:00:01)\n",
        "  give addresses from 10.0.0.100 to 10.0.0.200: no other DHCP server is there\n",
        "  copy the image compute/1, 1 MiB\n    root hash cdcdcdcd",
        "cdcdcdcd, unsigned\n",
        "  serve the fleet `berlin` of 1 sleds in 1 racks at http://10.0.0.2:8080/\n",
        "    servers.metadata: http://10.0.0.2:8080\n",
        "    trust: RW",
    ] {
        assert!(shown.contains(line) && said.contains(line), "{line}\n{said}");
    }
    assert!(!scene.layout.0.exists(), "asking writes nothing");
    assert_eq!(scene.host.online, 0, "nothing was to be fetched");
}

#[test]
fn every_mistake_is_said_and_asked_for_again() {
    let mut scene = scene();
    scene.host.web.insert("http://a/big".into(), vec![b'#'; 5 << 20]);
    let wrong_fleet = FLEET.replace("role: compute,", "role: compute, bya: 1,");
    let beside = FLEET.replace("image: compute}", "image: compute, ignition: base.ign}");
    let no_image = FLEET.replace("image: compute}", "image: compute@2}");
    let input = format!(
        "3\n0\n2\n10.0.0.2\n10.0.0.2/24\n10.1.0.1,10.1.0.2\nnone\nkeep\nold\nusb\nnew\n\nftp://x\nhttp://a/x\n\
         usb\nkeep\nhttp://a/none\nhttp://a/big\npaste\n{wrong_fleet}.\npaste\n{no_image}.\npaste\n{beside}.\nusb\nmaybe\nno\n"
    );
    // After a no it begins again; then the input ends.
    let (plan, said) = talk(&mut scene, input.as_bytes());
    assert!(matches!(plan, Err(Error::Ended)));
    for line in [
        "  write a number from 1 to 2\n",
        "write it behind: 10.0.0.2/24",
        "10.1.0.1 is not in the network of 10.0.0.2/24",
        "  write one of the words\n",
        "ops.key: No such file",
        "  write `usb` or a URL: without images",
        "`ftp://x` is none of the answers",
        "http://a/x/manifest.json answers 404",
        "  there is none to keep\n",
        "http://a/none answers 404",
        "http://a/big is too long to be a fleet file",
        "pasted:8:45",
        "did you mean `bay`?",
        "there is no image `compute@2`",
        "pasted:6:20",
        "the images are compute/1",
        "base.ign",
        "  Write yes or no.\n",
        "Nothing was changed.\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(!scene.layout.0.exists());
}

#[test]
fn too_little_room_and_damaged_images_are_seen_at_once() {
    let mut scene = scene();
    scene.host.free = 1 << 20;
    let (_, said) = talk(&mut scene, script().as_bytes());
    assert!(said.contains("need 65 MiB, and the disk has 1 MiB left"), "{said}");
    scene.host.free = 1 << 30;
    std::fs::write(scene.dir.path().join("stick/images/compute/1/usr.squashfs"), b"us").unwrap();
    let (_, said) = talk(&mut scene, script().as_bytes());
    assert!(said.contains("has 2 bytes, its manifest says 3; copy it again"), "{said}");
}

#[test]
fn the_configuration_is_written_last_and_the_key_is_for_root_alone() {
    let mut scene = scene();
    done(&mut scene).unwrap();
    let before = settings::before(&scene.layout).unwrap().unwrap();
    assert_eq!(before.settings.url(), "http://10.0.0.2:8080");
    let mode = std::fs::metadata(scene.layout.key()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // It may have passwords in it.
    let mode = std::fs::metadata(scene.layout.fleet()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(scene.layout.images().join("compute/1/usr.squashfs").is_file());

    // Once more: Enter all the way keeps all of it.
    let (plan, said) = talk(&mut scene, b"\n\n\n\n\n\nyes\n");
    let plan = plan.unwrap_or_else(|e| panic!("{e}: {said}"));
    assert!(plan.copy.is_empty() && plan.changes.is_empty(), "{plan}");
    assert_eq!((&plan.settings, plan.fleet.as_bytes()), (&before.settings, &before.fleet[..]));
    assert_eq!(plan.key.secret, before.key);

    // Another console was faster, or the server has bound hardware.
    std::fs::write(scene.layout.fleet(), FLEET).unwrap();
    let error = apply(&plan, &scene.layout, &mut scene.host, &mut |_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Meanwhile));
    assert_eq!(std::fs::read(scene.layout.fleet()).unwrap(), FLEET.as_bytes());
}

#[test]
fn an_image_that_breaks_on_the_way_leaves_the_seed_as_it_was() {
    let mut scene = scene();
    let (plan, _) = talk(&mut scene, script().as_bytes());
    std::fs::write(scene.dir.path().join("stick/images/compute/1/usr.squashfs"), b"usR").unwrap();
    let error = apply(&plan.unwrap(), &scene.layout, &mut scene.host, &mut |_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
    assert_eq!(settings::before(&scene.layout).unwrap(), None);
    done(&mut scene).expect_err("it is still broken");
}

#[test]
fn an_end_anywhere_is_no_answer() {
    let mut scene = scene();
    let script = script();
    for end in 0..script.len() {
        let (plan, _) = talk(&mut scene, &script.as_bytes()[..end]);
        assert!(matches!(plan, Err(Error::Ended)), "{end}");
    }
    assert!(!scene.layout.0.exists());
}

proptest! {
    #[test]
    fn anything_may_be_typed(lines in proptest::collection::vec(
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            proptest::sample::select(script().lines().map(|l| l.as_bytes().to_vec()).collect::<Vec<_>>()),
        ], 0..40))
    {
        let mut scene = scene();
        let (plan, _) = talk(&mut scene, &lines.join(&b'\n'));
        prop_assert!(matches!(plan, Ok(_) | Err(Error::Ended)));
        prop_assert!(!scene.layout.0.exists());
    }
}

#[test]
fn only_images_of_the_fleets_release_key_are_taken_and_the_plan_says_whose_they_are() {
    let mut scene = scene();
    let stick = scene.dir.path().join("stick/images/compute/1");
    let [mine, other] = [(); 2].map(|()| new_key("release", None).unwrap());
    let sums = std::fs::read(stick.join("SHA256SUMS")).unwrap();
    let signer = |key: &str| Signer::parse(key, None).unwrap();
    let text = |trust: &str| script().replace("images: {trust: none}\n", trust);
    let by_mine = text(&format!("images: {{trust: [{}]}}\n", mine.line));

    let (plan, said) = talk(&mut scene, text("").as_bytes());
    assert!(plan.is_err() && said.contains("`images: {trust: none}` when you build images here"), "{said}");
    let (plan, said) = talk(&mut scene, by_mine.as_bytes());
    assert!(plan.is_err() && said.contains("there is no SHA256SUMS.minisig"), "{said}");
    std::fs::write(stick.join("SHA256SUMS.minisig"), signer(&other.secret).sign(&sums, "x")).unwrap();
    let (plan, said) = talk(&mut scene, by_mine.as_bytes());
    assert!(plan.is_err() && said.contains("which is not trusted"), "{said}");
    std::fs::write(stick.join("SHA256SUMS.minisig"), signer(&mine.secret).sign(&sums, "x")).unwrap();
    let (plan, said) = talk(&mut scene, by_mine.as_bytes());
    let plan = plan.unwrap_or_else(|e| panic!("{e}: {said}"));
    let by = format!("{}, signed by {}\n", "cd".repeat(32), signer(&mine.secret).public().id());
    assert!(plan.to_string().contains(&by), "{plan}");
    apply(&plan, &scene.layout, &mut scene.host, &mut |_| Ok(())).unwrap();
    assert!(scene.layout.images().join("compute/1/SHA256SUMS.minisig").is_file());
}
