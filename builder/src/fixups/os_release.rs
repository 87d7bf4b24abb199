//! os-release(5): the image is not Debian, it is made of it.

use super::edit::Edit;
use super::{Context, Error};

const PATH: &str = "usr/lib/os-release";

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    let debian = edit.need_text(PATH, "base-files")?;
    let name = &context.recipe.name;
    edit.write(PATH, os_release(&debian, name, context.version), 0o644)?;
    if !edit.has("etc/os-release") {
        edit.link("etc/os-release", "../usr/lib/os-release")?;
    }
    Ok(())
}

/// The text for an image; what it is based on is taken from Debian's own file.
fn os_release(debian: &str, image: &str, version: &str) -> String {
    let base = |key: &str| {
        let value = debian.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches('"').to_owned()
    };
    format!(
        "PRETTY_NAME=\"sledos {image} {version} (on {})\"\n\
         NAME=\"sledos\"\n\
         ID=sledos\n\
         ID_LIKE=debian\n\
         VERSION=\"{version}\"\n\
         VERSION_ID=\"{}\"\n\
         VERSION_CODENAME={}\n\
         IMAGE_ID={image}\n\
         IMAGE_VERSION=\"{version}\"\n",
        base("PRETTY_NAME"),
        base("VERSION_ID"),
        base("VERSION_CODENAME"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text};
    use super::*;

    #[test]
    fn says_what_it_is_and_what_it_is_made_of() {
        let mut f = Fixture::new();
        f.file(PATH, "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION=\"12 (b)\"\nVERSION_CODENAME=bookworm\nID=debian\n");
        f.run(run).unwrap();
        let out = text(&f.tree, PATH);
        for line in [
            "ID=sledos",
            "ID_LIKE=debian",
            "VERSION_ID=\"12\"",
            "VERSION_CODENAME=bookworm",
            "IMAGE_ID=compute",
            "IMAGE_VERSION=\"1.2.3\"",
        ] {
            assert!(out.lines().any(|l| l == line), "{line} is not in {out}");
        }
    }
}
