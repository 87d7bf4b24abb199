//! The index of an unpacked archive: its control files and members, and where
//! in the data file the bytes of each regular file are.
//!
//! ```text
//! magic | body | sha256 of magic, key and body
//! ```
//! Integers are little-endian; strings, lists and maps come after their length
//! as u32. `key` is the sha256 of the archive, which the name of the index
//! has, too. Whoever changes the form must change [`MAGIC`].

use std::collections::BTreeMap;
use std::sync::Arc;

use formats::tree::{Digest, TreePath};
use sha2::Digest as _;

use super::control::ControlFiles;
use super::entry::{CHUNK, Entry, EntryKind, FileData, Owner};

const MAGIC: &[u8; 8] = b"SLUNPK01";

/// What an index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The control files of a Debian package; nothing for other archives.
    pub control: Option<ControlFiles>,
    /// The members in their order.
    pub entries: Vec<Entry>,
    /// Length of the data file in bytes.
    pub data_len: u64,
}

/// Encodes an index.
pub fn encode(index: &Index, key: &Digest) -> Vec<u8> {
    let mut w = Writer(MAGIC.to_vec());
    w.u64(index.data_len);
    w.u8(index.control.is_some().into());
    w.map(index.control.iter().flatten().map(|(k, v)| (k.as_bytes(), v.as_slice())));
    let mut owners: BTreeMap<&Owner, u32> =
        index.entries.iter().flat_map(|e| [(&e.user, 0), (&e.group, 0)]).collect();
    w.len(owners.len());
    for (n, (owner, place)) in (0..).zip(&mut owners) {
        *place = n;
        w.bytes(owner.name.as_bytes());
        w.u32(owner.id);
    }
    let place = |o| owners.get(o).copied().unwrap_or_default();
    w.len(index.entries.len());
    for e in &index.entries {
        w.bytes(e.path.as_bytes());
        w.u32(u32::from(e.mode));
        w.u32(place(&e.user));
        w.u32(place(&e.group));
        w.map(e.xattrs.iter().map(|(k, v)| (k.as_slice(), v.as_slice())));
        w.kind(&e.kind);
    }
    let mut out = w.0;
    let sum = checksum(&out, key);
    out.extend_from_slice(&sum);
    out
}

/// Decodes an index. `None` when it is damaged, of another version, or not the
/// index of the archive with this sha256.
pub fn decode(bytes: &[u8], key: &Digest) -> Option<Index> {
    let (body, sum) = bytes.split_last_chunk::<32>()?;
    if checksum(body, key) != *sum {
        return None;
    }
    decode_body(body)
}

fn checksum(body: &[u8], key: &Digest) -> Digest {
    sha2::Sha256::new().chain_update(key).chain_update(body).finalize().into()
}

