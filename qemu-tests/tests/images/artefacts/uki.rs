//! The unified kernel image and the files for network boot: binutils.

use std::fs;

use qemu_tests::judge;

use super::support::{artefact, dpkg_root, manifest, scratch, sha256_of_file, unsquashed};

fn uki() -> String {
    let path = artefact(&format!("{}.efi", manifest().image));
    path.to_str().expect("cargo's directories are UTF-8").to_owned()
}

#[test]
fn objdump_finds_every_section_once_and_apart() {
    let headers = judge::run("binutils", "objdump", ["-h", &uki()]);
    // Idx Name Size VMA LMA ...; the line after has the flags.
    let sections: Vec<(&str, u64, u64)> = headers
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() == 7 && fields[0].parse::<u32>().is_ok())
        .map(|f| (f[1], [f[3], f[2]].map(|n| u64::from_str_radix(n, 16).expect("hexadecimal"))))
        .map(|(name, [start, size])| (name, start, size))
        .collect();
    for wanted in [".osrel", ".cmdline", ".uname", ".initrd", ".linux", ".sbat"] {
        assert_eq!(sections.iter().filter(|s| s.0 == wanted).count(), 1, "{wanted} in\n{headers}");
    }
    for pair in sections.windows(2) {
        let [(name, start, size), (next, follows, _)] = pair else { unreachable!("windows of two") };
        assert!(start + size <= *follows, "{name} runs into {next}:\n{headers}");
    }
}

#[test]
fn objcopy_takes_the_artefacts_out_again() {
    let dir = scratch("uki");
    let section = |name: &str| {
        let out = dir.join(name);
        let text = out.to_str().expect("cargo's directories are UTF-8");
        judge::run("binutils", "objcopy", ["-O", "binary", "--only-section", name, &uki(), text]);
        out
    };
    let text = |name| fs::read_to_string(section(name)).expect("this section is text");
    let manifest = manifest();
    for (name, artefact_name) in [(".linux", "vmlinuz"), (".initrd", "initramfs.zst")] {
        assert_eq!(sha256_of_file(&section(name)), sha256_of_file(&artefact(artefact_name)), "{name}");
    }
    assert_eq!(text(".cmdline"), manifest.kernel.cmdline);
    assert_eq!(text(".uname"), manifest.kernel.release);
    let os_release = fs::read_to_string(unsquashed().join("usr/lib/os-release")).expect("/usr has it");
    assert_eq!(text(".osrel"), os_release);
    assert!(os_release.contains(&format!("IMAGE_VERSION=\"{}\"\n", manifest.version)), "{os_release}");
}

#[test]
fn every_way_to_boot_names_the_root_hash() {
    let manifest = manifest();
    let wanted = format!("sledos.usrhash={}", manifest.root_hash);
    let args = |line: &str| line.split(' ').filter(|arg| **arg == wanted).count();
    assert_eq!(args(&manifest.kernel.cmdline), 1);
    let script = fs::read_to_string(artefact("boot.ipxe")).expect("the image has it");
    assert!(script.starts_with("#!ipxe\n"));
    let kernel = script.lines().find(|line| line.starts_with("kernel ")).expect("it boots a kernel");
    assert_eq!(kernel, format!("kernel vmlinuz initrd=initramfs.zst {}", manifest.kernel.cmdline));
}

#[test]
fn the_kernel_is_that_of_the_package() {
    let release = manifest().kernel.release;
    let package = dpkg_root().join(format!("boot/vmlinuz-{release}"));
    assert_eq!(sha256_of_file(&artefact("vmlinuz")), sha256_of_file(&package));
}
