//! `disk.raw` against the artefacts beside it.

use std::path::Path;

use formats::gpt::{self, Guid};
use formats::layout;
use formats::tree::TreePath;

use super::{Subject, causes, differences, gather};
use crate::artefacts::{
    Disk, Piece,
    disk::{fat_path, fat_tree},
};
use crate::build;
use crate::image::ids::Seed;
use crate::image::plan::{ImagePlan, Role, SECTOR};
use crate::inspect::line::content;

fn disk<'s>(subject: &'s Subject<'_>) -> Result<&'s Disk, String> {
    subject.image.disk.as_ref().ok_or_else(|| "there is no disk.raw".to_owned())
}

fn partition(subject: &Subject<'_>, role: Role) -> Result<Piece, String> {
    disk(subject)?
        .partition(role.label())
        .ok_or_else(|| format!("the disk has no partition {}", role.label()))
}

/// Both tables are sound, the same, and those of the manifest.
pub(super) fn tables(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let disk = disk(subject)?;
        for (name, table) in [("primary", &disk.primary), ("backup", &disk.backup)] {
            match table {
                Ok(table) => {
                    let found = table.partitions.iter().map(|p| {
                        (
                            p.number,
                            p.name.clone(),
                            p.type_guid.to_string(),
                            p.guid.to_string(),
                            p.start,
                            p.size,
                        )
                    });
                    let promised = subject.manifest.partitions.iter().map(|p| {
                        (p.number, p.label.clone(), p.r#type.clone(), p.uuid.clone(), p.start, p.size)
                    });
                    if !found.clone().eq(promised.clone()) {
                        let differ = found.zip(promised).find(|(a, b)| a != b);
                        problems.push(match differ {
                            Some((a, b)) => format!("the {name} table has {a:?}, the manifest {b:?}"),
                            None => {
                                format!("the {name} table has another number of partitions than the manifest")
                            }
                        });
                    }
                }
                Err(error) => problems.push(format!("the {name} partition table: {error}")),
            }
        }
        Ok(())
    })
}

/// The partitions of /usr have the root hash in their UUIDs.
pub(super) fn uuids(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let (usr, verity) = layout::usr_guids(&subject.root_hash.clone()?);
        for (role, wanted) in [(Role::UsrA, usr), (Role::UsrAVerity, verity)] {
            let label = role.label();
            let found = disk(subject)?.table.partitions.iter().find(|p| p.name == label);
            match found.map(|p| p.guid) {
                Some(found) if found == wanted => {}
                Some(found) => problems.push(format!("{label} has the UUID {found}, not {wanted}")),
                None => problems.push(format!("the disk has no partition {label}")),
            }
        }
        Ok(())
    })
}

/// The slot has the artefacts, and zeros behind them.
pub(super) fn slots(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        for (role, file) in [
            (Role::UsrA, Some("usr.squashfs")),
            (Role::UsrAVerity, Some("usr.verity")),
            (Role::UsrB, None),
            (Role::UsrBVerity, None),
        ] {
            let (label, slot) = (role.label(), partition(subject, role)?);
            let mut used = 0;
            if let Some(file) = file {
                let artefact = Piece::open(&subject.dir.join(file)).map_err(|e| causes(&e))?;
                used = artefact.len;
                if used > slot.len {
                    problems.push(format!("{file} is larger than {label}"));
                    continue;
                }
                let there = slot.part(label.to_owned(), 0, used).content();
                let first = crate::diff::files::first_difference(&artefact.content(), &there);
                if let Some(first) = first.map_err(|e| causes(&e))? {
                    problems.push(format!("byte {} of {label} is another than in {file}", first.offset));
                }
            }
            if let Some(at) = slot.first_nonzero(used).map_err(|e| causes(&e))? {
                problems.push(format!("byte {at} of {label} is not zero, and nothing should be there"));
            }
        }
        Ok(())
    })
}

