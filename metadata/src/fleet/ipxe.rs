//! iPXE scripts: what a sled that starts from the network runs before it has a document.
//!
//! They lie beside the documents, so any static HTTP server will do. [`ENTRY`] looks for
//! the script of this sled by what iPXE knows, MAC address and UUID; hardware that nobody
//! knows starts the image most sleds have, which reports what it is and keeps asking.
//! They are not signed: the image they start is verified by its root hash, and the
//! document by its signature. Source: `ipxe.org/cmd`.

use super::Fleet;
use super::file::FleetFile;
use super::resolve::ImageChoice;
use crate::document::Image;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where firmware is sent: the script that finds the sled's own.
pub const ENTRY: &str = "v1/boot.ipxe";

/// For hardware that nobody knows.
const ANY: &str = "v1/ipxe/any.ipxe";

/// All scripts with their paths; those of one sled are one, and behind each other. A sled whose image has no command line here gets none.
pub fn scripts(
    fleet: &Fleet,
    images: &BTreeMap<ImageChoice, Image>,
    cmdlines: &BTreeMap<ImageChoice, String>,
) -> Vec<(String, Arc<str>)> {
    let mut scripts = Vec::new();
    let mut users: BTreeMap<&ImageChoice, usize> = BTreeMap::new();
    let of = |choice| Some((images.get(choice)?, cmdlines.get(choice)?));
    for sled in &fleet.sleds {
        let Some((image, cmdline)) = of(&sled.image) else { continue };
        *users.entry(&sled.image).or_default() += 1;
        let cmdline = match sled.freshness.required {
            true => &format!("{cmdline} sledos.freshness=required"),
            false => cmdline,
        };
        let text: Arc<str> = script(&format!("sled {}", sled.name), &fleet.file, image, cmdline).into();
        let uuid = sled.identity.uuid.iter().map(|uuid| format!("v1/ipxe/uuid/{uuid}.ipxe"));
        let macs = sled.identity.macs.iter().map(|mac| mac.to_string().replace(':', "-"));
        for path in uuid.chain(macs.map(|mac| format!("v1/ipxe/mac/{mac}.ipxe"))) {
            scripts.push((path, Arc::clone(&text)));
        }
    }
    // Of those that as many sleds have, the first by name.
    let most = users.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0))).map(|(choice, _)| *choice);
    if let Some((image, cmdline)) = most.and_then(of) {
        let any = script("hardware that nobody knows", &fleet.file, image, cmdline);
        scripts.extend([(ANY.to_owned(), any.into()), (ENTRY.to_owned(), entry().into())]);
    }
    scripts
}

/// iPXE takes relative URIs from where the script came from.
fn entry() -> String {
    "#!ipxe
# Finds this sled's script; what is not there is answered with 404, which is no mistake.
clear disk ||
chain ipxe/mac/${netX/mac:hexhyp}.ipxe ||
isset ${disk} && exit 1 ||
chain ipxe/uuid/${uuid}.ipxe ||
isset ${disk} && exit 1 ||
chain ipxe/any.ipxe ||
echo sledos: the server has no script for this machine; it restarts in 30 s
sleep 30
reboot
"
    .to_owned()
}

/// Leads a sled whose image does not get as far as a report to what firmware starts after the
/// network: its disk, where systemd-boot counts tries. [`ENTRY`] looks at the setting.
pub fn to_disk(sled: &str) -> String {
    format!(
        "#!ipxe\n# sled {sled} starts again and again without a report: its disk, this time\nset disk 1\n"
    )
}

fn script(whom: &str, file: &FleetFile, image: &Image, cmdline: &str) -> String {
    let mut args = cmdline.to_owned();
    let mut add = |name: &str, value: &str| args += &format!(" sledos.{name}={value}");
    // A key may end in a slash, which is base64.
    file.trust.iter().for_each(|key| add("trust", key.trim()));
    file.servers.metadata.iter().for_each(|url| add("metadata", url.trim_end_matches('/')));
    file.servers.report.iter().for_each(|url| add("report", url.trim_end_matches('/')));
    let Image { name, version, urls, .. } = image;
    // Each server in turn; what nobody has ends the script, and iPXE comes back to the entry.
    let fetch = |command: &str, artefact: &str, rest: &str| {
        let all: Vec<_> = urls.iter().map(|url| format!("{command} {url}/{artefact}{rest}")).collect();
        all.join(" || ")
    };
    let kernel = fetch("kernel", "vmlinuz", " ${args}");
    let initrd = fetch("initrd", "initramfs.zst", "");
    // UEFI starts the signed whole; its stub takes this command line where Secure Boot does
    // not hold it to its own (systemd-stub(7)).
    let uki = fetch("kernel", &format!("{name}.efi"), " ${args}");
    format!(
        "#!ipxe\n# {whom}: {name} {version}\nimgfree\n\
         set args {args} BOOTIF=01-${{netX/mac:hexhyp}}\n\
         iseq ${{platform}} efi && goto uefi ||\n{kernel}\n{initrd}\nboot\n\
         :uefi\n{uki}\nboot\n"
    )
}
