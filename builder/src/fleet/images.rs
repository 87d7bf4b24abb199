//! The images a fleet names, as their manifests describe them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Error;
use crate::image::manifest::Manifest;
use formats::layout::Role;
use metadata::document::{Artefact, Image, Layout};
use metadata::fleet::Fleet;
use metadata::fleet::compile::{image_urls, images};
use metadata::fleet::fit::unfit;
use metadata::fleet::resolve::ImageChoice;
use metadata::generate;
use yaml::diagnostic::{Diagnostic, Diagnostics};
use yaml::shown::is_hostile;

/// An image of a fleet.
#[derive(Debug)]
pub struct Found {
    /// As documents describe it.
    pub image: Image,
    /// Its manifest.
    pub manifest: Manifest,
    /// The directory it is in.
    pub at: PathBuf,
}

/// Finds every image of a fleet below `dir`, as `NAME/VERSION/manifest.json`. Without
/// a version the newest is taken: the one whose packages are the latest.
///
/// # Errors
/// All images that are missing or broken, each at the line that names it; then all users
/// and groups that sleds want of an image without them.
pub fn find(fleet: &Fleet, dir: &Path) -> Result<BTreeMap<ImageChoice, Found>, Error> {
    let mut found = BTreeMap::new();
    let mut wrong = Vec::new();
    for (choice, place) in images(fleet) {
        let one = manifest(dir, &choice)
            .and_then(|(at, manifest)| Ok(Found { image: image(fleet, &at, &manifest)?, manifest, at }))
            .and_then(|found| served(dir, &found.image).map(|()| found));
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

fn manifest(dir: &Path, choice: &ImageChoice) -> Result<(PathBuf, Manifest), String> {
    let dir = dir.join(&choice.name);
    if let Some(version) = &choice.version {
        let at = dir.join(version);
        return Ok((at.clone(), read(&at)?));
    }
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut newest: Option<(PathBuf, Manifest)> = None;
    for entry in entries.map_while(Result::ok) {
        // What a build is still writing begins with a dot.
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let at = entry.path();
        if hidden || !at.join("manifest.json").is_file() {
            continue;
        }
        let manifest = read(&at)?;
        let newer = |(_, old): &(PathBuf, Manifest)| {
            manifest.time.cmp(&old.time).then_with(|| natural(&manifest.version, &old.version)).is_gt()
        };
        if newest.as_ref().is_none_or(newer) {
            newest = Some((at, manifest));
        }
    }
    newest.ok_or_else(|| format!("{} has no version with a manifest.json", dir.display()))
}

/// Whether sleds get these files when they ask for them: a server sends what is below the
/// directory of a version, which may be a link, and follows no other link out of that.
fn served(dir: &Path, image: &Image) -> Result<(), String> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|e| format!("{}: {e}", path.display()));
    let Image { name, version, usr, verity, uki, .. } = image;
    let own = dir.join(name).join(version);
    for file in [usr, verity, uki].map(|artefact| &artefact.file) {
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

fn read(at: &Path) -> Result<Manifest, String> {
    let path = at.join("manifest.json");
    let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    match stranger(&manifest, i64::try_from(now).unwrap_or(i64::MAX)) {
        None => Ok(manifest),
        Some(why) => Err(format!("{} {why}", path.display())),
    }
}

/// What a manifest says that none of ours does: others may have written it, and documents
/// and boot scripts are made of it.
fn stranger(manifest: &Manifest, now: i64) -> Option<String> {
    if let Some(name) = manifest.odd_name() {
        return Some(format!("has the name `{}` in it", name.escape_debug()));
    }
    // A line end would begin a line of its own in every boot script.
    if manifest.kernel.cmdline.contains(is_hostile) {
        return Some("has control characters in the kernel's command line".to_owned());
    }
    // The newest is taken: one of tomorrow would be so for ever.
    let time = manifest.time;
    (time < 0 || time > now.saturating_add(DAY)).then(|| format!("has the time {time}, and it is {now}"))
}

/// How far clocks of builders may be ahead, in seconds.
const DAY: i64 = 86_400;

fn image(fleet: &Fleet, at: &Path, manifest: &Manifest) -> Result<Image, String> {
    let artefact = |file: &str| {
        let listed = manifest.artefacts.get(file);
        let listed =
            listed.ok_or_else(|| format!("{} lists no {file}", at.join("manifest.json").display()))?;
        let length =
            fs::metadata(at.join(file)).map_err(|e| format!("{}: {e}", at.join(file).display()))?.len();
        if length != listed.size {
            let path = at.join(file);
            return Err(format!("{} has {length} bytes, its manifest says {}", path.display(), listed.size));
        }
        let sha256 = listed.sha256.parse().map_err(|e| format!("{file}: `{}` is {e}", listed.sha256))?;
        Ok(Artefact { file: file.to_owned(), size: listed.size, sha256 })
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
