//! Extended attributes: sets of them, each stored once.

use std::collections::BTreeMap;

use super::Error;
use super::meta::Writer;
use crate::tree::{Node, TreePath};

type Set = BTreeMap<Vec<u8>, Vec<u8>>;

/// The inode has no attributes (`SQUASHFS_INVALID_XATTR`).
pub(super) const NONE: u32 = u32::MAX;

/// The sets of all inodes, numbered as they were first met.
#[derive(Default)]
pub(super) struct Sets<'t> {
    ids: BTreeMap<&'t Set, u32>,
    sets: Vec<(&'t TreePath, &'t Set)>,
}

impl<'t> Sets<'t> {
    /// The number of a node's set.
    pub(super) fn id(&mut self, path: &'t TreePath, node: &'t Node) -> Result<u32, Error> {
        if node.xattrs.is_empty() {
            return Ok(NONE);
        }
        if let Some(id) = self.ids.get(&node.xattrs) {
            return Ok(*id);
        }
        let id = u32::try_from(self.sets.len()).ok().filter(|id| *id != NONE);
        let id = id.ok_or(Error::TooMany { what: "sets of xattrs", limit: NONE.into() })?;
        self.ids.insert(&node.xattrs, id);
        self.sets.push((path, &node.xattrs));
        Ok(id)
    }

    /// Appends names and values, then the table of sets. `image` holds what
    /// starts at `base` in the file. Returns the address for the superblock;
    /// `None` when there are no sets.
    pub(super) fn append(&self, image: &mut Vec<u8>, base: u64) -> Result<Option<u64>, Error> {
        if self.sets.is_empty() {
            return Ok(None);
        }
        let mut pairs = Writer::new()?;
        let mut table = Writer::new()?;
        for (path, set) in &self.sets {
            let at = pairs.position()?.reference();
            let mut bytes = Vec::new();
            for (name, value) in *set {
                pair(&mut bytes, name, value)
                    .map_err(|why| Error::Unsupported { path: (*path).clone(), why })?;
            }
            pairs.write(&bytes)?;
            let too_many = |_| Error::Unsupported {
                path: (*path).clone(),
                why: "its xattrs are larger than 4 GiB in all",
            };
            let count = u32::try_from(set.len()).map_err(too_many)?;
            let size = u32::try_from(bytes.len()).map_err(too_many)?;
            table.write(&at.to_le_bytes())?;
            table.write(&count.to_le_bytes())?;
            table.write(&size.to_le_bytes())?;
        }
        let pairs_at = base + image.len() as u64;
        image.extend(pairs.finish()?.0);
        let (blocks, starts) = table.finish()?;
        let first = base + image.len() as u64;
        image.extend(blocks);
        let address = base + image.len() as u64;
        image.extend(pairs_at.to_le_bytes());
        image.extend(u32::try_from(self.sets.len()).expect("counted in u32").to_le_bytes());
        image.extend(0u32.to_le_bytes());
        image.extend(starts.iter().flat_map(|start| (first + u64::from(*start)).to_le_bytes()));
        Ok(Some(address))
    }
}

/// One attribute: type, name without its prefix, value.
fn pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
    const PREFIXES: [(u16, &[u8]); 3] = [(0, b"user."), (1, b"trusted."), (2, b"security.")];
    let (kind, short) = PREFIXES
        .iter()
        .find_map(|(kind, prefix)| Some((kind, name.strip_prefix(*prefix)?)))
        .filter(|(_, short)| !short.is_empty())
        .ok_or("it has an xattr that is neither user., trusted. nor security.")?;
    if name.len() > 255 {
        return Err("it has an xattr with a name longer than 255 bytes");
    }
    let length = u32::try_from(value.len()).ok().filter(|length| *length <= 65536);
    let length = length.ok_or("it has an xattr with a value longer than 65536 bytes")?;
    out.extend(kind.to_le_bytes());
    out.extend(u16::try_from(short.len()).expect("at most 255").to_le_bytes());
    out.extend_from_slice(short);
    out.extend(length.to_le_bytes());
    out.extend_from_slice(value);
    Ok(())
}
