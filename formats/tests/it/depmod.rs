//! Judge: depmod, on modules made to be awkward. Real ones are tried by the builder's tests.
#![cfg(feature = "write")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use formats::modules::graph::{Graph, Module};
use formats::modules::{depmod, elf, lists, name_of_file};

fn run(program: &str, package: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).env("LC_ALL", "C").output();
    let out = out.unwrap_or_else(|e| panic!("{program} is needed: apt-get install {package} ({e})"));
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Assembles a module from its `.modinfo` strings, exported and imported symbols.
fn assemble(file: &Path, modinfo: &[&str], exports: &[&str], imports: &[&str]) {
    let mut source = String::from(".section .modinfo,\"a\"\n");
    for field in modinfo {
        source.push_str(&format!(".asciz \"{field}\"\n"));
    }
    source.push_str(".section __kcrctab,\"a\"\n");
    for symbol in exports {
        source.push_str(&format!("__crc_{symbol}: .long 1\n"));
    }
    source.push_str(".data\n");
    for symbol in imports {
        source.push_str(&format!(".quad {symbol}\n"));
    }
    let text = file.with_extension("s");
    fs::write(&text, source).unwrap();
    // Keeps symbols with a leading `.L` out of the way and the local ones in.
    run("as", "binutils", &["-o", file.to_str().unwrap(), text.to_str().unwrap()]);
    fs::remove_file(text).unwrap();
}

const BUILTIN: &str = "kernel/fs/binfmt-elf.ko\nkernel/drivers/tty/8250/8250.ko\n";
const BUILTIN_MODINFO: &[u8] =
    b"a_b.alias=fs-a-b\0a_b.license=GPL\0c.alias=fs-a-b\0c.alias=usb:v[0-9]-x\0d.alias=bad]\0";

#[test]
fn awkward_modules() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("lib/modules/1.2.3");
    let at = |path: &str| {
        let file = base.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        file
    };
    assemble(
        &at("kernel/z-last.ko"),
        &[
            "name=z_last",
            "alias=pci:v*d*",
            "alias=a-b[0-9-]c-d",
            "alias=broken[1",
            "alias=twice",
            "alias=twice",
        ],
        &["z_symbol", "shared"],
        &["printk"],
    );
    assemble(
        &at("kernel/fs/user.ko"),
        &[
            "name=user",
            "alias=devname:mapper/x-y",
            "alias=char-major-10-236",
            "softdep=pre: a b post: c",
            "alias=twice",
        ],
        &["user_symbol", "shared"],
        &["z_symbol", "middle_symbol", "nowhere"],
    );
    assemble(&at("kernel/middle.ko"), &["depends=z-last", "alias=tw"], &["middle_symbol"], &["z_symbol"]);
    assemble(
        &at("kernel/alone.ko"),
        &["alias=block-major-7-*", "alias=devname:loop-control", "alias=t"],
        &[],
        &[],
    );
    // Not in the order file, and needs one that is.
    assemble(&at("extra/late.ko"), &["alias=late"], &["zz"], &["user_symbol"]);
    let order = "kernel/fs/user.ko\nkernel/alone.ko\nkernel/gone.ko\nkernel/middle.ko\nkernel/z-last.ko\n";
    fs::write(at("modules.order"), order).unwrap();
    fs::write(at("modules.builtin"), BUILTIN).unwrap();
    fs::write(at("modules.builtin.modinfo"), BUILTIN_MODINFO).unwrap();
    run("depmod", "kmod", &["-b", dir.path().to_str().unwrap(), "1.2.3"]);

    let files = ["extra/late", "kernel/alone", "kernel/fs/user", "kernel/middle", "kernel/z-last"];
    let modules = files.map(|file| {
        let path = format!("{file}.ko");
        let info = Arc::new(elf::parse(&fs::read(base.join(&path)).unwrap()).unwrap());
        Module { name: name_of_file(&path).unwrap(), path, info }
    });
    let graph = Graph::new(modules.to_vec(), lists::order(order)).unwrap();
    for (name, ours) in depmod::files(&graph, BUILTIN, BUILTIN_MODINFO).unwrap() {
        let theirs = fs::read(base.join(name)).unwrap();
        let lines = |bytes: &[u8]| {
            let mut lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
            if name == "modules.symbols" {
                lines.sort();
            }
            lines
        };
        assert_eq!(lines(&ours), lines(&theirs), "{name}");
        assert!(name == "modules.symbols" || ours == theirs, "{name}");
    }
}

#[test]
fn damaged_modules_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.ko");
    assemble(&file, &["name=m", "alias=a"], &["s"], &["t"]);
    let good = fs::read(&file).unwrap();
    assert_eq!(elf::parse(&good).unwrap().aliases, ["a"]);
    for at in 0..good.len() {
        let _ = elf::parse(&good[..at]);
        for value in [0, 0x7f, 0xff] {
            let mut damaged = good.clone();
            damaged[at] = value;
            let _ = elf::parse(&damaged);
        }
    }
    let without = good.windows(8).position(|w| w == b".modinfo").unwrap();
    let mut renamed = good.clone();
    renamed[without] = b'x';
    assert_eq!(elf::parse(&renamed), Err(elf::Error::NoModinfo));
}
