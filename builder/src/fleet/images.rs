//! The images a fleet names, as their manifests describe them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use crate::claim::{Claim, MANIFEST, Refused, Signed};
use crate::date::now;
use crate::image::manifest::{self, Manifest};
use formats::layout::Role;
use metadata::document::{Artefact, Extension, Image, Layout};
use metadata::fleet::Fleet;
use metadata::fleet::compile::{image_urls, images};
use metadata::fleet::fit::unfit;
use metadata::fleet::release::release;
use metadata::fleet::resolve::ImageChoice;
use metadata::generate;
use yaml::diagnostic::{Diagnostic, Diagnostics};

/// An image of a fleet.
#[derive(Debug)]
pub struct Found {
    /// As documents describe it.
    pub image: Image,
    /// Its manifest.
    pub manifest: Manifest,
    /// The directory it is in.
    pub at: PathBuf,
    /// Who vouches for it.
    pub signed: Signed,
    /// Versions that were passed over, and why: not all of their files are there.
    pub passed: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Image { name, version, root_hash, .. } = &self.image;
        write!(f, "image {name}/{version}, root hash {root_hash}, {}", self.signed)
    }
}

/// What to do about a version of which not all is there, when any will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// It is an error: somebody is there to mend it.
    Refuse,
    /// Take an older one: it may still be on its way, and will be looked at again.
    PassOver,
}

/// Finds every image of a fleet below `dir`, as `NAME/VERSION/manifest.json`. Without
/// a version the newest is taken: the one whose packages are the latest.
///
/// # Errors
/// When the fleet file does not say whose images it takes. All images that are missing,
/// broken, or not signed by whom it says, each at the line that names it; then all users and
/// groups that sleds want of an image without them.
pub fn find(fleet: &Fleet, dir: &Path, partial: Partial) -> Result<BTreeMap<ImageChoice, Found>, Error> {
    let release = release(fleet)?;
    let mut found = BTreeMap::new();
    let mut wrong = Vec::new();
    for (choice, place) in images(fleet) {
        let one = choose(dir, &choice, partial).and_then(|(Seen { at, claim, manifest }, passed)| {
            let signed = claim.signed(&release).map_err(|no| format!("{}: {}", at.display(), no.why()))?;
            let image = image(fleet, &at, &manifest)?;
            served(dir, &image)?;
            Ok(Found { image, manifest, at, signed, passed })
        });
        match one {
            Ok(image) => drop(found.insert(choice, image)),
            Err(why) => {
                let what = Diagnostic::at(&place, format!("cannot use the image `{choice}`"));
                wrong.push(what.why(why).hint("`sledos build` makes images; --images says where they are"));
            }
        }
    }
    if wrong.is_empty() {
        let accounts =
            found.iter().filter_map(|(choice, found)| Some((choice.clone(), accounts(&found.manifest)?)));
        wrong = unfit(fleet, &accounts.collect());
    }
    if wrong.is_empty() { Ok(found) } else { Err(Diagnostics(wrong).into()) }
}

/// The users and groups of an image, when its manifest has them: older ones do not.
fn accounts(manifest: &Manifest) -> Option<generate::Image> {
    let Manifest { users, groups, .. } = manifest;
    (!groups.is_empty()).then(|| generate::Image::with_accounts(users, groups))
}

/// An image that was looked at.
struct Seen {
    at: PathBuf,
    claim: Claim,
    manifest: Manifest,
}

