//! Documents over time: what is kept, what is new, what goes away.

use super::{FLEET, source};
use metadata::document::{Artefact, Document, Image};
use metadata::fleet::before::Verified;
use metadata::fleet::compile::{File, INDEX, Index, Inputs, Plan, compile, images};
use metadata::fleet::ipxe;
use metadata::fleet::resolve::ImageChoice;
use metadata::fleet::sign::{Signer, new_key};
use metadata::fleet::{Fleet, load};
use metadata::signature::{TrustedKey, verify};
use metadata::values::Hash32;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use yaml::diagnostic::Diagnostics;

pub(super) const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

pub(crate) fn signer() -> &'static Signer {
    static KEY: OnceLock<Signer> = OnceLock::new();
    KEY.get_or_init(|| Signer::parse(&new_key("t", None).unwrap().secret, None).unwrap())
}

pub(super) fn trusted(text: &str) -> String {
    text.replace("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", signer().public().as_str())
}

/// An image for every choice of a fleet, and its command line.
pub(super) fn inputs_of(fleet: &Fleet) -> (BTreeMap<ImageChoice, Image>, BTreeMap<ImageChoice, String>) {
    let artefact = |file: &str| Artefact { file: file.into(), size: 1, sha256: Hash32([1; 32]) };
    let image = |name: &str, version: &str| Image {
        name: name.into(),
        version: version.into(),
        root_hash: Hash32([2; 32]),
        urls: vec![format!("http://10.0.0.2:8080/images/{name}/{version}")],
        usr: artefact("usr.squashfs"),
        verity: artefact("usr.verity"),
        uki: artefact("x.efi"),
        layout: None,
        extensions: Default::default(),
    };
    let images: BTreeMap<_, _> = images(fleet)
        .into_keys()
        .map(|c| (c.clone(), image(&c.name, c.version.as_deref().unwrap_or("20261124.0800"))))
        .collect();
    let cmdlines = images.keys().map(|c| (c.clone(), format!("console=ttyS0 of={}", c.name))).collect();
    (images, cmdlines)
}

/// A server's files.
#[derive(Clone, Default)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, Vec<u8>>);

impl Tree {
    pub(crate) fn compile(&mut self, text: &str, time: u64, least: u64) -> Plan {
        self.compile_as(text, time, least, None)
    }

    /// By a server with this key.
    pub(crate) fn compile_as(
        &mut self,
        text: &str,
        time: u64,
        least: u64,
        freshness: Option<&TrustedKey>,
    ) -> Plan {
        self.try_compile(text, time, least, freshness).unwrap()
    }

    pub(crate) fn try_compile(
        &mut self,
        text: &str,
        time: u64,
        least: u64,
        freshness: Option<&TrustedKey>,
    ) -> Result<Plan, Diagnostics> {
        let fleet = load(&source(&trusted(text))).unwrap();
        let (images, cmdlines) = inputs_of(&fleet);
        let before = |path: &str| self.0.get(path).map(|bytes| bytes.as_slice().into());
        let inputs = Inputs {
            images: &images,
            cmdlines: &cmdlines,
            time,
            signer: signer(),
            freshness,
            least_generation: least,
            before: &before,
            verified: &Verified::default(),
        };
        let plan = compile(&fleet, &inputs)?;
        let old = std::mem::take(&mut self.0);
        for (path, file) in &plan.files {
            let bytes = match file {
                File::Keep => old.get(path).unwrap().clone(),
                File::Write(bytes) => bytes.to_vec(),
            };
            self.0.insert(path.clone(), bytes);
        }
        Ok(plan)
    }

    pub(crate) fn document(&self, path: &str) -> Document {
        let bytes = self.0.get(path).unwrap_or_else(|| panic!("no {path} in {:?}", self.0.keys()));
        let minisig = std::str::from_utf8(&self.0[&format!("{path}.minisig")]).unwrap();
        verify(bytes, minisig, &[signer().public().clone()]).unwrap();
        Document::parse(bytes).unwrap()
    }

    fn generation(&self, path: &str) -> u64 {
        self.document(path).head().generation
    }
}

#[test]
fn a_document_lies_under_every_key_and_is_signed() {
    let mut tree = Tree::default();
    tree.compile(FLEET, NOW, 1);
    let paths = [
        "v1/location/r12/1.json",
        "v1/switch/aa_3abb_3acc_3a00_3a00_3a01/Ethernet1.json",
        "v1/board/ZM18AS036101.json",
        "v1/product/1234567801.json",
        "v1/uuid/4c4c4544-0042-3510-8051-b7c04f330001.json",
        "v1/mac/52-54-00-12-00-01.json",
        "v1/mac/52-54-00-12-01-01.json",
    ];
    for path in paths {
        let Document::Sled(sled) = tree.document(path) else { panic!("{path}") };
        assert_eq!((sled.head.sled.as_str(), sled.head.generation), ("r12-b01", 1));
        assert_eq!((sled.head.issued, sled.head.expires), (NOW, NOW + 90 * DAY));
        assert_eq!(sled.image.urls, ["http://10.0.0.2:8080/images/compute/20261124.0800"]);
    }
    assert!(!tree.0.contains_key("v1/mac/52-54-00-12-ff-01.json"), "a BMC selects nothing");
    let Document::Retired(retired) = tree.document("v1/mac/52-54-00-12-aa-02.json") else { panic!() };
    assert_eq!(retired.retired, "replaced on 2026-10-01 by board ZM18AS036102");
    assert!(tree.0.contains_key(INDEX));
    let mut again = Tree::default();
    again.compile(FLEET, NOW, 1);
    assert!(tree.0 == again.0, "the same inputs give the same bytes");
}

