//! What decides an image is in its manifest and in the statement that is signed.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use formats::tree::{Node, Origin, Tree};
use metadata::fleet::sign::{Signer, new_key};
use serde_json::{Value, json};

use super::*;
use crate::accounts::Ids;
use crate::apt::fetch::Patience;
use crate::build::{FAST_LEVELS, assemble, components};
use crate::cache::Cache;
use crate::digest::sha256;
use crate::output::SUMS;
use crate::provenance::{PROVENANCE, sign};

/// The inputs of a site's image.
#[derive(Clone)]
struct Site {
    recipe: &'static str,
    overlay: &'static str,
    component: Vec<u8>,
    time: i64,
}

const RECIPE: &str = "name: site
debian: {suite: bookworm}
include: [part.yaml]
components: {agent: {description: the agent, provides: usr/bin/agent, source: {location: agent}}}
overlays: [{name: site}]
";
const PART: &str = "kernel: {cmdline: [quiet]}\n";

impl Site {
    /// `inputs.recipe`, and `resolvedDependencies` of the signed statement, as a build with this lock makes them.
    fn signed(&self, lock: &Lock, signer: &Signer) -> (String, Vec<Value>) {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("recipes/site.yaml", RECIPE.as_bytes());
        write("recipes/part.yaml", self.recipe.as_bytes());
        write("recipes/agent", &self.component);
        write("overlays/site/etc/motd", self.overlay.as_bytes());
        let recipe = crate::recipe::load(&dir.path().join("recipes/site.yaml")).unwrap();
        let file = crate::lock::path_of(&recipe);
        lock.write(&file, &recipe.file).unwrap();
        let (lock, lock_bytes) = Lock::read_bytes(&file).unwrap();

        let cache = std::sync::Arc::new(Cache::open(&dir.path().join("cache")).unwrap());
        let components = components::open(&recipe, &[], true, &cache, Patience::default()).unwrap();
        let mut tree = Tree::new(Node::dir(Origin::Fixup("test")));
        let ids = Ids::from_masters("root:*:0:0::/root:/bin/sh\n", "root:*:0:\n").unwrap();
        let (components, _) = components.add(&mut tree, &ids, true).unwrap();
        let overlays = assemble::lay(&mut tree, &recipe.overlays, &ids).unwrap();
        let options = squashfs::Options { block_size: 4096, level: 3, mtime: 0 };
        let manifest = json!({
            "format": 1, "image": "site", "version": "1", "time": self.time, "builder": "test",
            "root-hash": "", "kernel": {"release": "6", "cmdline": ""}, "partitions": [], "artefacts": {},
            "inputs": inputs(&recipe, &lock_bytes, &overlays, &options, FAST_LEVELS.1),
            "packages": {}, "components": components, "missing-components": [], "nics": [],
        });
        write("image/manifest.json", manifest.to_string().as_bytes());
        write("image/site.lock", &lock_bytes);
        write(&format!("image/{SUMS}"), b"");
        sign(&dir.path().join("image"), signer).unwrap();
        let envelope: Value =
            serde_json::from_slice(&fs::read(dir.path().join("image").join(PROVENANCE)).unwrap()).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        let dependencies = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
        assert_eq!(dependencies.as_array().unwrap().len(), 3 + lock.packages.len() + 2, "{dependencies:#}");
        let recipe = manifest["inputs"]["recipe"].as_str().unwrap().to_owned();
        (recipe, dependencies.as_array().unwrap().clone())
    }
}

fn lock() -> Lock {
    let package = crate::lock::model::Package {
        name: "base-files".into(),
        version: "12".into(),
        arch: "all".into(),
        sha256: sha256(b"base-files"),
        size: 1,
        release: 0,
        path: "pool/base-files.deb".into(),
        because: vec!["recipe".into()],
    };
    let release = crate::lock::model::Release {
        archive: "debian".into(),
        suite: "bookworm".into(),
        date: 1_700_000_000,
        sha256: [1; 32],
        signed_by: "A".repeat(40),
    };
    Lock {
        timestamp: 1_700_000_000,
        request: [2; 32],
        asked: vec!["base-files".into()],
        releases: vec![release],
        packages: vec![package],
        extensions: BTreeMap::new(),
        unreviewed: BTreeMap::new(),
    }
}

#[test]
fn a_kernel_parameter_a_byte_of_an_overlay_and_a_component_are_in_the_provenance() {
    let signer = Signer::parse(&new_key("release", None).unwrap().secret, None).unwrap();
    let site = Site { recipe: PART, overlay: "welcome\n", component: INIT.to_vec(), time: 0 };
    let (recipe, all) = site.signed(&lock(), &signer);
    assert_eq!(recipe, hex(&sha256(&[RECIPE, PART].concat().into_bytes())), "what `cat` of the files gives");
    // Another directory, another time.
    assert_eq!(Site { time: 1, ..site.clone() }.signed(&lock(), &signer), (recipe.clone(), all.clone()));

    let mut other = lock();
    other.packages[0].version = "13".into();
    let component = [INIT, b"\0"].concat();
    for (name, site, lock) in [
        ("recipe", Site { recipe: "kernel: {cmdline: [quiet, debug]}\n", ..site.clone() }, lock()),
        ("overlay site", Site { overlay: "welcome.\n", ..site.clone() }, lock()),
        ("agent", Site { component, ..site.clone() }, lock()),
        ("lock", site, other),
    ] {
        let (changed, now) = site.signed(&lock, &signer);
        assert_eq!(changed != recipe, name == "recipe");
        let differ: Vec<&Value> =
            now.iter().filter(|now| !all.contains(now)).map(|now| &now["name"]).collect();
        let package = (name == "lock").then(|| json!("base-files"));
        assert_eq!(differ, [&json!(name)].into_iter().chain(&package).collect::<Vec<_>>());
    }
}