/// The ESP has what boots.
pub(super) fn esp(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let tree = fat_tree(&partition(subject, Role::Esp)?).map_err(|e| causes(&e))?;
        let bytes = |path: &str| -> Result<Vec<u8>, String> {
            let at = fat_path(&tree, path);
            let content =
                at.and_then(|at| content(&tree, &at)).ok_or_else(|| format!("the ESP has no /{path}"))?;
            content.to_vec().map_err(|e| causes(&e))
        };
        let manifest = subject.manifest;
        let name = layout::uki_name(&manifest.image, &manifest.version, &subject.root_hash.clone()?);
        let uki = format!("{}/{name}", layout::UKI_DIR);
        let artefact =
            std::fs::read(subject.dir.join(format!("{}.efi", manifest.image))).map_err(|e| causes(&e))?;
        if bytes(&uki)? != artefact {
            problems.push(format!("/{uki} on the ESP is not {}.efi", manifest.image));
        }
        let loader = loader(subject)?;
        for path in layout::BOOT_PATHS {
            if bytes(path)? != loader {
                problems.push(format!("/{path} on the ESP is not the systemd-boot of /usr"));
            }
        }
        Ok(())
    })
}

/// systemd-boot as it is in /usr.
fn loader(subject: &Subject<'_>) -> Result<Vec<u8>, String> {
    let usr = subject.usr.as_ref().map_err(Clone::clone)?;
    let path = TreePath::parse(layout::BOOT_LOADER.as_bytes()).map_err(|e| causes(&e))?;
    let content = content(&usr.listing.tree, &path).ok_or("/usr has no systemd-boot")?;
    content.to_vec().map_err(|e| causes(&e))
}

/// The disk put together again from the other artefacts is the same: not a byte of it,
/// filesystems of OEM and ROOT and gaps included, is anything else.
pub(super) fn whole(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let disk = disk(subject)?;
        let scratch = tempfile::tempdir().map_err(|e| causes(&e))?;
        again(subject, scratch.path())?;
        let other = Disk::open(Piece::open(&scratch.path().join("disk.raw")).map_err(|e| causes(&e))?);
        let other = other.map_err(|e| causes(&e))?;
        problems.extend(
            differences::disks(disk, &other).map_err(|e| causes(&e))?.into_iter().map(|d| d.to_string()),
        );
        Ok(())
    })
}

fn again(subject: &Subject<'_>, to: &Path) -> Result<(), String> {
    let manifest = subject.manifest;
    let disk_size = disk(subject)?.piece.len;
    let seed = Seed::of_image(&manifest.image);
    let mut partitions = Vec::new();
    for role in Role::ALL {
        let found = manifest.partitions.iter().find(|p| p.label == role.label());
        let found = found.ok_or_else(|| format!("the manifest has no partition {}", role.label()))?;
        let (number, start, size) = (found.number, found.start, found.size);
        // The manifest may be anybody's: no more is written than the disk has.
        if start.checked_add(size).is_none_or(|end| end > disk_size) {
            return Err(format!("the manifest's partition {} lies outside of the disk", found.label));
        }
        partitions.push(role.partition(number, start, size, Guid::from_uuid(seed.uuid(role.label()))));
    }
    let plan = ImagePlan {
        name: manifest.image.clone(),
        version: manifest.version.clone(),
        time: manifest.time,
        mtime: u32::try_from(manifest.time).map_err(|_| "the manifest's time is impossible".to_owned())?,
        seed,
        table: gpt::Plan {
            disk_size,
            sector_size: SECTOR,
            disk_guid: Guid::from_uuid(seed.uuid("disk")),
            partitions,
        },
    };
    let uki = std::fs::read(subject.dir.join(format!("{}.efi", manifest.image))).map_err(|e| causes(&e))?;
    let (squashfs, verity) = (subject.dir.join("usr.squashfs"), subject.dir.join("usr.verity"));
    let slot = build::Slot { squashfs: &squashfs, verity: &verity, root_hash: subject.root_hash.clone()? };
    build::write_disk(&plan, &slot, &loader(subject)?, &uki, to).map_err(|e| causes(&e))?;
    Ok(())
}
