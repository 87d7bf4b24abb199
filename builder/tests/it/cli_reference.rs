//! Keeps `docs/cli.md` what the program itself says. With `UPDATE_DOCS=1` in the
//! environment the page is written instead of compared.

use std::fs;
use std::path::Path;

#[test]
fn the_page_is_what_the_program_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let now = sledos::cli::reference::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &now).unwrap();
    }
    let page = fs::read_to_string(&file).unwrap_or_default();
    let pairs = page.lines().zip(now.lines());
    let line = pairs.take_while(|(old, new)| old == new).count() + 1;
    assert!(
        page == now,
        "docs/cli.md differs from the program from line {line} on; \
         `UPDATE_DOCS=1 cargo test --release --test it cli_reference` writes it"
    );
}

#[test]
fn every_verb_has_a_section() {
    let page = sledos::cli::reference::markdown();
    for heading in
        ["sledos", "sledos build", "sledos lock", "sledos boot", "sledos fleet compile", "sledos keys new"]
    {
        assert!(page.contains(&format!("\n## {heading}\n")), "no section {heading}");
    }
}
