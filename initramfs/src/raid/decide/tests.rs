//! A model of md on three disks: what is written to each, and what its superblock says. The
//! decision knows the superblocks only; the model knows the histories.

use super::*;
use formats::md::Array;
use proptest::prelude::*;

/// What a kernel writes for a member that is not there: 6.1 says spare, older ones failed.
const GONE: [u16; 2] = [0xffff, 0xfffe];

/// A disk of the model.
#[derive(Clone, Debug)]
struct Disk {
    superblock: Member,
    /// What was written to the array while it was part of it, in order.
    history: Vec<u32>,
}

fn member(number: u16) -> Member {
    let mut roles = vec![0xffff; 8];
    roles[..2].copy_from_slice(&[0, 1]);
    Member {
        array: Array { uuid: [1; 16], name: "root".into(), size: 1 << 30, members: 2, time: 0 },
        uuid: [u8::try_from(number).unwrap() + 1; 16],
        number: number.into(),
        events: 1,
        updated: 0,
        role: Some(number),
        recovering: false,
        roles,
    }
}

fn seen(disks: &[&Disk]) -> Result<Decision, Stuck> {
    let halves: Vec<_> = disks.iter().map(|disk| Seen { member: &disk.superblock, writable: true }).collect();
    decide(&halves)
}

/// Writes the superblocks of the members that run, as `super_1_sync` does. With `torn` only
/// the first gets its own.
fn superblocks(disks: &mut [Disk], running: &[usize], gone: u16, torn: bool, time: u64) {
    let events = running.iter().map(|n| disks[*n].superblock.events).max().unwrap() + 1;
    let mut roles = vec![gone; 8];
    for n in running {
        let superblock = &disks[*n].superblock;
        roles[superblock.number as usize] = superblock.role.unwrap();
    }
    let last = if torn { 1 } else { running.len() };
    for n in &running[..last] {
        let superblock = &mut disks[*n].superblock;
        (superblock.events, superblock.updated, superblock.roles) = (events, time, roles.clone());
    }
}

/// One boot.
#[derive(Clone, Debug)]
struct Boot {
    /// Which disks are there.
    present: [bool; 2],
    /// How often something is written.
    writes: u8,
    /// The power is cut between the last two superblocks.
    torn: bool,
    gone: usize,
    /// What its clock says.
    clock: u64,
    /// The running system takes in what was left out, and how far that gets.
    heals: Option<bool>,
}

fn boot() -> impl Strategy<Value = Boot> {
    (any::<[bool; 2]>(), 0..4_u8, any::<bool>(), 0..2_usize, 0..9_u64, any::<Option<bool>>()).prop_map(
        |(present, writes, torn, gone, clock, heals)| Boot { present, writes, torn, gone, clock, heals },
    )
}

fn is_prefix(a: &[u32], of: &[u32]) -> bool {
    of.starts_with(a)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever was there at which boot: what starts together has the same data, what is called
    /// behind has an earlier state of it, and nothing is lost that was not called diverged.
    #[test]
    fn what_ran_apart_is_never_joined(boots in prop::collection::vec(boot(), 1..9)) {
        let mut disks = [0, 1].map(|number| Disk { superblock: member(number), history: vec![] });
        let mut next = 0;
        for boot in &boots {
            let time = boot.clock;
            let present: Vec<_> = (0..2).filter(|n| boot.present[*n]).collect();
            let here: Vec<_> = present.iter().map(|n| &disks[*n]).collect();
            let decision = match seen(&here) {
                Ok(decision) => decision,
                Err(stuck) => {
                    // Only a half that was being filled, alone, has nothing to start from.
                    prop_assert_eq!(stuck, Stuck::NoData);
                    prop_assert!(here.iter().all(|disk| disk.superblock.recovering));
                    continue;
                }
            };
            let newest = here[decision.start[0]].clone();
            for (disk, standing) in here.iter().zip(&decision.standing) {
                match standing {
                    Standing::InSync => prop_assert_eq!(&disk.history, &newest.history),
                    Standing::Behind if !disk.superblock.recovering => {
                        prop_assert!(is_prefix(&disk.history, &newest.history), "{:?}", boots);
                    }
                    // Its superblock says that it ran alone: with more events it would be the newest.
                    Standing::Diverged => prop_assert!(disk.superblock.events <= newest.superblock.events),
                    _ => {}
                }
            }
            let mut running: Vec<_> = decision.start.iter().map(|n| present[*n]).collect();
            let left: Vec<_> = present.iter().copied().filter(|n| !running.contains(n)).collect();
            let gone = GONE[boot.gone];
            superblocks(&mut disks, &running, gone, false, time);
            for _ in 0..boot.writes {
                superblocks(&mut disks, &running, gone, false, time);
                next += 1;
                running.iter().for_each(|n| disks[*n].history.push(next));
            }
            if let (Some(whole), Some(new)) = (boot.heals, left.first().copied()) {
                // What is synced has the newest one's history when that is over.
                disks[new].superblock.recovering = true;
                running.push(new);
                superblocks(&mut disks, &running, gone, false, time);
                disks[new].history = disks[running[0]].history.clone();
                if whole {
                    disks[new].superblock.recovering = false;
                    superblocks(&mut disks, &running, gone, false, time);
                }
            } else if boot.torn {
                superblocks(&mut disks, &running, gone, true, time);
            }
        }
    }
}

