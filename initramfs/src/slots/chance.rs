//! Whether an installed image can be made the one that is started, and why not. Pure, but for
//! the looking.

use super::esp::{self, OnEsp};
use super::firmware::{self, Variables};
use super::machine::Machine;
use crate::disks::Found;
use formats::layout::{EntryName, Standing};
use metadata::document::Image;

/// What there is to do so that an installed image is started, when another one runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chance {
    /// Its boot files are missing, it is not the first, or a variable of the firmware stands
    /// before it: boot files are put, and it is the first.
    Choose,
    /// It is the first everywhere and was never started: what was started instead.
    NotChosen(String),
    /// It was started, so many times, and did not get ready.
    Failed(u32),
    /// It has used up its tries.
    Exhausted,
    /// An ESP does not read.
    Unknown(String),
}

impl std::fmt::Display for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Choose => f.write_str("is installed and not the one that is started"),
            Self::NotChosen(instead) => write!(f, "is installed and was not started: {instead}"),
            Self::Failed(1) => f.write_str("was started once and did not get ready"),
            Self::Failed(times) => write!(f, "was started {times} times and did not get ready"),
            Self::Exhausted => f.write_str("was started as often as it may be and did not get ready"),
            Self::Unknown(why) => write!(f, "is installed, and its ESP does not read: {why}"),
        }
    }
}

/// Looks at the ESPs of the disk with this slot, and of the other half of its mirror.
pub fn chance(machine: &dyn Machine, found: &Found, image: &Image) -> Chance {
    let both = super::both(machine, found);
    let all: Result<Vec<_>, _> = both.iter().map(|found| esp::on_esp(machine, found, image)).collect();
    match all {
        Ok(all) => decide(&all, image, &firmware::look()),
        Err(error) => Chance::Unknown(error.to_string()),
    }
}

/// From what is on the ESPs and in the firmware's variables. Of a pair of disks firmware may
/// start either, so both count: tries that are used up on one are used up.
pub fn decide(all: &[OnEsp], image: &Image, variables: &Variables) -> Chance {
    let any = |wanted: &dyn Fn(&OnEsp) -> bool| all.iter().any(wanted);
    if any(&|e| e.standing == Standing::Exhausted) && !any(&|e| e.standing == Standing::Good) {
        return Chance::Exhausted;
    }
    let entry = EntryName::new(&image.name, &image.version, &image.root_hash.0);
    let overridden = variables.actions(&entry).iter().any(firmware::Action::stands_before);
    if any(&|e| e.standing == Standing::Missing || !e.first) || overridden {
        return Chance::Choose;
    }
    let times = all.iter().map(|e| match e.standing {
        Standing::OnTrial { done, .. } => done,
        _ => 0,
    });
    match times.max() {
        Some(times) if times > 0 => Chance::Failed(times),
        _ => Chance::NotChosen(variables.instead(all.iter().map(|e| e.esp))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::gpt::Guid;
    use metadata::document::Artefact;
    use metadata::values::Hash32;

    fn image() -> Image {
        let artefact = || Artefact { file: "x".into(), size: 1, sha256: Hash32([0; 32]) };
        Image {
            name: "compute".into(),
            version: "2".into(),
            root_hash: Hash32([0xab; 32]),
            urls: vec![],
            usr: artefact(),
            verity: artefact(),
            uki: artefact(),
            layout: None,
            extensions: Default::default(),
        }
    }

    fn of(all: &[(Standing, bool)], variables: &Variables) -> Chance {
        let on = |(standing, first): &(Standing, bool)| OnEsp {
            disk: "sda".into(),
            esp: Guid([1; 16]),
            standing: *standing,
            first: *first,
        };
        decide(&all.iter().map(on).collect::<Vec<_>>(), &image(), variables)
    }

    const NEW: Standing = Standing::OnTrial { left: 3, done: 0 };
    const TRIED: Standing = Standing::OnTrial { left: 2, done: 1 };

    #[test]
    fn of_one_disk_and_of_two() {
        use Standing::{Exhausted, Good, Missing};
        let none = Variables::default();
        let not_chosen = |chance: Chance| matches!(chance, Chance::NotChosen(_));
        for first in [false, true] {
            assert_eq!(of(&[(Missing, first)], &none), Chance::Choose);
            assert_eq!(of(&[(Exhausted, first)], &none), Chance::Exhausted);
        }
        for standing in [NEW, TRIED, Good] {
            assert_eq!(of(&[(standing, false)], &none), Chance::Choose);
            // A cut between the two ESPs of a mirror, on either side.
            for other in [(Missing, true), (standing, false)] {
                assert_eq!(of(&[(standing, true), other], &none), Chance::Choose);
                assert_eq!(of(&[other, (standing, true)], &none), Chance::Choose);
            }
        }
        assert!(not_chosen(of(&[(NEW, true)], &none)) && not_chosen(of(&[(Good, true), (NEW, true)], &none)));
        assert_eq!(of(&[(TRIED, true)], &none), Chance::Failed(1));
        assert_eq!(of(&[(NEW, true), (TRIED, true)], &none), Chance::Failed(1));
        // Tries that are used up on one disk are used up, unless it got ready on the other.
        assert_eq!(of(&[(NEW, false), (Exhausted, true)], &none), Chance::Exhausted);
        assert_eq!(of(&[(Exhausted, true), (Missing, false)], &none), Chance::Exhausted);
        assert_eq!(of(&[(Good, false), (Exhausted, true)], &none), Chance::Choose);
    }

    #[test]
    fn a_variable_that_stands_before_it_means_that_it_was_not_chosen() {
        let default = |text: &str| Variables { default: Some(text.into()), ..Variables::default() };
        assert_eq!(of(&[(NEW, true)], &default("compute_1.efi")), Chance::Choose);
        assert!(matches!(
            of(&[(NEW, true)], &default("compute_2_abababababababab+3.efi")),
            Chance::NotChosen(_)
        ));
        let timeout = |text: &str| Variables { timeout: Some(text.into()), ..Variables::default() };
        assert_eq!(of(&[(NEW, true)], &timeout("menu-force")), Chance::Choose);
        assert!(matches!(of(&[(NEW, true)], &timeout("20")), Chance::NotChosen(_)));
        // What is used up is not tried again, whatever stood before it.
        assert_eq!(of(&[(Standing::Exhausted, true)], &default("compute_1.efi")), Chance::Exhausted);
    }
}
