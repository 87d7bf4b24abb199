use super::*;
use proptest::prelude::*;

fn place(bay: u32, serial: &str, megabytes: u64) -> Place {
    let (set, mount) = ("data".to_owned(), format!("/data/{bay:02}"));
    Place { set, bay, mount, serial: serial.to_owned(), megabytes }
}

fn sixteen() -> Vec<Place> {
    (1..=16).map(|bay| place(bay, &format!("S{bay}"), 4000)).collect()
}

const ALL: &dyn Fn(&Place) -> bool = &|_| true;

#[test]
fn a_disk_that_is_pulled_leaves_its_place_and_gets_it_back() {
    let all = sixteen();
    let first = decide(&[], &all, ALL, false);
    assert_eq!((&first.offered, first.notes.len()), (&all, 0));
    let mut less = all.clone();
    let pulled = less.remove(6);
    let second = decide(&first.offered, &less, ALL, true);
    assert_eq!((second.mounted(), &second.kept), (first.mounted(), &vec![pulled]));
    assert!(second.notes[0].contains("/data/07 has no disk (it was S7)"), "{:?}", second.notes);
    // As often as the sled starts without it.
    assert_eq!(decide(&second.offered, &less, ALL, true), second);
    let third = decide(&second.offered, &all, ALL, true);
    assert_eq!(third, Decision { offered: all, ..Decision::default() });
}

#[test]
fn another_disk_in_the_place_is_offered_as_the_old_one_and_the_loss_is_said() {
    let all = sixteen();
    let mut now = all.clone();
    now[6] = place(7, "NEW", 3000);
    let decision = decide(&all, &now, ALL, true);
    assert_eq!((decision.offered[6].megabytes, decision.offered[6].serial.as_str()), (4000, "NEW"));
    let [lost, small] = &decision.notes[..] else { panic!("{:?}", decision.notes) };
    assert!(lost.contains("is on disk NEW now and was on S7: persistent volumes that were there are lost"));
    assert!(small.contains("/data/07 has 3000 MB"), "{small}");
    // It is remembered as it is from then on.
    assert_eq!(decide(&decision.offered, &now, ALL, true).notes.len(), 1);
    // Nothing hangs on the old one: then it is just a disk.
    let free = decide(&all, &now, ALL, false);
    assert_eq!((free.offered[6].megabytes, free.notes.len()), (3000, 0));
}

#[test]
fn what_the_document_gives_up_or_nobody_needs_is_not_kept() {
    let all = sixteen();
    assert_eq!(decide(&all, &all[..15], &|_| false, true).kept, []);
    assert_eq!(decide(&all, &all[..15], ALL, false).kept, []);
}

proptest! {
    /// Whatever is missing, changed or put in: an agent that is bound is offered each place
    /// it knows, with the size it knows, and nothing twice.
    #[test]
    fn a_bound_agent_misses_nothing(
        before in proptest::collection::btree_map(1..20_u32, ("[a-c]", 1..5000_u64), 0..16),
        now in proptest::collection::btree_map(1..20_u32, ("[a-c]", 1..5000_u64), 0..16),
    ) {
        let places = |all: &std::collections::BTreeMap<u32, (String, u64)>| -> Vec<Place> {
            all.iter().map(|(bay, (serial, megabytes))| place(*bay, serial, *megabytes)).collect()
        };
        let decision = decide(&places(&before), &places(&now), ALL, true);
        let offered: std::collections::BTreeMap<u32, u64> =
            decision.offered.iter().map(|place| (place.bay, place.megabytes)).collect();
        prop_assert_eq!(offered.len(), decision.offered.len());
        for (bay, (_, megabytes)) in &before {
            prop_assert_eq!(offered.get(bay), Some(megabytes));
        }
        for bay in now.keys() {
            prop_assert!(offered.contains_key(bay));
        }
        prop_assert_eq!(decision.kept.len(), before.keys().filter(|bay| !now.contains_key(bay)).count());
    }
}

#[test]
fn memory_is_of_one_sled_and_a_damaged_one_is_said() {
    let root = tempfile::tempdir().unwrap();
    let sled = Sled::new(root.path());
    assert_eq!(recall(&sled, "a").unwrap(), []);
    remember(&sled, "a", &sixteen()).unwrap();
    assert_eq!((recall(&sled, "a").unwrap(), recall(&sled, "b").unwrap()), (sixteen(), vec![]));
    fs::write(sled.path(MEMORY), "{").unwrap();
    recall(&sled, "a").unwrap_err();
}

