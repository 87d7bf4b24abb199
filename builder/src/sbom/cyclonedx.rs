//! CycloneDX 1.6 as JSON.

use serde_json::{Value, json};

use super::{Bom, Package};
use crate::digest::parse_sha256;
use crate::image::ids::uuid_text;

/// The document.
pub(super) fn document(bom: &Bom) -> Value {
    let image = format!("{}-{}", bom.image, bom.version);
    let all = bom.packages.iter().chain([&bom.init]).chain(&bom.crates);
    let components =
        all.map(|one| component(one, if one.id == bom.init.id { "application" } else { "library" }));
    let ids = |packages: &[Package]| packages.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    let mut contents = ids(&bom.packages);
    contents.push(bom.init.id.clone());
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", serial(&bom.root_hash)),
        "version": 1,
        "metadata": {
            "timestamp": bom.created(),
            "tools": {"components": [{"type": "application", "name": "sledos", "version": env!("CARGO_PKG_VERSION")}]},
            "component": {
                "type": "operating-system",
                "bom-ref": image,
                "name": bom.image,
                "version": bom.version,
                "properties": [{"name": "sledos:root-hash", "value": bom.root_hash}],
            },
        },
        "components": components.collect::<Vec<_>>(),
        "dependencies": [
            {"ref": image, "dependsOn": contents},
            {"ref": bom.init.id, "dependsOn": ids(&bom.crates)},
        ],
    })
}

/// A UUID (RFC 9562 version 8: custom) from the root hash.
fn serial(root_hash: &str) -> String {
    let hash = parse_sha256(root_hash).unwrap_or_default();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid_text(&uuid)
}

fn component(one: &Package, kind: &str) -> Value {
    let mut out = json!({"type": kind, "bom-ref": one.id, "name": one.name});
    if !one.version.is_empty() {
        out["version"] = json!(one.version);
    }
    if let Some(sum) = &one.sha256 {
        out["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
    }
    if let Some(purl) = &one.purl {
        out["purl"] = json!(purl);
    }
    if let Some(licence) = &one.licence {
        out["licenses"] = json!([{"expression": licence}]);
    }
    if let Some(supplier) = &one.supplier {
        out["supplier"] = json!({"name": supplier});
    }
    if let Some(url) = &one.homepage {
        out["externalReferences"] = json!([{"type": "website", "url": url}]);
    }
    if let Some((name, version)) = &one.source {
        out["properties"] = json!([
            {"name": "sledos:source-package", "value": name},
            {"name": "sledos:source-version", "value": version},
        ]);
    }
    out
}
