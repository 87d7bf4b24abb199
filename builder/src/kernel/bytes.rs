//! The plain bytes of module files, compressed or not.

use std::io::{self, Read as _};

use formats::tree::{Content, Kind, Tree, TreePath};

/// No module is larger; bounds what a damaged archive can unpack to.
const LIMIT: u64 = 256 << 20;

/// The content behind a regular file or one of its hard links.
pub(super) fn content<'t>(tree: &'t Tree, path: &TreePath) -> Option<&'t Content> {
    match &tree.get(path)?.kind {
        Kind::File(content) => Some(content),
        Kind::Hardlink(target) => match &tree.get(target)?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        },
        _ => None,
    }
}

/// A module as the kernel loads it: what is compressed by name is unpacked.
pub(super) fn module(content: &Content, path: &str) -> io::Result<Vec<u8>> {
    let packed = content.to_vec()?;
    let mut plain = Vec::new();
    if path.ends_with(".xz") {
        liblzma::read::XzDecoder::new(packed.as_slice()).take(LIMIT).read_to_end(&mut plain)?;
    } else if path.ends_with(".zst") {
        zstd::Decoder::new(packed.as_slice())?.take(LIMIT).read_to_end(&mut plain)?;
    } else if path.ends_with(".gz") {
        flate2::read::GzDecoder::new(packed.as_slice()).take(LIMIT).read_to_end(&mut plain)?;
    } else {
        return Ok(packed);
    }
    Ok(plain)
}
