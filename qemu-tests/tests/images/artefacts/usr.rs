//! `usr.squashfs` and `usr.verity`: unsquashfs and veritysetup.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use qemu_tests::judge;

use super::support::{artefact, image, manifest, scratch, unsquashed};

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

/// Merges an extension into /usr with systemd's own tool, in a mount namespace, and says what is there.
const MERGE: &str = "
set -e
mount -t tmpfs -o mode=755 run /run
mkdir -p $ROOT/usr $ROOT/run/extensions/debug $ROOT/etc $ROOT/proc
mount -o loop,ro $IMAGE/usr.squashfs $ROOT/usr
mount -o loop,ro,nosuid,nodev $IMAGE/debug.sysext.squashfs $ROOT/run/extensions/debug
for dir in bin lib lib64 sbin; do ln -s usr/$dir $ROOT/$dir; done
ln -s ../usr/lib/os-release $ROOT/etc/os-release
mount -t proc proc $ROOT/proc
(cd $ROOT/run/extensions/debug && find usr ! -type d) | while read -r path; do
    if [ -e $ROOT/$path ] || [ -L $ROOT/$path ]; then echo both have $path; fi
done
find $ROOT/usr | sort >/run/before
systemd-sysext --root=$ROOT merge
for program in 'strace -V' 'kdig --version' 'jq --version' 'nc -h' 'mtr --version'; do
    chroot $ROOT $program 2>&1 | head -1
done
systemd-sysext --root=$ROOT unmerge
find $ROOT/usr | sort | cmp - /run/before && echo as before
";

#[test]
fn systemd_merges_the_extension_and_its_programs_run() {
    let manifest = manifest();
    let root_hash = &manifest.extensions["debug"].root_hash;
    let [data, tree] = ["squashfs", "verity"].map(|kind| artefact(&format!("debug.sysext.{kind}")));
    judge::run(
        "cryptsetup-bin",
        "veritysetup",
        ["verify".as_ref(), data.as_os_str(), tree.as_os_str(), root_hash.as_ref()],
    );
    let root = scratch("extension");
    let said = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        // What is merged in a namespace of its own comes back to this one.
        .arg(format!("mount --make-rshared /\n{MERGE}"))
        .env("ROOT", root.join("root"))
        .env("IMAGE", &image().dir)
        .output()
        .expect("unshare is in util-linux");
    let text = String::from_utf8_lossy(&said.stdout);
    println!("{text}{}", String::from_utf8_lossy(&said.stderr));
    for line in ["strace -- version", "kdig (Knot DNS)", "jq-1", "OpenBSD netcat", "mtr 0", "as before"] {
        assert!(text.lines().any(|said| said.starts_with(line)), "no {line} in {text}");
    }
    assert!(!text.contains("both have"), "{text}");
}
