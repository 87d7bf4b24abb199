//! Fleets on disk: reads what `metadata::fleet` works on, and carries its plans out.

mod before;
mod error;
mod ignition;
mod images;
mod memory;
mod tree;
mod uki;

pub use before::{Output, read as read_before};
pub use error::Error;
pub use ignition::apply as apply_ignition;
pub use images::{Found, Partial, find as find_images};
pub use tree::{Written, write as write_tree};
pub use uki::link as link_uki;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use memory::Memory;
use metadata::fleet::before::{Before as _, Verified};
use metadata::fleet::compile::{INDEX, Index, Inputs, Plan, compile, one_image_for_ever};
use metadata::fleet::resolve::ImageChoice;
use metadata::fleet::sign::Signer;
use metadata::fleet::{Fleet, MAX_BYTES};
use metadata::signature::TrustedKey;
use yaml::diagnostic::Source;

/// Reads a fleet file's text.
///
/// # Errors
/// When it cannot be read, is too large, or is not UTF-8.
pub fn read_source(file: &Path) -> Result<Arc<Source>, Error> {
    Ok(Source::from_utf8(file, read_bytes(file)?)?)
}

/// Reads a file of at most [`MAX_BYTES`].
///
/// # Errors
/// When it cannot be read or is longer.
pub fn read_bytes(file: &Path) -> Result<Vec<u8>, Error> {
    let length = fs::metadata(file).map_err(Error::io("read", file))?.len();
    if length > MAX_BYTES {
        return Err(Error::TooLong { path: file.to_owned() });
    }
    fs::read(file).map_err(Error::io("read", file))
}

/// Reads a secret key, and its password from the first line of another file.
///
/// # Errors
/// When one of them cannot be read, or is none.
pub fn read_key(file: &Path, password: Option<&Path>) -> Result<Signer, Error> {
    let text = |path: &Path| {
        fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).map_err(Error::io("read", path))
    };
    let password = password.map(read_password).transpose()?;
    Signer::parse(&text(file)?, password.as_deref())
        .map_err(|source| Error::Key { path: file.to_owned(), source })
}

/// Reads a public key: a `.pub` file of `sledos keys new` or minisign.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn read_public_key(file: &Path) -> Result<TrustedKey, Error> {
    let text = String::from_utf8_lossy(&read_bytes(file)?).into_owned();
    // A comment, then the key.
    let line = text.lines().find(|line| !line.starts_with("untrusted comment:")).unwrap_or_default();
    TrustedKey::parse(line).map_err(|source| Error::PublicKey { path: file.to_owned(), source })
}

/// The first line of a password file.
///
/// # Errors
/// When it cannot be read, or is empty.
pub fn read_password(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(Error::NoPassword { path: path.to_owned() }) } else { Ok(line.to_owned()) }
}

/// Whether no image of a version that documents in `output` named has another root hash now.
///
/// # Errors
/// All that have.
pub fn check_published(
    fleet: &Fleet,
    found: &BTreeMap<ImageChoice, Found>,
    output: &Path,
) -> Result<(), Error> {
    let images = found.iter().map(|(choice, found)| (choice.clone(), found.image.clone())).collect();
    Ok(one_image_for_ever(fleet, &images, &Index::parse(read_before(output, INDEX)?.as_deref())?)?)
}

/// Compiles a fleet: reads its images below `images` and what is in `output`, and
/// writes `output/v1`.
///
/// # Errors
/// When an image is missing, the key is not trusted, or writing fails; `output/v1` is
/// then as it was.
pub fn compile_to(
    fleet: &Fleet,
    images: &Path,
    signer: &Signer,
    output: &Path,
    time: u64,
    least_generation: u64,
) -> Result<(Plan, Written), Error> {
    compile_found(
        fleet,
        &find_images(fleet, images, Partial::Refuse)?,
        signer,
        None,
        output,
        time,
        least_generation,
    )
}

/// As [`compile_to`], with images that were found already; `freshness` is the key of a server
/// that says that the documents are the newest.
///
/// # Errors
/// As [`compile_to`].
pub fn compile_found(
    fleet: &Fleet,
    found: &BTreeMap<ImageChoice, Found>,
    signer: &Signer,
    freshness: Option<&TrustedKey>,
    output: &Path,
    time: u64,
    least_generation: u64,
) -> Result<(Plan, Written), Error> {
    let cmdlines: BTreeMap<_, _> =
        found.iter().map(|(c, found)| (c.clone(), found.manifest.kernel.cmdline.clone())).collect();
    let images: BTreeMap<_, _> = found.iter().map(|(c, found)| (c.clone(), found.image.clone())).collect();
    let mut memory = Memory::open(output);
    let (mut before, verified) = (Output::look(output)?, memory.read(signer));
    let plan = compile(
        fleet,
        &Inputs {
            images: &images,
            cmdlines: &cmdlines,
            time,
            signer,
            freshness,
            least_generation,
            before: &before,
            verified: &verified,
        },
    )?;
    let written = write_tree(output, &plan, &mut before)?;
    if !memory.is_there() {
        memory = Memory::open(output);
    }
    let now = Verified::of(&plan, |path| before.id(path));
    if now != verified {
        // It only saves time.
        let _ = memory.write(&now, signer);
    }
    Ok((plan, written))
}

/// Replaces a file in one step; its mode stays.
///
/// # Errors
/// When that fails; the file is then as it was.
pub fn replace_file(path: &Path, text: &str) -> Result<(), Error> {
    // A link stays a link: what it leads to is replaced.
    let path = &fs::canonicalize(path).map_err(Error::io("read", path))?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mode = fs::metadata(path).map_err(Error::io("read", path))?.permissions();
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(Error::io("write beside", path))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().set_permissions(mode))
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::io("write beside", path))?;
    file.persist(path).map_err(|e| Error::Io { doing: "replace", path: path.clone(), source: e.error })?;
    Ok(())
}

/// Writes a file that must not exist yet.
///
/// # Errors
/// When it does, or cannot be written.
pub fn new_file(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(mode).open(path).map_err(Error::io("create", path))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .map_err(Error::io("write", path))
}
