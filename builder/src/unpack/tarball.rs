//! Tar streams: ustar, GNU long names, pax headers.
//!
//! The `tar` crate splits the stream into headers and bodies; what the headers
//! mean together is decided here, strictly: whatever two readers could
//! understand differently is refused. No member can lead out of the tree, not
//! even by way of a symbolic link of the same archive.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::sync::Arc;

use formats::tree::{PathError, TreePath};
use sha2::Digest as _;
use tar::{EntryType, Header};

use super::entry::{CHUNK, Entry, EntryKind, FileData, Owner};
use super::pax;

/// Members of one archive; the largest Debian packages have some 30 000.
const MAX_ENTRIES: usize = 250_000;
/// Bytes of all regular files of one archive.
const MAX_CONTENT: u64 = 8 << 30;
/// Bytes of all paths, link targets and extended attributes of one archive.
const MAX_METADATA: usize = 64 << 20;
/// Bytes of one extension header.
const MAX_EXTENSION: u64 = 1 << 20;

/// Why a tar stream is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream cannot be decompressed or is not tar.
    #[error("its content is damaged or cut off")]
    Stream(#[source] io::Error),
    /// The stream ends without the zero blocks that end an archive.
    #[error("its content is cut off: the end mark of the tar archive is missing")]
    NoEnd,
    /// What was unpacked cannot be written.
    #[error("cannot write what is in it to the cache")]
    Write(#[source] io::Error),
    /// A path that cannot be in a tree.
    #[error("its member {member:?} must not be unpacked")]
    Path {
        /// The path as it is in the archive.
        member: String,
        /// Why not.
        source: PathError,
    },
    /// An absolute path.
    #[error("its member {0:?} must not be unpacked: the path is absolute")]
    Absolute(String),
    /// The same path twice, and not both directories.
    #[error("it has the member {0:?} twice")]
    Twice(String),
    /// A path below something that is not a directory.
    #[error(
        "its member {member:?} must not be unpacked: it goes through {through:?}, which is not a directory"
    )]
    Through {
        /// The path.
        member: String,
        /// The member in the way.
        through: String,
    },
    /// A hard link to something that is not an earlier regular file.
    #[error("its member {member:?} is a hard link to {target:?}, which is no file before it in the archive")]
    Hardlink {
        /// The link.
        member: String,
        /// What it points to.
        target: String,
    },
    /// Something no Debian package has.
    #[error("its member {member:?} cannot be used: {what}")]
    Member {
        /// The path.
        member: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More than any sane archive has.
    #[error("it is too large to be unpacked: more than {0}")]
    TooLarge(&'static str),
}

/// Reads a whole tar stream. Writes the bytes of the regular files one after
/// the other to `out` and returns the members in their order.
///
/// # Errors
/// At the first thing that is not right. What was written to `out` is then of no use.
pub fn read(stream: &mut dyn Read, out: &mut dyn Write) -> Result<Vec<Entry>, Error> {
    let mut tail = Tail { inner: stream, total: 0, zeros: 0 };
    let mut members = Members::default();
    let mut archive = tar::Archive::new(&mut tail);
    for entry in archive.entries().map_err(Error::Stream)?.raw(true) {
        members.add(entry.map_err(Error::Stream)?, out)?;
    }
    io::copy(&mut tail, &mut io::sink()).map_err(Error::Stream)?;
    // Two blocks of zeros, which may not be the content of the last member.
    let ended = tail.zeros.min(tail.total.saturating_sub(members.end)) >= 1024;
    if !ended || members.extensions != Extensions::default() {
        return Err(Error::NoEnd);
    }
    members.check_ancestors()?;
    Ok(members.entries)
}

/// What was read so far.
#[derive(Default)]
struct Members {
    entries: Vec<Entry>,
    by_path: HashMap<TreePath, usize>,
    owners: BTreeMap<(String, u32), Owner>,
    /// For the next member.
    extensions: Extensions,
    /// Where the last member ends in the stream.
    end: u64,
    content: u64,
    metadata: usize,
    buf: Vec<u8>,
}

#[derive(Default, PartialEq)]
struct Extensions {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Option<pax::Records>,
}

impl Members {
    fn add(&mut self, mut body: tar::Entry<'_, impl Read>, out: &mut dyn Write) -> Result<(), Error> {
        let header = body.header().clone();
        self.end = body
            .raw_file_position()
            .saturating_add(body.size())
            .checked_next_multiple_of(512)
            .unwrap_or(u64::MAX);
        let kind = header.entry_type();
        let bad = |what| member(&header.path_bytes(), what);
        let slot = match kind {
            EntryType::GNULongName => &mut self.extensions.long_name,
            EntryType::GNULongLink => &mut self.extensions.long_link,
            EntryType::XHeader | EntryType::XGlobalHeader => {
                let records = pax::parse(&extension(&mut body)?).map_err(bad)?;
                // `git archive` leaves the commit in a global comment, which is harmless. Anything
                // else there would apply to every member.
                if kind == EntryType::XGlobalHeader && records != pax::Records::default() {
                    return Err(bad("a global extension header"));
                }
                if kind == EntryType::XHeader && self.extensions.pax.replace(records).is_some() {
                    return Err(bad("two extension headers for one member"));
                }
                return Ok(());
            }
            _ => return self.add_member(&header, &mut body, out),
        };
        let mut name = extension(&mut body)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        match slot.replace(name) {
            None => Ok(()),
            Some(_) => Err(bad("two long names for one member")),
        }
    }

    fn add_member(&mut self, header: &Header, body: &mut dyn Read, out: &mut dyn Write) -> Result<(), Error> {
        let ext = std::mem::take(&mut self.extensions);
        let pax = ext.pax.unwrap_or_default();
        let name = pax.path.or(ext.long_name).unwrap_or_else(|| header.path_bytes().into_owned());
        let bad = |what| member(&name, what);
        let path = tree_path(&name)?;
        let number = |n: io::Result<u64>| n.map_err(Error::Stream);
        let size = number(header.entry_size())?;
        if pax.size.is_some_and(|s| s != size) {
            return Err(bad("its two sizes differ"));
        }
        let link = pax.linkpath.or(ext.long_link).or_else(|| header.link_name_bytes().map(Into::into));
        let link = link.unwrap_or_default();
        self.metadata +=
            name.len() + link.len() + pax.xattrs.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        if self.metadata > MAX_METADATA {
            return Err(Error::TooLarge("64 MiB of names"));
        }
        if self.entries.len() >= MAX_ENTRIES {
            return Err(Error::TooLarge("250 000 members"));
        }
        let user = self.owner(
            &name,
            pax.uname,
            header.username_bytes(),
            pax.uid.map_or_else(|| number(header.uid()), Ok)?,
        )?;
        let group = self.owner(
            &name,
            pax.gname,
            header.groupname_bytes(),
            pax.gid.map_or_else(|| number(header.gid()), Ok)?,
        )?;
        // Before POSIX, a directory was a file with a slash at the end.
        let is_dir = header.entry_type().is_dir() || header.entry_type().is_file() && name.ends_with(b"/");
        let kind = match header.entry_type() {
            _ if is_dir => EntryKind::Dir,
            EntryType::Regular => EntryKind::File(self.content(size, body, out)?),
            EntryType::Symlink if link.is_empty() || link.len() > 4095 || link.contains(&0) => {
                return Err(bad("a symbolic link to nowhere"));
            }
            EntryType::Symlink => EntryKind::Symlink(link),
            EntryType::Link => self.hardlink(&name, &link)?,
            EntryType::Char | EntryType::Block => {
                let device =
                    |n: io::Result<Option<u32>>| n.map_err(Error::Stream).map(Option::unwrap_or_default);
                let (major, minor) = (device(header.device_major())?, device(header.device_minor())?);
                if header.entry_type() == EntryType::Char {
                    EntryKind::CharDev { major, minor }
                } else {
                    EntryKind::BlockDev { major, minor }
                }
            }
            EntryType::Fifo => EntryKind::Fifo,
            _ => return Err(bad("a kind of file that is not supported")),
        };
        if size != 0 && !matches!(kind, EntryKind::File(_)) {
            return Err(bad("bytes in something that is not a file"));
        }
        if path.is_root() && kind != EntryKind::Dir {
            return Err(bad("not a directory, but the root"));
        }
        let mode = u16::try_from(header.mode().map_err(Error::Stream)? & 0o7777).unwrap_or_default();
        let entry = Entry { path: path.clone(), kind, mode, user, group, xattrs: pax.xattrs };
        match self.by_path.get(&path).and_then(|i| self.entries.get_mut(*i)) {
            // The last word on a directory counts, as for dpkg and tar.
            Some(old) if old.kind == EntryKind::Dir && entry.kind == EntryKind::Dir => *old = entry,
            Some(_) => return Err(Error::Twice(lossy(&name))),
            None => {
                self.by_path.insert(path, self.entries.len());
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    fn owner(
        &mut self,
        member_name: &[u8],
        pax: Option<String>,
        header: Option<&[u8]>,
        id: u64,
    ) -> Result<Owner, Error> {
        let name = match (pax, header) {
            (Some(name), _) => name,
            (None, Some(name)) => std::str::from_utf8(name)
                .map_err(|_| member(member_name, "the name of its owner is not UTF-8"))?
                .to_owned(),
            (None, None) => String::new(),
        };
        let id = match u32::try_from(id) {
            Ok(id) => id,
            // The number does not count, and this one may be anybody's.
            Err(_) if !name.is_empty() => u32::MAX,
            Err(_) => return Err(member(member_name, "the number of its owner is beyond 32 bits")),
        };
        let shared = self.owners.entry((name, id));
        let name = Arc::from(shared.key().0.as_str());
        Ok(shared.or_insert(Owner { name, id }).clone())
    }

    /// Copies the bytes of a file, hashing them on the way.
    fn content(&mut self, len: u64, body: &mut dyn Read, out: &mut dyn Write) -> Result<FileData, Error> {
        let offset = self.content;
        self.content =
            offset.checked_add(len).filter(|c| *c <= MAX_CONTENT).ok_or(Error::TooLarge("8 GiB"))?;
        let mut sha256 = sha2::Sha256::new();
        let mut crcs = Vec::new();
        let mut left = len;
        while left > 0 {
            let take = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            self.buf.resize(take, 0);
            body.read_exact(&mut self.buf).map_err(Error::Stream)?;
            sha256.update(&self.buf);
            crcs.push(crc32fast::hash(&self.buf));
            out.write_all(&self.buf).map_err(Error::Write)?;
            left -= take as u64;
        }
        Ok(FileData { offset, len, sha256: sha256.finalize().into(), crcs: crcs.into() })
    }

    fn hardlink(&self, name: &[u8], link: &[u8]) -> Result<EntryKind, Error> {
        let target = tree_path(link)?;
        let kind = self.by_path.get(&target).and_then(|i| self.entries.get(*i)).map(|e| &e.kind);
        match kind {
            Some(EntryKind::File(_)) => Ok(EntryKind::Hardlink(target)),
            Some(EntryKind::Hardlink(first)) => Ok(EntryKind::Hardlink(first.clone())),
            _ => Err(Error::Hardlink { member: lossy(name), target: lossy(link) }),
        }
    }

    /// Refuses paths below anything that is not a directory, in whichever order they came.
    fn check_ancestors(&self) -> Result<(), Error> {
        for entry in &self.entries {
            for above in entry.path.ancestors() {
                let found = self.by_path.get(&above).and_then(|i| self.entries.get(*i));
                if found.is_some_and(|e| e.kind != EntryKind::Dir) {
                    return Err(Error::Through {
                        member: entry.path.to_string(),
                        through: above.to_string(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn tree_path(name: &[u8]) -> Result<TreePath, Error> {
    if name.starts_with(b"/") {
        return Err(Error::Absolute(lossy(name)));
    }
    if name.is_empty() {
        return Err(member(name, "it has no name"));
    }
    TreePath::parse(name).map_err(|source| Error::Path { member: lossy(name), source })
}

fn extension(body: &mut impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    body.take(MAX_EXTENSION + 1).read_to_end(&mut bytes).map_err(Error::Stream)?;
    if bytes.len() as u64 > MAX_EXTENSION {
        return Err(Error::TooLarge("1 MiB in an extension header"));
    }
    Ok(bytes)
}

fn member(name: &[u8], what: &'static str) -> Error {
    Error::Member { member: lossy(name), what }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Counts the bytes of a stream, and the zero bytes it ends with.
struct Tail<'a> {
    inner: &'a mut dyn Read,
    total: u64,
    zeros: u64,
}

impl Read for Tail<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        let zeros = buf.iter().take(n).rev().take_while(|b| **b == 0).count();
        self.zeros = if zeros == n { self.zeros + n as u64 } else { zeros as u64 };
        self.total += n as u64;
        Ok(n)
    }
}
