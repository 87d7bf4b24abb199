//! Partition tables, judged by sgdisk and sfdisk, and read back after damage.
#![cfg(feature = "write")]

use std::fs::File;
use std::io::{Cursor, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::judge::run;
use formats::gpt::{
    ALIGNMENT, Guid, HeaderError, Partition, Plan, ReadError, Source, WriteError, lay_out, read, types, write,
};
use proptest::prelude::*;

fn guid(n: u8) -> Guid {
    let mut uuid = [0x11; 16];
    uuid[0] = n;
    Guid::from_uuid(uuid)
}

fn partition(number: u32, name: &str, type_guid: Guid, size: u64) -> Partition {
    let guid = guid(u8::try_from(number).unwrap());
    Partition { number, name: name.into(), type_guid, guid, start: 0, size, attributes: 0 }
}

/// A table with a gap in its numbers and partitions out of their order.
fn plan(sector_size: u32) -> Plan {
    let mut partitions = vec![
        partition(1, "EFI-SYSTEM", types::ESP, 64 << 20),
        partition(3, "USR-A-VERITY", types::USR_X86_64_VERITY, (3 << 20) + 4096),
        partition(2, "USR-A", types::USR_X86_64, 100 << 20),
        partition(9, "ROOT \u{fc} 36 units long \u{1f680} 0123456789a", types::LINUX_GENERIC, 10 << 20),
    ];
    partitions[2].attributes = 1 << 60 | 1 << 59 | 1;
    let disk_size = lay_out(&mut partitions).unwrap();
    Plan { disk_size, sector_size, disk_guid: guid(0xff), partitions }
}

fn image(dir: &Path, plan: &Plan) -> PathBuf {
    let image = dir.join("disk.img");
    let mut file = File::create(&image).unwrap();
    write(&mut file, plan).unwrap();
    image
}

fn bytes(plan: &Plan) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(&mut out, plan).unwrap();
    let mut bytes = out.into_inner();
    bytes.resize(usize::try_from(plan.disk_size).unwrap(), 0);
    bytes
}

fn read_bytes(disk: &[u8], sector_size: u32) -> Result<formats::gpt::Table, ReadError> {
    read(disk.len() as u64, sector_size, |at, buf| {
        let at = usize::try_from(at).unwrap();
        assert!(at + buf.len() <= disk.len(), "asked for {} bytes at {at}, past the end", buf.len());
        buf.copy_from_slice(&disk[at..at + buf.len()]);
        Ok(())
    })
}

#[test]
fn sgdisk_and_sfdisk_agree() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(512);
    let image = image(dir.path(), &plan);
    assert_eq!(std::fs::metadata(&image).unwrap().len(), plan.disk_size, "the backup ends the disk");
    let said = run("gdisk", "sgdisk", &["-v".as_ref(), image.as_ref()]);
    assert!(said.contains("No problems found."), "{said}");
    for p in &plan.partitions {
        let info = run("gdisk", "sgdisk", &["-i".as_ref(), p.number.to_string().as_ref(), image.as_ref()]);
        for line in [
            format!("Partition GUID code: {}", p.type_guid.to_string().to_uppercase()),
            format!("Partition unique GUID: {}", p.guid.to_string().to_uppercase()),
            format!("First sector: {} ", p.start / 512),
            format!("Last sector: {} ", (p.start + p.size) / 512 - 1),
            format!("Partition size: {} sectors", p.size / 512),
            format!("Attribute flags: {:016X}", p.attributes),
        ] {
            assert!(info.contains(&line), "no {line:?} in {info}");
        }
    }
    let dump = run("fdisk", "sfdisk", &["--dump".as_ref(), image.as_ref()]);
    assert!(dump.contains(&format!("label-id: {}", plan.disk_guid.to_string().to_uppercase())), "{dump}");
    assert_eq!(dump.lines().filter(|l| l.contains(" : start=")).count(), plan.partitions.len(), "{dump}");
    for number in [1, 2, 3, 9] {
        assert!(dump.contains(&format!("disk.img{number} : start=")), "{dump}");
    }
    for p in &plan.partitions {
        // sgdisk garbles some names; sfdisk writes what is not ASCII as \xNN.
        let name: String = p
            .name
            .bytes()
            .map(|b| if b.is_ascii() { char::from(b).to_string() } else { format!("\\x{b:02x}") })
            .collect();
        assert!(dump.contains(&format!("name=\"{name}\"")), "no {name:?} in {dump}");
    }
}

