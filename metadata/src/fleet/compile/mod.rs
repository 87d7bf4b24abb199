//! A fleet and its images → every file a metadata server has.
//!
//! What was there before is an input: a document whose content did not change keeps its
//! bytes until half of its lifetime is over, one that did gets the next generation.

mod issue;

pub use issue::signature;

use super::before::{Before, Issued, Verified};
use super::file::{FleetFile, Lifetime, RetiredEntry};
use super::resolve::{ImageChoice, Sled};
use super::sign::Signer;
use super::{Fleet, at};
use crate::document::{
    Document, FORMAT, Freshness, Head, Identity, Image, MAX_BYTES, Retired, Servers, SledDocument,
};
use crate::signature::TrustedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use yaml::Node;
use yaml::diagnostic::{Diagnostic, Diagnostics};

/// Where the list of sleds lies, for servers and tools.
pub const INDEX: &str = "v1/fleet.json";

/// Longest list of sleds that is written and read, in bytes: 100 000 sleds with eight keys each have
/// 60 MB, and a server holds it in memory.
pub const MAX_INDEX: u64 = 256 << 20;

/// What compiling depends on besides the fleet.
pub struct Inputs<'a> {
    /// The image of every choice in [`images`].
    pub images: &'a BTreeMap<ImageChoice, Image>,
    /// The kernel's command line of each: what is known here gets iPXE scripts.
    pub cmdlines: &'a BTreeMap<ImageChoice, String>,
    /// Now, in seconds since 1970.
    pub time: u64,
    /// Signs.
    pub signer: &'a Signer,
    /// The key with which whoever compiles, and hands out, says that a document is the newest.
    pub freshness: Option<&'a TrustedKey>,
    /// No new document gets a smaller generation; 1 is the first.
    pub least_generation: u64,
    /// What lies in the output directory.
    pub before: &'a dyn Before,
    /// What is known of that: those files are not read.
    pub verified: &'a Verified,
}

/// What to do with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// It is there, and stays with its bytes and its time.
    Keep,
    /// It is written.
    Write(Arc<[u8]>),
}

/// All files there are to be, by path. What is not listed goes away.
#[derive(Debug)]
pub struct Plan {
    /// The files.
    pub files: HashMap<String, File>,
    /// What happened to each document.
    pub index: Index,
    /// Names of sleds and tombstones whose documents are new.
    pub changed: Vec<String>,
    /// How many documents stay as they were.
    pub unchanged: usize,
    /// How many sleds refuse their document unless a server says that it is the newest.
    pub fresh_only: usize,
    /// Each document by one of its paths.
    pub documents: Vec<(String, Issued)>,
    /// SHA-256 of each script.
    pub scripts: Vec<(String, [u8; 32])>,
}

/// The content of [`INDEX`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Index {
    /// Version of the format: [`FORMAT`].
    pub sledos: u32,
    /// Name of the fleet.
    pub fleet: String,
    /// How many bays each rack has.
    #[serde(default)]
    pub racks: BTreeMap<String, u32>,
    /// Sleds by name.
    pub sleds: BTreeMap<String, IndexEntry>,
    /// Paths of the tombstones, and which sled each was.
    #[serde(default)]
    pub retired: BTreeMap<String, String>,
    /// Greatest generations of sleds that are gone, should they come back.
    #[serde(default)]
    pub removed: BTreeMap<String, u64>,
    /// Root hashes of all images that documents named so far, by `NAME/VERSION`.
    #[serde(default)]
    pub published: BTreeMap<String, String>,
}

impl Index {
    /// Reads what lies at [`INDEX`]; nothing there is an index without sleds.
    ///
    /// # Errors
    /// When it is no such list: generations and published images would be forgotten.
    pub fn parse(bytes: Option<&[u8]>) -> Result<Self, Diagnostics> {
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        let wrong = |why: String| {
            Diagnostic::nowhere(format!("{INDEX} in the output directory is no list of sleds"))
                .why(why)
                .hint("put it back from a backup; or remove it, and give --least-generation a number above all that sleds remember")
        };
        let index: Self = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let generations = index.sleds.iter().map(|(name, sled)| (name, sled.generation));
        let generations =
            generations.chain(index.removed.iter().map(|(name, generation)| (name, *generation)));
        let mut too_large = generations.filter(|(_, generation)| *generation > MAX_GENERATION);
        match too_large.next() {
            Some((name, generation)) => {
                Err(wrong(format!("`{name}` has generation {generation}, after which hardly any would come"))
                    .into())
            }
            None => Ok(index),
        }
    }
}

