//! `/etc/shells`, from debianutils and the lists of the shells' packages.

use super::edit::Edit;
use super::{Context, Error};

const SHELLS: &str = "usr/share/debianutils/shells";

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let mut text = edit.need_text(SHELLS, "debianutils")?;
    let dir = format!("{SHELLS}.d");
    for name in edit.names(&dir, "")? {
        for shell in edit.read_text(&format!("{dir}/{name}"))?.unwrap_or_default().lines() {
            // /usr is merged: each shell has two names.
            for shell in [shell.to_owned(), format!("/usr{shell}")] {
                if shell.starts_with('/') && !text.lines().any(|l| l == shell) {
                    text.push_str(&shell);
                    text.push('\n');
                }
            }
        }
    }
    edit.write("etc/shells", text, 0o644)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text};
    use super::*;

    #[test]
    fn each_shell_is_listed_under_both_names() {
        let mut f = Fixture::new();
        f.file(SHELLS, "# shells\n/bin/sh\n");
        f.file("usr/share/debianutils/shells.d/dash", "/bin/dash\n/bin/sh\n");
        f.run(run).unwrap();
        assert_eq!(text(&f.tree, "etc/shells"), "# shells\n/bin/sh\n/bin/dash\n/usr/bin/dash\n/usr/bin/sh\n");
    }
}
