//! What maintainer scripts do by hand.
//!
//! No script ever runs: declarative fix-ups do what a boot needs. Most script
//! code comes from debhelper, between markers that name the tool, and the fix-ups
//! know these tools. What is left was written by a person for this package, and
//! a person has to look at it once: it is listed in the lock until the recipe
//! names the package under `reviewed-scripts`.
//!
//! This is a reading of shell by its lines, not by its grammar. It errs on the
//! side of listing too much.

use std::collections::BTreeSet;

use crate::shell;
use crate::unpack::ControlFiles;

/// Debhelper tools whose effect the fix-ups have, or an immutable image does not need.
const ACCOUNTED: [&str; 25] = [
    "dh_apparmor",
    "dh_fixperms",
    "dh_icons",
    "dh_installalternatives",
    "dh_installcatalogs",
    "dh_installdeb",
    "dh_installdebconf",
    "dh_installinfo",
    "dh_installinit",
    "dh_installmenu",
    "dh_installmime",
    "dh_installmodules",
    "dh_installsystemd",
    "dh_installsystemduser",
    "dh_installsysusers",
    "dh_installtmpfiles",
    "dh_installudev",
    "dh_installxfonts",
    "dh_makeshlibs",
    "dh_python3",
    "dh_sysuser",
    "dh_systemd_enable",
    "dh_systemd_start",
    "dh_ucf",
    "dh_usrlocal",
];

/// First words of commands that change nothing an image has: they serve
/// upgrades, running services, or dpkg itself.
const HARMLESS: [&str; 16] = [
    ":",
    "break",
    "db_stop",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "dpkg-maintscript-helper",
    "dpkg-trigger",
    "echo",
    "exit",
    "invoke-rc.d",
    "ldconfig",
    "return",
    "set",
    "systemctl",
    "true",
    "update-rc.d",
];

/// Something a script does by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `postinst`
    pub script: String,
    /// From 1.
    pub line: usize,
    /// The line, or what the file is.
    pub text: String,
    /// Whether the text is a line of shell.
    pub is_code: bool,
}

/// What of `scripts` no fix-up accounts for, the most telling script first. Triggers have no
/// code of their own.
pub fn review(scripts: &ControlFiles) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (script, wanted) in [("postinst", "configure"), ("preinst", "install"), ("config", "configure")] {
        let Some(content) = scripts.get(script) else { continue };
        let found = |line, text: &str, is_code| Finding {
            script: script.to_owned(),
            line,
            text: text.to_owned(),
            is_code,
        };
        match std::str::from_utf8(content) {
            Ok(text) if is_shell(text) => {
                findings.extend(by_hand(text, wanted).map(|(line, text)| found(line, text, true)));
            }
            Ok(text) if text.starts_with("#!") => {
                findings.push(found(
                    1,
                    &format!("is run by {}", text.lines().next().unwrap_or_default()),
                    false,
                ));
            }
            _ => findings.push(found(1, "is a program, not a script", false)),
        }
    }
    findings
}

/// Whether the first line names a shell, whichever.
fn is_shell(text: &str) -> bool {
    let first = text.lines().next().and_then(|line| line.strip_prefix("#!"));
    let program = first.and_then(|line| line.split_ascii_whitespace().next());
    program.and_then(|path| path.rsplit('/').next()).is_some_and(|name| name.ends_with("sh"))
}

/// Places and commands that a gist names at most.
const NAMED: usize = 8;

/// One line for the lock, or `None` when there is nothing to say: where the script's own
/// code begins, which files it writes and which other commands it has.
pub fn gist(findings: &[Finding]) -> Option<String> {
    let first = findings.first()?;
    let text: String = first.text.chars().filter(|c| !c.is_control()).take(90).collect();
    let mut out = format!("{} {}: {text}", first.script, first.line);
    let (mut written, mut run) = (Vec::new(), Vec::new());
    let lines: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    for command in shell::commands(&lines.join("\n")) {
        let files = writes(&command);
        // The first line is there already.
        if files.is_empty() && findings.iter().all(|finding| finding.is_code) {
            run.extend(command.first().filter(|name| is_command(name)).cloned());
        }
        written.extend(files);
    }
    for (verb, mut names) in [("writes", written), ("runs", run)] {
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        if !names.is_empty() {
            out += &format!("; {verb} {}", names.join(", "));
        }
        if more > 0 {
            out += &format!(" and {more} more");
        }
    }
    Some(out)
}

fn is_command(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let grammar = ["if", "then", "else", "elif", "fi", "for", "while", "do", "done", "case", "esac"];
    name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !grammar.contains(&name)
        && !HARMLESS.contains(&name)
}

