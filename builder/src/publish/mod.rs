//! `sledos publish`: a directory that any static HTTP server can serve to sleds.
//!
//! ```text
//! DIR/images/NAME/VERSION/…    artefacts, never changed once they are there
//! DIR/pxe/…                    iPXE, when Debian's package is installed; one UKI
//! DIR/v1/…                     documents and boot scripts: they point at the artefacts
//! ```
//!
//! What is pointed at comes first and is whole before it has its name; `v1` is exchanged
//! in one step at the end. Who reads in between finds the old release. Nothing is removed:
//! a sled that has the old document may still be fetching the old image. The same order
//! of puts gives the same promise on an object store, where `v1/fleet.json` is the last.

mod error;

pub use error::Error;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::claim::MANIFEST;
use crate::digest::parse_sha256;
use crate::fleet::{Partial, Written, check_published, compile_found, find_images, link_uki};
use crate::image::manifest::Manifest;
use crate::output::{Interrupt, StagedDir};
use metadata::fleet::Fleet;
use metadata::fleet::compile::Plan;
use metadata::fleet::sign::Signer;
use server::pxe::{BIOS, EFI, IPXE};

/// The directory of images in a release, as sleds ask for it.
const IMAGES: &str = "images";
/// A whole disk is for USB sticks, and is published compressed, if at all.
const NOT: [&str; 1] = ["disk.raw"];

/// What publishing did.
#[derive(Debug)]
pub struct Published {
    /// Images that are new in the directory: `NAME/VERSION`.
    pub images: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
    /// Images that were there already.
    pub kept: Vec<String>,
    /// Whether iPXE is there for firmware that asks this server for it.
    pub pxe: bool,
    /// What there is to say of the images: each with its root hash and who signed it.
    pub said: Vec<String>,
    /// The documents.
    pub plan: Plan,
    /// What became of their files.
    pub documents: Written,
}

/// What is published, and where.
#[derive(Debug)]
pub struct Release<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Where its images are, as `NAME/VERSION`.
    pub images: &'a Path,
    /// Who signs.
    pub signer: &'a Signer,
    /// Where to.
    pub output: &'a Path,
    /// Now, in seconds since 1970.
    pub time: u64,
    /// No document gets a smaller generation.
    pub least_generation: u64,
}

/// Publishes.
///
/// # Errors
/// When an image is missing, broken, or another one of the same version was published
/// before; when documents cannot be made; when writing fails. Readers then still find
/// the release that was there.
pub fn publish(release: &Release<'_>, interrupt: &Interrupt) -> Result<Published, Error> {
    let (mut images, mut kept, mut bytes) = (Vec::new(), Vec::new(), 0);
    // Only what the documents will name, and just these: a build that ends meanwhile is
    // for the next release.
    let found = find_images(release.fleet, release.images, Partial::Refuse)?;
    // Before an artefact is exchanged for another.
    check_published(release.fleet, &found, release.output)?;
    let each: BTreeMap<_, _> = found.values().map(|found| (&found.at, &found.manifest)).collect();
    for (at, manifest) in each {
        let name = format!("{}/{}", manifest.image, manifest.version);
        let target = release.output.join(IMAGES).join(&name);
        match artefacts(at, manifest, &target, interrupt)? {
            Some(more) => {
                images.push(name);
                bytes += more;
            }
            None => kept.push(name),
        }
    }
    let dir = release.output.join("pxe");
    let pxe = ipxe(&dir)?;
    link_uki(release.fleet, &found, &dir)?;
    let Release { fleet, signer, output, time, least_generation, .. } = *release;
    interrupt.check()?;
    let (plan, documents) = compile_found(fleet, &found, signer, None, output, time, least_generation)?;
    let said = found.values().map(ToString::to_string).collect();
    Ok(Published { images, bytes, kept, pxe, said, plan, documents })
}

/// Copies an image. Nothing when just this one is there already.
fn artefacts(
    from: &Path,
    manifest: &Manifest,
    target: &Path,
    interrupt: &Interrupt,
) -> Result<Option<u64>, Error> {
    let read = |at: &Path| fs::read(at).map_err(Error::io("read", at));
    let own = read(&from.join(MANIFEST))?;
    if target.is_dir() {
        // A version is one image for ever: caches and sleds rely on it.
        let there = read(&target.join(MANIFEST))?;
        if there == own {
            return Ok(None);
        }
        let there =
            serde_json::from_slice::<Manifest>(&there).map_or_else(|e| e.to_string(), |m| m.root_hash);
        return Err(Error::Other { path: target.to_owned(), there, own: manifest.root_hash.clone() });
    }
    let staged = StagedDir::create(target)?;
    // The server may be another user, whatever the umask is.
    let readable = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("write", path))
    };
    readable(staged.path(), 0o755)?;
    let mut bytes = 0;
    for (file, artefact) in manifest.artefacts.iter().filter(|(file, _)| !NOT.contains(&file.as_str())) {
        let (path, to) = (from.join(file), staged.path().join(file));
        let (length, hash) = copy(&path, &to, interrupt)?;
        readable(&to, 0o644)?;
        if length != artefact.size || Some(hash) != parse_sha256(&artefact.sha256) {
            return Err(Error::Broken { path });
        }
        bytes += length;
    }
    staged.write(MANIFEST, &own)?;
    // Checksums, signatures, provenance: they vouch for the artefacts, not the other way.
    for entry in fs::read_dir(from).map_err(Error::io("read", from))?.map_while(Result::ok) {
        let (path, to) = (entry.path(), staged.path().join(entry.file_name()));
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let left_out = NOT.iter().any(|not| entry.file_name() == *not);
        // A link may lead to any file that this process reads, the key among them.
        let own = entry.file_type().is_ok_and(|kind| kind.is_file());
        if own && !hidden && !left_out && !to.exists() {
            bytes += copy(&path, &to, interrupt)?.0;
            readable(&to, 0o644)?;
        }
    }
    staged.commit()?;
    Ok(Some(bytes))
}

/// Copies a file; returns its length and sha256 as they were read.
fn copy(from: &Path, to: &Path, interrupt: &Interrupt) -> Result<(u64, [u8; 32]), Error> {
    let mut input = fs::File::open(from).map_err(Error::io("read", from))?;
    let mut output = fs::File::create_new(to).map_err(Error::io("write", to))?;
    let (mut hash, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 20]);
    loop {
        interrupt.check()?;
        let n = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(Error::io("read", from))?,
        };
        let Some(part) = buffer.get(..n).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        output.write_all(part).map_err(Error::io("write", to))?;
        length += u64::try_from(n).unwrap_or(u64::MAX);
    }
    Ok((length, hash.finalize().into()))
}

/// Puts iPXE there, each file in one step. Without Debian's package there is none: DHCP
/// and TFTP may be somebody else's.
fn ipxe(dir: &Path) -> Result<bool, Error> {
    let all: Vec<PathBuf> = [BIOS, EFI].iter().map(|name| Path::new(IPXE).join(name)).collect();
    if !all.iter().all(|path| path.is_file()) {
        return Ok(false);
    }
    fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
    for from in all {
        let Some(name) = from.file_name() else { continue };
        let bytes = fs::read(&from).map_err(Error::io("read", &from))?;
        let to = dir.join(name);
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        let new = dir.join(format!(".{}.new", name.to_string_lossy()));
        fs::write(&new, &bytes)
            .and_then(|()| fs::File::open(&new)?.sync_all())
            .and_then(|()| fs::rename(&new, &to))
            .map_err(Error::io("write", &to))?;
    }
    Ok(true)
}