/// A document a second since 1970, and more than that. The list is not signed: a larger number in it would be signed,
/// and no document could be newer any more.
pub const MAX_GENERATION: u64 = 1 << 40;

/// How many images without documents are remembered as published.
const PUBLISHED: usize = 4096;

/// A sled in the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IndexEntry {
    /// Generation of its document.
    pub generation: u64,
    /// When that expires, in seconds since 1970.
    pub expires: u64,
    /// Its role.
    pub role: String,
    /// Its rack.
    pub rack: String,
    /// Its bay.
    pub bay: u32,
    /// Its image.
    pub image: String,
    /// Version of that.
    pub version: String,
    /// Where its document lies.
    pub paths: Vec<String>,
}

/// The images a fleet needs, with the place that asks for each.
pub fn images(fleet: &Fleet) -> BTreeMap<ImageChoice, yaml::diagnostic::Place> {
    let mut images = BTreeMap::new();
    for sled in &fleet.sleds {
        // Few images have many sleds: only the first sled of each is looked up.
        if images.contains_key(&sled.image) {
            continue;
        }
        let own = at(&fleet.root, &["sleds", &sled.name, "image"]);
        let node = own.or_else(|| at(&fleet.root, &["roles", &sled.role, "image"]));
        images.insert(sled.image.clone(), node.map_or(&sled.place, |n| &n.place).clone());
    }
    images
}

/// Where images lie, from the file: `URL/NAME/VERSION`.
pub fn image_urls(fleet: &Fleet, name: &str, version: &str) -> Vec<String> {
    let urls = fleet.file.servers.image.iter();
    urls.map(|url| format!("{}/{name}/{version}", url.trim_end_matches('/'))).collect()
}

/// What documents say about servers.
pub(super) fn servers(file: &FleetFile) -> Servers {
    let urls = |list: &[String]| list.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    Servers { metadata: urls(&file.servers.metadata), report: urls(&file.servers.report), token: None }
}

