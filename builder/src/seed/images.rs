//! Images on a stick, at a URL, in the seed itself; and copying one, every byte checked
//! against its manifest.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Error;
use super::host::Host;
use crate::claim::{Claim, MANIFEST, Refused};
use crate::date::now;
use crate::digest::parse_sha256;
use crate::image::manifest::{Artefact, Manifest};
use crate::output::{SUMS, StagedDir};
use crate::provenance::SIGNATURE;

/// Whole disks are for sticks; no sled asks a server for one.
const NOT: [&str; 2] = ["disk.raw", "disk.raw.zst"];

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In this directory.
    Dir(PathBuf),
    /// Below this URL.
    Url(String),
}

impl Source {
    fn of(&self, file: &str) -> String {
        match self {
            Self::Dir(dir) => dir.join(file).display().to_string(),
            Self::Url(url) => format!("{url}/{file}"),
        }
    }

    fn open(&self, file: &str, host: &mut dyn Host) -> Result<Box<dyn Read>, String> {
        match self {
            Self::Dir(dir) => match fs::File::open(dir.join(file)) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err(error.to_string()),
            },
            Self::Url(_) => host.open(&self.of(file)),
        }
    }
}

/// An image that can be copied.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it is.
    pub source: Source,
    /// Its manifest.
    pub manifest: Manifest,
    /// What the image says of itself.
    pub claim: Claim,
}

impl Image {
    /// `NAME/VERSION`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.manifest.image, self.manifest.version)
    }

    /// The files that are served.
    fn artefacts(&self) -> impl Iterator<Item = (&String, &Artefact)> {
        self.manifest.artefacts.iter().filter(|(file, _)| !NOT.contains(&file.as_str()))
    }

    /// Bytes of these.
    pub fn size(&self) -> u64 {
        self.artefacts().fold(0, |sum, (_, artefact)| sum.saturating_add(artefact.size))
    }

    /// Whether just this image is in a directory of images, with what vouches for it.
    pub fn is_in(&self, images: &Path) -> bool {
        Claim::in_dir(&images.join(self.name())).is_ok_and(|there| there == self.claim)
    }

    /// Whether another image of this name is there.
    pub fn is_another_in(&self, images: &Path) -> bool {
        let there = images.join(self.name());
        there.exists() && fs::read(there.join(MANIFEST)).map_or(true, |there| there != self.claim.manifest)
    }
}

/// The image at a place.
///
/// # Errors
/// When there is none, it is not whole, or its manifest is none of ours.
pub fn at(source: Source, host: &mut dyn Host) -> Result<Image, String> {
    let claim = Claim::read(|file| source.open(file, host).map_err(io::Error::other));
    let claim = claim.map_err(|e| format!("{}: {e}", source.of(MANIFEST)))?;
    let refused = |no: Refused| format!("{}: {}", source.of(""), no.why());
    let manifest = claim.manifest(now()).map_err(refused)?;
    claim.whole(&manifest).map_err(refused)?;
    Ok(Image { source, manifest, claim })
}

/// The images in a directory, as `NAME/VERSION/manifest.json`, sorted.
///
/// # Errors
/// When one is broken.
pub fn in_dir(dir: &Path, host: &mut dyn Host) -> Result<Vec<Image>, String> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        // What is still being written begins with a dot.
        let shown = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        let mut paths: Vec<_> = shown.map(|entry| entry.path()).collect();
        paths.sort();
        paths
    };
    let versions = below(dir).into_iter().flat_map(|name| below(&name));
    let all: Vec<_> = versions.filter(|at| at.join(MANIFEST).is_file()).collect();
    let mut images = Vec::new();
    for path in all {
        let image = at(Source::Dir(path.clone()), host)?;
        if !path.ends_with(image.name()) {
            return Err(format!(
                "{} has the image {} in it; rename it to that",
                path.display(),
                image.name()
            ));
        }
        for (file, artefact) in image.artefacts() {
            let path = path.join(file);
            let length = fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?.len();
            if length != artefact.size {
                let says = artefact.size;
                return Err(format!(
                    "{} has {length} bytes, its manifest says {says}; copy it again",
                    path.display()
                ));
            }
        }
        images.push(image);
    }
    Ok(images)
}

