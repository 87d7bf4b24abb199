//! `usr.squashfs` and `usr.verity`: unsquashfs and veritysetup.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use qemu_tests::judge;

use super::support::{artefact, manifest, scratch, unsquashed};

#[test]
fn unsquashfs_reads_all_of_it() {
    let manifest = manifest();
    let file = artefact("usr.squashfs");
    let about = judge::run("squashfs-tools", "unsquashfs", ["-s".as_ref(), file.as_os_str()]);
    for line in ["Compression zstd", &format!("Block size {}", manifest.inputs.block_size)] {
        assert!(about.lines().any(|l| l == line), "no {line} in\n{about}");
    }
    let listed = judge::run("squashfs-tools", "unsquashfs", ["-lls".as_ref(), file.as_os_str()]);
    let listed = listed.lines().filter(|line| line.contains(" squashfs-root")).count();

    // Every file is there, with the image's time.
    let (mut found, mut todo) = (0, vec![unsquashed().join("usr")]);
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).expect("it was unpacked a moment ago");
        assert_eq!(meta.mtime(), manifest.time, "{}", path.display());
        found += 1;
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("it was unpacked a moment ago");
            todo.extend(entries.map(|entry| entry.expect("it can be read").path()));
        }
    }
    assert_eq!(found, listed);
    assert!(found > 5000, "{found} files are no system");
    let capability = judge::run("libcap2-bin", "getcap", [unsquashed().join("usr/bin/ping")]);
    assert!(capability.trim_end().ends_with("ping cap_net_raw=ep"), "{capability}");
}

#[test]
fn veritysetup_accepts_it_and_refuses_one_flipped_bit() {
    let (data, tree) = (artefact("usr.squashfs"), artefact("usr.verity"));
    let root_hash = manifest().root_hash;
    let arguments = [data.as_os_str(), tree.as_os_str(), root_hash.as_ref()];
    let verify = |arguments: [&std::ffi::OsStr; 3]| {
        judge::run("cryptsetup-bin", "veritysetup", ["verify".as_ref()].into_iter().chain(arguments))
    };
    verify(arguments);

    let damaged = scratch("verity").join("usr.squashfs");
    fs::copy(&data, &damaged).expect("there is room");
    let file = File::options().read(true).write(true).open(&damaged).expect("it is ours");
    let (mut byte, at) = ([0], file.metadata().expect("it is open").len() / 3);
    file.read_exact_at(&mut byte, at).expect("within the file");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("within the file");
    let refused = std::panic::catch_unwind(|| verify([damaged.as_os_str(), arguments[1], arguments[2]]));
    let said = *refused.expect_err("damage was accepted").downcast::<String>().expect("judge says why");
    assert!(
        said.contains("Verification failed at position") || said.contains("Verification of data area failed"),
        "{said}"
    );
}