#[test]
fn what_does_not_change_keeps_its_bytes_until_half_its_time_is_over() {
    let mut tree = Tree::default();
    tree.compile(FLEET, NOW, 1);
    let before = tree.0.clone();
    let plan = tree.compile(FLEET, NOW + 44 * DAY, 1);
    assert!(plan.changed.is_empty() && plan.files.values().all(|f| *f == File::Keep));
    let plan = tree.compile(&FLEET.replace("mtu: 1500", "mtu: 1400"), NOW + 44 * DAY, 1);
    assert_eq!(plan.changed, ["r12-b03"]);
    assert_eq!(tree.generation("v1/location/r12/3.json"), 2);
    let differ: Vec<_> = tree.0.iter().filter(|(p, b)| before.get(*p) != Some(*b)).map(|(p, _)| p).collect();
    assert!(
        differ.iter().all(|p| p.contains("/3.json")
            || p.contains("Ethernet3")
            || p.contains("036103")
            || p.contains("12-00-03")
            || p.contains("fleet.json")),
        "{differ:?}"
    );
    let plan = tree.compile(&FLEET.replace("mtu: 1500", "mtu: 1400"), NOW + 46 * DAY, 1);
    assert_eq!(
        plan.changed.len(),
        6,
        "five sleds and the tombstone; the changed one is young: {:?}",
        plan.changed
    );
    assert_eq!(tree.document("v1/location/r12/1.json").head().expires, NOW + 136 * DAY);
}

#[test]
fn replaced_hardware_finds_a_tombstone_and_gone_sleds_leave_nothing() {
    let mut tree = Tree::default();
    tree.compile(FLEET, NOW, 1);
    let text = FLEET.replace("board-serial: ZM18AS036202", "board-serial: ZM18AS036299")
        + "  - {sled: r13-b02, since: 2026-11-24, by: ZM18AS036299, board-serial: ZM18AS036202}\n";
    let plan = tree.compile(&text, NOW + 1, 1);
    assert_eq!(plan.changed, ["r13-b02", "r13-b02"]);
    let Document::Retired(tomb) = tree.document("v1/board/ZM18AS036202.json") else { panic!() };
    assert_eq!((tomb.head.generation, tomb.head.sled.as_str()), (2, "r13-b02"));
    assert_eq!(tree.generation("v1/board/ZM18AS036299.json"), 2);
    assert_eq!(tree.generation("v1/location/r13/2.json"), 2);

    let line = text.lines().find(|l| l.trim_start().starts_with("r12-b04")).unwrap();
    let without = text.replace(&format!("{line}\n"), "");
    let plan = tree.compile(&without, NOW + 2, 1);
    assert!(!tree.0.keys().any(|p| p.contains("r12/4") || p.contains("12-00-04")));
    assert_eq!(plan.index.removed.get("r12-b04"), Some(&1));
    tree.compile(&text, NOW + 3, 1);
    assert_eq!(tree.generation("v1/location/r12/4.json"), 2, "one that comes back goes on counting");
}

#[test]
fn generations_never_fall() {
    let mut tree = Tree::default();
    tree.compile(FLEET, NOW, 7);
    assert_eq!(tree.generation("v1/location/r12/1.json"), 7);
    // Two sleds swap their boards: each is newer than what either board has seen.
    tree.compile(&FLEET.replace("mtu: 1500", "mtu: 1400"), NOW + 1, 1);
    let swapped = FLEET
        .replace("ZM18AS036103", "@@")
        .replace("ZM18AS036102, macs", "ZM18AS036103, macs")
        .replace("@@", "ZM18AS0361B2");
    tree.compile(&swapped, NOW + 2, 1);
    assert_eq!(tree.generation("v1/board/ZM18AS036103.json"), 9);
    // Damaged files are written anew, also when only one copy is.
    let good = tree.clone();
    tree.0.insert("v1/board/ZM18AS036101.json".into(), b"{}".to_vec());
    let plan = tree.compile(&swapped, NOW + 3, 1);
    assert!(plan.changed.is_empty() && tree.0 == good.0);
    tree.0.insert("v1/location/r12/1.json".into(), b"{}".to_vec());
    tree.compile(&swapped, NOW + 3, 1);
    assert!(tree.0 == good.0);
}

