//! The statement: an in-toto Statement v1 with SLSA provenance v1.
//! Source: <https://in-toto.io/Statement/v1>, <https://slsa.dev/spec/v1.0/provenance>.
//!
//! It has no time and no machine of the build in it: the same image gets the same
//! statement, wherever it is made again.

use serde_json::{Value, json};

use crate::digest::hex;
use crate::image::manifest::{BUILDER, Manifest};
use crate::lock::Lock;
use crate::sbom;

/// Where the words of `externalParameters` and `resolvedDependencies` are explained.
const BUILD_TYPE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/provenance.md#build-v1");

/// The statement of an image; `sums` are the hashes and names in `SHA256SUMS`.
pub(super) fn statement(manifest: &Manifest, lock: &Lock, sums: &[(&str, &str)]) -> String {
    let digest = |sha256: &str| json!({"sha256": sha256});
    let subject: Vec<Value> =
        sums.iter().map(|(sum, name)| json!({"name": name, "digest": digest(sum)})).collect();
    let inputs = &manifest.inputs;
    let mut dependencies = vec![
        json!({"name": "recipe", "digest": digest(&inputs.recipe)}),
        json!({"name": "lock", "digest": digest(&inputs.lock)}),
        json!({"name": "init", "digest": digest(&inputs.init)}),
    ];
    let distro = sbom::distro(lock);
    dependencies.extend(lock.all_packages().map(|package| {
        let archive = lock.releases.get(package.release).map_or("debian", |release| &release.archive);
        let purl = sbom::deb_purl(archive, package, distro.as_deref());
        json!({"name": package.name, "uri": purl, "digest": digest(&hex(&package.sha256))})
    }));
    dependencies.extend(
        inputs
            .overlays
            .iter()
            .map(|(name, sha256)| json!({"name": format!("overlay {name}"), "digest": digest(sha256)})),
    );
    dependencies.extend(
        (manifest.components.iter())
            .map(|(name, component)| json!({"name": name, "digest": digest(&component.sha256)})),
    );
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "image": manifest.image,
                    "version": manifest.version,
                    "time": manifest.time,
                    "usrLevel": inputs.usr_level,
                    "initramfsLevel": inputs.initramfs_level,
                },
                "internalParameters": {"rootHash": manifest.root_hash, "blockSize": inputs.block_size},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": env!("CARGO_PKG_REPOSITORY"),
                    "version": {"sledos": BUILDER.trim_start_matches("sledos ")},
                },
            },
        },
    });
    statement.to_string()
}