/// Plans all files.
///
/// # Errors
/// When the signing key is not trusted, or is the server's; when an image is missing, a document
/// is too long, or would never be believed.
pub fn compile(fleet: &Fleet, inputs: &Inputs<'_>) -> Result<Plan, Diagnostics> {
    trusted(fleet, inputs.signer, inputs.freshness)?;
    let before = inputs.before.read(INDEX);
    let mut old = Index::parse(before.as_deref())?;
    one_image_for_ever(fleet, inputs.images, &old)?;
    let mut plan = Plan {
        // Some seven keys, each with a signature, and two or three scripts.
        files: HashMap::with_capacity(fleet.sleds.len().saturating_mul(16)),
        index: Index::default(),
        changed: Vec::new(),
        unchanged: 0,
        fresh_only: 0,
        documents: Vec::new(),
        scripts: Vec::new(),
    };
    let racks = fleet.file.racks.iter().map(|(name, rack)| (name.clone(), rack.bays)).collect();
    let mut index = Index { sledos: FORMAT, fleet: fleet.file.fleet.clone(), racks, ..Index::default() };
    let mut wrong = Vec::new();
    let mut keyless = BTreeSet::new();
    let mut retired: HashMap<&str, Vec<&RetiredEntry>> = HashMap::new();
    for entry in &fleet.file.retired {
        retired.entry(&entry.sled).or_default().push(entry);
    }
    for sled in &fleet.sleds {
        let Some(image) = inputs.images.get(&sled.image) else {
            wrong.push(Diagnostic::at(&sled.place, format!("there is no image `{}`", sled.image)));
            continue;
        };
        let known = old.sleds.get(&sled.name).map(|s| s.generation);
        let known = known.or_else(|| old.removed.get(&sled.name).copied()).unwrap_or_default();
        let document = {
            let retired = retired.get(sled.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let token = token(fleet, &sled.name, retired, inputs.signer);
            SledDocument { freshness: freshness(sled, inputs), ..document(fleet, sled, image, token) }
        };
        let needs = document.freshness.as_ref().filter(|freshness| freshness.required);
        if needs.is_some_and(|freshness| freshness.keys.is_empty()) {
            if keyless.insert(&sled.role) {
                wrong.push(no_key(fleet, sled));
            }
            continue;
        }
        plan.fresh_only += usize::from(needs.is_some());
        let document = Document::Sled(Box::new(document));
        match plan.place(document, known, sled.lifetime, inputs) {
            Ok((generation, expires, paths)) => drop(index.sleds.insert(
                sled.name.clone(),
                IndexEntry {
                    generation,
                    expires,
                    role: sled.role.clone(),
                    rack: sled.identity.location.as_ref().map(|l| l.rack.clone()).unwrap_or_default(),
                    bay: sled.identity.location.as_ref().map(|l| l.bay).unwrap_or_default(),
                    image: image.name.clone(),
                    version: image.version.clone(),
                    paths,
                },
            )),
            Err(length) => {
                let message = format!("the document of `{}` would have {length} bytes", sled.name);
                wrong.push(
                    Diagnostic::at(&sled.place, message)
                        .why(format!("a sled reads at most {MAX_BYTES}"))
                        .hint("put large files into the image, or let the sled fetch them"),
                );
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Diagnostics(wrong));
    }
    let lifetime = fleet.file.lifetime.unwrap_or(Lifetime::DISK).0;
    // The latest first: hardware that was retired twice has one tombstone.
    for entry in fleet.file.retired.iter().rev() {
        let tombstone = tombstone(entry);
        let known = old.sleds.get(&entry.sled).map_or(0, |s| s.generation);
        if let Ok((.., paths)) = plan.place(Document::Retired(tombstone), known, lifetime, inputs) {
            index.retired.extend(paths.into_iter().map(|path| (path, entry.sled.clone())));
        }
    }
    index.published = published(std::mem::take(&mut old.published), inputs.images);
    index.removed = old.removed;
    index.removed.extend(old.sleds.into_iter().map(|(name, sled)| (name, sled.generation)));
    index.removed.retain(|name, _| !index.sleds.contains_key(name));
    let mut last: Option<(*const u8, [u8; 32])> = None;
    for (path, text) in super::ipxe::scripts(fleet, inputs.images, inputs.cmdlines) {
        // Those of one sled are one.
        let sha256 = match last.filter(|(at, _)| *at == text.as_ptr()) {
            Some((_, sha256)) => sha256,
            None => Sha256::digest(text.as_bytes()).into(),
        };
        last = Some((text.as_ptr(), sha256));
        let same = inputs.verified.is_script(&path, &sha256, inputs.before)
            || inputs.before.read(&path).is_some_and(|old| *old == *text.as_bytes());
        plan.scripts.push((path.clone(), sha256));
        plan.files.insert(path, if same { File::Keep } else { File::Write(text.into()) });
    }
    plan.add_index(&index, before, inputs)?;
    plan.index = index;
    Ok(plan)
}

/// A version that documents named once is that image for ever: caches hand it out, sleds have
/// it on their disks.
///
/// # Errors
/// Each image that has another root hash now, at the line that names it.
pub fn one_image_for_ever(
    fleet: &Fleet,
    found: &BTreeMap<ImageChoice, Image>,
    old: &Index,
) -> Result<(), Diagnostics> {
    let places = images(fleet);
    let mut wrong = Vec::new();
    for (choice, image) in found {
        let (name, now) = (format!("{}/{}", image.name, image.version), image.root_hash.to_string());
        let Some(then) = old.published.get(&name).filter(|then| **then != now) else { continue };
        let what = format!("the image {name} was published with another root hash");
        let what = places
            .get(choice)
            .map_or_else(|| Diagnostic::nowhere(&what), |place| Diagnostic::at(place, &what));
        wrong.push(what.why(format!("published: {then}; now: {now}")).hint(
            "a version is one image for ever: build it with another --image-version, or put the published one back",
        ));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Diagnostics(wrong)) }
}

/// What was published, with these images; the versions that sort first are forgotten.
fn published(
    mut old: BTreeMap<String, String>,
    images: &BTreeMap<ImageChoice, Image>,
) -> BTreeMap<String, String> {
    let name = |image: &Image| format!("{}/{}", image.name, image.version);
    let used: BTreeMap<_, _> = images.values().map(|i| (name(i), i.root_hash.to_string())).collect();
    old.retain(|name, _| !used.contains_key(name));
    while old.len() > PUBLISHED {
        old.pop_first();
    }
    old.extend(used);
    old
}

/// The key that signs must be one the sleds trust, the key for freshness must not.
fn trusted(fleet: &Fleet, signer: &Signer, freshness: Option<&TrustedKey>) -> Result<(), Diagnostics> {
    let public = signer.public();
    if freshness.is_some_and(|key| fleet.file.trust.iter().any(|t| t.trim() == key.as_str())) {
        return Err(Diagnostic::nowhere("the key for freshness is in `trust:`, too")
            .why("the server has it online: who breaks into that would sign documents")
            .hint("give --freshness-key another one; without it `serve` makes one")
            .into());
    }
    if fleet.file.trust.iter().any(|t| t.trim() == public.as_str()) {
        return Ok(());
    }
    let wrong = format!("the key that signs, {}, is not in `trust:`", public.id());
    let wrong = match fleet.root.get("trust") {
        Some(Node { place, .. }) => Diagnostic::at(place, wrong),
        None => Diagnostic::nowhere(wrong),
    };
    Err(wrong
        .why("a sled refuses documents by a key its image does not trust")
        .hint(format!(
            "add {} to `trust:` here and in the image's recipe, or sign with another key",
            public.as_str()
        ))
        .into())
}

fn document(fleet: &Fleet, sled: &Sled, image: &Image, token: String) -> SledDocument {
    SledDocument {
        sledos: FORMAT,
        head: head(&sled.name, sled.identity.clone()),
        role: sled.role.clone(),
        image: image.clone(),
        install: sled.install.clone(),
        servers: Servers { token: Some(token), ..servers(&fleet.file) },
        freshness: None,
        config: sled.config.clone(),
    }
}

/// Who says that this sled's document is the newest: the keys of the fleet file, and whoever compiles.
fn freshness(sled: &Sled, inputs: &Inputs<'_>) -> Option<Freshness> {
    let mut freshness = sled.freshness.clone();
    let own = inputs.freshness.map(TrustedKey::as_str).filter(|own| !freshness.keys.iter().any(|k| k == own));
    freshness.keys.extend(own.map(str::to_owned));
    (freshness != Freshness::default()).then_some(freshness)
}

fn no_key(fleet: &Fleet, sled: &Sled) -> Diagnostic {
    let rule = at(&fleet.root, &["roles", &sled.role, "freshness", "required"]);
    let rule = rule.or_else(|| at(&fleet.root, &["freshness", "required"]));
    let wrong = format!("no sled of the role `{}` would ever believe its document", sled.role);
    Diagnostic::at(rule.map_or(&sled.place, |node| &node.place), wrong)
        .why("it needs a server that says that the document is the newest, and no key of one is named")
        .hint(
            "`sledos serve` has one; else `freshness: {keys: […]}`: `sledos keys public STATE/freshness.key`",
        )
}

/// A sled's token is another one after its hardware was replaced: what was retired knows
/// the old one. Nothing else changes it, so a running sled can go on to report.
fn token(fleet: &Fleet, sled: &str, retired: &[&RetiredEntry], signer: &Signer) -> String {
    let mut whose = vec![fleet.file.fleet.clone(), sled.to_owned()];
    for RetiredEntry { since, hardware: h, .. } in retired.iter().copied() {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        whose.extend([since.clone(), text(&h.board_serial), text(&h.product_serial), text(&h.uuid)]);
        whose.push(h.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    }
    signer.token(&whose.iter().map(String::as_bytes).collect::<Vec<_>>())
}

fn tombstone(entry: &RetiredEntry) -> Retired {
    let hardware = &entry.hardware;
    let identity = Identity {
        board_serial: hardware.board_serial.clone(),
        product_serial: hardware.product_serial.clone(),
        uuid: hardware.uuid.as_ref().map(|u| u.to_ascii_lowercase()),
        macs: hardware.macs.clone(),
        bmc_mac: hardware.bmc_mac,
        ..Identity::default()
    };
    let retired = match &entry.by {
        Some(board) => format!("replaced on {} by board {board}", entry.since),
        None => format!("retired on {}", entry.since),
    };
    Retired { sledos: FORMAT, head: head(&entry.sled, identity), retired }
}

/// Times and generation are filled in later.
fn head(sled: &str, identity: Identity) -> Head {
    Head { sled: sled.to_owned(), generation: 0, issued: 0, expires: 0, identity }
}