#[test]
fn a_disk_of_more_than_2_tib() {
    let dir = tempfile::tempdir().unwrap();
    let large = Plan { disk_size: 6 << 40, ..plan(512) };
    let at = image(dir.path(), &large);
    let said = run("gdisk", "sgdisk", &["-v".as_ref(), at.as_ref()]);
    assert!(said.contains("No problems found."), "{said}");
}

#[test]
fn both_copies_come_back_and_writes_are_identical() {
    for sector_size in [512, 4096] {
        let plan = plan(sector_size);
        let mut disk = bytes(&plan);
        assert!(disk == bytes(&plan));
        let mut expected = plan.partitions.clone();
        expected.sort_by_key(|p| p.number);
        let table = read_bytes(&disk, sector_size).unwrap();
        assert_eq!((&table.partitions, table.source), (&expected, Source::Primary));
        assert_eq!(table.disk_guid, plan.disk_guid);
        disk[usize::try_from(sector_size).unwrap()] ^= 1;
        let table = read_bytes(&disk, sector_size).unwrap();
        assert_eq!((&table.partitions, table.source), (&expected, Source::Backup));
    }
}

#[test]
fn a_disk_within_a_file_starts_where_the_file_stands() {
    let plan = plan(512);
    let mut out = Cursor::new(vec![0xaa; 1000]);
    out.seek(SeekFrom::Start(1000)).unwrap();
    write(&mut out, &plan).unwrap();
    let mut disk = out.into_inner().split_off(1000);
    disk.resize(usize::try_from(plan.disk_size).unwrap(), 0);
    assert!(disk == bytes(&plan));
}

/// Puts the right checksums into both headers of a table of 512-byte sectors.
fn seal(disk: &mut [u8]) {
    let last = disk.len() / 512 - 1;
    for (header, entries) in [(1, 2), (last, last - 32)] {
        let table = crc32(&disk[entries * 512..][..16384]);
        disk[header * 512 + 88..][..4].copy_from_slice(&table.to_le_bytes());
        disk[header * 512 + 16..][..4].fill(0);
        let len = 92;
        let own = crc32(&disk[header * 512..][..len]);
        disk[header * 512 + 16..][..4].copy_from_slice(&own.to_le_bytes());
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg()))
    })
}

/// Changes both copies in the same way; what is then wrong with the primary and with the backup.
fn damage(sealed: bool, change: impl Fn(&mut [u8], &mut [u8])) -> [String; 2] {
    let mut disk = bytes(&plan(512));
    let sectors = disk.len() / 512;
    for (header, entries) in [(1, 2), (sectors - 1, sectors - 33)] {
        let mut h = disk[header * 512..][..512].to_vec();
        let mut e = disk[entries * 512..][..16384].to_vec();
        change(&mut h, &mut e);
        disk[header * 512..][..512].copy_from_slice(&h);
        disk[entries * 512..][..16384].copy_from_slice(&e);
    }
    if sealed {
        seal(&mut disk);
    }
    match read_bytes(&disk, 512).unwrap_err() {
        ReadError::Unusable { primary, backup } => [primary, backup].map(|error| {
            let name = format!("{error:?}");
            name.split([' ', '(']).next().unwrap_or_default().to_owned()
        }),
        other => panic!("{other}"),
    }
}

#[test]
fn one_mutation_one_error() {
    let both = |name: &str| [name.to_owned(), name.to_owned()];
    let put = |at: usize, value: u64, len: usize| {
        move |h: &mut [u8], _: &mut [u8]| h[at..at + len].copy_from_slice(&value.to_le_bytes()[..len])
    };
    let entry = |at: usize, value: u64| {
        move |_: &mut [u8], e: &mut [u8]| e[at..at + 8].copy_from_slice(&value.to_le_bytes())
    };
    assert_eq!(damage(true, put(0, 0, 1)), both("Signature"));
    assert_eq!(damage(true, put(8, 0x2_0000, 4)), both("Revision"));
    assert_eq!(damage(true, put(12, 91, 4)), both("HeaderSize"));
    assert_eq!(damage(true, put(12, 513, 4)), both("HeaderSize"));
    assert_eq!(damage(false, put(56, 7, 1)), both("HeaderChecksum"));
    assert_eq!(damage(true, put(24, 2, 8)), both("WrongPlace"));
    assert_eq!(damage(true, put(40, 1, 8)), both("UsableRange"));
    assert_eq!(damage(true, put(48, 1 << 40, 8)), both("UsableRange"));
    assert_eq!(damage(true, put(84, 64, 4)), both("EntrySize"));
    assert_eq!(damage(true, put(84, 136, 4)), both("EntrySize"));
    assert_eq!(damage(true, put(80, u32::MAX.into(), 4)), both("EntrySize"));
    assert_eq!(damage(true, put(72, u64::MAX, 8)), both("EntriesPlace"));
    assert_eq!(damage(true, put(72, 1, 8)), both("EntriesPlace"));
    assert_eq!(damage(false, entry(128 * 100, 1)), both("EntriesChecksum"));
    assert_eq!(damage(true, entry(32, 1)), both("PartitionRange"));
    assert_eq!(damage(true, entry(40, u64::MAX)), both("PartitionRange"));
}

