//! What `inspect`, `explain` and `verify` say of the image, and its SBOMs, before other
//! people's tools.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use formats::tree::{Kind, Tree};
use sledos::artefacts::Image;
use sledos::verify;

use super::support::{
    artefact, assert_same, cache_dir, image, initramfs, lock, manifest, scratch, sha256_of_file, shell,
    unsquashed,
};

#[test]
fn verify_finds_nothing_wrong() {
    let report = verify::artefacts(&image().dir, &[]).expect("it is an image");
    assert_eq!(report.problems().count(), 0, "{report}");
}

#[test]
fn the_lock_beside_the_image_is_the_one_it_was_made_from() {
    let read = |path: &Path| fs::read(path).expect("the image was just made with it");
    assert!(read(&artefact("compute.lock")) == read(&image().lock), "other bytes");
}

/// What both can say of a file: mode, owner, and content or target.
type Facts = (u32, u32, u32, String);

fn ours(tree: &Tree) -> BTreeMap<String, Facts> {
    let hex = |digest: [u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    tree.iter()
        .map(|(path, node)| {
            let real = if let Kind::Hardlink(to) = &node.kind {
                tree.get(to).expect("it leads somewhere")
            } else {
                node
            };
            let what = match &real.kind {
                Kind::File(content) => hex(content.digest().expect("it reads")),
                Kind::Symlink(to) => String::from_utf8_lossy(to).into_owned(),
                _ => String::new(),
            };
            (path.to_string(), (u32::from(real.mode), real.uid, real.gid, what))
        })
        .collect()
}

fn theirs(root: &Path) -> BTreeMap<String, Facts> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).expect("it was unpacked a moment ago");
        let what = if meta.is_file() {
            sha256_of_file(&path)
        } else if meta.is_symlink() {
            fs::read_link(&path).expect("it is one").to_string_lossy().into_owned()
        } else {
            String::new()
        };
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("it was unpacked a moment ago");
            todo.extend(entries.map(|entry| entry.expect("it can be read").path()));
        }
        let name = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
        found.insert(name, (meta.mode() & 0o7777, meta.uid(), meta.gid(), what));
    }
    found
}

#[test]
fn unsquashfs_reads_the_same_files() {
    // From the disk, whose slot goes on behind the filesystem.
    let disk = Image::open(&artefact("disk.raw")).expect("it is a disk");
    assert_same(&ours(&disk.usr().expect("it has a /usr").listing.tree), &theirs(&unsquashed().join("usr")));
}

#[test]
fn cpio_reads_the_same_initramfs() {
    let uki = Image::open(&artefact("compute.efi")).expect("it is a UKI");
    let mut ours = ours(&uki.initramfs().expect("it has one").tree);
    let mut theirs = theirs(initramfs());
    // Microcode is in an archive of its own, in front of the frame that theirs comes from.
    ours.retain(|path, _| path != "kernel" && !path.starts_with("kernel/"));
    // cpio unpacks into a directory that is there already.
    ours.remove("");
    theirs.remove("");
    assert_same(&ours, &theirs);
}

#[test]
fn owners_are_the_packages_that_have_the_files() {
    let origins =
        Image::open(&image().dir).expect("it is an image").origins().expect("it says who owns what");
    let cache = sledos::cache::Cache::open(&cache_dir()).expect("the build used it");
    for name in ["docker.io", "systemd", "libc6"] {
        let locked = lock().packages.into_iter().find(|p| p.name == name).expect("compute has it");
        let listed = shell(
            "dpkg, tar",
            "dpkg-deb --fsys-tarfile \"$0\" | tar --list --quoting-style=literal",
            &[&cache.deb_path(&locked.sha256)],
        );
        let in_deb: BTreeSet<String> = (listed.lines())
            .map(|line| line.trim_start_matches("./").trim_end_matches('/'))
            .map(|path| path.strip_prefix("usr/").unwrap_or(path).replace('\\', "\\\\"))
            .collect();
        let owner = format!("package {name}");
        let owned = origins.usr.files.iter().filter(|(_, index, _)| origins.owner(*index) == owner);
        let mut count = 0;
        for (path, ..) in owned {
            // /etc of the image is kept in /usr.
            let path = path.strip_prefix("share/sledos/").unwrap_or(path);
            assert!(in_deb.contains(path), "{path} is not in {name}");
            count += 1;
        }
        assert!(count > 10, "{name} has {count} files");
    }
}

#[test]
fn public_validators_accept_the_sboms() {
    let dir = scratch("sbom");
    let script = "set -e; cd \"$0\"; python3 -m venv venv; venv/bin/pip --quiet --disable-pip-version-check install \
        spdx-tools==0.8.3 'cyclonedx-python-lib[json-validation]==11.12.0'; venv/bin/python - \"$1\" \"$2\" <<'EOF'
import sys
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
document = parse_file(sys.argv[1])
problems = [message.validation_message for message in validate_full_spdx_document(document)]
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[2]).read())
problems += [str(error)] if error else []
if problems: sys.exit('\\n'.join(problems[:20]))
print(len(document.packages))
EOF";
    let counted =
        shell("python3-venv", script, &[&dir, &artefact("sbom.spdx.json"), &artefact("sbom.cdx.json")]);
    // The image, PID 1 and its crates besides.
    let packages = manifest().packages.len();
    assert!(counted.trim().parse::<usize>().expect("a number") > packages + 20, "{counted} of {packages}");
}

#[test]
fn minisign_and_public_libraries_accept_the_signatures() {
    let dir = scratch("signed");
    let signed = dir.join("image");
    shell("coreutils", "cp --recursive --link \"$0\" \"$1\"", &[&image().dir, &signed]);
    let new = metadata::fleet::sign::new_key("release", None).expect("there are random numbers");
    let signer = metadata::fleet::sign::Signer::parse(&new.secret, None).expect("it was made just now");
    sledos::provenance::sign(&signed, &signer).expect("there is room");
    let public = dir.join("release.pub");
    fs::write(&public, &new.public).expect("the directory is ours");
    let script = "set -e; cd \"$0\"; minisign -Vm image/SHA256SUMS -p \"$1\" >/dev/null; \
        python3 -m venv venv; venv/bin/pip --quiet --disable-pip-version-check install \
        'securesystemslib[crypto]==1.3.1' in-toto-attestation==0.9.3; venv/bin/python - \"$1\" <<'EOF'
import base64, json, sys
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
line = base64.b64decode(open(sys.argv[1]).read().split('\\n')[1])
envelope = json.load(open('image/provenance.intoto.jsonl'))
keyid = envelope['signatures'][0]['keyid']
key = SSlibKey(keyid, 'ed25519', 'ed25519', {'public': line[10:].hex()})
Envelope.from_dict(envelope).verify([key], 1)
payload = base64.b64decode(envelope['payload'])
statement = json_format.Parse(payload, statement_pb2.Statement())
Statement.copy_from_pb(statement).validate()
json_format.ParseDict(json.loads(payload)['predicate'], provenance_pb2.Provenance())
print(len(statement.subject))
EOF";
    let subjects = shell("minisign, python3-venv", script, &[&dir, &public]);
    let files = fs::read_dir(&image().dir).expect("it is there").count();
    // Of itself SHA256SUMS says nothing.
    assert_eq!(subjects.trim().parse::<usize>().expect("a number"), files - 1);
}
