//! Paths into an image: `/usr/bin/ls`, `initramfs:/init`, `esp:/EFI`, `uki:.cmdline`.

use formats::tree::{Tree, TreePath};

use super::line::{Line, content};
use crate::artefacts::disk::fat_path;
use crate::artefacts::{Error, Image, What};

/// A part of an image that has files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `/usr/…`
    Usr,
    /// `initramfs:…`
    Initramfs,
    /// `esp:…`
    Esp,
    /// `uki:…`
    Uki,
}

/// What is at a path.
#[derive(Debug)]
pub enum There {
    /// A directory: its files.
    Files(Vec<Line>),
    /// The bytes of a file.
    Bytes(Vec<u8>),
}

/// Which part a path is in, and what of it is left.
pub fn split(image: &Image, path: &str) -> (Part, String) {
    for (prefix, part) in [("initramfs:", Part::Initramfs), ("esp:", Part::Esp), ("uki:", Part::Uki)] {
        if let Some(rest) = path.strip_prefix(prefix) {
            return (part, rest.to_owned());
        }
    }
    // An initramfs alone has no /usr.
    if image.what == What::Initramfs {
        return (Part::Initramfs, path.to_owned());
    }
    // /bin, /lib and so on are links into /usr; the image's /etc and /opt are kept there.
    let rest = path.trim_start_matches('/');
    if rest == "etc" || rest.starts_with("etc/") {
        return (Part::Usr, format!("share/sledos/{rest}"));
    }
    if let Some(below) = rest.strip_prefix("opt/") {
        return (Part::Usr, format!("lib/opt/{below}"));
    }
    let rest = if rest == "usr" { "" } else { rest.strip_prefix("usr/").unwrap_or(rest) };
    (Part::Usr, rest.to_owned())
}

/// Looks at a path.
///
/// # Errors
/// When the image has no such path, or the part it is in is damaged.
pub fn look(image: &Image, path: &str) -> Result<There, Error> {
    let (part, rest) = split(image, path);
    match part {
        Part::Usr => in_tree(image, &image.usr()?.listing.tree, "/usr", path, &rest),
        Part::Initramfs => in_tree(image, &image.initramfs()?.tree, "initramfs:", path, &rest),
        Part::Esp => {
            let esp = image.esp()?;
            let spelt = fat_path(&esp, &rest).ok_or_else(|| image.without(path))?;
            in_tree(image, &esp, "esp:", path, &spelt.to_string())
        }
        Part::Uki => {
            let uki = image.uki()?;
            let sections = uki.sections()?;
            let found = sections.iter().find(|section| section.name == rest.trim_start_matches('/'));
            found.map(|section| There::Bytes(section.data.to_vec())).ok_or_else(|| image.without(path))
        }
    }
}

fn in_tree(image: &Image, tree: &Tree, top: &str, shown: &str, path: &str) -> Result<There, Error> {
    let path = TreePath::parse(path.as_bytes()).ok().filter(|path| tree.get(path).is_some());
    let path = path.ok_or_else(|| image.without(shown))?;
    if let Some(content) = content(tree, &path) {
        return Ok(There::Bytes(content.to_vec().map_err(Error::io("read", &image.path))?));
    }
    let own = tree.get(&path).map(|node| Line::new(top, &path, node));
    Ok(There::Files(own.into_iter().chain(tree.below(&path).map(|(p, n)| Line::new(top, p, n))).collect()))
}
