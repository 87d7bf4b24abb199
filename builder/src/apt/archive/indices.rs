//! Index files: from the cache, or by the first of their addresses that some mirror has.

use std::fs;

use super::layout::Address;
use super::{Error, Opener, is_missing};
use crate::apt::fetch::{self, Wanted};
use crate::apt::index;
use crate::apt::sources::MirrorList;

/// What to do when an index that is in the release is nowhere.
const GONE: &str = "The mirror is incomplete or just being updated: try again later, or take another one";

impl Opener<'_> {
    /// The text of the index that has these addresses; there is at least one.
    pub(super) fn index(
        &self,
        what: &str,
        addresses: &[Address],
        mirrors: &MirrorList,
    ) -> Result<String, Error> {
        let decompress = |bytes: &[u8], address: &Address| {
            let text = index::decompress(bytes, address.compression);
            text.map_err(|source| Error::Index { name: what.to_owned(), source })
        };
        for address in addresses {
            // Damaged files in the cache are fetched again.
            if let Ok(bytes) = fs::read(self.kept(address))
                && address.file.hash.fits(&bytes)
            {
                return decompress(&bytes, address);
            }
        }
        let mut failed: Vec<fetch::Attempt> = Vec::new();
        for address in addresses {
            match self.fetched(what, address, mirrors) {
                Ok(bytes) => return decompress(&bytes, address),
                Err(Error::Fetch(missing)) if is_missing(&missing) => {
                    if let fetch::Error::Mirrors { attempts, .. } = missing {
                        failed.extend(attempts);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(fetch::Error::Mirrors { what: what.to_owned(), gone: GONE, attempts: failed }.into())
    }

    /// `CACHE/indices/<hash>`.
    fn kept(&self, address: &Address) -> std::path::PathBuf {
        self.cache.join("indices").join(address.file.hash.hex())
    }

    fn fetched(&self, what: &str, address: &Address, mirrors: &MirrorList) -> Result<Vec<u8>, Error> {
        let file = address.file;
        let limit = file.size.min(index::LIMIT);
        self.progress.expected(1, file.size);
        let wanted = Wanted { what, limit, hash: Some(file.hash), gone: GONE };
        let (bytes, _) = self.client.small(wanted, mirrors, &address.path)?;
        self.progress.downloaded(file.size);
        let (dir, at) = (self.cache.join("indices"), self.kept(address));
        let write = || {
            fs::create_dir_all(&dir)?;
            let mut temporary = tempfile::NamedTempFile::new_in(&dir)?;
            std::io::Write::write_all(&mut temporary, &bytes)?;
            temporary.persist(&at).map_err(|error| error.error)
        };
        write().map_err(|source| Error::Cache { file: at.clone(), source })?;
        self.progress.finished(what);
        Ok(bytes)
    }
}
