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
