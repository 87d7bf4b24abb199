//! Where files may lie, and that no two are in each other's way.

use super::{Content, Error, File, Generated};
use crate::values::Mac;
use std::collections::BTreeMap;

/// The image's, verified; the kernel's; gone at the next boot or made before.
const NOT_BELOW: [&str; 10] = ["usr", "proc", "sys", "dev", "run", "bin", "sbin", "lib", "lib64", "boot"];
/// Made by sledos from other fields or kept by it between boots.
const OURS: [&str; 3] = ["/etc/machine-id", "/etc/sledos", "/var/lib/sledos"];

/// Longest path and longest name, in bytes: limits.h of Linux.
const PATH_MAX: usize = 4095;
const NAME_MAX: usize = 255;

/// Collects the files.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// By path, with the field each is from.
    files: BTreeMap<String, (String, File)>,
    /// What the image must not have below /etc.
    fresh: Vec<String>,
    warnings: Vec<String>,
    /// What NICs are called, by their MAC addresses.
    pub(super) names: BTreeMap<Mac, String>,
}

impl Place {
    /// That a file must not replace one of the image.
    pub(super) fn fresh(&mut self, path: &str) {
        if path.starts_with("/etc/") {
            self.fresh.push(path.to_owned());
        }
    }

    /// A readable file of root's.
    pub(super) fn text(&mut self, field: &str, path: impl Into<String>, text: String) -> Result<(), Error> {
        self.add(field, File { path: path.into(), mode: 0o644, uid: 0, gid: 0, content: Content::Text(text) })
    }

    /// A file only root reads.
    pub(super) fn secret(&mut self, field: &str, path: &str, text: String) -> Result<(), Error> {
        self.add(field, File { path: path.into(), mode: 0o600, uid: 0, gid: 0, content: Content::Text(text) })
    }

    /// A link.
    pub(super) fn link(
        &mut self,
        field: &str,
        path: impl Into<String>,
        to: impl Into<String>,
    ) -> Result<(), Error> {
        let content = Content::Link(to.into());
        self.add(field, File { path: path.into(), mode: 0o777, uid: 0, gid: 0, content })
    }

    /// Any file.
    pub(super) fn add(&mut self, field: &str, file: File) -> Result<(), Error> {
        check(field, &file.path)?;
        if let Some((other, _)) = self.files.get(&file.path) {
            let problem = format!("{} is made from `{other}` already; change that instead", file.path);
            return Err(Error::new(field, problem));
        }
        self.files.insert(file.path.clone(), (field.to_owned(), file));
        Ok(())
    }

    /// Whether something has this path already.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Something an operator should know.
    pub(super) fn warn(&mut self, field: &str, text: impl std::fmt::Display) {
        self.warnings.push(format!("{field}: {text}"));
    }

    pub(super) fn finish(self) -> Result<Generated, Error> {
        for (path, (field, _)) in &self.files {
            let mut above = path.as_str();
            while let Some((parent, _)) = above.rsplit_once('/') {
                if let Some((other, file)) = self.files.get(parent)
                    && file.content != Content::Directory
                {
                    let problem = format!("{path} is below {parent}, which `{other}` makes a file");
                    return Err(Error::new(field.clone(), problem));
                }
                above = parent;
            }
        }
        let files = self.files.into_values().map(|(_, file)| file).collect();
        Ok(Generated { files, fresh: self.fresh, warnings: self.warnings, names: self.names })
    }
}

/// Whether a file of the document may have this path.
pub(super) fn check_given(field: &str, path: &str) -> Result<(), Error> {
    check(field, path)?;
    let below =
        |path: &str, dir: &str| path.strip_prefix(dir).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    // Who owns a directory above decides what is in it, too.
    match OURS.iter().find(|own| below(path, own) || below(own, path)) {
        Some(own) => Err(Error::new(field, format!("{own} is sledos's own; choose another place"))),
        None => Ok(()),
    }
}

/// Whether a path is absolute, plain, and in a place that can be written to.
pub(super) fn check(field: &str, path: &str) -> Result<(), Error> {
    let refuse = |why: String| Err(Error::new(field, why));
    let Some(rest) = path.strip_prefix('/') else {
        return refuse(format!("`{path}` is not an absolute path; begin it with /"));
    };
    if path.len() > PATH_MAX || path.chars().any(char::is_control) {
        return refuse("the path is too long or has control characters".into());
    }
    let plain =
        |name: &str| !matches!(name, "" | "." | "..") && name.len() <= NAME_MAX && name.trim() == name;
    if !rest.split('/').all(plain) {
        return refuse(format!(
            "`{path}` is not a plain path: no `//`, `.`, `..`, no / at the end, no spaces around names"
        ));
    }
    let (top, below) = rest.split_once('/').unwrap_or((rest, ""));
    if NOT_BELOW.contains(&top) || below.is_empty() {
        return refuse(format!(
            "{path} cannot be written: / and /usr are the image's, /proc, /sys, /dev, /run the \
             kernel's and systemd's. Use /etc, /var, /root, /opt or /srv"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_that_last_can_be_written_to() {
        for good in ["/etc/x", "/var/lib/x/y", "/root/.profile", "/etc/usr", "/opt/run/é"] {
            assert_eq!(check_given("f", good), Ok(()), "{good}");
        }
        let bad = "x|etc/x|/|/etc|/etc/|/etc//x|/etc/../usr/x|/etc/./x|/usr/x|/usr|/run/x|/bin/sh|\
                   /proc/1|/x|/etc/a\nb|/etc/ x|/etc/machine-id|/etc/sledos/x|/var/lib/sledos|/var/lib";
        for bad in bad.split('|') {
            assert!(check_given("f", bad).is_err(), "{bad}");
        }
        assert_eq!(check_given("f", "/etc/sledos-x"), Ok(()));
    }

    #[test]
    fn two_files_do_not_share_a_place() {
        let mut out = Place::default();
        out.text("a", "/etc/x", String::new()).unwrap();
        assert_eq!(
            out.text("b", "/etc/x", String::new()).unwrap_err().to_string(),
            "b: /etc/x is made from `a` already; change that instead"
        );
        out.text("c", "/etc/x/y/z", String::new()).unwrap();
        assert_eq!(
            out.finish().unwrap_err().to_string(),
            "c: /etc/x/y/z is below /etc/x, which `a` makes a file"
        );
    }
}