#[test]
fn overlapping_partitions_are_an_error() {
    // Partition 1 now ends in the middle of partition 3.
    let change = |_: &mut [u8], e: &mut [u8]| e[40..48].copy_from_slice(&133_200_u64.to_le_bytes());
    assert_eq!(damage(true, change), ["Overlap", "Overlap"]);
}

#[test]
fn disks_that_cannot_be_read() {
    assert!(matches!(
        read_bytes(&[], 512),
        Err(ReadError::Unusable { primary: HeaderError::DiskTooSmall, .. })
    ));
    assert!(matches!(read_bytes(&[0; 4096], 0), Err(ReadError::SectorSize(0))));
    let fail = |_: u64, _: &mut [u8]| Err(std::io::ErrorKind::TimedOut.into());
    assert!(matches!(read(1 << 30, 512, fail), Err(ReadError::Unusable { backup: HeaderError::Io(_), .. })));
}

#[test]
fn impossible_plans() {
    let fails = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan(512);
        change(&mut plan);
        let mut out = Cursor::new(Vec::new());
        let error = write(&mut out, &plan).unwrap_err();
        assert!(out.into_inner().is_empty());
        error
    };
    use WriteError as E;
    assert!(matches!(fails(&|p| p.sector_size = 2048), E::SectorSize(2048)));
    assert!(matches!(fails(&|p| p.disk_size = 67 * 512), E::DiskSize(_)));
    assert!(matches!(fails(&|p| p.disk_size += 1), E::DiskSize(_)));
    assert!(matches!(fails(&|p| p.partitions[0].number = 0), E::Number { number: 0, .. }));
    assert!(matches!(fails(&|p| p.partitions[0].number = 129), E::Number { number: 129, .. }));
    assert!(matches!(fails(&|p| p.partitions[0].number = 9), E::DuplicateNumber(9)));
    assert!(matches!(fails(&|p| p.partitions[0].name = "x".repeat(37)), E::Name(_)));
    assert!(matches!(fails(&|p| p.partitions[0].guid = Guid::default()), E::ZeroGuid(1)));
    assert!(matches!(fails(&|p| p.partitions[0].guid = guid(9)), E::DuplicateGuid(_)));
    assert!(matches!(fails(&|p| p.partitions[0].size = 0), E::Sectors { number: 1, .. }));
    assert!(matches!(fails(&|p| p.partitions[0].start += 1), E::Sectors { number: 1, .. }));
    assert!(matches!(fails(&|p| p.partitions[0].start = 33 * 512), E::OutOfDisk { number: 1, .. }));
    assert!(matches!(fails(&|p| p.partitions[3].size = 1 << 40), E::OutOfDisk { number: 9, .. }));
    assert!(matches!(fails(&|p| p.partitions[0].size += ALIGNMENT), E::Overlap(1, 3)));
    let mut huge = [partition(1, "a", types::ESP, u64::MAX)];
    assert!(matches!(lay_out(&mut huge), Err(E::TooLarge)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    /// Never a panic, and never a read outside the disk (see `read_bytes`).
    #[test]
    fn damaged_tables_do_no_harm(
        changes in prop::collection::vec((0..600_usize, any::<u8>()), 0..6),
        seal_it in any::<bool>(),
        cut in 0..40_usize,
    ) {
        let mut partitions = vec![partition(1, "a", types::ESP, 512), partition(2, "b", types::ESP, 1024)];
        partitions[0].start = 34 * 512;
        partitions[1].start = 40 * 512;
        let plan = Plan { disk_size: 90 * 512, sector_size: 512, disk_guid: guid(1), partitions };
        let mut disk = bytes(&plan);
        for (at, byte) in changes {
            disk[512 + at] = byte;
        }
        if seal_it {
            seal(&mut disk);
        }
        disk.truncate(disk.len() - cut * 512);
        if let Ok(table) = read_bytes(&disk, 512) {
            for p in table.partitions {
                assert!(p.start + p.size <= disk.len() as u64);
            }
        }
        let _ = read_bytes(&disk, 4096);
    }
}
