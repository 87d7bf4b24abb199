//! `/etc/pam.d/common-*`, made from the templates of libpam-runtime and the
//! profiles packages ship, as `pam-auth-update(8)` makes them.

use super::edit::Edit;
use super::{Context, Error};

const TEMPLATES: &str = "usr/share/pam";
const PROFILES: &str = "usr/share/pam-configs";

/// The files: name, profile field, variable of the template.
const FILES: &[(&str, &str, &str)] = &[
    ("common-auth", "Auth", "auth"),
    ("common-account", "Account", "account"),
    ("common-password", "Password", "password"),
    ("common-session", "Session", "session"),
    ("common-session-noninteractive", "Session", "session_nonint"),
];

/// A file of `usr/share/pam-configs`: fields, with continuation lines joined by `\n`.
struct Profile {
    fields: Vec<(String, String)>,
}

impl Profile {
    fn parse(text: &str) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            match (line.starts_with([' ', '\t']), line.split_once(':'), fields.last_mut()) {
                (false, Some((key, value)), _) => fields.push((key.into(), value.trim().into())),
                (_, _, Some((_, value))) => {
                    value.push('\n');
                    value.push_str(line.trim());
                }
                _ => {}
            }
        }
        Self { fields }
    }

    fn get(&self, key: &str) -> &str {
        self.fields.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v)
    }

    fn priority(&self) -> i64 {
        self.get("Priority").parse().unwrap_or(0)
    }
}

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let mut profiles = Vec::new();
    for name in edit.names(PROFILES, "")? {
        let text = edit.read_text(&format!("{PROFILES}/{name}"))?.unwrap_or_default();
        let profile = Profile::parse(&text);
        if profile.get("Default") == "yes" {
            profiles.push(profile);
        }
    }
    // Highest first; names decide among equals, as the directory is sorted.
    profiles.sort_by_key(|p| std::cmp::Reverse(p.priority()));
    for (file, field, variable) in FILES {
        let path = format!("etc/pam.d/{file}");
        if edit.has(&path) {
            continue;
        }
        let template = edit.need_text(&format!("{TEMPLATES}/{file}"), "libpam-runtime")?;
        edit.write(&path, fill(&template, &profiles, field, variable), 0o644)?;
    }
    Ok(())
}

fn fill(template: &str, profiles: &[Profile], field: &str, variable: &str) -> String {
    let keyword = field.to_lowercase();
    let mut out = String::new();
    for line in template.lines() {
        let block = match line.strip_prefix('$').and_then(|l| l.strip_prefix(variable)) {
            Some("_primary") => "Primary",
            Some("_additional") => "Additional",
            _ => {
                out.push_str(line);
                out.push('\n');
                continue;
            }
        };
        let lines = modules(profiles, field, block, variable == "session_nonint");
        for (index, module) in lines.iter().enumerate() {
            // `end` is just behind the block and the line that denies after it.
            let jump = format!("={}", lines.len() - index);
            out.push_str(&format!("{keyword}\t{}\n", module.replace("=end", &jump)));
        }
    }
    out
}

fn modules<'a>(profiles: &'a [Profile], field: &str, block: &str, nonint: bool) -> Vec<&'a str> {
    let mut lines = Vec::new();
    let wanted = profiles
        .iter()
        .filter(|p| p.get(&format!("{field}-Type")) == block)
        .filter(|p| !(nonint && p.get("Session-Interactive-Only") == "yes"));
    for (position, profile) in wanted.enumerate() {
        // The first module asks for the password, the others take what it got.
        let initial = profile.get(&format!("{field}-Initial"));
        let text = if position == 0 && !initial.is_empty() { initial } else { profile.get(field) };
        lines.extend(text.lines().map(str::trim).filter(|l| !l.is_empty()));
    }
    if lines.is_empty() && block == "Primary" {
        lines.push("[default=1]\t\t\tpam_permit.so");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text};
    use super::*;

    const UNIX: &str = "Name: Unix\nDefault: yes\nPriority: 256\nAuth-Type: Primary\nAuth:\n\
        \t[success=end default=ignore]\tpam_unix.so try_first_pass\nAuth-Initial:\n\
        \t[success=end default=ignore]\tpam_unix.so\nSession-Type: Additional\nSession:\n\trequired\tpam_unix.so\n";
    const LDAP: &str = "Name: L\nDefault: yes\nPriority: 128\nAuth-Type: Primary\nAuth:\n\
        \t[success=end default=ignore]\tpam_ldap.so use_first_pass\n";
    const SYSTEMD: &str = "Name: S\nDefault: yes\nPriority: 0\nSession-Interactive-Only: yes\n\
        Session-Type: Additional\nSession:\n\toptional\tpam_systemd.so\n";

    fn fixture() -> Fixture {
        let mut f = Fixture::new();
        for (file, _, v) in FILES {
            let k = v.trim_end_matches("_nonint");
            f.file(
                &format!("{TEMPLATES}/{file}"),
                format!("# t\n${v}_primary\n{k}\trequisite\tpam_deny.so\n${v}_additional\n"),
            );
        }
        f.file(&format!("{PROFILES}/unix"), UNIX);
        f.file(&format!("{PROFILES}/systemd"), SYSTEMD);
        f.file(&format!("{PROFILES}/mkhomedir"), SYSTEMD.replace("yes", "no"));
        f
    }

    #[test]
    fn success_jumps_over_the_rest_of_the_block_and_the_denial() {
        let mut f = fixture();
        f.file(&format!("{PROFILES}/ldap"), LDAP);
        f.run(run).unwrap();
        assert_eq!(
            text(&f.tree, "etc/pam.d/common-auth"),
            "# t\nauth\t[success=2 default=ignore]\tpam_unix.so\n\
             auth\t[success=1 default=ignore]\tpam_ldap.so use_first_pass\n\
             auth\trequisite\tpam_deny.so\n"
        );
    }

    #[test]
    fn sessions_without_a_terminal_leave_out_what_is_interactive_only() {
        let mut f = fixture();
        f.run(run).unwrap();
        let permit = "# t\nsession\t[default=1]\t\t\tpam_permit.so\nsession\trequisite\tpam_deny.so\n";
        let unix = "session\trequired\tpam_unix.so\n";
        assert_eq!(
            text(&f.tree, "etc/pam.d/common-session"),
            format!("{permit}{unix}session\toptional\tpam_systemd.so\n")
        );
        assert_eq!(text(&f.tree, "etc/pam.d/common-session-noninteractive"), format!("{permit}{unix}"));
    }

    #[test]
    fn without_templates_the_package_is_named() {
        let e = Fixture::new().run(run).unwrap_err();
        assert!(matches!(e, Error::Missing { package: "libpam-runtime", .. }), "{e}");
    }
}
