//! Ignition configs in a fleet file.

use super::source;
use metadata::fleet::ignition::{Files, apply};
use metadata::fleet::{Fleet, check};
use metadata::ignition::World;

struct Disk;

impl World for Disk {
    fn get(&mut self, url: &str, _: &[(String, String)], _: usize) -> Result<Vec<u8>, String> {
        Err(format!("{url} is not there"))
    }
}

impl Files for Disk {
    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let text = match name {
            "base.ign" => {
                r#"{"ignition": {"version": "3.3.0"}, "storage": {"files": [
                    {"path": "/etc/who", "contents": {"source": "data:,base"}},
                    {"path": "/etc/base", "contents": {"source": "data:,base"}}]}}"#
            }
            "bad.ign" => {
                "{\"ignition\": {\"version\": \"3.3.0\"},\n \"storage\": {\"raid\": [{\"name\": \"md\"}]}}"
            }
            _ => return Err("no such file".to_owned()),
        };
        Ok(text.as_bytes().to_vec())
    }
}

fn fleet(role: &str, sled: &str) -> Fleet {
    let text = format!(
        "fleet: f\nracks:\n  r: {{bays: 2}}\nroles:\n  c:\n    image: c\n{role}sleds:\n  a:\n    rack: r\n    bay: 1\n    \
         role: c\n{sled}  b: {{rack: r, bay: 2, role: c}}\n"
    );
    let report = check(&source(&text));
    report.fleet.unwrap_or_else(|| panic!("{:?}", report.errors))
}

fn mistakes(role: &str) -> Vec<String> {
    let found = apply(&mut fleet(role, ""), &mut Disk).unwrap_err().0;
    found.iter().map(|d| format!("{}: {}", d.place.as_ref().unwrap(), d.message)).collect()
}

#[test]
fn the_sleds_config_is_merged_over_the_roles() {
    let own = "    ignition:\n      - ignition: {version: 3.0.0}\n        storage:\n          files:\n            - \
               {path: /etc/who, contents: {source: 'data:,own'}, mode: 384}\n";
    let mut fleet = fleet("    ignition: base.ign\n", own);
    apply(&mut fleet, &mut Disk).unwrap();
    let file = |sled: usize, path: &str| {
        let entry = &fleet.sleds[sled].config.files[path];
        (entry.contents.clone(), entry.mode.clone())
    };
    assert_eq!(file(0, "/etc/who"), ("own".into(), Some("0600".into())));
    assert_eq!(file(1, "/etc/who"), ("base".into(), None));
    assert_eq!(file(0, "/etc/base"), file(1, "/etc/base"));
}

#[test]
fn mistakes_are_shown_once_at_their_place() {
    assert_eq!(
        mistakes("    ignition: bad.ign\n"),
        ["bad.ign:2:22: /storage/raid: is not supported by sledos"]
    );
    let missing = mistakes("    ignition: [base.ign, gone.ign]\n");
    assert_eq!(missing.len(), 1);
    assert!(missing[0].ends_with(":7:26: cannot read `gone.ign`: no such file"), "{missing:?}");
    let twice = "    config: {files: {/etc/who: {contents: x}}}\n    ignition: base.ign\n";
    assert_eq!(
        mistakes(twice),
        ["base.ign:2:30: /storage/files/0/path: /etc/who is in the fleet file, too; keep one of them"]
    );
}

#[test]
fn empty_objects_say_nothing_at_any_depth() {
    struct Nowhere;
    impl metadata::ignition::World for Nowhere {
        fn get(&mut self, _: &str, _: &[(String, String)], _: usize) -> Result<Vec<u8>, String> {
            Err("nothing is there".to_owned())
        }
    }
    let good = |security: &str| {
        let text =
            format!(r#"{{"ignition": {{"version": "3.3.0", "proxy": {{}}, "security": {security}}}}}"#);
        metadata::ignition::read(&yaml::diagnostic::Source::new("c.ign", text), &mut Nowhere).is_ok()
    };
    for empty in ["{}", r#"{"tls": {}}"#, r#"{"tls": {"certificateAuthorities": []}}"#, r#"{"tls": null}"#] {
        assert!(good(empty), "{empty}");
    }
    assert!(!good(r#"{"tls": {"certificateAuthorities": [{"source": "data:,x"}]}}"#));
}

#[test]
fn users_and_groups_that_the_image_lacks_are_found_by_the_code_of_pid_1() {
    let image = |groups: &[(&str, u32)]| {
        let map = |list: &[(&str, u32)]| list.iter().map(|(n, id)| ((*n).to_owned(), *id)).collect();
        metadata::generate::Image::with_accounts(&map(&[("root", 0), ("daemon", 1)]), &map(groups))
    };
    let found = |role: &str, groups: &[(&str, u32)]| -> Vec<String> {
        let mut fleet = fleet(role, "");
        apply(&mut fleet, &mut Disk).unwrap();
        let images = std::iter::once((fleet.sleds[0].image.clone(), image(groups))).collect();
        let found = metadata::fleet::fit::unfit(&fleet, &images);
        found.iter().map(|d| format!("{}: {}", d.place.as_ref().unwrap(), d.message)).collect()
    };
    let users = |line: &str| format!("    config: {{{line}}}\n");
    let in_ignition = "    ignition: {ignition: {version: 3.3.0}, passwd: {users: [{name: core, groups: [sudo, wheel]}]}}\n";
    let base = [("root", 0), ("sudo", 27)];
    assert_eq!(
        found(in_ignition, &base),
        ["fleet.yaml:7:15: `a` of image `c`: there is no group `wheel`"],
        "both sleds have it, it is said once"
    );
    assert!(found(in_ignition, &[("root", 0), ("sudo", 27), ("wheel", 900)]).is_empty());
    for (line, want) in [
        ("users: {core: {groups: [sudo, wheel]}}", "there is no group `wheel`"),
        ("users: {core: {primary-group: staff}}", "there is no group `staff`"),
        ("groups: {sudo: {}}", "the image has this group, and a group cannot be changed"),
        ("groups: {x: {id: 27}}", "the number 27 is another group's"),
        ("files: {/etc/a: {user: nobody-here}}", "there is no user `nobody-here`"),
        ("files: {/etc/a: {group: nobody-here}}", "there is no group `nobody-here`"),
    ] {
        let found = found(&users(line), &base);
        assert!(found.len() == 1 && found[0].ends_with(want), "{line}: {found:?}");
    }
    for line in [
        "users: {core: {groups: [sudo]}, daemon: {groups: [sudo]}}",
        "groups: {wheel: {}}, users: {core: {groups: [wheel]}}",
        "users: {core: {}}, files: {/etc/a: {user: core, group: core}, /etc/b: {user: daemon, uid: 5}}",
    ] {
        assert_eq!(found(&users(line), &base), [""; 0], "{line}");
    }
}