/// The files a command makes, changes or takes away, as far as they are literal.
fn writes(command: &[String]) -> Vec<String> {
    let path =
        |word: &&String| word.starts_with('/') && !word.starts_with("/dev/") && !word.contains(['$', '`']);
    let redirected = command.windows(2).filter(|pair| pair.first().is_some_and(|sign| sign.starts_with('>')));
    let mut files: Vec<String> = redirected.filter_map(|pair| pair.get(1)).filter(path).cloned().collect();
    let Some((program, words)) = command.split_first() else { return files };
    match program.rsplit('/').next().unwrap_or_default() {
        "cp" | "mv" | "ln" | "install" | "ucf" => files.extend(words.iter().rfind(path).cloned()),
        "chgrp" | "chmod" | "chown" | "dpkg-statoverride" | "mkdir" | "mkfifo" | "rm" | "rmdir" | "sed"
        | "setcap" | "tee" | "touch" => files.extend(words.iter().filter(path).cloned()),
        _ => {}
    }
    files
}

/// The lines of a shell script that count, for the action `wanted`.
fn by_hand<'a>(text: &'a str, wanted: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let mut reader = Reader { wanted: wanted.to_owned(), ..Reader::default() };
    (1..).zip(text.lines().map(str::trim)).filter(move |(_, line)| reader.counts(line))
}

#[derive(Default)]
struct Reader {
    wanted: String,
    /// Within the markers of a tool that is accounted for.
    generated: bool,
    /// Depth of `case` within the outermost one on `$1`; 0: outside of it.
    cases: usize,
    /// Within an arm of that `case` for another action.
    other_action: bool,
    /// Depth of `if` within one that is false when nothing was installed before.
    upgrade_ifs: usize,
    /// End of a here-document: its text is no code.
    here: Option<String>,
}

impl Reader {
    fn counts(&mut self, line: &str) -> bool {
        if let Some(end) = &self.here {
            if line == end {
                self.here = None;
            }
            return false;
        }
        if let Some(tool) = line.strip_prefix("# Automatically added by ") {
            self.generated = ACCOUNTED.contains(&tool.split('/').next().unwrap_or(tool).trim());
            return false;
        }
        if line.starts_with("# End automatically added section") {
            self.generated = false;
            return false;
        }
        if self.generated || line.is_empty() || line.starts_with('#') {
            return false;
        }
        if self.passes_upgrade(line) || self.passes_case(line) {
            return false;
        }
        if let Some((_, end)) = line.split_once("<<")
            && !end.starts_with('<')
        {
            let end = end.trim_start_matches('-').trim().trim_matches(['"', '\'']);
            self.here = end.split_whitespace().next().map(str::to_owned);
        }
        !is_frame(line) && !is_harmless(line)
    }

    /// Blocks that run only when an older version was there: `$2` is empty on a
    /// first installation, and `lt-nl` is false for an empty version.
    fn passes_upgrade(&mut self, line: &str) -> bool {
        let opens = line.starts_with("if ");
        let closes =
            line == "fi" || line.starts_with("fi ") || line.starts_with("fi;") || line.ends_with("; fi");
        if self.upgrade_ifs == 0 {
            let upgrade = line.contains("-nl ") || line.contains("-n \"$2\"") || line.contains("-n \"${2");
            if opens && upgrade && !line.contains("||") {
                self.upgrade_ifs = usize::from(!closes);
                return true;
            }
            return false;
        }
        match (opens, closes) {
            (true, false) => self.upgrade_ifs += 1,
            (false, true) => self.upgrade_ifs -= 1,
            _ => {}
        }
        if self.upgrade_ifs == 1 && (line == "else" || line.starts_with("elif ")) {
            self.upgrade_ifs = 0;
        }
        true
    }

    /// Arms of `case "$1" in` for other actions than the one wanted.
    fn passes_case(&mut self, line: &str) -> bool {
        let opens = line.starts_with("case ");
        if self.cases == 0 {
            let outer = opens && line.ends_with(" in") && line.contains("$1");
            self.cases = usize::from(outer);
            return outer;
        }
        if opens && !line.ends_with("esac") {
            self.cases += 1;
        }
        if self.cases == 1 {
            let label = line.split_once(')').map(|(label, rest)| (label.trim_start_matches('('), rest));
            let is_label = |label: &str| {
                !label.is_empty()
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_*|\"' ".contains(c))
            };
            if let Some((label, rest)) = label.filter(|(label, _)| is_label(label)) {
                let actions: Vec<&str> =
                    label.split('|').map(|action| action.trim().trim_matches(['"', '\''])).collect();
                // `*` is the complaint about an unknown action.
                self.other_action = !actions.contains(&self.wanted.as_str());
                let rest = rest.trim().trim_end_matches(";;").trim();
                return self.other_action || rest.is_empty() || is_harmless(rest);
            }
        }
        if line == "esac" || line.starts_with("esac ") || line.starts_with("esac;") {
            self.cases -= 1;
            if self.cases == 0 {
                self.other_action = false;
                return true;
            }
        }
        self.other_action
    }
}

