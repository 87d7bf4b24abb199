//! `SHA256SUMS` and `disk.raw`: sha256sum, sgdisk, e2fsck, fsck.fat, mtools.

use std::fs;

use qemu_tests::judge;

use super::support::{
    artefact, dpkg_root, extract, image, manifest, partition, same_bytes, scratch, sha256_of_file, shell,
};

#[test]
fn sha256sum_agrees_and_knows_every_file() {
    let said = shell("coreutils", "cd \"$0\" && sha256sum --strict --check SHA256SUMS", &[&image().dir]);
    let mut checked: Vec<_> = said.lines().filter_map(|line| line.strip_suffix(": OK")).collect();
    checked.push("SHA256SUMS");
    checked.sort_unstable();
    let files = fs::read_dir(&image().dir).expect("the image is a directory");
    let mut files: Vec<_> = files.map(|f| f.expect("it can be read").file_name()).collect();
    files.sort_unstable();
    assert_eq!(checked, files);
    for (name, promised) in manifest().artefacts {
        assert_eq!(sha256_of_file(&artefact(&name)), promised.sha256, "{name}");
        assert_eq!(fs::metadata(artefact(&name)).expect("it is there").len(), promised.size, "{name}");
    }
}

#[test]
fn zstd_unpacks_the_compressed_disk_to_the_same_bytes() {
    let (disk, compressed) = (artefact("disk.raw"), artefact("disk.raw.zst"));
    shell("zstd", "zstd -qdc \"$0\" | cmp - \"$1\"", &[&compressed, &disk]);
    // Fewer bytes than the parts with content together: holes cost next to nothing.
    let size = |name: &str| manifest().artefacts[name].size;
    let content = size("usr.squashfs") + size("usr.verity") + 2 * size("compute.efi");
    assert!(size("disk.raw.zst") < content, "{} of {content} bytes", size("disk.raw.zst"));
}

#[test]
fn sgdisk_finds_the_partitions_of_the_manifest() {
    let disk = artefact("disk.raw");
    let disk = disk.to_str().expect("cargo's directories are UTF-8");
    let verdict = judge::run("gdisk", "sgdisk", ["--verify", disk]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    // UEFI specification 2.10, table 5.7; Discoverable Partitions Specification.
    let (esp, data) = ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "0FC63DAF-8483-4772-8E79-3D69D8477DE4");
    let (usr, verity) = ("8484680C-9521-48C6-9C11-B0720656F69E", "77FF5F63-E7B6-4633-ACF4-1565B864C0E6");
    let expected = [
        ("EFI-SYSTEM", esp),
        ("USR-A", usr),
        ("USR-A-VERITY", verity),
        ("USR-B", usr),
        ("USR-B-VERITY", verity),
        ("OEM", data),
        ("ROOT", data),
    ];
    let manifest = manifest();
    assert_eq!(manifest.partitions.len(), expected.len());
    for (promised, (label, kind)) in manifest.partitions.iter().zip(expected) {
        let info = judge::run("gdisk", "sgdisk", [&format!("--info={}", promised.number), disk]);
        let field = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_else(|| panic!("no {name} in {info}"))
        };
        let first = |name| field(name).split(' ').next().expect("a split has a first part");
        let sector = |name| first(name).parse::<u64>().expect("a number of sectors");
        assert_eq!(field("Partition name"), format!("'{label}'"));
        assert_eq!((first("Partition GUID code"), &*promised.r#type.to_uppercase()), (kind, kind));
        assert_eq!(field("Partition unique GUID"), promised.uuid.to_uppercase());
        let (start, end) = (sector("First sector") * 512, (sector("Last sector") + 1) * 512);
        assert_eq!((start, end - start), (promised.start, promised.size), "{label}");
    }
    // The root hash is the identity of /usr and of its verity tree.
    let halves: String = ["USR-A", "USR-A-VERITY"].map(|p| partition(p).uuid.replace('-', "")).concat();
    assert_eq!(halves, manifest.root_hash);
}

#[test]
fn the_slots_hold_the_artefacts() {
    let disk = artefact("disk.raw");
    assert!(same_bytes(&disk, partition("USR-A").start, &artefact("usr.squashfs")));
    assert!(same_bytes(&disk, partition("USR-A-VERITY").start, &artefact("usr.verity")));
}

#[test]
fn e2fsck_finds_no_fault_in_oem_and_root() {
    let dir = scratch("ext4");
    for label in ["OEM", "ROOT"] {
        let (part, file) = (partition(label), dir.join(label));
        extract(&artefact("disk.raw"), part.start, part.size, &file);
        let file = file.to_str().expect("cargo's directories are UTF-8");
        let said = judge::run("e2fsprogs", "e2fsck", ["-f", "-n", file]);
        assert!(!said.contains("Fix?") && said.contains("Pass 5"), "{said}");
        let about = judge::run("e2fsprogs", "dumpe2fs", ["-h", file]);
        let field = |name: &str| {
            let value = about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_else(|| panic!("no {name} in {about}")).trim().to_owned()
        };
        assert_eq!((&*field("Filesystem volume name"), &*field("Filesystem state")), (label, "clean"));
        let size = |name| field(name).parse::<u64>().expect("a number");
        assert_eq!(size("Block count") * size("Block size"), part.size);
    }
}

#[test]
fn the_esp_is_sound_and_boots_the_uki() {
    let (part, dir) = (partition("EFI-SYSTEM"), scratch("esp"));
    let esp = dir.join("esp");
    extract(&artefact("disk.raw"), part.start, part.size, &esp);
    let text = esp.to_str().expect("cargo's directories are UTF-8");
    judge::run("dosfstools", "fsck.fat", ["-n", "-v", text]);
    let listed = judge::run("mtools", "mdir", ["-/", "-b", "-i", text, "::"]);
    let mut listed: Vec<_> = listed.lines().filter(|line| !line.ends_with('/')).collect();
    listed.sort_unstable();
    let manifest = manifest();
    let hash = &manifest.root_hash[..16];
    let uki = format!("::/EFI/Linux/{}_{}_{hash}+3.efi", manifest.image, manifest.version);
    let (removable, installed) = ("::/EFI/BOOT/BOOTX64.EFI", "::/EFI/systemd/systemd-bootx64.efi");
    assert_eq!(listed, [removable, &uki, installed, "::/loader/loader.conf"]);
    let loader = dpkg_root().join("usr/lib/systemd/boot/efi/systemd-bootx64.efi");
    let copies = [
        (removable, loader.clone()),
        (installed, loader),
        (&uki, artefact(&format!("{}.efi", manifest.image))),
    ];
    for (on_esp, wanted) in copies {
        let out = dir.join("file");
        let _ = fs::remove_file(&out);
        judge::run("mtools", "mcopy", ["-i", text, on_esp, out.to_str().expect("as above")]);
        assert_eq!(sha256_of_file(&out), sha256_of_file(&wanted), "{on_esp}");
    }
}
