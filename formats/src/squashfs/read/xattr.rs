//! Extended attributes of an image that may be damaged.

use std::collections::BTreeMap;

use super::meta::{Cursor, Listed, Table};
use super::{Image, ReadError};

const NAME: &str = "the table of xattrs";
/// `SQUASHFS_XATTR_VALUE_OOL`: the value is elsewhere.
const ELSEWHERE: u16 = 0x100;
/// Bytes of all attributes of one node.
const MAX_SET: usize = 1 << 20;

type Set = BTreeMap<Vec<u8>, Vec<u8>>;

/// The set of attributes with a number.
pub(super) fn set(image: &Image, number: u32) -> Result<Set, ReadError> {
    let superblock = &image.superblock;
    let Some(address) = superblock.xattr_table else {
        let why = "an inode has xattrs, but the image has no table of them";
        return Err(ReadError::Damaged { structure: "the inode table", offset: superblock.inode_table, why });
    };
    let damaged = |why| ReadError::Damaged { structure: NAME, offset: address, why };
    let mut head = [0; 16];
    image.bytes(NAME, address, &mut head)?;
    let (pairs, count) = head.split_at(8);
    let pairs = u64::from_le_bytes(pairs.try_into().unwrap_or_default());
    let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]);
    if pairs < superblock.directory_table || pairs >= address {
        return Err(damaged("its pairs lie outside of their place"));
    }
    let table = Listed { name: NAME, list: address + 16, count: count.into(), entry: 16, from: pairs };
    let mut entry = table.at(image, number.into())?;
    let (reference, count, _size) = (entry.u64()?, entry.u32()?, entry.u32()?);
    let values = Table { name: "the xattrs", start: pairs, end: address };
    let mut at = Cursor::at(image, values, reference)?;
    let mut set = Set::new();
    let mut bytes = 0;
    for _ in 0..count {
        let (kind, len) = (at.u16()?, at.u16()?);
        let prefix: &[u8] = match kind & !ELSEWHERE {
            0 => b"user.",
            1 => b"trusted.",
            2 => b"security.",
            _ => return Err(at.damaged("the kind of an attribute is unknown")),
        };
        let name = [prefix, &at.vec(usize::from(len))?].concat();
        let len = at.u32()?;
        let value = if kind & ELSEWHERE == 0 {
            value(&mut at, len)?
        } else {
            let reference = at.u64()?;
            let mut other = Cursor::at(image, values, reference)?;
            let len = other.u32()?;
            value(&mut other, len)?
        };
        bytes += name.len() + value.len();
        if bytes > MAX_SET {
            return Err(at.damaged("the attributes of one file are too large"));
        }
        if set.insert(name, value).is_some() {
            return Err(at.damaged("a file has an attribute twice"));
        }
    }
    Ok(set)
}

fn value(at: &mut Cursor<'_>, len: u32) -> Result<Vec<u8>, ReadError> {
    let len = usize::try_from(len).ok().filter(|len| *len <= 65536);
    at.vec(len.ok_or_else(|| at.damaged("an attribute's value is too large"))?)
}
