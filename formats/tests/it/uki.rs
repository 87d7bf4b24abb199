//! Judge: binutils read the images we make from Debian's systemd-stub.
#![cfg(feature = "write")]

use std::path::Path;
use std::process::Command;

use formats::{pe, uki};

const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

fn stub() -> Vec<u8> {
    std::fs::read(STUB).expect("systemd-stub is needed: apt-get install systemd-boot-efi")
}

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).env("LC_ALL", "C").output();
    let out = out.unwrap_or_else(|e| panic!("{program} is needed: apt-get install binutils ({e})"));
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const LINUX: [u8; 5000] = [7; 5000];
const INITRD: [u8; 777] = [9; 777];

fn parts() -> uki::Parts<'static> {
    uki::Parts {
        os_release: b"ID=sledos\n",
        cmdline: "console=ttyS0 sledos.usrhash=00",
        uname: "6.1.0-1-amd64",
        linux: &LINUX,
        initrd: &INITRD,
        ..uki::Parts::default()
    }
}

#[test]
fn binutils_find_every_section() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.efi");
    let image = uki::build(&stub(), &parts()).unwrap();
    assert_eq!(image, uki::build(&stub(), &parts()).unwrap());
    std::fs::write(&file, &image).unwrap();

    let wanted: [(&str, &[u8]); 5] = [
        (".osrel", b"ID=sledos\n"),
        (".cmdline", b"console=ttyS0 sledos.usrhash=00"),
        (".uname", b"6.1.0-1-amd64"),
        (".initrd", &INITRD),
        (".linux", &LINUX),
    ];
    for (name, bytes) in wanted {
        let out = dir.path().join("section");
        run("objcopy", &["-O", "binary", "--only-section", name, text(&file), text(&out)]);
        // objcopy gives the padded section of the file.
        let section = std::fs::read(&out).unwrap();
        assert_eq!(section.get(..bytes.len()), Some(bytes), "{name}");
        assert!(section[bytes.len()..].iter().all(|b| *b == 0), "{name}: the padding is not zero");
    }

    // Addresses rise without overlap, in the order the headers list the sections.
    let headers = run("objdump", &["-h", text(&file)]);
    let mut end = 0;
    let mut names = Vec::new();
    for line in headers.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [number, name, size, address, ..] = words[..] else { continue };
        if number.parse::<u32>().is_err() {
            continue;
        }
        let hex = |s| u64::from_str_radix(s, 16).unwrap();
        assert!(hex(address) >= end, "{name} overlaps what is before it:\n{headers}");
        end = hex(address) + hex(size);
        names.push(name.to_owned());
    }
    assert!(names.ends_with(&wanted.map(|(name, _)| name.to_owned())), "{names:?}");

    let private = run("objdump", &["-p", text(&file)]);
    let field = |name: &str| {
        let line = private.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
        line.split_whitespace().last().unwrap().to_owned()
    };
    let size = u64::from_str_radix(&field("SizeOfImage"), 16).unwrap();
    let alignment = u64::from_str_radix(&field("SectionAlignment"), 16).unwrap();
    assert_eq!(size, end.next_multiple_of(alignment));
}

#[test]
fn our_reader_gives_the_parts_back() {
    let image = uki::build(&stub(), &parts()).unwrap();
    let sections = uki::sections(&image).unwrap();
    let get = |name: &str| sections.iter().find(|s| s.name == name).unwrap().data;
    assert_eq!(get(".cmdline"), parts().cmdline.as_bytes());
    assert_eq!(get(".linux"), LINUX);
    assert_eq!(get(".initrd"), INITRD);
    assert!(sections.iter().all(|s| s.name != ".splash"));
}

#[test]
fn the_checksum_is_what_the_format_says() {
    // Added up the slow way: all words but the checksum's own, folded at the end.
    let image = uki::build(&stub(), &parts()).unwrap();
    let at = u32::from_le_bytes(image[0x3c..0x40].try_into().unwrap()) as usize + 24 + 64;
    let stored = u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    let mut sum: u64 = image
        .chunks(2)
        .enumerate()
        .filter(|(n, _)| n * 2 != at && n * 2 != at + 2)
        .map(|(_, w)| u64::from(w[0]) | u64::from(w.get(1).copied().unwrap_or(0)) << 8)
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    assert_eq!(u64::from(stored), sum + image.len() as u64);
    assert_ne!(stored, 0);
}

#[test]
fn what_cannot_be_built() {
    let stub = stub();
    let add = |sections: &[(&str, &[u8])]| pe::add_sections(&stub, sections).unwrap_err();
    assert!(matches!(add(&[(".sbat", b"x")]), pe::Error::Duplicate(name) if name == ".sbat"));
    assert!(matches!(add(&[(".a", b"x"), (".a", b"x")]), pe::Error::Duplicate(_)));
    assert!(matches!(add(&[(".ninebyte", b"x")]), pe::Error::BadName(_)));
    let names: Vec<String> = (0..40).map(|n| format!(".n{n}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b"x"[..])).collect();
    assert!(matches!(add(&many), pe::Error::NoRoom { room, wanted: 40 } if room >= 5), "{:?}", add(&many));
    assert!(matches!(uki::sections(b"MZ no image"), Err(pe::Error::NotPe(_))));
    assert!(matches!(pe::add_sections(&stub[..0x9000], &[(".a", b"x")]), Err(pe::Error::NotPe(_))));
}

#[test]
fn damaged_headers_never_panic() {
    let stub = stub();
    for at in 0..0x400 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = stub.clone();
            damaged[at] = value;
            let _ = pe::add_sections(&damaged, &[(".cmdline", b"x"), (".linux", &LINUX)]);
        }
    }
}
