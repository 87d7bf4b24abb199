//! The promises of docs/promises.md, held against the model.

use super::machine::{Behaviour, Broken, Outcome, Sled, releases};
use super::story::Event;
use metadata::document::{DiskMatch, Install, Pick, Wipe};
use proptest::prelude::*;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use Behaviour::{Good, NeverReady, Panics};

fn first_disk() -> Install {
    Install {
        disk: DiskMatch { pick: Some(Pick::First), ..DiskMatch::default() },
        mirror: false,
        wipe: Wipe::Never,
    }
}

/// A sled with its first release ready on its only disk, and these to come.
fn installed(more: &[Behaviour]) -> Sled {
    let all: Vec<_> = [Good].iter().chain(more).copied().collect();
    let mut sled = Sled::new(1, &releases(&all), first_disk());
    assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
    sled
}

/// Writes and flushes of a run from here to its end.
fn operations(sled: &Sled, events: &[Event]) -> u64 {
    let mut sled = sled.copy();
    let before = sled.drives.iter().map(|drive| drive.memory.operations()).sum::<u64>();
    for event in events {
        sled.happens(*event);
    }
    sled.drives.iter().map(|drive| drive.memory.operations()).sum::<u64>() - before
}

/// Cuts the power of a copy of this sled after each of many numbers of writes.
fn at_each_cut(sled: &Sled, check: &dyn Fn(Sled, Outcome)) {
    let all = operations(sled, &[Event::Boot]);
    // A filesystem's thousands of writes have no flush between them: some of them do.
    let step = usize::try_from(all / 150).unwrap().max(1);
    let mut cuts = 0;
    for after in (0..=all).step_by(step).chain(all.saturating_sub(60)..=all) {
        for luck in 0..2 {
            let mut cut = sled.copy();
            let outcome = cut.happens(Event::Cut { after, luck: after * 7 + luck }).unwrap();
            check(cut, outcome);
            cuts += 1;
        }
    }
    println!("{cuts} cuts of {all} writes and flushes");
}

#[test]
fn an_update_that_is_cut_anywhere_ends_in_the_old_or_the_new_image() {
    let mut sled = installed(&[Good]);
    sled.happens(Event::Document(1));
    at_each_cut(&sled, &|mut sled, _| {
        // Nobody answers any more: what is on the disk has to do.
        let mut alone = sled.copy();
        alone.happens(Event::Server(false));
        let outcome = alone.happens(Event::Boot).unwrap();
        assert!(matches!(outcome, Outcome::Ready(0 | 1)), "some image boots\n{}", alone.tell());
        let outcome = sled.happens(Event::Boot).unwrap();
        assert_eq!(outcome, Outcome::Ready(1), "ready again without a hand\n{}", sled.tell());
    });
}

#[test]
fn a_first_installation_that_is_cut_anywhere_is_finished() {
    let sled = Sled::new(1, &releases(&[Good]), first_disk());
    at_each_cut(&sled, &|mut sled, _| {
        assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
        sled.happens(Event::Server(false));
        assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
    });
}

#[test]
fn a_bad_image_gives_way_to_the_last_good_one_and_is_not_tried_again() {
    for bad in [Panics, NeverReady] {
        let mut sled = installed(&[bad, Good]);
        sled.happens(Event::Document(1));
        assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
        for _ in 0..3 {
            // One boot each: no restart, no try.
            assert_eq!(sled.boot(), Outcome::Ready(0), "{}", sled.tell());
        }
        sled.happens(Event::Document(2));
        assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(2)), "{}", sled.tell());
        assert!(sled.whole().contains(&0), "the third image goes over the bad one\n{}", sled.tell());
    }
}

#[test]
fn a_bad_update_that_is_cut_anywhere_ends_in_the_old_image() {
    let mut sled = installed(&[NeverReady]);
    sled.happens(Event::Document(1));
    at_each_cut(&sled, &|mut sled, _| {
        assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
        assert_eq!(sled.boot(), Outcome::Ready(0), "{}", sled.tell());
    });
}

#[test]
fn an_image_that_the_network_starts_gives_way_to_the_one_on_the_disk() {
    let mut panics = installed(&[Panics]);
    panics.happens(Event::Network(true));
    panics.happens(Event::Document(1));
    assert_eq!(panics.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", panics.tell());

    let mut sled = installed(&[NeverReady, Good]);
    sled.happens(Event::Network(true));
    sled.happens(Event::Document(1));
    assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
    // The network starts it again at each boot: it restarts into the other one at once.
    let boots = sled.boots;
    assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
    assert_eq!(sled.boots - boots, 2, "{}", sled.tell());
    sled.happens(Event::Document(2));
    assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(2)), "{}", sled.tell());
    assert!(sled.whole().contains(&0), "the third image goes over the bad one\n{}", sled.tell());
}

#[test]
fn an_update_goes_to_the_disk_the_sled_runs_from() {
    // A blank disk comes to a place before it.
    let mut sled = Sled::new(2, &releases(&[Good, Good]), first_disk());
    sled.happens(Event::Present(0, false));
    assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(0)), "{}", sled.tell());
    sled.happens(Event::Present(0, true));
    sled.happens(Event::Document(1));
    assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(1)), "{}", sled.tell());
    assert!(sled.drives[0].memory.sectors().is_empty(), "the blank disk stays blank\n{}", sled.tell());
}

