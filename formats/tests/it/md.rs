//! Members of a RAID1, judged by mdadm.

use formats::md::{self, Array};
use std::os::unix::fs::FileExt;

#[test]
fn mdadm_takes_our_members_for_a_clean_array() {
    for size in [256 << 20, 3 << 30, 480_000_000_000_u64 / (64 << 10) * (64 << 10)] {
        let array =
            Array { uuid: *b"0123456789abcdef", name: "root".into(), size, members: 2, time: 1_800_000_000 };
        let dir = tempfile::tempdir().unwrap();
        for number in [0, 1] {
            let path = dir.path().join(format!("member{number}"));
            let file = std::fs::File::create(&path).unwrap();
            file.set_len(size + md::DATA).unwrap();
            file.write_all_at(&md::member(&array, number, [number.to_le_bytes()[0] + 1; 16]), md::SUPERBLOCK)
                .unwrap();
            let path = path.to_str().unwrap();
            let said = super::judge::run("mdadm", "mdadm", &["--examine".as_ref(), path.as_ref()]);
            let says = |name: &str| {
                let line = said.lines().find(|line| line.trim_start().starts_with(name));
                line.and_then(|line| line.split_once(" : ")).map(|(_, value)| value.trim().to_owned())
            };
            let get = |name| says(name).unwrap_or_else(|| panic!("no {name} in {said}"));
            assert_eq!(get("Version"), "1.2", "{said}");
            assert_eq!(get("Raid Level"), "raid1");
            assert_eq!(get("Raid Devices"), "2");
            assert_eq!(get("State"), "clean");
            assert!(get("Checksum").ends_with("- correct"), "{said}");
            assert_eq!(get("Device Role"), format!("Active device {number}"));
            assert!(get("Array State").starts_with("AA"), "{said}");
            assert!(get("Array Size").starts_with(&format!("{} ", size / 1024)), "{said}");
            assert!(get("Name").starts_with("root"), "{said}");
            // By itself, as a file: beside a superblock mdadm asks the kernel.
            let bits = dir.path().join("bitmap");
            std::fs::write(&bits, &md::member(&array, number, [1; 16])[4096..]).unwrap();
            let bitmap = super::judge::run("mdadm", "mdadm", &["--examine-bitmap".as_ref(), bits.as_ref()]);
            assert!(bitmap.contains("Chunksize : 64 MB") && bitmap.contains("0 dirty"), "{bitmap}");
        }
    }
}