/// Both were used alone as often: the counters are equal, and only the roles tell it.
#[test]
fn a_alone_then_b_alone_then_both_starts_one_and_names_the_other() {
    for gone in GONE {
        for (more_on_a, first) in [(0, 0), (1, 0), (-1, 1)] {
            let mut disks = [0, 1].map(|number| Disk { superblock: member(number), history: vec![] });
            superblocks(&mut disks, &[0], gone, false, 5);
            superblocks(&mut disks, &[1], gone, false, 5);
            let events = &mut disks[0].superblock.events;
            *events = events.saturating_add_signed(more_on_a);
            let decision = seen(&[&disks[0], &disks[1]]).unwrap();
            assert_eq!(decision.start, [first]);
            assert_eq!(decision.standing[1 - first], Standing::Diverged);
            assert_eq!(decision.standing[first], Standing::InSync);
        }
    }
}

#[test]
fn one_that_was_out_is_behind_and_one_cut_off_in_between_is_not() {
    let mut disks = [0, 1].map(|number| Disk { superblock: member(number), history: vec![] });
    let both = |disks: &[Disk]| seen(&[&disks[0], &disks[1]]).unwrap();
    assert_eq!(both(&disks), Decision { start: vec![0, 1], standing: vec![Standing::InSync; 2] });
    superblocks(&mut disks, &[1, 0], 0xffff, true, 1);
    assert_eq!(both(&disks), Decision { start: vec![1, 0], standing: vec![Standing::InSync; 2] });
    // Nobody noted that it failed, and it missed more than one superblock all the same.
    superblocks(&mut disks, &[1, 0], 0xffff, true, 1);
    assert_eq!(both(&disks), Decision { start: vec![1], standing: vec![Standing::Behind, Standing::InSync] });
    superblocks(&mut disks, &[1], 0xffff, false, 2);
    assert_eq!(both(&disks).standing, [Standing::Behind, Standing::InSync]);
    // Taken in again, and the power is cut.
    disks[0].superblock.recovering = true;
    superblocks(&mut disks, &[1, 0], 0xffff, false, 3);
    assert_eq!(
        both(&disks),
        Decision { start: vec![1, 0], standing: vec![Standing::Filling, Standing::InSync] }
    );
    assert_eq!(seen(&[&disks[0]]), Err(Stuck::NoData));
}

#[test]
fn spares_and_copies_do_not_start() {
    let a = member(0);
    let spare = Member { role: None, number: 2, uuid: [9; 16], ..member(1) };
    assert_eq!(standing(&a, &spare), Standing::Spare);
    assert_eq!(standing(&a, &Member { events: 9, ..a.clone() }), Standing::Diverged);
    assert_eq!(standing(&a, &Member { uuid: a.uuid, ..member(1) }), Standing::Diverged);
    let alone = Seen { member: &spare, writable: true };
    assert_eq!(decide(&[alone]), Err(Stuck::NoData));
    assert_eq!(decide(&[]), Err(Stuck::NoData));
}

#[test]
fn a_write_protected_half_keeps_only_itself_out() {
    let (a, b) = (member(0), member(1));
    let seen = |a_writable, b_writable| {
        let halves = [(&a, a_writable), (&b, b_writable)];
        decide(&halves.map(|(member, writable)| Seen { member, writable })).map(|decision| decision.start)
    };
    assert_eq!(seen(true, true), Ok(vec![0, 1]));
    assert_eq!((seen(false, true), seen(true, false)), (Ok(vec![1]), Ok(vec![0])));
    assert_eq!(seen(false, false), Err(Stuck::ReadOnly));
    // An older one instead of it would take /var back.
    let old = Member { events: 0, ..a.clone() };
    let new = Member { events: 7, ..b.clone() };
    let halves = [(&old, true), (&new, false)];
    let decided = decide(&halves.map(|(member, writable)| Seen { member, writable }));
    assert_eq!(decided, Err(Stuck::ReadOnly));
}