#[test]
fn a_sled_whose_firmware_starts_another_image_restarts_once() {
    let mut sled = installed(&[Good]);
    sled.happens(Event::Pinned(Some(0)));
    sled.happens(Event::Document(1));
    assert_eq!(sled.boot(), Outcome::Restart, "{}", sled.tell());
    for _ in 0..3 {
        assert_eq!(sled.boot(), Outcome::Ready(0), "{}", sled.tell());
    }
    // Somebody removes the variable, and the document names the image anew.
    sled.happens(Event::Pinned(None));
    assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(1)), "{}", sled.tell());
}

#[test]
fn a_slot_that_rots_is_written_again_or_gives_way() {
    for (server, other, end) in
        [(true, false, Outcome::Ready(0)), (true, true, Outcome::Ready(1)), (false, true, Outcome::Ready(0))]
    {
        let mut sled = installed(&[Good]);
        let newest = usize::from(other);
        if other {
            sled.happens(Event::Document(1));
            assert_eq!(sled.happens(Event::Boot), Some(Outcome::Ready(1)), "{}", sled.tell());
        }
        sled.happens(Event::Server(server));
        sled.happens(Event::Rot { release: newest, block: 3 });
        assert_eq!(sled.happens(Event::Boot), Some(end), "{}", sled.tell());
        sled.happens(Event::Boot);
        assert!(!server || sled.whole().contains(&newest), "{}", sled.tell());
    }
}

#[test]
fn what_is_broken_on_purpose_is_found() {
    for (broken, events) in [
        (
            Broken::UpdateChoosesDisk,
            vec![Event::Present(0, true), Event::Document(1), Event::Boot, Event::Boot],
        ),
        (Broken::Forgets, vec![Event::Pinned(Some(0)), Event::Document(1), Event::Boot]),
    ] {
        let mut sled = Sled::new(2, &releases(&[Good, Good]), first_disk());
        sled.happens(Event::Present(0, false));
        sled.happens(Event::Boot);
        sled.broken = Some(broken);
        let told = catch_unwind(AssertUnwindSafe(|| {
            for event in &events {
                sled.happens(*event);
                keeps_promises(&sled);
            }
        }));
        let told = told.map_err(|panic| panic.downcast::<String>().map(|text| *text).unwrap_or_default());
        let story = told.expect_err("the model passes over what is broken");
        assert!(story.contains("Document(1)"), "{story}");
        println!("{broken:?}: {story}\n");
    }
}

/// Every test that the table names is there.
#[test]
fn the_table_names_tests_that_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(top.join("docs/promises.md")).unwrap();
    let mut sources = String::new();
    let mut dirs: Vec<_> =
        ["initramfs/src", "server/src", "qemu-tests/tests"].map(|dir| top.join(dir)).into();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => dirs.push(path),
                path if path.extension().is_some_and(|e| e == "rs") => {
                    sources += &fs::read_to_string(path).unwrap();
                }
                _ => {}
            }
        }
    }
    let names: Vec<_> =
        table.split('`').skip(1).step_by(2).filter(|word| word.matches('_').count() > 2).collect();
    assert!(names.len() > 15, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What holds after every event.
fn keeps_promises(sled: &Sled) {
    // No disk is written that the document does not allow: only the first of them is a
    // sledos disk, or the one the sled was installed on when the first was away.
    let ours = sled.drives.iter().filter(|drive| !drive.memory.sectors().is_empty()).count();
    assert!(ours <= 1, "one disk is written\n{}", sled.tell());
    if let Some(last) = sled.last_good
        && !sled.rotten
        && sled.drives.iter().all(|drive| drive.present)
    {
        assert!(sled.whole().contains(&last), "the last good image stays\n{}", sled.tell());
    }
}

fn event(releases: usize) -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Boot),
        4 => (0_u64..1200, any::<u64>()).prop_map(|(after, luck)| Event::Cut { after, luck }),
        3 => (0..releases).prop_map(Event::Document),
        1 => any::<bool>().prop_map(Event::Server),
        1 => any::<bool>().prop_map(Event::Network),
        1 => prop::option::of(0..releases).prop_map(Event::Pinned),
        1 => (0..releases, 0_u64..6).prop_map(|(release, block)| Event::Rot { release, block }),
    ]
}

static BOOTS: AtomicU64 = AtomicU64::new(0);

/// `PROPTEST_CASES=4000` for a long run.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn whatever_happens_the_promises_hold(
        bad in prop::collection::vec(prop_oneof![3 => Just(Good), 1 => Just(Panics), 1 => Just(NeverReady)], 2),
        events in prop::collection::vec(event(3), 1..10),
    ) {
        let mut sled = installed(&bad);
        for event in events {
            sled.happens(event);
            keeps_promises(&sled);
        }
        // In the end everything is well again, and so is the sled.
        sled.happens(Event::Server(true));
        sled.happens(Event::Pinned(None));
        sled.happens(Event::Network(false));
        sled.happens(Event::Document(0));
        let outcome = sled.happens(Event::Boot);
        prop_assert!(matches!(outcome, Some(Outcome::Ready(_))), "ready without a hand\n{}", sled.tell());
        BOOTS.fetch_add(sled.boots, Ordering::Relaxed);
    }
}
