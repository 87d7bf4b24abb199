//! The decision over all small worlds.

use super::*;
use metadata::document::Artefact;
use metadata::values::Hash32;

const BOOTED: Hash = [1; 32];
const OTHER: Hash = [2; 32];

fn image(hash: Hash) -> Image {
    let artefact = || Artefact { file: "f".into(), size: 4096, sha256: Hash32([0; 32]) };
    Image {
        name: "compute".into(),
        version: "1".into(),
        root_hash: Hash32(hash),
        urls: vec![],
        usr: artefact(),
        verity: artefact(),
        uki: artefact(),
        layout: None,
        extensions: Default::default(),
    }
}

fn histories() -> Vec<History> {
    let with = |change: &dyn Fn(&mut History)| {
        let mut history = History::default();
        change(&mut history);
        history
    };
    vec![
        History::default(),
        with(&|h| h.restarts_into(&OTHER)),
        with(&|h| h.failed(&OTHER)),
        with(&|h| (0..REPAIRS).for_each(|_| h.repaired(&BOOTED))),
        with(&|h| h.boots(&BOOTED, true)),
        with(&|h| (0..layout::TRIES).for_each(|_| h.boots(&BOOTED, true))),
        with(&|h| h.failed(&BOOTED)),
    ]
}

fn chances() -> [Option<Chance>; 6] {
    let says = || "why".to_owned();
    let (not_chosen, unknown) = (Chance::NotChosen(says()), Chance::Unknown(says()));
    [
        None,
        Some(Chance::Choose),
        Some(not_chosen),
        Some(Chance::Failed(1)),
        Some(Chance::Exhausted),
        Some(unknown),
    ]
}

/// Every combination of what can be known, with what is decided.
fn all(check: &mut dyn FnMut(&Facts<'_>, Next)) -> u32 {
    let (own, other) = (image(BOOTED), image(OTHER));
    let mut count = 0;
    for image in [None, Some(&own), Some(&other)] {
        for install in [false, true] {
            for slot in [Slot::Mounted("vda".into()), Slot::Rotten("vda".into()), Slot::None] {
                for chance in &chances() {
                    for bits in 0..8 {
                        let [other, unrepaired, uncounted] = [1, 2, 4].map(|bit| bits & bit != 0);
                        for history in &histories() {
                            let wanted = image.map(|image| Wanted { image, install });
                            let (booted, slot) = (&BOOTED, &slot);
                            let chance = chance.as_ref();
                            let facts =
                                Facts { wanted, booted, slot, chance, other, unrepaired, uncounted, history };
                            check(&facts, decide(&facts));
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    count
}

#[test]
fn a_disk_that_is_written_is_the_one_the_sled_runs_from_or_none_has_the_image() {
    let count = all(&mut |facts, next| match (&next, facts.slot) {
        (Next::Install, slot) => assert_eq!(*slot, Slot::None, "{facts:?}"),
        (Next::Update(disk) | Next::Switch(disk), slot) => {
            assert_eq!(*slot, Slot::Mounted(disk.clone()), "{facts:?}");
        }
        (Next::Repair(disk) | Next::GiveWay(disk), slot) => {
            assert_eq!(*slot, Slot::Rotten(disk.clone()), "{facts:?}");
        }
        (Next::Leave(disk), slot) => assert_eq!(*slot, Slot::Mounted(disk.clone()), "{facts:?}"),
        _ => {}
    });
    assert_eq!(count, 3 * 2 * 3 * 6 * 8 * 7);
}

#[test]
fn a_sled_whose_slot_is_good_runs() {
    all(&mut |facts, next| {
        if matches!(facts.slot, Slot::Mounted(_)) {
            assert!(!matches!(next, Next::Refuse(_)), "{facts:?}");
        }
    });
}

#[test]
fn nothing_restarts_into_an_image_that_failed_or_was_not_chosen() {
    all(&mut |facts, next| {
        let past = facts.history.of(&OTHER);
        if past.failed || past.restarts > 0 || facts.chance == Some(&Chance::Exhausted) {
            assert!(!matches!(next, Next::Update(_) | Next::Switch(_)), "{facts:?}");
        }
    });
}

#[test]
fn a_repair_is_tried_once_in_a_boot_and_a_few_times_when_there_is_another_image() {
    all(&mut |facts, next| {
        let often = facts.other && facts.history.of(&BOOTED).repairs >= REPAIRS;
        if facts.unrepaired || often {
            assert!(!matches!(next, Next::Repair(_)), "{facts:?}");
        }
    });
}

#[test]
fn a_damaged_slot_gives_way_only_to_another_image() {
    all(&mut |facts, next| {
        if matches!(next, Next::GiveWay(_)) {
            assert!(facts.other, "{facts:?}");
        }
    });
}

#[test]
fn without_an_image_of_the_document_no_other_runs_from_the_network() {
    all(&mut |facts, next| {
        let wants_other = facts.wanted.is_some_and(|wanted| wanted.image.root_hash.0 != BOOTED);
        if wants_other && *facts.slot == Slot::None {
            assert_eq!(next, Next::Refuse(Refuse::OtherImage), "{facts:?}");
        }
    });
}

#[test]
fn only_what_nobody_else_counts_is_left_and_only_for_something_else() {
    let mut left = 0;
    all(&mut |facts, next| {
        let past = facts.history.of(facts.booted);
        if let Next::Leave(_) = next {
            assert!(facts.uncounted && facts.other && !past.good, "{facts:?}");
            assert!(past.failed || past.boots >= layout::TRIES, "{facts:?}");
            left += 1;
        }
    });
    assert!(left > 0);
}

#[test]
fn an_image_that_was_ready_once_is_not_left_for_an_outage() {
    let own = image(BOOTED);
    let mut history = History::default();
    history.ready(&BOOTED);
    (0..9).for_each(|_| history.boots(&BOOTED, true));
    let wanted = Some(Wanted { image: &own, install: true });
    let slot = Slot::Mounted("vda".into());
    let (booted, chance, unrepaired) = (&BOOTED, None, false);
    let facts = Facts {
        wanted,
        booted,
        slot: &slot,
        chance,
        other: true,
        unrepaired,
        uncounted: true,
        history: &history,
    };
    assert_eq!(decide(&facts), Next::Run);
}