/// The image of a choice, and the versions that were passed over because they are not whole.
fn choose(dir: &Path, choice: &ImageChoice, partial: Partial) -> Result<(Seen, Vec<String>), String> {
    let dir = dir.join(&choice.name);
    let wrong = |at: &Path, why: &str| format!("{}: {why}", at.display());
    if let Some(version) = &choice.version {
        let at = dir.join(version);
        return Ok((look(&at).map_err(|refused| wrong(&at, refused.why()))?, Vec::new()));
    }
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let (mut newest, mut passed): (Option<Seen>, _) = (None, Vec::new());
    for entry in entries.map_while(Result::ok) {
        // What a build is still writing begins with a dot.
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let at = entry.path();
        if hidden || !at.join(MANIFEST).is_file() {
            continue;
        }
        let seen = match look(&at) {
            Ok(seen) => seen,
            Err(Refused::Partial(why)) if partial == Partial::PassOver => {
                passed.push(wrong(&at, &why));
                continue;
            }
            Err(refused) => return Err(wrong(&at, refused.why())),
        };
        let newer = |Seen { manifest: old, .. }: &Seen| {
            let Manifest { time, version, .. } = &seen.manifest;
            time.cmp(&old.time).then_with(|| natural(version, &old.version)).is_gt()
        };
        if newest.as_ref().is_none_or(newer) {
            newest = Some(seen);
        }
    }
    passed.sort();
    match newest {
        Some(seen) => Ok((seen, passed)),
        None if passed.is_empty() => Err(format!("{} has no version with a {MANIFEST}", dir.display())),
        None => Err(format!("no version of it is whole: {}", passed.join("; "))),
    }
}

/// Looks at an image; all its files are there when this is right.
fn look(at: &Path) -> Result<Seen, Refused> {
    let claim = Claim::in_dir(at).map_err(|e| Refused::Partial(format!("{MANIFEST}: {e}")))?;
    let manifest = claim.manifest(now())?;
    claim.whole(&manifest)?;
    for (name, artefact) in manifest.artefacts.iter().filter(|(name, _)| !DISKS.contains(&name.as_str())) {
        let length = fs::metadata(at.join(name)).map_err(|e| Refused::Partial(format!("{name}: {e}")))?.len();
        let says = format!("{name} has {length} bytes, its manifest says {}", artefact.size);
        match length.cmp(&artefact.size) {
            Ordering::Equal => {}
            Ordering::Less => return Err(Refused::Partial(says)),
            Ordering::Greater => return Err(Refused::Wrong(says)),
        }
    }
    Ok(Seen { at: at.to_owned(), claim, manifest })
}

/// Whole disks are for sticks: no sled asks for one, and copies are made without.
const DISKS: [&str; 2] = ["disk.raw", "disk.raw.zst"];

/// Whether sleds get these files when they ask for them: a server sends what is below the
/// directory of a version, which may be a link, and follows no other link out of that.
fn served(dir: &Path, image: &Image) -> Result<(), String> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|e| format!("{}: {e}", path.display()));
    let Image { name, version, usr, verity, uki, extensions, .. } = image;
    let of_extensions = extensions.values().flat_map(|extension| [&extension.squashfs, &extension.verity]);
    let own = dir.join(name).join(version);
    for file in [usr, verity, uki].into_iter().chain(of_extensions).map(|artefact| &artefact.file) {
        let asked = own.join(file);
        let at = real(&asked).map_err(|why| format!("{why}; sleds ask for it there"))?;
        if !at.starts_with(real(&own)?) {
            return Err(format!(
                "{} leads to {}, and no server sends what is not below {}: copy it there",
                asked.display(),
                at.display(),
                own.display()
            ));
        }
    }
    Ok(())
}

