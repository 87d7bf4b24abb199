//! Everything that reads what others wrote: the network, disks, firmware, people.

use formats::l2::{Arp, Bpdu, Frame, Lacp};
use formats::tree::{Kind, ReadAt, Tree};
use formats::{cmdline, cpio, dhcp4, dns_name, gpt, icmp6, ipconf, lldp, pe, squashfs, udp4, verity};
use metadata::document::{Document, Head, Identity};
use metadata::fleet::import::{Racks, Request, import};
use metadata::freshness::Question;
use metadata::generate::{Image, Nic, generate};
use metadata::ignition::World;
use metadata::values::{Hash32, Mac};
use metadata::{fleet, ignition, junk, signature};
use sledos::image::manifest::Manifest;
use sledos::origins::Origins;
use sledos_init::disks::Content;
use sledos_init::net::netlink;
use sledos_init::options::Options;
use sledos_init::slots::classify::classify;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Source};

/// Something to fuzz.
#[derive(Debug)]
pub struct Target {
    /// Name; its corpus is `corpus/NAME`.
    pub name: &'static str,
    /// Longest input, in bytes.
    pub most: usize,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// Runs an input. What it returns is the same when it took the same way, as far as
    /// that can be seen from outside.
    pub run: fn(&[u8]) -> u64,
}

/// All targets.
pub const ALL: &[Target] = &[
    Target { name: "dhcp", most: 1500, words: &["\u{63}\u{82}Sc"], run: dhcp },
    Target { name: "ra", most: 1500, words: &[], run: ra },
    Target { name: "lldp", most: 1500, words: &[], run: lldp_frame },
    Target { name: "bpdu", most: 200, words: &["BB\u{3}"], run: frame },
    Target {
        name: "cmdline",
        most: 4096,
        words: &["sledos.usrhash=", "sledos.trust=", "ip=", "BOOTIF=01-", "\"", ":", "dhcp", "=", " ", "::"],
        run: command_line,
    },
    Target { name: "document", most: 16_384, words: JSON, run: document },
    Target { name: "ignition", most: 16_384, words: JSON, run: ignition_config },
    Target { name: "csv", most: 2048, words: &[",", ";", "\t", "\"", "\r\n", "\u{feff}"], run: csv },
    Target {
        name: "fleet",
        most: 8192,
        words: &[
            "\n", "  ", ": ", "- ", "{", "}", "[", "]", "&a", "*a", "|", ">", "'", "\"", "#", "{bay:02}",
        ],
        run: fleet_file,
    },
    Target { name: "smbios", most: 256, words: &["O.E.M.", "0000", "-", "ffff", " "], run: smbios },
    Target { name: "gpt", most: 66_000, words: &["EFI PART"], run: partition_table },
    Target { name: "disk", most: 140_000, words: &["hsqs", "EFI PART", "verity"], run: disk },
    Target { name: "squashfs", most: 16_384, words: &["hsqs"], run: squashfs_image },
    Target {
        name: "cpio",
        most: 8192,
        words: &["070701", "TRAILER!!!", "00000000", "ffffffff", "\0\0\0\0", "../"],
        run: cpio_archive,
    },
    Target { name: "uki", most: 4096, words: &["MZ", "PE\0\0", ".linux", ".cmdline", ".osrel"], run: uki },
    Target { name: "manifest", most: 16_384, words: JSON, run: manifest },
    Target { name: "origins", most: 8192, words: JSON, run: origins },
    Target { name: "signature", most: 1024, words: &["\n", "untrusted comment: ", "RU"], run: minisig },
];

const JSON: &[&str] =
    &["{", "}", "[", "]", ":", ",", "\"", "null", "true", "\\u0000", "-1", "4294967296", "../", "/etc/"];

/// A number for an answer: a text without its digits, so that places do not count.
fn answer(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.chars().filter(|c| c.is_ascii_alphabetic()).take(400).for_each(|c| c.hash(&mut hasher));
    hasher.finish()
}

/// A number for mistakes: the first two, without what they quote.
fn mistakes(found: &[Diagnostic]) -> u64 {
    let mut text = String::new();
    for wrong in found.iter().take(2) {
        let outside = wrong.message.split('`').step_by(2);
        outside.for_each(|part| text += part);
    }
    // Showing it must be possible, too.
    text +=
        found.first().map(ToString::to_string).map_or("", |shown| if shown.is_empty() { "!" } else { "." });
    answer(&text) ^ u64::try_from(found.len().min(8)).unwrap_or(0)
}

fn debug(value: &impl std::fmt::Debug) -> u64 {
    answer(&format!("{value:?}"))
}

fn dhcp(input: &[u8]) -> u64 {
    let inside = udp4::parse(input).map_or(input, |datagram| datagram.payload);
    debug(&dhcp4::decode(inside))
}

