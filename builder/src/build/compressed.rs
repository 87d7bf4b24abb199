//! `disk.raw.zst`, for carrying a disk image where holes get lost.
//!
//! The disk is cut into pieces of [`PIECE`] bytes and each is a zstd frame of its
//! own (RFC 8878, section 3: a file may have several), so that they are compressed
//! in parallel and their bytes depend on nothing but the piece. `zstd -d` writes the
//! zeros back as holes.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rayon::prelude::*;
use rustix::fs::{SeekFrom, seek};

use super::Error;
use crate::output;
use crate::output::Interrupt;

/// Bytes of disk in one frame.
const PIECE: usize = 8 << 20;

/// Nearly all of the disk that is not zero is compressed already.
const LEVEL: i32 = 3;

/// Compresses the file `disk` into `to`.
///
/// # Errors
/// When they cannot be read or written, or on Ctrl-C.
pub(super) fn write(disk: &Path, to: &Path, interrupt: &Interrupt) -> Result<(), Error> {
    let at = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| output::Error::new(what, &path, None, source)
    };
    let source = File::open(disk).map_err(at("read", disk))?;
    let size = source.metadata().map_err(at("read", disk))?.len();
    let zeros = frame(&vec![0; PIECE]).map_err(Error::Compress)?;
    let starts: Vec<u64> = (0..size).step_by(PIECE).collect();
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(to).map_err(at("create", to))?);
    // In batches: what waits to be written has to be held.
    for starts in starts.chunks(4 * rayon::current_num_threads()) {
        interrupt.check()?;
        let frames = starts.par_iter().with_max_len(1).map(|start| {
            let len = usize::try_from(size - start).unwrap_or(PIECE).min(PIECE);
            if len == PIECE && is_hole(&source, *start) {
                return Ok(None);
            }
            let mut piece = vec![0; len];
            source.read_exact_at(&mut piece, *start).map_err(at("read", disk))?;
            frame(&piece).map(Some).map_err(Error::Compress)
        });
        for frame in frames.collect::<Result<Vec<_>, Error>>()? {
            out.write_all(frame.as_ref().unwrap_or(&zeros)).map_err(at("write", to))?;
        }
    }
    out.flush().map_err(at("write", to))?;
    Ok(())
}

/// One piece as a frame, with its size and a checksum.
fn frame(piece: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.include_contentsize(true)?;
    compressor.compress(piece)
}

/// Whether a whole piece is a hole. File systems that cannot tell say no, and the
/// zeros are read: the frame is the same.
fn is_hole(file: &File, start: u64) -> bool {
    match seek(file, SeekFrom::Data(start)) {
        Ok(data) => data >= start + PIECE as u64,
        Err(error) => error == rustix::io::Errno::NXIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A disk with data at its start, across the border of two pieces, and at its end
    /// in the middle of a piece.
    fn disk(path: &Path, holes: bool) -> Vec<u8> {
        let mut bytes = vec![0; 5 * PIECE + 4096];
        bytes[..9].copy_from_slice(b"the start");
        bytes[3 * PIECE - 4..3 * PIECE + 4].copy_from_slice(b"a border");
        bytes.last_chunk_mut::<7>().unwrap().copy_from_slice(b"the end");
        if holes {
            let file = crate::output::SparseFile::create(path, bytes.len() as u64).unwrap();
            file.write_at(0, &bytes).unwrap();
        } else {
            std::fs::write(path, &bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn zstd_reads_it_and_neither_holes_nor_threads_change_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let bytes = disk(&path("sparse"), true);
        disk(&path("full"), false);
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for (name, threads) in [("sparse", 1), ("full", 3)] {
            let to = path(&format!("{name}.zst"));
            pool(threads).install(|| write(&path(name), &to, &Interrupt::new())).unwrap();
        }
        let made = std::fs::read(path("sparse.zst")).unwrap();
        assert!(made == std::fs::read(path("full.zst")).unwrap());
        assert!(made.len() < 20_000, "{} bytes", made.len());
        let out = Command::new("zstd").args(["-dc", "--"]).arg(path("sparse.zst")).output();
        let out = out.expect("zstd is missing: install the package zstd");
        assert!(out.status.success() && out.stdout == bytes, "{}", String::from_utf8_lossy(&out.stderr));
    }

    #[test]
    fn ctrl_c_stops_it() {
        let dir = tempfile::tempdir().unwrap();
        disk(&dir.path().join("disk"), true);
        let interrupt = Interrupt::new();
        interrupt.set();
        let stopped = write(&dir.path().join("disk"), &dir.path().join("to"), &interrupt);
        assert!(matches!(stopped, Err(Error::Interrupted(_))), "{stopped:?}");
    }
}