#[test]
fn a_list_of_sleds_that_does_not_read_stops_it() {
    let mut tree = Tree::default();
    tree.compile(FLEET, NOW, 1);
    // After the largest number no document would be newer.
    let list = String::from_utf8(tree.0[INDEX].clone()).unwrap();
    let large = list.replacen(r#""generation": 1,"#, r#""generation": 18446744073709551615,"#, 1);
    assert_ne!(large, list);
    for bad in [&b""[..], b"{", b"[]", large.as_bytes()] {
        let wrong = Index::parse(Some(bad)).unwrap_err();
        assert!(
            wrong.0[0].message.starts_with("v1/fleet.json in the output directory is no list"),
            "{wrong}"
        );
    }
    assert_eq!(Index::parse(Some(&tree.0[INDEX])).unwrap().sleds.len(), 6);
    assert_eq!(Index::parse(None).unwrap(), Index::default());
}

#[test]
fn a_key_that_sleds_do_not_trust_signs_nothing() {
    let fleet = load(&source(FLEET)).unwrap();
    let images = BTreeMap::new();
    let inputs = Inputs {
        images: &images,
        cmdlines: &BTreeMap::new(),
        time: NOW,
        signer: signer(),
        freshness: None,
        least_generation: 1,
        before: &|_: &str| None,
        verified: &Verified::default(),
    };
    let wrong = compile(&fleet, &inputs).unwrap_err();
    assert!(wrong.0[0].message.contains("is not in `trust:`"), "{wrong}");
}

#[test]
fn a_sleds_token_changes_when_its_hardware_is_replaced_and_with_nothing_else() {
    let tokens = |text: &str| {
        let mut tree = Tree::default();
        tree.compile(text, NOW, 1);
        [1, 2].map(|bay| match tree.document(&format!("v1/location/r12/{bay}.json")) {
            Document::Sled(sled) => sled.servers.token.unwrap(),
            Document::Retired(_) => panic!(),
        })
    };
    let first = tokens(FLEET);
    assert!(first[0].len() == 64 && first[0] != first[1], "{first:?}");
    assert_eq!(first, tokens(&FLEET.replace("Europe/Berlin", "Europe/Paris")));
    assert_eq!(first, tokens(&FLEET.replace("ZM18AS036101", "ZM18AS036999")));
    // Another entry of `retired:` for r12-b02.
    let replaced = tokens(&FLEET.replace("2026-10-01", "2026-10-02"));
    assert_eq!(first[0], replaced[0]);
    assert_ne!(first[1], replaced[1]);
}

#[test]
fn every_mac_and_uuid_has_an_ipxe_script_and_the_rest_of_the_world_one() {
    let mut tree = Tree::default();
    tree.compile(FLEET, NOW, 1);
    let text = |path: &str| String::from_utf8(tree.0.get(path).unwrap().clone()).unwrap();
    let mac = text("v1/ipxe/mac/52-54-00-12-00-01.ipxe");
    assert_eq!(mac, text("v1/ipxe/uuid/4c4c4544-0042-3510-8051-b7c04f330001.ipxe"));
    let key = signer().public().as_str();
    let want = format!(
        "#!ipxe\n# sled r12-b01: compute 20261124.0800\nimgfree\n\
         set args console=ttyS0 of=compute sledos.trust={key} sledos.metadata=http://10.0.0.2:8080 \
         sledos.report=http://10.0.0.2:8080 BOOTIF=01-${{netX/mac:hexhyp}}\n\
         iseq ${{platform}} efi && goto uefi ||\n\
         kernel http://10.0.0.2:8080/images/compute/20261124.0800/vmlinuz ${{args}}\n\
         initrd http://10.0.0.2:8080/images/compute/20261124.0800/initramfs.zst\nboot\n\
         :uefi\n\
         kernel http://10.0.0.2:8080/images/compute/20261124.0800/compute.efi ${{args}}\nboot\n"
    );
    assert_eq!(mac, want);
    assert!(text("v1/ipxe/any.ipxe").contains("# hardware that nobody knows: compute 20261124.0800\n"));
    assert!(text(ipxe::ENTRY).contains("\nchain ipxe/mac/${netX/mac:hexhyp}.ipxe ||\n"));
    // What did not change is not written again.
    let plan = tree.compile(FLEET, NOW + 1, 1);
    assert_eq!(plan.files.values().filter(|f| matches!(f, File::Write(_))).count(), 0);
}

#[test]
fn a_key_that_ends_in_a_slash_is_whole_in_the_scripts() {
    let key = "RWTkSan/SqcNWOvNPLR5SEpg/tc9aprPB8/bmJ9lc2+NRjzlYfrKR6u/";
    let mut tree = Tree::default();
    tree.compile(&FLEET.replacen("trust: [", &format!("trust: [{key}, "), 1), NOW, 1);
    let script = String::from_utf8(tree.0.get("v1/ipxe/any.ipxe").unwrap().clone()).unwrap();
    assert!(script.contains(&format!(" sledos.trust={key} ")), "{script}");
}