fn ra(input: &[u8]) -> u64 {
    debug(&icmp6::dns(input)) ^ debug(&netlink::decode(input)).rotate_left(1) ^ debug(&dns_name::list(input))
}

fn uki(input: &[u8]) -> u64 {
    let sections = pe::sections(input);
    let lengths = sections.iter().flatten().map(|section| section.data.len()).sum::<usize>();
    answer(&sections.err().map_or(String::new(), |error| error.to_string()))
        ^ u64::try_from(lengths.min(64)).unwrap_or(0)
}

fn manifest(input: &[u8]) -> u64 {
    match serde_json::from_slice::<Manifest>(input) {
        Ok(manifest) => answer(&manifest.to_json()) ^ 1,
        Err(error) => answer(&error.to_string()),
    }
}

/// What is compressed is fuzzed, not zstd.
fn origins(input: &[u8]) -> u64 {
    let packed = zstd::bulk::compress(input, 1).unwrap_or_default();
    match Origins::read("files.json.zst", &packed) {
        Ok(origins) => debug(&(origins.by_owner(&origins.usr), origins.by_owner(&origins.initramfs))),
        Err(error) => answer(&format!("{error} {:?}", std::error::Error::source(&error))),
    }
}

fn lldp_frame(input: &[u8]) -> u64 {
    debug(&lldp::parse(input))
}

fn frame(input: &[u8]) -> u64 {
    let Some(frame) = Frame::parse(input) else { return 0 };
    debug(&(Bpdu::parse(&frame), Lacp::parse(&frame))) ^ debug(&Arp::parse(frame.payload))
}

fn command_line(input: &[u8]) -> u64 {
    let line = String::from_utf8_lossy(input);
    let (_, warnings) = Options::parse(&line);
    let mut sum = 0;
    for warning in &warnings {
        sum ^= answer(&warning.split('`').step_by(2).collect::<String>());
    }
    for param in cmdline::params(&line) {
        let value = param.value.unwrap_or_default();
        sum ^= debug(&ipconf::IpParam::parse(value).map(drop)) ^ debug(&ipconf::parse_bootif(value).is_ok());
    }
    sum
}

fn nics() -> [Nic; 2] {
    let nic = |name: &str, last, driver: &str| Nic {
        name: name.into(),
        mac: Mac([2, 0, 0, 0, 0, last]),
        driver: driver.into(),
        speed_mbps: Some(10_000),
        path: format!("0000:3b:00.{last}"),
        has_link: true,
    };
    [nic("eth0", 0, "ixgbe"), nic("eth1", 1, "igb")]
}

fn document(input: &[u8]) -> u64 {
    match Document::parse(input) {
        Ok(Document::Sled(sled)) => {
            let image = Image {
                passwd: Some("root:x:0:0:root:/root:/bin/sh\n:\nshort\n".into()),
                group: Some("root:x:0:\nshadow:x:42:a,b\n".into()),
                ..Image::default()
            };
            match generate(&sled, &nics(), &image) {
                Ok(generated) => answer(&generated.files.iter().map(|f| f.path.as_str()).collect::<String>()),
                Err(error) => answer(&error.problem),
            }
        }
        Ok(Document::Retired(_)) => 1,
        Err(error) => debug(&error),
    }
}

/// A world in which there is nothing.
struct Nothing;

impl World for Nothing {
    fn get(&mut self, _: &str, _: &[(String, String)], _: usize) -> Result<Vec<u8>, String> {
        Err("nothing".to_owned())
    }
}

impl fleet::ignition::Files for Nothing {
    fn read(&mut self, _: &str) -> Result<Vec<u8>, String> {
        Err("nothing".to_owned())
    }
}

fn ignition_config(input: &[u8]) -> u64 {
    let Ok(source) = Source::from_utf8("fuzz.ign", input.to_vec()) else { return 0 };
    match ignition::read(&source, &mut Nothing) {
        Ok(config) => {
            let mut into = metadata::config::Config { hostname: "fuzz".into(), ..Default::default() };
            match config.apply(&mut into, &mut Nothing) {
                Ok(()) => debug(&into),
                Err(found) => mistakes(&found),
            }
        }
        Err(found) => mistakes(&found.0),
    }
}

fn csv(input: &[u8]) -> u64 {
    let fleet = "fleet: f\nracks: {r12: {bays: 40}}\nroles: {compute: {image: compute}}\n\
                 sleds:\n  r12-b40: {rack: r12, bay: 40, role: compute}\n";
    let request = Request {
        racks: Racks::One("r12".into()),
        role: Some("compute".into()),
        name: "{rack}-b{bay:02}".into(),
        columns: Vec::new(),
        in_order: true,
    };
    let done = import(&Source::new("fleet.yaml", fleet), Path::new("fuzz.csv"), input, &request);
    // What columns were taken for, not what they are called.
    let columns = debug(&done.columns.iter().map(|(_, field)| field).collect::<Vec<_>>());
    mistakes(&done.errors) ^ mistakes(&done.warnings).rotate_left(1) ^ columns
}

