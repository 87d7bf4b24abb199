//! SPDX 2.3 as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Bom, Package};
use crate::image::manifest::BUILDER;

/// The document.
pub(super) fn document(bom: &Bom) -> Value {
    let image = Package {
        id: "image".into(),
        name: bom.image.clone(),
        version: bom.version.clone(),
        ..Package::default()
    };
    let mut top = package(&image, "OPERATING-SYSTEM");
    top["comment"] = json!(format!("dm-verity root hash {}", bom.root_hash));
    let mut packages = vec![top];
    let mut relations = vec![relation("DOCUMENT", "DESCRIBES", "image")];
    for one in &bom.packages {
        packages.push(package(one, "INSTALL"));
        relations.push(relation("image", "CONTAINS", &one.id));
    }
    packages.push(package(&bom.init, "APPLICATION"));
    relations.push(relation("image", "CONTAINS", &bom.init.id));
    for one in &bom.crates {
        packages.push(package(one, "LIBRARY"));
        relations.push(relation(&bom.init.id, "STATIC_LINK", &one.id));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{} {}", bom.image, bom.version),
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}-{}", bom.image, bom.version, bom.root_hash),
        "creationInfo": {"created": bom.created(), "creators": [format!("Tool: {}", BUILDER.replace(' ', "-"))]},
        "hasExtractedLicensingInfos": references(bom),
        "packages": packages,
        "relationships": relations,
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({
        "spdxElementId": format!("SPDXRef-{from}"),
        "relationshipType": kind,
        "relatedSpdxElement": format!("SPDXRef-{to}"),
    })
}

fn package(one: &Package, purpose: &str) -> Value {
    let mut out = json!({
        "SPDXID": format!("SPDXRef-{}", one.id),
        "name": one.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": one.licence.as_deref().unwrap_or("NOASSERTION"),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": purpose,
    });
    if !one.version.is_empty() {
        out["versionInfo"] = json!(one.version);
    }
    if let Some(sum) = &one.sha256 {
        out["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sum}]);
    }
    if let Some(purl) = &one.purl {
        out["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        }]);
    }
    if let Some(supplier) = &one.supplier {
        out["supplier"] = json!(format!("Organization: {}", supplier.replace('<', "(").replace('>', ")")));
    }
    if let Some(url) = &one.homepage {
        out["homepage"] = json!(url);
    }
    if let Some((name, version)) = &one.source {
        out["sourceInfo"] = json!(format!("built from the source package {name} {version}"));
    }
    out
}

/// Licences that are references: SPDX wants each to be defined.
fn references(bom: &Bom) -> Vec<Value> {
    let all = bom.packages.iter().chain([&bom.init]).chain(&bom.crates);
    let expressions = all.filter_map(|one| one.licence.as_deref());
    let words = expressions.flat_map(|text| text.split(|c: char| c.is_whitespace() || "()".contains(c)));
    let names: BTreeSet<&str> = words.filter(|word| word.starts_with("LicenseRef-")).collect();
    let define = |name: &str| {
        json!({
            "licenseId": name,
            "extractedText": "The text is in usr/share/doc/PACKAGE/copyright of the Debian packages that name it.",
            "name": name.trim_start_matches("LicenseRef-debian-"),
        })
    };
    names.into_iter().map(define).collect()
}
