//! Files with holes.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Error;

/// Holes are whole blocks of this many bytes, the block size of common file systems.
const BLOCK: usize = 4096;

/// A new file of a fixed length, all zeros until written. Blocks of zeros are not
/// written, so a range may be written only once.
#[derive(Debug)]
pub struct SparseFile {
    file: File,
    path: PathBuf,
    len: u64,
}

impl SparseFile {
    /// Makes a file of `len` zeros; one that is there is emptied first.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path, len: u64) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io("create", path))?;
        file.set_len(len).map_err(|e| Error::new("enlarge", path, Some(len), e))?;
        Ok(Self { file, path: path.to_owned(), len })
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// When they do not fit into the file, or writing fails.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if offset.checked_add(length).is_none_or(|end| end > self.len) {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "beyond the end of the file");
            return Err(Error::new("write", &self.path, Some(length), source));
        }
        let fail = |e| Error::new("write", &self.path, Some(length), e);
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            // Runs of blocks with data are written at once.
            let run = data_run(rest, at);
            if run > 0 {
                self.file.write_all_at(rest.get(..run).unwrap_or(rest), at).map_err(fail)?;
            }
            let skip = run + hole_run(rest.get(run..).unwrap_or_default());
            rest = rest.get(skip..).unwrap_or_default();
            at += u64::try_from(skip).unwrap_or(u64::MAX);
        }
        Ok(())
    }

    /// Writes everything a reader gives at an offset; returns how many bytes that were.
    ///
    /// # Errors
    /// As [`SparseFile::write_at`], or when reading fails.
    pub fn copy_at(&self, offset: u64, mut reader: impl Read) -> Result<u64, Error> {
        let mut buffer = vec![0; 256 * BLOCK];
        let mut at = offset;
        loop {
            let mut filled = 0;
            while let Some(space) = buffer.get_mut(filled..).filter(|s| !s.is_empty()) {
                match reader.read(space) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Error::new("read what goes into", &self.path, None, e)),
                }
            }
            if filled == 0 {
                return Ok(at - offset);
            }
            self.write_at(at, buffer.get(..filled).unwrap_or_default())?;
            at += u64::try_from(filled).unwrap_or(u64::MAX);
        }
    }
}

/// Bytes at the start of `bytes`, which begin at file offset `at`, that end before the
/// first block of zeros.
fn data_run(bytes: &[u8], at: u64) -> usize {
    let head = (BLOCK - usize::try_from(at % 4096).unwrap_or(0)) % BLOCK;
    let mut end = if is_zero(bytes.get(..head).unwrap_or(bytes)) { 0 } else { head.min(bytes.len()) };
    if end == 0 && head > 0 {
        return 0;
    }
    for block in bytes.get(end..).unwrap_or_default().chunks(BLOCK) {
        if is_zero(block) {
            break;
        }
        end += block.len();
    }
    end
}

/// Zeros at the start.
fn hole_run(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(BLOCK).take_while(|block| is_zero(block)).map(<[u8]>::len).sum::<usize>();
    let rest = bytes.get(blocks..).unwrap_or_default();
    blocks + rest.iter().take(BLOCK).take_while(|b| **b == 0).count()
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::MetadataExt;

    proptest! {
        /// Whatever is written where, the file reads as if written plainly.
        #[test]
        fn same_bytes_as_a_plain_file(
            offset in 0_u64..9000,
            runs in prop::collection::vec((0_usize..9000, any::<bool>()), 0..6),
        ) {
            let data: Vec<u8> = runs.iter().flat_map(|(n, zero)| vec![u8::from(!*zero); *n]).collect();
            let dir = tempfile::tempdir().unwrap();
            let file = SparseFile::create(&dir.path().join("f"), 70_000).unwrap();
            file.write_at(offset, &data).unwrap();
            let mut want = vec![0; 70_000];
            let start = usize::try_from(offset).unwrap();
            want[start..start + data.len()].copy_from_slice(&data);
            prop_assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), want);
        }
    }

    #[test]
    fn zeros_take_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let file = SparseFile::create(&path, 64 << 20).unwrap();
        let mut data = vec![0; 32 << 20];
        data[20 << 20] = 1;
        assert_eq!(file.copy_at(1 << 20, data.as_slice()).unwrap(), 32 << 20);
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(meta.len(), 64 << 20);
        assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    }

    #[test]
    fn nothing_is_written_past_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = SparseFile::create(&dir.path().join("f"), 10).unwrap();
        for (offset, bytes) in [(9, &b"ab"[..]), (u64::MAX, b"a")] {
            assert!(matches!(file.write_at(offset, bytes), Err(Error::Io { .. })));
        }
    }

    #[test]
    fn a_full_disk_is_named() {
        let error = Error::new(
            "write",
            Path::new("/dev/full"),
            Some(5 << 20),
            std::fs::write("/dev/full", b"x").unwrap_err(),
        );
        assert!(
            error.to_string().starts_with("the disk is full: cannot write /dev/full (5 MiB needed"),
            "{error}"
        );
    }
}