fn fleet_file(input: &[u8]) -> u64 {
    let Ok(source) = Source::from_utf8("fuzz.yaml", input.to_vec()) else { return 0 };
    let report = fleet::check(&source);
    let mut sum = mistakes(&report.errors) ^ mistakes(&report.warnings).rotate_left(1);
    if let Some(mut fleet) = report.fleet {
        sum ^= fleet::ignition::apply(&mut fleet, &mut Nothing).map_or_else(|e| mistakes(&e.0), |()| 1);
    }
    sum
}

fn smbios(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    debug(&junk::serial(&text).is_some()) ^ debug(&junk::uuid(&text).is_some()).rotate_left(1)
}

fn partition_table(input: &[u8]) -> u64 {
    let (select, disk) = input.split_first().unwrap_or((&0, &[]));
    let sector = if select & 1 == 0 { 512 } else { 4096 };
    // The rest of the disk is zeros, or there is none.
    let size = if select & 2 == 0 { u64::try_from(disk.len()).unwrap_or(0) } else { 1 << 40 };
    let read = gpt::read(size, sector, |at, buffer| {
        buffer.fill(0);
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let there = disk.get(at..).unwrap_or_default();
        buffer.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
        Ok(())
    });
    match read {
        Ok(table) => debug(&table.source) ^ u64::try_from(table.partitions.len()).unwrap_or(0),
        Err(error) => answer(&error.to_string()),
    }
}

fn disk(input: &[u8]) -> u64 {
    let size = u64::try_from(input.len()).unwrap_or(0);
    let state = classify(size, input, input, &Content::Other);
    let mut sum = debug(&state);
    let verity: &[u8] = input.get(..512).unwrap_or(input);
    sum ^= debug(&verity::Superblock::parse(verity).map(drop)).rotate_left(1);
    let mut read = |at: u64, buffer: &mut [u8]| {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let there = input.get(at..).and_then(|rest| rest.get(..buffer.len()));
        there
            .map(|there| buffer.copy_from_slice(there))
            .ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    };
    if let Ok(mut volume) = formats::fat::Volume::open(size, &mut read) {
        let dir = volume.dir("/");
        sum ^= debug(&dir.as_ref().map(|d| d.as_ref().map(Vec::len)).map_err(drop)).rotate_left(2);
        for file in dir.ok().flatten().unwrap_or_default().iter().take(4) {
            sum ^= debug(&volume.read(file).map(|b| b.len()).is_ok()).rotate_left(3);
        }
    }
    sum
}

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.0.get(at..).and_then(|rest| rest.get(..buffer.len()));
        let there = there.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(there);
        Ok(())
    }
}

/// What a listing has, and whether its first small files read.
fn tree(tree: &Tree) -> u64 {
    let mut sum = u64::try_from(tree.len()).unwrap_or(0);
    for (path, node) in tree.iter().take(64) {
        sum = sum.rotate_left(3) ^ u64::try_from(path.depth()).unwrap_or(0);
        if let Kind::File(content) = &node.kind
            && content.len() < 1 << 20
        {
            sum ^= u64::from(content.to_vec().is_ok()).rotate_left(7);
        }
    }
    sum
}

fn squashfs_image(input: &[u8]) -> u64 {
    let size = u64::try_from(input.len()).unwrap_or(0);
    let image = squashfs::Image::open(Arc::new(Bytes(input.to_vec())), size);
    match image.and_then(|image| image.listing()) {
        Ok(listing) => tree(&listing.tree),
        Err(error) => answer(&error.to_string()),
    }
}

fn cpio_archive(input: &[u8]) -> u64 {
    match cpio::read(input) {
        Ok(listing) => tree(&listing.tree),
        Err(error) => answer(&error.to_string()),
    }
}

fn minisig(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let key = signature::TrustedKey::parse("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3");
    let trusted: Vec<_> = key.into_iter().collect();
    let parsed = signature::TrustedKey::parse(&text).is_ok();
    let head = Head {
        sled: "r12-b07".into(),
        generation: 7,
        issued: 1_790_000_000,
        expires: 1_800_000_000,
        identity: Identity::default(),
    };
    let nonce = "00112233445566778899aabbccddeeff";
    let question = Question { head: &head, sha256: Hash32([1; 32]), nonce, least: 0 };
    debug(&signature::verify(b"document", &text, &trusted).map(drop))
        ^ debug(&question.judge(input, &trusted)).rotate_left(1)
        ^ u64::from(parsed)
}