/// Copies an image below `images`, under its name only when all of it is there and right.
///
/// # Errors
/// When it cannot be had, is something else than its manifest says, or not be written.
pub fn copy(image: &Image, images: &Path, host: &mut dyn Host) -> Result<(), Error> {
    let staged = StagedDir::create(&images.join(image.name()))?;
    for (file, artefact) in image.artefacts() {
        let what = image.source.of(file);
        let fetch = |why: String| Error::Fetch { what: what.clone(), why };
        let input = image.source.open(file, host).map_err(fetch)?;
        let to = staged.path().join(file);
        let mut output = fs::File::create_new(&to).map_err(Error::io("write", &to))?;
        // One byte more than there should be is enough to see that it is another file.
        let mut input = input.take(artefact.size.saturating_add(1));
        let (mut hash, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 20]);
        loop {
            let n = match input.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(|e| fetch(e.to_string()))?,
            };
            let Some(part) = buffer.get(..n).filter(|part| !part.is_empty()) else { break };
            hash.update(part);
            output.write_all(part).map_err(Error::io("write", &to))?;
            length += u64::try_from(n).unwrap_or(u64::MAX);
        }
        let hash: [u8; 32] = hash.finalize().into();
        if length != artefact.size || Some(hash) != parse_sha256(&artefact.sha256) {
            return Err(Error::Broken { what });
        }
    }
    let Claim { manifest, sums, signature } = &image.claim;
    staged.write(MANIFEST, manifest)?;
    for (name, text) in [(SUMS, sums), (SIGNATURE, signature)] {
        text.as_ref().map_or(Ok(()), |text| staged.write(name, text.as_bytes()))?;
    }
    Ok(staged.commit()?)
}

/// Makes the images that the seed's own image brings, below `own`, part of those that are
/// served: by links, which cost nothing. Links to those of another version of the seed go.
///
/// # Errors
/// When that cannot be written.
pub fn link_own(own: &Path, images: &Path) -> Result<(), Error> {
    let below = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in below(images).flat_map(|name| below(&name).collect::<Vec<_>>()) {
        if path.is_symlink() && !path.exists() {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    for path in below(own).flat_map(|name| below(&name).collect::<Vec<_>>()) {
        let Ok(rest) = path.strip_prefix(own) else { continue };
        let link = images.join(rest);
        if path.join(MANIFEST).is_file() && !link.exists() {
            let above = link.parent().unwrap_or(images);
            fs::create_dir_all(above).map_err(Error::io("make", above))?;
            std::os::unix::fs::symlink(&path, &link).map_err(Error::io("make", &link))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fake, image};
    use super::*;

    #[test]
    fn an_image_is_copied_whole_and_without_its_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (stick, to) = (dir.path().join("images"), dir.path().join("to"));
        image(&stick, "compute", "1", b"usr");
        let mut host = Fake::default();
        let found = in_dir(&stick, &mut host).unwrap();
        assert_eq!(found.iter().map(Image::name).collect::<Vec<_>>(), ["compute/1"]);
        assert!(!found[0].is_in(&to));
        copy(&found[0], &to, &mut host).unwrap();
        assert!(found[0].is_in(&to));
        assert_eq!(fs::read(to.join("compute/1/usr.squashfs")).unwrap(), b"usr");
        assert!(!to.join("compute/1/disk.raw").exists());
        assert_eq!(found[0].size(), 3);
    }

    #[test]
    fn a_byte_that_is_another_is_seen_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let (stick, to) = (dir.path().join("images"), dir.path().join("to"));
        image(&stick, "compute", "1", b"usr");
        let mut host = Fake::default();
        let found = in_dir(&stick, &mut host).unwrap();
        for bytes in [&b"usR"[..], b"us", b"usr!"] {
            fs::write(stick.join("compute/1/usr.squashfs"), bytes).unwrap();
            let error = copy(&found[0], &to, &mut host).unwrap_err();
            assert!(error.to_string().contains("usr.squashfs is not what"), "{error}");
            assert!(!to.join("compute").exists());
        }
        let says = in_dir(&stick, &mut host).unwrap_err();
        assert!(says.contains("has 4 bytes, its manifest says 3"), "{says}");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        image(dir.path(), "compute", "1", b"usr");
        let text = fs::read_to_string(dir.path().join("compute/1/manifest.json")).unwrap();
        for (old, new) in [("\"1\"", "\"..\""), ("usr.squashfs", "../x"), ("\"compute\"", "\"a/b\"")] {
            let mut host = Fake::default();
            host.web.insert("http://a/manifest.json".into(), text.replace(old, new).into_bytes());
            let says = at(Source::Url("http://a".into()), &mut host).unwrap_err();
            assert!(says.contains("which no file of an image has"), "{says}");
        }
        let says = at(Source::Url("http://b".into()), &mut Fake::default()).unwrap_err();
        assert!(says.contains("404"), "{says}");
        fs::rename(dir.path().join("compute/1"), dir.path().join("compute/2")).unwrap();
        assert!(in_dir(dir.path(), &mut Fake::default()).unwrap_err().contains("rename it"));
    }

    #[test]
    fn images_of_the_seed_itself_are_linked_and_old_links_go() {
        let dir = tempfile::tempdir().unwrap();
        let (own, images) = (dir.path().join("own"), dir.path().join("images"));
        image(&own, "compute", "1", b"usr");
        link_own(&own, &images).unwrap();
        link_own(&own, &images).unwrap();
        assert!(images.join("compute/1/manifest.json").is_file());
        fs::rename(own.join("compute/1"), own.join("compute/2")).unwrap();
        link_own(&own, &images).unwrap();
        assert!(!images.join("compute/1").is_symlink());
        assert!(images.join("compute/2").exists());
    }
}
