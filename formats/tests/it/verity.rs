//! The hash tree against `veritysetup`.
#![cfg(feature = "write")]

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use formats::verity::{self, Superblock, hex};

const SALT: [u8; 32] = *b"0123456789abcdef0123456789ABCDEF";
const UUID: [u8; 16] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x47, 0x88, 0x99, 0xaa, 1, 2, 3, 4, 5, 6];
const UUID_TEXT: &str = "11223344-5566-4788-99aa-010203040506";

fn veritysetup(args: &[&str], data: &Path, hash: &Path, root: Option<&str>) -> Output {
    let mut command = Command::new("veritysetup");
    command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").args(args).arg(data).arg(hash).args(root);
    command.output().expect("this test needs veritysetup (Debian package cryptsetup-bin)")
}

/// Bytes that do not repeat from block to block.
fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i / 7 + i / 4096) % 251).unwrap()).collect()
}

fn built(data: &[u8]) -> (verity::Built, Vec<u8>) {
    let built = verity::build(data, SALT, UUID).unwrap();
    let mut bytes = Vec::new();
    built.write(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, 4096 + built.tree_bytes());
    (built, bytes)
}

#[test]
fn same_bytes_as_veritysetup() {
    let dir = tempfile::tempdir().unwrap();
    let (data_file, theirs) = (dir.path().join("data"), dir.path().join("hash"));
    // No level, one to three levels, levels that end on and beside a block, several batches.
    for blocks in [1, 2, 127, 128, 129, 128 * 128 + 1] {
        let data = data(blocks * 4096);
        fs::write(&data_file, &data).unwrap();
        let _ = fs::remove_file(&theirs);
        let args = ["format", "--salt", &hex(&SALT), "--uuid", UUID_TEXT];
        let out = veritysetup(&args, &data_file, &theirs, None);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let said = String::from_utf8(out.stdout).unwrap();
        let root = said.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap().trim();

        let (ours, bytes) = built(&data);
        assert_eq!(hex(&ours.root), root, "{blocks} blocks");
        assert!(bytes == fs::read(&theirs).unwrap(), "{blocks} blocks: hash devices differ");
        assert_eq!(Superblock::parse(&bytes), Ok(ours.superblock));
        assert_eq!(ours.superblock.data_bytes(), data.len() as u64);
    }
}

#[test]
fn veritysetup_verifies_and_notices_one_flipped_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (data_file, hash_file) = (dir.path().join("data"), dir.path().join("hash"));
    let mut data = data(300 * 4096);
    let (ours, bytes) = built(&data);
    let root = hex(&ours.root);
    fs::write(&hash_file, &bytes).unwrap();
    fs::write(&data_file, &data).unwrap();
    let out = veritysetup(&["verify"], &data_file, &hash_file, Some(&root));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let tree = dir.path().join("tree");
    let mut alone = Vec::new();
    ours.write_tree(&mut alone).unwrap();
    fs::write(&tree, alone).unwrap();
    let args = ["verify", "--no-superblock", "--salt", &hex(&SALT), "--data-blocks", "300"];
    let out = veritysetup(&args, &data_file, &tree, Some(&root));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    data[123_456] ^= 4;
    fs::write(&data_file, &data).unwrap();
    assert!(!veritysetup(&["verify"], &data_file, &hash_file, Some(&root)).status.success());
}

#[test]
fn a_last_block_is_filled_with_zeros() {
    let mut data = data(5 * 4096 - 100);
    let short = built(&data).1;
    data.resize(5 * 4096, 0);
    assert!(short == built(&data).1);
}

#[test]
fn no_data_is_an_error() {
    let error = verity::build(io::empty(), SALT, UUID).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