fn decode_body(body: &[u8]) -> Option<Index> {
    let mut r = Reader(body.strip_prefix(MAGIC)?);
    let data_len = r.u64()?;
    let is_package = r.u8()? != 0;
    let control: Option<ControlFiles> =
        r.map()?.into_iter().map(|(k, v)| Some((String::from_utf8(k).ok()?, v))).collect();
    let control = is_package.then_some(control?);
    let mut owners = Vec::new();
    for _ in 0..r.u32()? {
        let name = Arc::from(std::str::from_utf8(r.bytes()?).ok()?);
        owners.push(Owner { name, id: r.u32()? });
    }
    let mut entries = Vec::new();
    for _ in 0..r.u32()? {
        let path = TreePath::parse(r.bytes()?).ok()?;
        let mode = u16::try_from(r.u32()?).ok().filter(|m| *m <= 0o7777)?;
        let user = owners.get(usize::try_from(r.u32()?).ok()?)?.clone();
        let group = owners.get(usize::try_from(r.u32()?).ok()?)?.clone();
        let xattrs = r.map()?;
        let kind = r.kind(data_len)?;
        entries.push(Entry { path, kind, mode, user, group, xattrs });
    }
    r.0.is_empty().then_some(Index { control, entries, data_len })
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, n: u8) {
        self.0.push(n);
    }
    fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }
    fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }
    fn len(&mut self, n: usize) {
        self.u32(u32::try_from(n).expect("the archive readers bound what they read far below 4 GiB"));
    }
    fn bytes(&mut self, b: &[u8]) {
        self.len(b.len());
        self.0.extend_from_slice(b);
    }
    fn map<'a>(&mut self, map: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) {
        self.len(map.clone().count());
        for (key, value) in map {
            self.bytes(key);
            self.bytes(value);
        }
    }
    fn kind(&mut self, kind: &EntryKind) {
        match kind {
            EntryKind::Dir => self.u8(b'd'),
            EntryKind::File(f) => {
                self.u8(b'f');
                self.u64(f.offset);
                self.u64(f.len);
                self.0.extend_from_slice(&f.sha256);
                f.crcs.iter().for_each(|crc| self.u32(*crc));
            }
            EntryKind::Symlink(target) => {
                self.u8(b'l');
                self.bytes(target);
            }
            EntryKind::Hardlink(target) => {
                self.u8(b'h');
                self.bytes(target.as_bytes());
            }
            EntryKind::CharDev { major, minor } => {
                self.u8(b'c');
                self.u32(*major);
                self.u32(*minor);
            }
            EntryKind::BlockDev { major, minor } => {
                self.u8(b'b');
                self.u32(*major);
                self.u32(*minor);
            }
            EntryKind::Fifo => self.u8(b'p'),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = usize::try_from(self.u32()?).ok()?;
        self.take(n)
    }
    fn map(&mut self) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut map = BTreeMap::new();
        for _ in 0..self.u32()? {
            map.insert(self.bytes()?.to_vec(), self.bytes()?.to_vec());
        }
        Some(map)
    }
    fn kind(&mut self, data_len: u64) -> Option<EntryKind> {
        Some(match self.u8()? {
            b'd' => EntryKind::Dir,
            b'f' => {
                let (offset, len, sha256) = (self.u64()?, self.u64()?, self.array()?);
                offset.checked_add(len).filter(|end| *end <= data_len)?;
                let chunks = usize::try_from(len.div_ceil(CHUNK as u64)).ok()?;
                let (crcs, _) = self.take(chunks.checked_mul(4)?)?.as_chunks::<4>();
                EntryKind::File(FileData {
                    offset,
                    len,
                    sha256,
                    crcs: crcs.iter().map(|c| u32::from_le_bytes(*c)).collect(),
                })
            }
            b'l' => EntryKind::Symlink(self.bytes()?.to_vec()),
            b'h' => EntryKind::Hardlink(TreePath::parse(self.bytes()?).ok()?),
            b'c' => EntryKind::CharDev { major: self.u32()?, minor: self.u32()? },
            b'b' => EntryKind::BlockDev { major: self.u32()?, minor: self.u32()? },
            b'p' => EntryKind::Fifo,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: Digest = [7; 32];

    fn sample() -> Index {
        let owner = |name: &str, id| Owner { name: name.into(), id };
        let entry = |path: &str, kind| Entry {
            path: TreePath::parse(path.as_bytes()).unwrap(),
            kind,
            mode: 0o4755,
            user: owner("root", 0),
            group: owner("", 42),
            xattrs: BTreeMap::from([(b"user.a".to_vec(), b"\0\n".to_vec())]),
        };
        let len = CHUNK as u64 + 1;
        let file = FileData { offset: 3, len, sha256: [9; 32], crcs: Arc::new([1, 2]) };
        Index {
            control: Some(ControlFiles::from([("control".into(), b"Package: a\n".to_vec())])),
            entries: vec![
                entry("", EntryKind::Dir),
                entry("f", EntryKind::File(file)),
                entry("h", EntryKind::Hardlink(TreePath::parse(b"f").unwrap())),
                entry("l", EntryKind::Symlink(b"/f".to_vec())),
                entry("c", EntryKind::CharDev { major: 1, minor: 3 }),
                entry("b", EntryKind::BlockDev { major: 8, minor: 0 }),
                entry("p", EntryKind::Fifo),
            ],
            data_len: 3 + len,
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(decode(&encode(&sample(), &KEY), &KEY), Some(sample()));
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found_out() {
        let good = encode(&sample(), &KEY);
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            assert_eq!(decode(&bad, &KEY), None, "{i}");
            assert_eq!(decode(&good[..i], &KEY), None, "{i}");
            // Not even without the checksum may it go wrong badly.
            let _ = decode_body(&bad[..bad.len() - 32]);
        }
        assert_eq!(decode(&good, &[8; 32]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&tail, &KEY);
            let _ = decode_body(&[&MAGIC[..], &tail].concat());
        }
    }
}
