//! `sledos explain`: why a path is in an image, and what it costs.

use std::fmt;

use formats::tree::TreePath;
use serde::Serialize;

use crate::artefacts::{Error, Image};
use crate::image::plan::Role;
use crate::inspect::line::Line;
use crate::inspect::place::{self, Part};
use crate::progress::bytes;
use crate::unpack::place::canonical;

/// Everything known of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explained {
    /// The file itself.
    pub file: Line,
    /// `package bash`, `overlay compute`, `fix-up pam`.
    pub owner: String,
    /// Its package's version.
    pub version: Option<String>,
    /// The lines of the lock that brought the package in, the number of the first one before them.
    pub lock: Option<(String, usize, Vec<String>)>,
    /// Bytes of the compressed artefact attributed to it, and to all below a directory.
    pub cost: u64,
    /// Size of that artefact.
    pub of: u64,
    /// The artefact.
    pub artefact: &'static str,
    /// The partition it is in.
    pub partition: &'static str,
    /// Paths of the initramfs with the same name at their end, for what is there as well.
    pub also: Vec<String>,
}

/// Explains a path of an image directory.
///
/// # Errors
/// When the image does not have it, or does not know who put it there.
pub fn explain(image: &Image, path: &str) -> Result<Explained, Error> {
    let origins = image.origins()?;
    let (part, rest) = place::split(image, path);
    let wanted = TreePath::parse(rest.as_bytes()).map_err(|_| image.without(path))?;
    let (tree, table, top, artefact, partition) = match part {
        Part::Usr => (image.usr()?.listing.tree, &origins.usr, "/usr", "usr.squashfs", Role::UsrA.label()),
        Part::Initramfs => {
            (image.initramfs()?.tree, &origins.initramfs, "initramfs:", "initramfs.zst", Role::Esp.label())
        }
        Part::Esp | Part::Uki => {
            return Err(
                image.without(&format!("{path} with a known owner: only /usr and initramfs: have them"))
            );
        }
    };
    let node = tree.get(&wanted).ok_or_else(|| image.without(path))?;
    let found = origins.find(table, &wanted).ok_or_else(|| image.without(path))?;
    let below = format!("{}/", crate::origins::text(&wanted));
    let within = |path: &str| wanted.is_root() && !path.is_empty() || path.starts_with(&below);
    let below: u64 = table.files.iter().filter(|(path, ..)| within(path)).map(|(_, _, bytes)| bytes).sum();
    let package = found.owner.strip_prefix("package ");
    let manifest = image.manifest.as_ref();
    let version = package.and_then(|name| manifest?.packages.get(name).cloned());
    let also = match (part, image.initramfs()) {
        (Part::Usr, Ok(listing)) if !node.is_dir() => {
            let ends = [format!("/{wanted}"), format!("/{}", wanted.to_string().trim_end_matches(".xz"))];
            let paths = listing.tree.iter().map(|(path, _)| format!("/{path}"));
            paths.filter(|path| ends.contains(path)).map(|path| format!("initramfs:{path}")).collect()
        }
        _ => Vec::new(),
    };
    let lock = match (package, manifest.and_then(|m| image.file(&format!("{}.lock", m.image)))) {
        (Some(name), Some(file)) => {
            let text = std::fs::read_to_string(&file).map_err(Error::io("read", &file))?;
            lock_lines(&text, name).map(|(line, lines)| (file.display().to_string(), line, lines))
        }
        _ => None,
    };
    Ok(Explained {
        file: Line::new(top, &wanted, node),
        owner: found.owner.to_owned(),
        version,
        lock,
        cost: found.bytes + below,
        of: table.size,
        artefact,
        partition,
        also,
    })
}

/// A file of a package that the image does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotThere {
    /// The path, as it was asked for.
    pub path: String,
    /// Who ships it.
    pub package: String,
    /// Why it is not there.
    pub reason: String,
}

/// Why the image does not have a path that one of its packages ships; `None` when it has
/// it, or no package does.
///
/// # Errors
/// When the table of the image's files does not read.
pub fn not_there(image: &Image, path: &str) -> Result<Option<NotThere>, Error> {
    let origins = image.origins()?;
    let Ok(wanted) = TreePath::parse(path.trim_start_matches('/').as_bytes()) else { return Ok(None) };
    let found = origins.left_out.find(&canonical(&wanted));
    Ok(found.map(|(package, reason)| NotThere {
        path: path.to_owned(),
        package: package.to_owned(),
        reason: reason.to_owned(),
    }))
}

impl fmt::Display for NotThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is not in the image", self.path)?;
        writeln!(f, "  shipped by    package {}", self.package)?;
        writeln!(f, "  left out      {}", self.reason)
    }
}

/// The entry of a package in a lock: number of its first line, and its lines.
pub fn lock_lines(lock: &str, package: &str) -> Option<(usize, Vec<String>)> {
    let wanted = format!("- name: {package}");
    let quoted = format!("- name: \"{package}\"");
    let at = lock.lines().position(|line| line.trim() == wanted || line.trim() == quoted)?;
    let entry = lock.lines().skip(at);
    let first = entry.clone().take(1);
    let rest = entry.skip(1).take_while(|line| line.starts_with("    "));
    Some((at + 1, first.chain(rest).map(|line| line.trim().to_owned()).collect()))
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file)?;
        let version = self.version.as_deref().unwrap_or_default();
        writeln!(f, "  put there by  {} {version}", self.owner)?;
        if let Some((file, line, lines)) = &self.lock {
            writeln!(f, "  locked in     {file}:{line}")?;
            for line in lines {
                writeln!(f, "                {line}")?;
            }
        }
        let tenths = u128::from(self.cost) * 1000 / u128::from(self.of.max(1));
        writeln!(
            f,
            "  costs         {} of {} ({}.{} %), attributed",
            bytes(self.cost),
            self.artefact,
            tenths / 10,
            tenths % 10
        )?;
        writeln!(f, "  partition     {}", self.partition)?;
        for path in &self.also {
            writeln!(f, "  also          {path}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_entry_ends_where_the_next_one_begins() {
        let lock = "packages:\n  - name: bash-x\n    version: 1\n  - name: bash\n    version: 2\n    arch: all\n  - name: c\n";
        let (line, lines) = lock_lines(lock, "bash").unwrap();
        assert_eq!((line, lines), (4, vec!["- name: bash".into(), "version: 2".into(), "arch: all".into()]));
        assert_eq!(lock_lines(lock, "bas"), None);
    }
}
