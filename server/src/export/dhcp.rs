//! DHCP servers: which file each kind of firmware gets (RFC 4578 section 2.1, UEFI
//! specification 24.7), where documents are, and the names of the sleds.

use super::{Exported, Text};
use crate::pxe::{BIOS, EFI};
use metadata::fleet::known::is_word_of_dnsmasq;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The option that PID 1 takes the URL of its documents from.
const METADATA: u8 = 224;

/// What dnsmasq is told about firmware, whatever else it does.
pub(crate) fn dnsmasq_boot(exported: &Exported, tftp: &str) -> String {
    let (script, http) = (exported.script(), exported.http_boot());
    // `tftp`: a host, when it is not dnsmasq itself.
    format!(
        "# iPXE says what it is; everything else gets iPXE.\n\
         dhcp-userclass=set:ipxe,iPXE\n\
         dhcp-match=set:bios,option:client-arch,0\n\
         dhcp-match=set:efi,option:client-arch,7\n\
         dhcp-match=set:efi,option:client-arch,9\n\
         dhcp-match=set:http,option:client-arch,16\n\
         dhcp-boot=tag:ipxe,{script}\n\
         dhcp-boot=tag:!ipxe,tag:bios,{BIOS}{tftp}\n\
         dhcp-boot=tag:!ipxe,tag:efi,{EFI}{tftp}\n\
         dhcp-boot=tag:!ipxe,tag:http,{http}\n\
         dhcp-option-force=tag:!ipxe,tag:http,60,HTTPClient\n\
         dhcp-option={METADATA},{}\n",
        exported.url
    )
}

/// Of the MAC addresses of a sled one line: only one of them is used at a time.
fn dnsmasq_hosts(exported: &Exported) -> Text {
    let mut out = Text::default();
    for sled in exported.sleds.iter().filter(|sled| !sled.macs.is_empty()) {
        let macs: Vec<_> = sled.macs.iter().map(ToString::to_string).collect();
        let name = short(&sled.hostname);
        let line = if is_word_of_dnsmasq(name) {
            out.notes.push(format!(
                "sled `{}` has no name: `{name}` means something else to dnsmasq; give it another `hostname`",
                sled.name
            ));
            format!("dhcp-host={}\n", macs.join(","))
        } else {
            format!("dhcp-host={},{name}\n", macs.join(","))
        };
        out.text += &line;
    }
    out
}

/// A host name without its domain.
fn short(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// For `conf-file=` of a dnsmasq that has its ranges already.
pub(super) fn dnsmasq(exported: &Exported) -> Text {
    let tftp = format!(",,{}", exported.host());
    let Text { text: hosts, notes } = dnsmasq_hosts(exported);
    let text = format!(
        "# Fleet {}, for dnsmasq: conf-file=THIS. TFTP on {} has {BIOS} and {EFI} of Debian's package ipxe.\n{}{hosts}",
        exported.fleet,
        exported.host(),
        dnsmasq_boot(exported, &tftp),
    );
    Text { text, notes }
}

/// For `include` of an ISC dhcpd that has its subnets already.
pub(super) fn isc_dhcpd(exported: &Exported) -> String {
    let Exported { fleet, url, .. } = exported;
    let (script, http, tftp) = (exported.script(), exported.http_boot(), exported.host());
    let mut out = format!(
        "# Fleet {fleet}, for ISC dhcpd: include \"THIS\";\n\
         option sledos-arch code 93 = unsigned integer 16;\n\
         option sledos-metadata code {METADATA} = text;\n\
         option sledos-metadata \"{url}\";\n\
         class \"sledos-boot\" {{\n\
         \x20 match if substring(option vendor-class-identifier, 0, 9) = \"PXEClient\"\n\
         \x20   or substring(option vendor-class-identifier, 0, 10) = \"HTTPClient\";\n\
         \x20 next-server {tftp};\n\
         \x20 if exists user-class and option user-class = \"iPXE\" {{\n\
         \x20   filename \"{script}\";\n\
         \x20 }} elsif option sledos-arch = 00:10 {{\n\
         \x20   option vendor-class-identifier \"HTTPClient\";\n\
         \x20   filename \"{http}\";\n\
         \x20 }} elsif option sledos-arch = 00:07 or option sledos-arch = 00:09 {{\n\
         \x20   filename \"{EFI}\";\n\
         \x20 }} elsif option sledos-arch = 00:00 {{\n\
         \x20   filename \"{BIOS}\";\n\
         \x20 }}\n\
         }}\n"
    );
    for sled in &exported.sleds {
        for (n, mac) in sled.macs.iter().enumerate() {
            let (name, host) = (&sled.name, short(&sled.hostname));
            let _ =
                writeln!(out, "host {name}-{n} {{ hardware ethernet {mac}; option host-name \"{host}\"; }}");
        }
    }
    out
}

/// A configuration of Kea without subnets and interfaces: they are added to it.
pub(super) fn kea(exported: &Exported) -> String {
    let class = |name: &str, test: &str, file: &str| json!({"name": name, "test": test, "boot-file-name": file, "next-server": exported.host()});
    let firmware = |arch: &str| format!("not member('sledos-ipxe') and ({arch})");
    let arch = |n: u16| format!("option[93].hex == 0x{n:04x}");
    let mut http = class("sledos-http", &firmware(&arch(16)), &exported.http_boot());
    http["option-data"] = json!([{"name": "vendor-class-identifier", "data": "HTTPClient"}]);
    let reservations: Vec<Value> = exported
        .sleds
        .iter()
        .flat_map(|sled| {
            sled.macs
                .iter()
                .map(|mac| json!({"hw-address": mac.to_string(), "hostname": short(&sled.hostname)}))
        })
        .collect();
    let value = json!({"Dhcp4": {
        "interfaces-config": {"interfaces": []},
        "lease-database": {"type": "memfile"},
        "option-def": [{"name": "sledos-metadata", "code": METADATA, "type": "string", "space": "dhcp4"}],
        "option-data": [{"name": "sledos-metadata", "data": exported.url}],
        "client-classes": [
            class("sledos-ipxe", "option[77].hex == 'iPXE'", &exported.script()),
            http,
            class("sledos-efi", &firmware(&format!("{} or {}", arch(7), arch(9))), EFI),
            class("sledos-bios", &firmware(&arch(0)), BIOS),
        ],
        "reservations-global": true,
        "reservations-in-subnet": false,
        "host-reservation-identifiers": ["hw-address"],
        "reservations": reservations,
    }});
    format!("{value:#}\n")
}
