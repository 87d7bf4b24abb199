//! The ar archive around a Debian package: deb(5), ar(5), the common subset.
//!
//! Members are read in order, from a stream. Long names, which Debian packages
//! never have, are refused with the rest of what is not a plain header.

use std::io::{self, Read};

/// The first bytes of an archive.
pub const MAGIC: &[u8; 8] = b"!<arch>\n";

/// A reader of members. [`Read`] yields the bytes of the current one.
#[derive(Debug)]
pub struct Ar<R> {
    inner: R,
    /// Bytes of the current member not read yet.
    left: u64,
    /// Whether a padding byte follows the current member.
    padded: bool,
}

/// The header of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name, without padding and without the final `/` some writers add.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The magic is missing.
    #[error("it is not an ar archive, so not a Debian package")]
    Magic,
    /// A member header is not as it should be.
    #[error("the header of ar member {number} is damaged ({what})")]
    Header {
        /// Which member, from 1.
        number: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file ends within a header or member, or cannot be read.
    #[error("the file cannot be read, or ends too early")]
    Io(#[from] io::Error),
}

impl<R: Read> Ar<R> {
    /// Checks the magic.
    ///
    /// # Errors
    /// When it is not an archive or cannot be read.
    pub fn new(mut inner: R) -> Result<Self, Error> {
        let mut magic = [0; MAGIC.len()];
        match inner.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => Ok(Self { inner, left: 0, padded: false }),
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => Err(Error::Io(e)),
            _ => Err(Error::Magic),
        }
    }

    /// Skips what is left of the current member and reads the next header.
    /// `number` counts from 1 and is for messages only. `None` at the end.
    ///
    /// # Errors
    /// When the header is damaged or the file ends too early.
    pub fn next(&mut self, number: usize) -> Result<Option<Member>, Error> {
        io::copy(self, &mut io::sink())?;
        if std::mem::take(&mut self.padded) {
            // The last member's padding may be missing.
            let mut byte = [0];
            if self.inner.read(&mut byte)? == 0 {
                return Ok(None);
            }
        }
        let mut header = Vec::with_capacity(60);
        (&mut self.inner).take(60).read_to_end(&mut header)?;
        if header.is_empty() {
            return Ok(None);
        }
        let bad = |what| Error::Header { number, what };
        let header: [u8; 60] = header.try_into().map_err(|_| bad("it is cut off"))?;
        let (name, rest) = header.split_at(16);
        let (_mtime_uid_gid_mode, rest) = rest.split_at(32);
        let (size, end) = rest.split_at(10);
        if end != b"`\n" {
            return Err(bad("no end mark"));
        }
        let name = name.trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_graphic() && *b != b'/') {
            return Err(bad("not a plain name"));
        }
        let size = std::str::from_utf8(size.trim_ascii_end())
            .ok()
            .filter(|s| s.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|s| s.parse::<u64>().ok())
            .ok_or(bad("not a size"))?;
        self.left = size;
        self.padded = size % 2 == 1;
        Ok(Some(Member { name: String::from_utf8_lossy(name).into_owned(), size }))
    }
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..want).filter(|b| !b.is_empty()) else { return Ok(0) };
        let n = self.inner.read(buf)?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends within an ar member"));
        }
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(name: &str, size: &str) -> Vec<u8> {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).into_bytes()
    }

    fn members(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut ar = Ar::new(bytes)?;
        let mut out = Vec::new();
        while let Some(member) = ar.next(out.len() + 1)? {
            let mut data = Vec::new();
            ar.read_to_end(&mut data)?;
            out.push((member.name, data));
        }
        Ok(out)
    }

    #[test]
    fn members_with_and_without_padding() {
        let file = [MAGIC, &header("a/", "3")[..], b"abc\n", &header("bb", "2"), b"de"].concat();
        let found = members(&file).unwrap();
        assert_eq!(found, [("a".into(), b"abc".to_vec()), ("bb".into(), b"de".to_vec())]);
        for n in 0..file.len() {
            // Only at the end of a member, padded or not, may a file end.
            let cut = members(&file[..n]);
            assert_eq!(cut.is_ok(), [8, 71, 72].contains(&n), "{n}: {cut:?}");
        }
    }

    #[test]
    fn bad_headers() {
        for (name, size) in [("//", "2"), ("a", "-1"), ("a", "+2"), ("a", ""), ("a", "1 2"), ("", "2")] {
            let file = [MAGIC, &header(name, size)[..], b"de"].concat();
            assert!(matches!(members(&file), Err(Error::Header { number: 1, .. })), "{name} {size}");
        }
        let mut no_end = [MAGIC, &header("a", "2")[..], b"de"].concat();
        no_end[66] = b'x';
        assert!(matches!(members(&no_end), Err(Error::Header { what: "no end mark", .. })));
        let huge = [MAGIC, &header("a", "9999999999")[..], b"de"].concat();
        assert!(matches!(members(&huge), Err(Error::Io(_))));
        assert!(matches!(members(b"!<arch>"), Err(Error::Magic)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(tail in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = members(&tail);
            let _ = members(&[&MAGIC[..], &tail].concat());
        }
    }
}
