//! Debian binary packages: deb(5).

use std::io::{BufRead, BufReader, Read, Write};

use super::ar::{self, Ar};
use super::control::{self, Control, ControlFiles};
use super::decode::{Compression, decode};
use super::entry::Entry;
use super::tarball;

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The outer archive is damaged.
    #[error(transparent)]
    Ar(#[from] ar::Error),
    /// A member is missing or at the wrong place.
    #[error("its member {wanted} is missing; there is {found} instead")]
    Order {
        /// What belongs there.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// Not format 2.
    #[error("it is in package format {0:?}; only 2.x is known")]
    Format(String),
    /// A compression that is not supported.
    #[error("its member {0} is compressed in a way that is not supported; gz, xz and zst are")]
    Compression(String),
    /// The control files are wrong.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// The data is wrong.
    #[error(transparent)]
    Data(#[from] tarball::Error),
}

/// What is in a package, without the bytes of its files.
#[derive(Debug)]
pub struct Contents {
    /// Its control files.
    pub control: ControlFiles,
    /// Its data members.
    pub entries: Vec<Entry>,
}

/// Reads a package from its first byte. Writes the bytes of its regular files
/// one after the other to `out`.
///
/// # Errors
/// At the first thing that is not right. What was written to `out` is then of no use.
pub fn read(file: impl Read + Send, out: &mut dyn Write) -> Result<Contents, Error> {
    let (mut ar, control, number) = read_control(file)?;
    Control::parse(control.clone())?;
    let (compression, member, _) = tar_member(&mut ar, number + 1, "data.tar")?;
    let entries = decode(buffered(&mut ar), compression, member.size, |r| tarball::read(r, out))?;
    Ok(Contents { control, entries })
}

/// Reads the control files of a package and nothing behind them.
///
/// # Errors
/// At the first thing that is not right.
pub fn control_files(file: impl Read + Send) -> Result<ControlFiles, Error> {
    read_control(file).map(|(_, control, _)| control)
}

/// The archive behind its control files, these, and their number in it.
fn read_control<R: Read + Send>(file: R) -> Result<(Ar<R>, ControlFiles, usize), Error> {
    let mut ar = Ar::new(file)?;
    let first = next(&mut ar, 1, "debian-binary")?;
    if first.name != "debian-binary" {
        return Err(Error::Order { wanted: "debian-binary", found: first.name });
    }
    let mut format = Vec::new();
    (&mut ar).take(64).read_to_end(&mut format).map_err(ar::Error::Io)?;
    if !format.starts_with(b"2.") {
        return Err(Error::Format(String::from_utf8_lossy(&format).trim().to_owned()));
    }
    let (compression, member, number) = tar_member(&mut ar, 2, "control.tar")?;
    let control = decode(buffered(&mut ar), compression, member.size, control::read)?;
    Ok((ar, control, number))
}

fn buffered<R: Read>(reader: R) -> impl BufRead + use<R> {
    BufReader::with_capacity(256 << 10, reader)
}

fn next<R: Read>(ar: &mut Ar<R>, number: usize, wanted: &'static str) -> Result<ar::Member, Error> {
    ar.next(number)?.ok_or_else(|| Error::Order { wanted, found: "the end of the file".into() })
}

/// The next member, which must be `<stem>` in some compression, and its number.
/// Members that start with an underscore may come before it.
fn tar_member<R: Read>(
    ar: &mut Ar<R>,
    mut number: usize,
    stem: &'static str,
) -> Result<(Compression, ar::Member, usize), Error> {
    let mut member = next(ar, number, stem)?;
    while member.name.starts_with('_') {
        number += 1;
        member = next(ar, number, stem)?;
    }
    if !member.name.starts_with(stem) {
        return Err(Error::Order { wanted: stem, found: member.name });
    }
    match Compression::of_name(&member.name, stem) {
        Some(compression) => Ok((compression, member, number)),
        None => Err(Error::Compression(member.name)),
    }
}