#[test]
fn an_agent_is_bound_by_what_is_written_down_or_by_this_boot() {
    let root = tempfile::tempdir().unwrap();
    let sled = Sled::new(root.path());
    let write = |path: &str, text: &str| {
        fs::create_dir_all(sled.path(path).parent().unwrap()).unwrap();
        fs::write(sled.path(path), text).unwrap();
    };
    assert!(!is_bound(&sled));
    write("/var/lib/mesos/meta/resources/resources.info", "");
    assert!(!is_bound(&sled), "nothing is reserved");
    write("/var/lib/mesos/meta/resources/resources.info", "x");
    assert!(is_bound(&sled));
    fs::remove_dir_all(sled.path("/var/lib/mesos/meta/resources")).unwrap();
    write("/var/lib/mesos/meta/slaves/x/slave.info", "");
    std::os::unix::fs::symlink("x", sled.path("/var/lib/mesos/meta/slaves/latest")).unwrap();
    assert!(!is_bound(&sled), "it may have another id after a reboot");
    write("/run/sledos/disks.json", "{}");
    assert!(is_bound(&sled));
}

#[test]
fn mounts_are_read_as_the_kernel_writes_them() {
    let text = "36 35 8:17 / /data/03 rw,noatime shared:1 - xfs /dev/sdb1 rw\n\
                37 35 0:40 / /data/04 ro - tmpfs sledos-place ro,size=4k\n";
    let all: Vec<_> = mounts(text).map(|m| (m.device, m.point, m.source)).collect();
    assert_eq!(all, [("8:17", "/data/03", "/dev/sdb1"), ("0:40", "/data/04", "sledos-place")]);
}

/// Takes away what a test has mounted, however it ends.
struct Mounted<'s>(&'s Sled);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        make_room(self.0, &["/data/01".into(), "/data/02".into()]);
    }
}

/// As root, on the kernel.
#[test]
fn a_place_is_mounted_once_and_goes_when_its_disk_comes() {
    let root = tempfile::tempdir().unwrap();
    let sled = Sled::new(root.path());
    fs::create_dir_all(sled.path("/proc/self")).unwrap();
    std::os::unix::fs::symlink("/proc/self/mountinfo", sled.path("/proc/self/mountinfo")).unwrap();
    fs::create_dir_all(sled.path("/var/lib/mesos/meta/resources")).unwrap();
    fs::write(sled.path("/var/lib/mesos/meta/resources/resources.info"), "a volume").unwrap();
    let mut document = crate::sledctl::ready::tests::document();
    document["config"]["disks"] = json!({"data": {"match": {"rotational": true}, "mount": "/data"}});
    let document: SledDocument = serde_json::from_value(document).unwrap();
    let both = [place(1, "S1", 4000), place(2, "S2", 4000)];
    let mounted = Mounted(&sled);
    let ours = || {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts(&all).filter(|m| m.source == SOURCE && Path::new(m.point).starts_with(root.path())).count()
    };

    assert_eq!(settle(&sled, &document, &both), Decision { offered: both.to_vec(), ..Decision::default() });
    for _ in 0..2 {
        let without = settle(&sled, &document, &both[..1]);
        assert_eq!((without.kept.as_slice(), without.notes.len()), (&both[1..], 1));
        assert_eq!(ours(), 1);
        let error = fs::write(sled.path("/data/02/x"), "").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
        let mut report = json!({"disks": [], "warnings": []});
        without.report(&mut report);
        assert_eq!(
            (&report["disks"][0]["state"], &report["disks"][0]["serial"]),
            (&"missing".into(), &"S2".into())
        );
    }
    make_room(&sled, &["/data/02".into()]);
    assert_eq!(ours(), 0);
    assert_eq!(settle(&sled, &document, &both).kept, []);
    // A set that the document has no more.
    let mut none = document;
    none.config.disks.clear();
    assert_eq!(settle(&sled, &none, &both[..1]).kept, []);
    drop(mounted);
}

#[test]
fn a_place_is_not_kept_where_a_users_link_leads() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sled = Sled::new(root.path());
    fs::create_dir_all(sled.path("/proc/self")).unwrap();
    fs::write(sled.path("/proc/self/mountinfo"), "").unwrap();
    fs::create_dir_all(sled.path("/var/users")).unwrap();
    std::os::unix::fs::symlink(outside.path(), sled.path("/var/users/data")).unwrap();
    let error = keep(&sled, "/var/users/data/01").unwrap_err().to_string();
    assert_eq!(error, "/var/users/data is a link, and links are not followed here");
    assert!(!outside.path().join("01").exists());
}
