//! What will be done, decided in full. It prints as what is shown before it is confirmed.

use std::collections::BTreeMap;
use std::fmt;

use super::host::Nic;
use super::images::Image;
use super::settings::{Before, Settings};
use crate::claim::Signed;

/// Room that stays on the disk, for records, logs and documents.
pub const SPARE: u64 = 64 << 20;

/// Where the key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    /// It was made just now.
    New,
    /// The stick has it.
    Stick,
    /// The seed has it already.
    Here,
}

/// The key that signs.
#[derive(Clone)]
pub struct Key {
    /// The text of the secret key's file.
    pub secret: String,
    /// The public half, as `trust:` wants it.
    pub line: String,
    /// Where it comes from.
    pub from: KeyFrom,
}

/// The secret half is for nobody to see.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {:?})", self.line, self.from)
    }
}

/// An image, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Its root hash.
    pub root_hash: String,
    /// Who signed it.
    pub signed: Signed,
}

/// All that is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The settings.
    pub settings: Settings,
    /// The card they are for.
    pub nic: Nic,
    /// The key.
    pub key: Key,
    /// Images to copy: none that is there already.
    pub copy: Vec<Image>,
    /// All images that are copied or that sleds have, as `NAME/VERSION`.
    pub vouched: BTreeMap<String, Vouched>,
    /// The fleet file, changed for this seed.
    pub fleet: String,
    /// Its name, and how many sleds and racks it has.
    pub summary: (String, usize, usize),
    /// What was changed in it.
    pub changes: Vec<String>,
    /// What the seed was when the questions began.
    pub before: Option<Before>,
}

/// The images to copy need more room than there is.
///
/// # Errors
/// How much is needed, how much there is, and what to do.
pub fn room(copy: &[Image], free: u64) -> Result<(), String> {
    let need = copy.iter().fold(SPARE, |sum, image| sum.saturating_add(image.size()));
    if need <= free {
        return Ok(());
    }
    Err(format!(
        "these images and {} of room for records need {}, and the disk has {} left; give fewer images, \
         or put the seed on a larger disk",
        mib(SPARE),
        mib(need),
        free_mib(free)
    ))
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// What is free is rounded down.
fn free_mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, nic, key, copy, vouched, summary: (fleet, sleds, racks), changes, .. } = self;
        writeln!(f, "This seed will")?;
        writeln!(f, "  have the address {} on {nic}", settings.own())?;
        match settings.range {
            Some((first, last)) => {
                writeln!(f, "  give addresses from {first} to {last}: no other DHCP server is there")?
            }
            None => writeln!(f, "  give no addresses: another DHCP server does")?,
        }
        match key.from {
            KeyFrom::New => writeln!(f, "  sign with a new key, {}", key.line)?,
            KeyFrom::Stick => writeln!(f, "  sign with the stick's key, {}", key.line)?,
            KeyFrom::Here => writeln!(f, "  sign with the key it has, {}", key.line)?,
        }
        for (name, Vouched { root_hash, signed }) in vouched {
            match copy.iter().find(|image| image.name() == *name) {
                Some(image) => writeln!(f, "  copy the image {name}, {}", mib(image.size()))?,
                None => writeln!(f, "  have the image {name}, which is here already")?,
            }
            writeln!(f, "    root hash {root_hash}, {signed}")?;
        }
        writeln!(f, "  serve the fleet `{fleet}` of {sleds} sleds in {racks} racks at {}/", settings.url())?;
        if !changes.is_empty() {
            writeln!(f, "  and change in its copy of the fleet file")?;
        }
        changes.iter().try_for_each(|change| writeln!(f, "    {change}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fake, image};
    use super::*;

    #[test]
    fn too_little_room_is_said_with_numbers() {
        let dir = tempfile::tempdir().unwrap();
        image(dir.path(), "compute", "1", &vec![0; 3 << 20]);
        let copy = super::super::images::in_dir(dir.path(), &mut Fake::default()).unwrap();
        assert_eq!(room(&copy, SPARE + (3 << 20)), Ok(()));
        let says = room(&copy, SPARE + (3 << 20) - 1).unwrap_err();
        assert!(says.contains("need 67 MiB, and the disk has 66 MiB left"), "{says}");
    }
}