/// Grammar without an action of its own.
fn is_frame(line: &str) -> bool {
    const WORDS: [&str; 11] =
        ["fi", "else", "then", "do", "done", "esac", ";;", "{", "}", "#DEBHELPER#", "(("];
    let word = line.trim_end_matches(';').trim_end();
    let condition = (line.starts_with("if ") || line.starts_with("elif "))
        && (line.ends_with("then") || line.ends_with(']'))
        && (line.contains(" [ ") || line.contains("which ") || line.contains("command -v"))
        && !line.contains("; then ");
    WORDS.contains(&word) || WORDS.contains(&line) || condition
}

fn is_harmless(line: &str) -> bool {
    let first = line.split([' ', '\t', ';']).find(|word| !word.is_empty()).unwrap_or(":");
    let name = first.rsplit('/').next().unwrap_or(first);
    let alone =
        !line.contains("$(") && !line.contains('`') && !line.contains(" && ") && !line.contains(" || ");
    let alone = alone || line.ends_with("|| true") || line.ends_with("|| :") || line.ends_with("|| exit $?");
    let writes = line.contains('>')
        && !line.contains(">&2")
        && !line.contains(">/dev/null")
        && !line.contains("> /dev/null");
    HARMLESS.contains(&name) && alone && !writes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postinst(text: &str) -> Vec<String> {
        let scripts = ControlFiles::from([("postinst".to_owned(), text.as_bytes().to_vec())]);
        review(&scripts).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn debhelper_and_its_frame_are_passed_over() {
        let text = "#!/bin/sh\nset -e\n\ncase \"$1\" in\n  configure)\n  ;;\n  abort-upgrade|abort-remove)\n    rm -rf /x\n  ;;\n  *)\n    echo \"called with unknown argument\" >&2\n    exit 1\n  ;;\nesac\n\
            # Automatically added by dh_installsystemd/13.11.4\nif [ \"$1\" = \"configure\" ]; then\n\tdo_things\nfi\n# End automatically added section\n#DEBHELPER#\nldconfig\nexit 0\n";
        assert_eq!(postinst(text), Vec::<String>::new());
    }

    #[test]
    fn code_of_the_package_is_found() {
        let text = "#!/bin/sh\nif [ \"$1\" = configure ]; then\n  adduser --system foo\n  cat <<EOF\nchmod x\nEOF\nfi\ncase \"$1\" in\n  configure)\n    if dpkg --compare-versions \"$2\" lt-nl 2.0; then\n      old\n      if true; then x; fi\n    else\n      fresh\n    fi\n    case $x in\n      a) chown a b ;;\n    esac\n    ;;\nesac\n\
            # Automatically added by dh_unheard_of/1\nnews\n# End automatically added section\necho x > /etc/x\n";
        assert_eq!(
            postinst(text),
            [
                "adduser --system foo",
                "cat <<EOF",
                "fresh",
                "case $x in",
                "a) chown a b ;;",
                "news",
                "echo x > /etc/x"
            ]
        );
    }

    #[test]
    fn programs_are_named() {
        let scripts = ControlFiles::from([
            ("preinst".to_owned(), b"\x7fELF\xff".to_vec()),
            ("postinst".to_owned(), b"#!/usr/bin/perl\n1;".to_vec()),
        ]);
        let findings = review(&scripts);
        assert_eq!(gist(&findings).unwrap(), "postinst 1: is run by #!/usr/bin/perl");
        assert_eq!(findings[1].text, "is a program, not a script");
        assert_eq!(gist(&[]), None);
    }

    #[test]
    fn a_gist_says_which_files_are_written() {
        let text = "#!/bin/sh\nadduser --system foo\nconf=/etc/foo.conf\ncp /usr/share/foo/conf $conf\n\
            echo x >> \"/etc/foo list\"\nchown foo: /var/lib/foo 2>/dev/null\nsed -i s/a/b/ $conf\n\
            setcap cap_net_raw=ep /usr/bin/foo\nfoo --init\nexit 0\n";
        let scripts = ControlFiles::from([("postinst".to_owned(), text.as_bytes().to_vec())]);
        assert_eq!(
            gist(&review(&scripts)).unwrap(),
            "postinst 2: adduser --system foo; writes /etc/foo.conf, /etc/foo list, /var/lib/foo, /usr/bin/foo; \
             runs adduser, foo"
        );
        let many: String = (0..20).map(|n| format!("touch /etc/{n}\n")).collect();
        let scripts =
            ControlFiles::from([("postinst".to_owned(), format!("#!/bin/sh\n{many}").into_bytes())]);
        assert!(gist(&review(&scripts)).unwrap().ends_with("/etc/7 and 12 more"));
    }
}
