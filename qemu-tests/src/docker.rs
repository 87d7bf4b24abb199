//! A container image of one static binary, as `docker load` takes it
//! (Docker Image Specification v1.2: manifest.json, a config, one layer tar).

use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// Compiles a static program from this source.
///
/// # Panics
/// When rustc fails.
pub fn program(text: &str, dir: &Path) -> Vec<u8> {
    let (source, binary) = (dir.join("hello.rs"), dir.join("hello"));
    std::fs::write(&source, text).expect("writing the program");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args(["-Ctarget-feature=+crt-static", "-Cstrip=symbols", "-o"])
        .args([&binary, &source])
        .status()
        .expect("rustc is there: this test was compiled by it");
    assert!(status.success(), "compiling the container's program");
    std::fs::read(binary).expect("rustc wrote it")
}

/// The tar of an image `name:latest` whose entry point is that binary.
pub fn image(name: &str, binary: &[u8]) -> Vec<u8> {
    let layer = tar([("hello", binary)]);
    let id = hex(&Sha256::digest(&layer));
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Entrypoint": ["/hello"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{id}")] },
    })
    .to_string();
    let manifest = serde_json::json!([{
        "Config": "config.json", "RepoTags": [format!("{name}:latest")], "Layers": ["layer.tar"],
    }])
    .to_string();
    tar([("config.json", config.as_bytes()), ("layer.tar", &layer), ("manifest.json", manifest.as_bytes())])
}

fn tar<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, data).expect("a Vec takes everything");
    }
    tar.into_inner().expect("a Vec takes everything")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