fn image(fleet: &Fleet, at: &Path, manifest: &Manifest) -> Result<Image, String> {
    let artefact = |file: &str| {
        let listed = manifest.artefacts.get(file);
        let listed = listed.ok_or_else(|| format!("{} lists no {file}", at.join(MANIFEST).display()))?;
        let sha256 = listed.sha256.parse().map_err(|e| format!("{file}: `{}` is {e}", listed.sha256))?;
        Ok::<_, String>(Artefact { file: file.to_owned(), size: listed.size, sha256 })
    };
    let extension = |(name, said): (&String, &manifest::Extension)| {
        let [squashfs, verity] = manifest::Extension::files(name);
        let hash = &said.root_hash;
        let root_hash = hash.parse().map_err(|e| format!("extension {name}: `{hash}` is {e}"))?;
        let (squashfs, verity) = (artefact(&squashfs)?, artefact(&verity)?);
        Ok::<_, String>((name.clone(), Extension { root_hash, squashfs, verity }))
    };
    Ok(Image {
        name: manifest.image.clone(),
        version: manifest.version.clone(),
        root_hash: manifest.root_hash.parse().map_err(|e| format!("`{}` is {e}", manifest.root_hash))?,
        urls: image_urls(fleet, &manifest.image, &manifest.version),
        usr: artefact("usr.squashfs")?,
        verity: artefact("usr.verity")?,
        uki: artefact(&format!("{}.efi", manifest.image))?,
        layout: layout(manifest).map_err(|why| format!("{} {why}", at.join("manifest.json").display()))?,
        extensions: manifest.extensions.iter().map(extension).collect::<Result<_, _>>()?,
    })
}

/// The partitions of the image's disk, as its recipe has them. Sleds that install it make the
/// same.
fn layout(manifest: &Manifest) -> Result<Option<Layout>, String> {
    // What is not on a disk has none.
    if manifest.partitions.is_empty() {
        return Ok(None);
    }
    let size = |role: Role| Some(manifest.partitions.iter().find(|p| p.label == role.label())?.size);
    let sizes = formats::layout::Layout::of(size);
    let formats::layout::Layout { esp, usr, verity, oem, root } =
        sizes.map_err(|role| format!("lists no partition {}", role.label()))?;
    Ok(Some(Layout { esp, usr, verity, oem, root }))
}

/// `1.9` before `1.10`: runs of digits compare as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        let parts = text.split_inclusive(|c: char| !c.is_ascii_digit());
        parts
            .map(|p| (p.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0), p.to_owned()))
            .collect()
    };
    let numbers = |text: &str| parts(text).into_iter().map(|(n, _)| n).collect::<Vec<_>>();
    numbers(a).cmp(&numbers(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sleds_would_not_get_is_refused() {
        let [images, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let files = ["usr.squashfs", "usr.verity", "compute.efi"];
        let fill = |at: &Path| {
            fs::create_dir_all(at).unwrap();
            files.iter().for_each(|file| fs::write(at.join(file), "x").unwrap());
        };
        let artefact = |file: &str| {
            let sha256 = "ab".repeat(32).parse().ok().unwrap();
            Artefact { file: file.to_owned(), size: 1, sha256 }
        };
        let check = |version: &str| {
            let image = Image {
                name: "compute".into(),
                version: version.into(),
                root_hash: "ab".repeat(32).parse().ok().unwrap(),
                urls: vec![],
                usr: artefact(files[0]),
                verity: artefact(files[1]),
                uki: artefact(files[2]),
                layout: None,
                extensions: Default::default(),
            };
            served(images.path(), &image)
        };
        fill(&images.path().join("compute/1"));
        fill(&other.path().join("2"));
        let link = |to: &Path, version: &str| {
            std::os::unix::fs::symlink(to, images.path().join("compute").join(version)).unwrap();
        };
        link(&other.path().join("2"), "2");
        link(Path::new("1"), "3");
        assert_eq!((check("1"), check("2"), check("3")), (Ok(()), Ok(()), Ok(())));
        fill(&images.path().join("compute/5"));
        fs::remove_file(images.path().join("compute/5/usr.verity")).unwrap();
        std::os::unix::fs::symlink(
            other.path().join("2/usr.verity"),
            images.path().join("compute/5/usr.verity"),
        )
        .unwrap();
        assert!(check("5").unwrap_err().contains("copy it there"));
        assert!(check("4").unwrap_err().contains("sleds ask for it there"));
    }

    #[test]
    fn versions_compare_as_people_read_them() {
        for (less, more) in [("1.9", "1.10"), ("20260101.0900", "20260101.1000"), ("1", "1.1"), ("a", "b")] {
            assert_eq!(natural(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(natural(more, less), Ordering::Greater, "{more} {less}");
        }
    }
}
