//! What is known of documents from the compilations before, kept beside them. Without it, or when it is
//! damaged or another key's, they are read.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::before::bounded;
use metadata::fleet::before::Verified;
use metadata::fleet::sign::Signer;

/// Its name in the output directory.
const NAME: &str = ".compiled";

/// Longest that is read, in bytes: half a million documents with scripts.
const MAX: u64 = 128 << 20;

/// It; nobody else compiles into the directory while it is there.
#[derive(Debug)]
pub(super) struct Memory(Option<File>);

impl Memory {
    /// Waits for who compiles into this directory. One that is not there, or is not writable, has none.
    pub(super) fn open(output: &Path) -> Self {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default());
        let file = options.open(output.join(NAME)).ok();
        // File systems without locks: as if nobody did.
        file.iter().for_each(|file| flock(file, FlockOperation::LockExclusive).unwrap_or_default());
        Self(file)
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn read(&mut self, signer: &Signer) -> Verified {
        let bytes = self.0.as_mut().and_then(|file| bounded(file, MAX).ok());
        bytes.map(|bytes| Verified::parse(&bytes, signer)).unwrap_or_default()
    }

    /// Half of it is as none.
    pub(super) fn write(&mut self, verified: &Verified, signer: &Signer) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(&verified.to_bytes(signer))
    }
}
