//! /usr through dm-verity: nothing is read from it that the root hash on the
//! command line does not vouch for.
//!
//! The superblock on the verity partition is not trusted. It only says how to
//! compute; whatever it says, the tree has to lead to the root hash.

use crate::failure::{Code, Failure};
use crate::options::RootHash;
use formats::verity::{Superblock, hex};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use syscalls::dm::{self, Mapper, Table};

/// Name of the mapping, as a Discoverable Partitions system calls it.
pub const NAME: &str = "usr";

/// A device-mapper table in text, planned from the superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// UUID as `veritysetup` gives it, so that its `status` knows the device.
    pub uuid: String,
    /// Length in units of 512 bytes.
    pub sectors: u64,
    /// Parameters of the `verity` target.
    pub params: String,
}

/// Plans the mapping of a filesystem in `bytes` bytes; `name` is the mapping's.
///
/// # Errors
/// [`Code::VeritySuperblock`] when the superblock asks for what cannot be.
pub fn plan(
    name: &str,
    (data, verity): (&str, &str),
    bytes: u64,
    sb: &Superblock,
    hash: &RootHash,
) -> Result<Plan, Failure> {
    if sb.data_bytes() > bytes {
        let detail = format!("{verity} covers {} bytes, {data} has {bytes}", sb.data_bytes());
        return Err(Failure::new(Code::VeritySuperblock, detail));
    }
    Ok(Plan {
        uuid: format!("CRYPT-VERITY-{}-{name}", hex(&sb.uuid)),
        sectors: sb.data_bytes() / 512,
        // The tree begins after the block that the superblock has for itself.
        params: sb.table(data, verity, 1, hash.bytes()),
    })
}

/// Makes the verified device of a /usr; returns its node.
///
/// # Errors
/// [`Code::VeritySuperblock`], [`Code::VerityDevice`].
pub fn open(data: &Path, verity: &Path, bytes: u64, hash: &RootHash) -> Result<String, Failure> {
    open_as(NAME, data, verity, bytes, hash)
}

/// [`open`] for a filesystem that is not /usr; `name` is the mapping's.
///
/// # Errors
/// As [`open`].
pub fn open_as(
    name: &str,
    data: &Path,
    verity: &Path,
    bytes: u64,
    hash: &RootHash,
) -> Result<String, Failure> {
    let (data, verity) = (data.display().to_string(), verity.display().to_string());
    let mut block = [0; 512];
    File::open(&verity)
        .and_then(|file| file.read_exact_at(&mut block, 0))
        .map_err(|e| Failure::new(Code::VeritySuperblock, format!("{verity} does not read ({e})")))?;
    let sb = Superblock::parse(&block)
        .map_err(|e| Failure::new(Code::VeritySuperblock, format!("{verity}: {e}")))?;
    let plan = plan(name, (&data, &verity), bytes, &sb, hash)?;
    let device = Mapper::open()
        .and_then(|mapper| {
            let table = Table { sectors: plan.sectors, target: "verity", params: &plan.params };
            mapper.create_read_only(name, &plan.uuid, &table)
        })
        .map_err(|e| Failure::new(Code::VerityDevice, e))?;
    Ok(format!("/dev/dm-{}", device.minor))
}

/// The option of dm-verity that ends a machine whose /usr does not match, in place of an
/// error to whoever read it: programs that die one by one leave a sled that looks alive.
///
/// Source: Linux `Documentation/admin-guide/device-mapper/verity.rst`, `<opt_params>`.
const PANIC: &str = "panic_on_corruption";

/// From now on a block that does not match ends in a panic, which the watchdog or `panic=`
/// turns into a restart. Until then it is an error, so that the boot can say which /usr is
/// damaged and try another one.
///
/// # Errors
/// The device then goes on as it was.
pub fn panic_when_corrupt() -> Result<(), dm::Error> {
    let mapper = Mapper::open()?;
    let (sectors, params) = mapper.table(NAME)?;
    mapper.reload_read_only(NAME, &Table { sectors, target: "verity", params: &strict(&params) })
}

/// A verity table with [`PANIC`]. Pure.
fn strict(params: &str) -> String {
    // Ten fixed parameters, then a number of options and these.
    let words: Vec<_> = params.split_ascii_whitespace().collect();
    let (fixed, options) = words.split_at(words.len().min(10));
    let mut options: Vec<_> = options.iter().skip(1).copied().filter(|option| *option != PANIC).collect();
    options.push(PANIC);
    format!("{} {} {}", fixed.join(" "), options.len(), options.join(" "))
}

/// Takes the mapping away again, to try another partition.
pub fn close() {
    // If it stays, making the next one fails and says so.
    let _ = Mapper::open().and_then(|mapper| mapper.remove(NAME));
}

/// Whether a block that does not match has been read since the device was made.
pub fn is_corrupt() -> bool {
    Mapper::open().and_then(|mapper| mapper.status(NAME)).is_ok_and(|status| status.starts_with('C'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    const SUPERBLOCK: Superblock = Superblock { uuid: [0xab; 16], data_blocks: 10, salt: [0xff; 32] };

    fn hash() -> RootHash {
        RootHash::of(&Options { usrhash: Some("cd".repeat(32)), ..Options::default() }).unwrap()
    }

    #[test]
    fn the_table_is_veritysetups() {
        let planned = plan(NAME, ("/dev/vda2", "/dev/vda3"), 40_960, &SUPERBLOCK, &hash()).unwrap();
        assert_eq!(planned.uuid, format!("CRYPT-VERITY-{}-usr", "ab".repeat(16)));
        assert_eq!(planned.sectors, 80);
        let (root, salt) = ("cd".repeat(32), "ff".repeat(32));
        let expected = format!("1 /dev/vda2 /dev/vda3 4096 4096 10 1 sha256 {root} {salt}");
        assert_eq!(planned.params, expected);
    }

    #[test]
    fn a_table_read_back_gets_the_option_once() {
        let table = "1 254:2 254:3 4096 4096 10 1 sha256 cd ff";
        let armed = format!("{table} 1 panic_on_corruption");
        assert_eq!(strict(table), armed);
        assert_eq!(strict(&armed), armed);
        let other = format!("{table} 1 check_at_most_once");
        assert_eq!(strict(&other), format!("{table} 2 check_at_most_once panic_on_corruption"));
    }

    #[test]
    fn a_superblock_that_covers_more_than_the_partition_is_refused() {
        for data_blocks in [11, u64::MAX] {
            let sb = Superblock { data_blocks, ..SUPERBLOCK };
            let failure = plan(NAME, ("a", "b"), 40_960, &sb, &hash()).unwrap_err();
            assert_eq!(failure.code, Code::VeritySuperblock);
        }
    }
}
