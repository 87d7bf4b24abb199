//! A fleet that was made up: racks of 40 bays, a key, an image, compiled documents.

use std::fmt::Write as _;
use std::fs;

use super::{Error, Settings};
use crate::claim::MANIFEST;
use crate::digest::{hex, sha256};
use crate::fleet::{compile_to, read_source};
use crate::image::manifest::{Artefact, Inputs, Kernel, Manifest};
use crate::output::SUMS;
use formats::verity;
use metadata::fleet::sign::{Signer, new_key};
use metadata::signature::TrustedKey;
use metadata::values::Mac;

/// Writes a file below the directory.
type Writer<'a> = dyn Fn(&str, &[u8]) -> Result<(), Error> + 'a;

/// Bays of a rack.
const BAYS: usize = 40;

/// What sleds need to begin.
#[derive(Debug)]
pub struct World {
    /// The key they trust.
    pub trusted: TrustedKey,
    /// The sleds.
    pub sleds: Vec<Place>,
}

/// The hardware of a sled.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its name in the fleet.
    pub name: String,
    /// Serial number of its board.
    pub board: String,
    /// Serial number of the product.
    pub product: String,
    /// Its UUID.
    pub uuid: String,
    /// Its NICs.
    pub macs: [Mac; 2],
    /// That of its BMC.
    bmc: Mac,
}

/// Makes it below the directory: `fleet.yaml`, `images`, `www`.
pub(super) fn make(settings: &Settings) -> Result<World, Error> {
    let dir = &settings.dir;
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, bytes)).map_err(Error::io("write", &path))
    };
    image(settings.image, &write)?;
    let key = new_key("simulation", None).map_err(|source| key_error(settings, source))?;
    let signer = Signer::parse(&key.secret, None).map_err(|source| key_error(settings, source))?;
    let sleds: Vec<Place> = (0..settings.sleds).map(place).collect();
    let file = dir.join("fleet.yaml");
    write("fleet.yaml", yaml(settings, &key.line, &sleds).as_bytes())?;
    let source = read_source(&file)?;
    let fleet = metadata::fleet::load(&source).map_err(crate::fleet::Error::from)?;
    compile_to(&fleet, &dir.join("images"), &signer, &dir.join("www"), settings.time, 1)?;
    let trusted = TrustedKey::parse(&key.line)
        .map_err(|e| Error::io("use", &file)(std::io::Error::other(e.to_string())))?;
    Ok(World { trusted, sleds })
}

fn key_error(settings: &Settings, source: metadata::fleet::sign::Error) -> Error {
    crate::fleet::Error::Key { path: settings.dir.clone(), source }.into()
}

fn place(n: usize) -> Place {
    let byte = |shift: u32| u8::try_from((n >> shift) & 0xff).unwrap_or(0);
    let mac = |kind| Mac([0x52, 0x54, kind, byte(16), byte(8), byte(0)]);
    Place {
        name: format!("r{}-b{:02}", n / BAYS + 1, n % BAYS + 1),
        board: format!("SIM{n:07}"),
        product: format!("SP{n:08}"),
        uuid: format!("4c4c4544-0042-3510-8051-b7c0{n:08x}"),
        macs: [mac(0), mac(1)],
        bmc: mac(2),
    }
}

fn yaml(settings: &Settings, key: &str, sleds: &[Place]) -> String {
    let urls: Vec<_> = super::servers::addresses(settings).iter().map(|a| format!("'http://{a}'")).collect();
    let images: Vec<_> = urls.iter().map(|url| format!("{}/images'", url.trim_end_matches('\''))).collect();
    let mut out = format!(
        "fleet: simulation\nservers: {{metadata: [{0}], image: [{1}], report: [{0}]}}\ntrust: ['{key}']\nimages: {{trust: none}}\nracks:\n",
        urls.join(", "),
        images.join(", "),
    );
    for rack in 1..=settings.sleds.div_ceil(BAYS) {
        // Writing to a string does not fail.
        let switch = format!("{{chassis: leaf-{rack}, port: 'Ethernet{{bay}}'}}");
        let _ = writeln!(out, "  r{rack}: {{bays: {BAYS}, switches: [{switch}]}}");
    }
    out += "roles:\n  compute:\n    image: simulated\n    config:\n      networks: {mgmt: {match: {driver: [igb]}, address: dhcp}}\nsleds:\n";
    // All the keys that a real one has.
    for (n, Place { name, board, product, uuid, macs: [mac, other], bmc }) in sleds.iter().enumerate() {
        let (rack, bay) = (n / BAYS + 1, n % BAYS + 1);
        let _ = writeln!(
            out,
            "  {name}: {{rack: r{rack}, bay: {bay}, role: compute, board-serial: {board}, product-serial: {product}, \
             uuid: {uuid}, macs: ['{mac}', '{other}'], bmc-mac: '{bmc}'}}"
        );
    }
    out
}

/// An image whose /usr is noise, with its verity tree.
fn image(bytes: usize, write: &Writer<'_>) -> Result<(), Error> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut usr = Vec::with_capacity(bytes);
    while usr.len() < bytes {
        // xorshift64: any bytes will do, as long as they are the same at every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usr.extend(state.to_le_bytes());
    }
    usr.truncate(bytes);
    let failed = |source| Error::io("hash", std::path::Path::new("the image"))(source);
    let built = verity::build(&usr[..], [7; 32], [7; 16]).map_err(failed)?;
    let mut tree = Vec::new();
    built.write(&mut tree).map_err(failed)?;
    let efi = b"no image starts here".to_vec();
    let mut artefacts = std::collections::BTreeMap::new();
    for (name, bytes) in [("usr.squashfs", &usr), ("usr.verity", &tree), ("simulated.efi", &efi)] {
        write(&format!("images/simulated/1/{name}"), bytes)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        artefacts.insert(name.to_owned(), Artefact { size, sha256: hex(&sha256(bytes)) });
    }
    let manifest = Manifest {
        format: 1,
        image: "simulated".into(),
        version: "1".into(),
        time: 1,
        builder: crate::image::manifest::BUILDER.into(),
        root_hash: hex(&built.root),
        kernel: Kernel { release: "none".into(), cmdline: String::new() },
        inputs: Inputs {
            recipe: String::new(),
            lock: String::new(),
            init: String::new(),
            overlays: Default::default(),
            usr_level: 1,
            block_size: 4096,
            initramfs_level: 1,
        },
        partitions: Vec::new(),
        artefacts,
        packages: Default::default(),
        components: Default::default(),
        missing_components: Vec::new(),
        extensions: Default::default(),
        nics: Vec::new(),
        controllers: Vec::new(),
        users: Default::default(),
        groups: Default::default(),
    };
    let json = manifest.to_json();
    let sums = manifest.artefacts.iter().map(|(name, artefact)| format!("{}  {name}\n", artefact.sha256));
    let sums = sums.collect::<String>() + &format!("{}  {MANIFEST}\n", hex(&sha256(json.as_bytes())));
    write(&format!("images/simulated/1/{SUMS}"), sums.as_bytes())?;
    write(&format!("images/simulated/1/{MANIFEST}"), json.as_bytes())
}
