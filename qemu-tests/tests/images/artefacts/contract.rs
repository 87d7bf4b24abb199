//! The NICs that the manifest promises: modprobe and modinfo.

use std::collections::BTreeSet;
use std::path::Path;

use qemu_tests::judge;
use serde_json::Value;

use super::support::{initramfs, manifest, unsquashed};

/// Drivers that make a bus with their PCI device, and the one for the NIC on it.
const COMPANIONS: [(&str, &str); 2] = [("virtio_pci", "virtio_net"), ("mlx4_core", "mlx4_en")];

fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().unwrap_or_else(|| panic!("{value} is no list"));
    list.iter().map(|item| item.as_str().unwrap_or_else(|| panic!("{item} is no text"))).collect()
}

fn modprobe(args: &[&str]) -> String {
    let root = unsquashed().to_str().expect("cargo's directories are UTF-8");
    let release = manifest().kernel.release;
    // No configuration of the host.
    let fixed = ["--config", "/dev/null", "--set-version", &release, "--dirname", root];
    judge::run("kmod", "modprobe", fixed.iter().chain(args))
}

/// The modules modprobe would load for one, as the manifest writes them. Modules
/// built into the kernel come first in its output as `builtin NAME`.
fn loaded_for(driver: &str, modules: &Path) -> BTreeSet<String> {
    let prefix = modules.to_str().expect("cargo's directories are UTF-8");
    let said = modprobe(&["--show-depends", driver]);
    let files = said.lines().filter_map(|line| line.strip_prefix("insmod "));
    files
        .map(|file| file.trim().strip_prefix(prefix).expect(file).trim_start_matches('/').to_owned())
        .collect()
}

#[test]
fn every_promised_nic_has_its_modules_and_firmware() {
    let manifest = manifest();
    let below = Path::new("lib/modules").join(&manifest.kernel.release);
    let modules = unsquashed().join(&below);
    assert!(manifest.nics.len() > 20);
    for nic in &manifest.nics {
        let driver = nic["driver"].as_str().expect("a promise names its driver");
        let promised: BTreeSet<String> = texts(&nic["modules"]).into_iter().map(str::to_owned).collect();
        assert!(!promised.is_empty(), "{driver}");
        let mut wanted = loaded_for(driver, &modules);
        let companion = COMPANIONS.iter().find(|(of, _)| *of == driver);
        wanted.extend(companion.into_iter().flat_map(|(_, also)| loaded_for(also, &modules)));
        assert_eq!(wanted, promised, "{driver}");
        let early = nic["initramfs"].as_bool().expect("yes or no");
        let roots = [unsquashed(), initramfs()];
        for root in &roots[..if early { 2 } else { 1 }] {
            for module in &promised {
                assert!(
                    root.join(&below).join(module).is_file(),
                    "{driver}: no {module} in {}",
                    root.display()
                );
            }
            for file in texts(&nic["firmware"]) {
                let found = root.join("lib/firmware").join(file);
                assert!(found.is_file(), "{driver}: no {file} in {}", root.display());
            }
        }
        // Nothing the driver may ask for goes unmentioned.
        let left_out = nic["without_firmware"].as_array().expect("a list");
        let left_out: Vec<_> = left_out.iter().map(|f| f["file"].as_str().expect("a file")).collect();
        let main = promised.iter().find(|m| m.ends_with(&format!("/{}.ko", driver.replace('_', "-"))));
        let main = main.or_else(|| promised.iter().find(|m| m.ends_with(&format!("/{driver}.ko"))));
        let file = modules.join(main.expect("the driver is one of its modules"));
        let asked = judge::run("kmod", "modinfo", ["--field=firmware".as_ref(), file.as_os_str()]);
        for file in asked.lines() {
            let known = texts(&nic["firmware"]).contains(&file) || left_out.contains(&file);
            assert!(known, "{driver} asks for {file}, which the manifest does not mention");
        }
    }
}

#[test]
fn modprobe_finds_the_driver_of_every_promised_device() {
    for nic in manifest().nics {
        let driver = nic["driver"].as_str().expect("a promise names its driver").replace('-', "_");
        for id in texts(&nic["pci"]) {
            let (vendor, device) = id.split_once(':').expect("vendor:device");
            let number = |text| u32::from_str_radix(text, 16).expect("hexadecimal");
            // An Ethernet controller of any maker's subsystem, as the kernel announces it.
            let alias =
                format!("pci:v{:08X}d{:08X}sv00000000sd00000000bc02sc00i00", number(vendor), number(device));
            let found = modprobe(&["--resolve-alias", &alias]);
            assert!(
                found.lines().any(|line| line.replace('-', "_") == driver),
                "{id}: {found}, not {driver}"
            );
        }
    }
}
