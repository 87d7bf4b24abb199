//! `systemctl enable` and `systemctl mask`.
//!
//! Both are links in /etc, where `systemctl` looks for them: what is on is `enabled` to
//! everybody who asks. That /etc is the image's own, verified with it.

mod check;

use super::edit::Edit;
use super::{Context, Error};

pub(super) use check::unknown;

const UNITS: &str = "usr/lib/systemd/system";
const LINKS: &str = "etc/systemd/system";

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    for (unit, targets) in &context.recipe.enable {
        let file = unit_file(unit);
        let path = format!("{UNITS}/{file}");
        let Some(text) = edit.read_text(&path)? else {
            let problem = "no package or overlay ships this unit; correct the recipe's `enable:`";
            return Err(edit.unexpected(&path, problem));
        };
        for target in targets {
            edit.link(&format!("{LINKS}/{target}.wants/{unit}"), &format!("/{path}"))?;
        }
        for alias in aliases(&text) {
            if !edit.has(&format!("{UNITS}/{alias}")) {
                edit.link(&format!("{LINKS}/{alias}"), &format!("/{UNITS}/{unit}"))?;
            }
        }
    }
    for note in check::notes(edit, context)? {
        edit.note(note);
    }
    for unit in &context.recipe.mask {
        edit.link(&format!("{LINKS}/{unit}"), "/dev/null")?;
    }
    Ok(())
}

/// `serial-getty@ttyS1.service` is an instance of `serial-getty@.service`.
fn unit_file(unit: &str) -> String {
    match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((name, _)), Some((_, kind))) => format!("{name}@.{kind}"),
        _ => unit.to_owned(),
    }
}

/// The names of `Alias=` in the `[Install]` section.
fn aliases(text: &str) -> Vec<&str> {
    let mut install = false;
    let mut out = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            install = line == "[Install]";
        } else if let Some(names) = line.strip_prefix("Alias=").filter(|_| install) {
            out.extend(names.split_whitespace());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text};
    use super::*;

    #[test]
    fn units_are_wanted_and_known_by_their_aliases() {
        let mut f = Fixture::new();
        f.file(
            &format!("{UNITS}/ssh.service"),
            "[Unit]\nAlias=no\n[Install]\nAlias=sshd.service\nWantedBy=x\n",
        );
        f.file(&format!("{UNITS}/serial-getty@.service"), "[Install]\n");
        for (unit, target) in
            [("ssh.service", "multi-user.target"), ("serial-getty@ttyS1.service", "getty.target")]
        {
            f.recipe.enable.insert(unit.into(), vec![target.into()]);
        }
        f.recipe.mask.insert("systemd-firstboot.service".into());
        assert_eq!(f.run(run).unwrap(), 4);
        let link = |path: &str| text(&f.tree, &format!("{LINKS}/{path}"));
        assert_eq!(link("multi-user.target.wants/ssh.service"), format!("-> /{UNITS}/ssh.service"));
        assert_eq!(link("sshd.service"), format!("-> /{UNITS}/ssh.service"));
        let getty = link("getty.target.wants/serial-getty@ttyS1.service");
        assert_eq!(getty, format!("-> /{UNITS}/serial-getty@.service"));
        assert_eq!(text(&f.tree, "etc/systemd/system/systemd-firstboot.service"), "-> /dev/null");
    }

    #[test]
    fn a_unit_nobody_ships_is_an_error() {
        let mut f = Fixture::new();
        f.recipe.enable.insert("nope.service".into(), vec!["multi-user.target".into()]);
        assert!(f.run(run).unwrap_err().to_string().contains("nope.service"));
    }
}
