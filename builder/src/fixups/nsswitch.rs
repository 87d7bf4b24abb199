//! Name service modules, each put where its package's postinst puts it.

use super::edit::Edit;
use super::{Context, Error};

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let text = edit.need_text("etc/nsswitch.conf", "libc-bin")?;
    let has = |name: &str| edit.has(&format!("{LIBRARIES}/libnss_{name}.so.2"));
    let (systemd, resolve, myhostname) = (has("systemd"), has("resolve"), has("myhostname"));
    let mut out = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        match line.split(':').next().unwrap_or_default() {
            "passwd" | "group" | "shadow" | "gshadow" if systemd => add(&mut line, "systemd", None),
            "hosts" => {
                // An answer of resolved is final, unless resolved is not running.
                if resolve {
                    add(&mut line, "resolve [!UNAVAIL=return]", Some("dns"));
                }
                if myhostname {
                    add(&mut line, "myhostname", Some(if resolve { "resolve" } else { "dns" }));
                }
            }
            _ => {}
        }
        out.push_str(&line);
        out.push('\n');
    }
    if out != text {
        edit.write("etc/nsswitch.conf", out, 0o644)?;
    }
    Ok(())
}

/// Adds a service before another one or at the end, unless it is there.
fn add(line: &mut String, service: &str, before: Option<&str>) {
    let name = service.split(' ').next().unwrap_or(service);
    if line.split_whitespace().any(|word| word == name) {
        return;
    }
    match before.and_then(|b| line.find(&format!(" {b}"))) {
        Some(at) => line.insert_str(at, &format!(" {service}")),
        None => line.push_str(&format!(" {service}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text};
    use super::*;

    #[test]
    fn modules_that_are_there_are_used_once() {
        let mut f = Fixture::new();
        f.file("etc/nsswitch.conf", "passwd:         files\nhosts:          files dns\nrpc: db\n");
        for name in ["systemd", "resolve", "myhostname"] {
            f.file(&format!("{LIBRARIES}/libnss_{name}.so.2"), "");
        }
        let expected = "passwd:         files systemd\n\
                        hosts:          files myhostname resolve [!UNAVAIL=return] dns\nrpc: db\n";
        for changed in [1, 0] {
            assert_eq!(f.run(run).unwrap(), changed);
            assert_eq!(text(&f.tree, "etc/nsswitch.conf"), expected);
        }
    }
}
