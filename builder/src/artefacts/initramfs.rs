//! The initramfs: a zstd frame with a cpio archive in it, perhaps with uncompressed
//! archives in front.

use std::io::Read as _;

use formats::cpio;

use super::Error;

/// Bytes that are unpacked at most.
const LIMIT: u64 = 512 << 20;
/// The window the kernel's own decompressor takes at most, as a power of two.
const WINDOW_LOG: u32 = 27;

/// Unpacks and reads an initramfs. `part` names it in messages.
///
/// # Errors
/// When it does not unpack or is no archive.
pub fn read(part: &str, packed: &[u8]) -> Result<cpio::Listing, Error> {
    let archive = unpack(part, packed)?;
    cpio::read(&archive).map_err(|source| Error::Cpio { part: part.to_owned(), source })
}

fn unpack(part: &str, packed: &[u8]) -> Result<Vec<u8>, Error> {
    let (front, packed) = packed.split_at(cpio::prefix(packed));
    let mut archive = front.to_vec();
    let mut unpack = || {
        let mut decoder = zstd::Decoder::new(packed)?;
        decoder.window_log_max(WINDOW_LOG)?;
        decoder.take(LIMIT + 1).read_to_end(&mut archive)
    };
    let result = unpack();
    let offset = archive.len() as u64;
    match result {
        Ok(_) if offset > LIMIT => Err(Error::TooLarge { part: part.to_owned(), limit: LIMIT }),
        Ok(_) => Ok(archive),
        Err(source) => Err(Error::Zstd { part: part.to_owned(), offset, source }),
    }
}
