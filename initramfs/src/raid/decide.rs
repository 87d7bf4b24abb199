//! Which halves of a mirror start, and what the others are to it: by their superblocks
//! alone. Pure.
//!
//! The kernel only compares counters. Two halves that were each used without the other may
//! have the same, and would be taken for equal. But before an array that misses a member
//! takes its first write, the superblocks of the others say that it is missing: two that
//! say it of each other have run apart.

use formats::md::{Member, NO_ROLE};
use std::cmp::Reverse;

/// What a half is to the one with the most events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has the same data.
    InSync,
    /// It is being filled, and goes on where it was.
    Filling,
    /// It was out while the other went on; what it has was the array's then.
    Behind,
    /// It went on by itself: its data is another history.
    Diverged,
    /// It has no data of the array.
    Spare,
}

impl Standing {
    /// Whether it starts beside the one with the most events.
    fn starts(self) -> bool {
        matches!(self, Self::InSync | Self::Filling)
    }
}

/// A half, as far as the decision goes.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its superblock.
    pub member: &'a Member,
    /// Whether it takes writes.
    pub writable: bool,
}

/// What becomes of the halves of one array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Those that start, by their places in what was decided about: the newest first.
    pub start: Vec<usize>,
    /// What each is to the newest one.
    pub standing: Vec<Standing>,
}

/// Why none starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// None has all the data.
    #[error("no half has all of the data: a half that was being filled needs the one it was filled from")]
    NoData,
    /// What takes writes is older than what does not: /var would go back.
    #[error("the newest half is write-protected, and no other has its data")]
    ReadOnly,
}

/// Decides about the halves of one array.
///
/// # Errors
/// See [`Stuck`].
pub fn decide(halves: &[Seen<'_>]) -> Result<Decision, Stuck> {
    let whole = |half: &Seen<'_>| half.member.role.is_some() && !half.member.recovering;
    let newest = halves.iter().filter(|half| whole(half)).min_by_key(|half| rank(half.member));
    let newest = newest.ok_or(Stuck::NoData)?.member;
    let standing: Vec<_> = halves.iter().map(|half| standing(newest, half.member)).collect();
    let mut start: Vec<_> = (0..halves.len())
        .zip(halves.iter().zip(&standing))
        .filter(|(_, (half, standing))| half.writable && standing.starts())
        .collect();
    start.sort_by_key(|(_, (half, standing))| (**standing != Standing::InSync, rank(half.member)));
    // What is being filled cannot be without what fills it.
    if !start.iter().any(|(_, (_, standing))| **standing == Standing::InSync) {
        return Err(Stuck::ReadOnly);
    }
    let start = start.into_iter().map(|(place, _)| place).collect();
    Ok(Decision { start, standing })
}

/// The newest comes first. Of equal ones it is the one that went on without others; clocks
/// may be wrong, and the id makes the order one that does not depend on names.
fn rank(member: &Member) -> impl Ord + use<> {
    let counted = member.roles.iter().filter(|role| **role < NO_ROLE).count();
    (Reverse(member.events), counted, Reverse(member.updated), member.uuid)
}

/// What another half of the same array is to the newest one.
pub fn standing(newest: &Member, other: &Member) -> Standing {
    if newest == other {
        return Standing::InSync;
    }
    // A copy of a disk has the other's number: what each was used for cannot be told.
    if newest.number == other.number || newest.uuid == other.uuid {
        return Standing::Diverged;
    }
    let known = newest.counts(other.number);
    match (other.role, other.recovering) {
        (None, _) => Standing::Spare,
        (Some(_), true) if known => Standing::Filling,
        (Some(_), true) => Standing::Behind,
        _ if !other.counts(newest.number) => Standing::Diverged,
        // Superblocks are written one after the other: a power cut leaves a difference of one.
        _ if known && other.events.saturating_add(1) >= newest.events => Standing::InSync,
        _ => Standing::Behind,
    }
}

#[cfg(test)]
mod tests;
