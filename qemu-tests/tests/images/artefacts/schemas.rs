//! The JSON Schemas, judged by a public validator: what ships fits them, and so do the CI
//! workflows those of GitHub and GitLab.

use std::fs;

use qemu_tests::image::top;

use super::support::{artefact, scratch, shell};

#[test]
fn a_public_validator_agrees_with_the_schemas() {
    let dir = scratch("schemas");
    // The documentation's recipe has every key.
    let page = fs::read_to_string(top().join("docs/recipe.md")).expect("it is in the repository");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()).take(2).collect();
    for (n, block) in blocks.iter().enumerate() {
        fs::write(dir.join(format!("documented-{n}.yaml")), block).expect("the directory is ours");
    }
    // What must not fit.
    for (name, text) in [
        ("key", "name: x\npakages: [a]\n"),
        ("mode", "name: x\noverlays: [{name: a, attributes: {b: {mode: 0755}}}]\n"),
        ("level", "name: x\ncompression: {usr-level: 40}\n"),
        ("size", "name: x\nlayout: {esp: 12 MB}\n"),
    ] {
        fs::write(dir.join(format!("bad-{name}.yaml")), text).expect("the directory is ours");
    }
    let script = r#"set -e; cd "$0"; python3 -m venv venv
        venv/bin/pip --quiet --disable-pip-version-check install check-jsonschema==0.39.0
        check=$PWD/venv/bin/check-jsonschema; dir=$PWD; cd "$1"; schema=docs/schema
        $check --check-metaschema $schema/*.json
        $check --schemafile $schema/recipe.json recipes/*.yaml docs/cookbook/recipes/*.yaml "$dir"/documented-*.yaml
        $check --default-filetype yaml --schemafile $schema/lock.json recipes/*.lock "$2"
        $check --schemafile $schema/manifest.json "$3"
        $check --builtin-schema vendor.github-workflows docs/ci/github-actions.yml
        $check --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci docs/ci/gitlab-ci.yml
        for bad in "$dir"/bad-*.yaml; do
            ! $check --schemafile $schema/recipe.json "$bad" >/dev/null || { echo "$bad fits"; exit 1; }
        done >&2"#;
    shell("python3-venv", script, &[&dir, &top(), &artefact("compute.lock"), &artefact("manifest.json")]);
    assert_eq!(blocks.len(), 2, "docs/recipe.md has its two recipes first");
}
