//! What boots: the UKI, the initramfs and the iPXE script.

use formats::initconf::{self, InitConf};
use formats::tree::TreePath;
use sha2::{Digest as _, Sha256};

use super::{Subject, causes, gather};
use crate::digest::hex;
use crate::inspect::line::content;

/// The sections of the UKI are the artefacts.
pub(super) fn uki(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let manifest = subject.manifest;
        let uki = subject.image.uki().map_err(|e| causes(&e))?;
        let sections = uki.sections().map_err(|e| causes(&e))?;
        let section = |name: &str| {
            let found = sections.iter().find(|section| section.name == name);
            found.map(|section| section.data).ok_or_else(|| format!("the UKI has no section {name}"))
        };
        let read = |name: &str| std::fs::read(subject.dir.join(name)).map_err(|e| format!("{name}: {e}"));
        let os_release = subject.usr.as_ref().ok().and_then(|usr| {
            content(&usr.listing.tree, &TreePath::parse(b"lib/os-release").ok()?)?.to_vec().ok()
        });
        for (name, wanted, what) in [
            (".linux", read("vmlinuz")?, "vmlinuz"),
            (".initrd", read("initramfs.zst")?, "initramfs.zst"),
            (".cmdline", manifest.kernel.cmdline.clone().into_bytes(), "the manifest's command line"),
            (".uname", manifest.kernel.release.clone().into_bytes(), "the manifest's kernel release"),
            (".osrel", os_release.unwrap_or_default(), "/usr/lib/os-release"),
        ] {
            // Text may end with a NUL.
            let data = section(name)?;
            if data != wanted && data.strip_suffix(&[0]) != Some(&wanted) {
                problems.push(format!("{name} of the UKI is not {what}"));
            }
        }
        let args: Vec<&str> = manifest.kernel.cmdline.split_whitespace().collect();
        let hashes: Vec<&str> = args.iter().filter_map(|arg| arg.strip_prefix("sledos.usrhash=")).collect();
        if hashes != [manifest.root_hash.as_str()] {
            problems.push(format!(
                "the command line has the root hashes {hashes:?}, the manifest {}",
                manifest.root_hash
            ));
        }
        let ipxe = read("boot.ipxe")?;
        if !String::from_utf8_lossy(&ipxe)
            .lines()
            .any(|l| l.starts_with("kernel ") && l.ends_with(&manifest.kernel.cmdline))
        {
            problems.push("boot.ipxe starts the kernel with another command line".to_owned());
        }
        Ok(())
    })
}

/// The initramfs is an archive with the right PID 1 for the right image.
pub(super) fn initramfs(subject: &Subject<'_>) -> Vec<String> {
    gather(|problems| {
        let listing = subject.initramfs.as_ref().map_err(Clone::clone)?;
        let manifest = subject.manifest;
        let bytes = |path: &str| -> Result<Vec<u8>, String> {
            let at = TreePath::parse(path.as_bytes()).map_err(|e| causes(&e))?;
            let content =
                content(&listing.tree, &at).ok_or_else(|| format!("the initramfs has no {path}"))?;
            content.to_vec().map_err(|e| causes(&e))
        };
        let init = hex(&Sha256::digest(bytes("/init")?));
        if init != manifest.inputs.init {
            problems
                .push(format!("/init has the sha256 {init}, the manifest's PID 1 {}", manifest.inputs.init));
        }
        let text = String::from_utf8_lossy(&bytes(initconf::PATH)?).into_owned();
        let conf = InitConf::parse(&text).map_err(|e| causes(&e))?;
        if (conf.image.as_str(), conf.version.as_str())
            != (manifest.image.as_str(), manifest.version.as_str())
        {
            problems.push(format!("the initramfs is for {} {}", conf.image, conf.version));
        }
        let odd = listing.times.iter().filter(|(_, time)| i64::from(**time) != manifest.time).take(5);
        problems.extend(odd.map(|(path, time)| format!("initramfs:/{path} has the time {time}")));
        Ok(())
    })
}
