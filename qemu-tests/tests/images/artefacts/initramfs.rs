//! `initramfs.zst`: zstd, cpio and readelf.

use std::fs;
use std::path::Path;

use qemu_tests::judge;

use super::support::{dpkg_root, initramfs, initramfs_frame, manifest, sha256_of_file};

/// Every file below a directory, relative to it.
fn files(root: &Path) -> Vec<String> {
    let (mut out, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("it was unpacked a moment ago") {
            let path = entry.expect("it can be read").path();
            match path.is_dir() {
                true => todo.push(path),
                false => {
                    out.push(path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned())
                }
            }
        }
    }
    out.sort_unstable();
    out
}

#[test]
fn it_is_one_sound_archive() {
    let file = initramfs_frame();
    judge::run("zstd", "zstd", ["--test".as_ref(), "--quiet".as_ref(), file.as_os_str()]);
    initramfs();
    let archive = initramfs().with_extension("cpio");
    let script = "cpio --list --verbose --numeric-uid-gid --quiet < \"$0\"";
    let listed = super::support::shell("cpio", script, &[&archive]);
    let line = |name: &str| {
        let found = listed.lines().find(|line| line.ends_with(&format!(" {name}")));
        found.unwrap_or_else(|| panic!("no {name} in\n{listed}"))
    };
    assert!(line("init").starts_with("-rwxr-xr-x"), "{}", line("init"));
    // The kernel opens it as PID 1's standard output.
    let console = line("dev/console");
    assert!(console.starts_with("crw-------") && console.contains(" 5,   1 "), "{console}");
    assert!(line("lib/modules/sledos.index").starts_with("-rw-r--r--"));
    for dir in ["proc", "sys", "run", "sysroot"] {
        assert!(line(dir).starts_with("drwxr-xr-x"), "{}", line(dir));
    }
}

#[test]
fn init_is_a_static_executable() {
    let init = initramfs().join("init");
    let headers = judge::run("binutils", "readelf", ["-lW".as_ref(), init.as_os_str()]);
    assert!(headers.contains("LOAD") && !headers.contains("INTERP"), "{headers}");
    assert_eq!(sha256_of_file(&init), manifest().inputs.init);
}

#[test]
fn modules_and_firmware_are_those_of_the_packages() {
    let release = manifest().kernel.release;
    let root = initramfs();
    let all = files(root);
    let modules: Vec<_> = all.iter().filter(|file| file.ends_with(".ko")).collect();
    let firmware: Vec<_> = all.iter().filter(|file| file.starts_with("lib/firmware/")).collect();
    assert!(modules.len() > 30 && !firmware.is_empty(), "{all:?}");
    for file in modules.iter().chain(&firmware) {
        assert_eq!(sha256_of_file(&root.join(file)), sha256_of_file(&dpkg_root().join(file)), "{file}");
    }
    let below = format!("lib/modules/{release}/kernel/");
    assert!(modules.iter().all(|module| module.starts_with(&below)), "{modules:?}");
    // PID 1 needs these to get to /usr and ROOT.
    for needed in ["fs/squashfs/squashfs", "fs/ext4/ext4", "drivers/md/dm-verity", "drivers/nvme/host/nvme"] {
        assert!(modules.iter().any(|module| **module == format!("{below}{needed}.ko")), "no {needed}");
    }
}
