//! Which of the host's apt entries serve Debian. That is a guess made from their suites and
//! keys; that what came from them is Debian is proved by the signature, so a wrong guess is an
//! error and never another image. Entries that are passed over say why.

use std::collections::BTreeSet;
use std::path::Path;

use super::mirrors::{Mirror, Origin, address, distinct, is_security};
use super::{Entry, PassedOver, SignedBy, mirror_list};
use crate::apt::release::Keyring;

/// Code names Debian releases have on hosts that can run this program. `stable`
/// and the like come last: other people's repositories use these words, too.
const CODENAMES: [&str; 7] = ["buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid"];
/// What Debian appends to a code name; others append their own (`bookworm-pgdg`).
const POCKETS: [&str; 6] = ["", "-updates", "-security", "/updates", "-backports", "-proposed-updates"];
const ALIASES: [&str; 5] = ["oldoldstable", "oldstable", "stable", "testing", "unstable"];
/// Reasons shown at most; hosts have a handful of entries.
const SHOWN: usize = 20;

/// The host's entries, each with its mirrors or the reason why it has none.
pub(super) struct Host<'a> {
    usable: Vec<(&'a Entry, Vec<Mirror>)>,
    passed: Vec<PassedOver>,
}

impl<'a> Host<'a> {
    /// `keyring`: Debian's keys; the host's when not given.
    pub(super) fn new(entries: &'a [Entry], arch: &str, keyring: Option<&Path>) -> Host<'a> {
        // Without Debian's keys only names tell keys apart; the lock will say that they are missing.
        let debian = match entries.iter().any(|entry| entry.signed_by.is_some()) {
            true => Keyring::debian(keyring).map(|keyring| keyring.fingerprints()).unwrap_or_default(),
            false => BTreeSet::new(),
        };
        let mut host = Host { usable: Vec::new(), passed: Vec::new() };
        for entry in entries {
            if let Err(why) = may_be_debian(entry, arch, &debian) {
                host.passed.push(PassedOver::new(entry, why));
                continue;
            }
            let mut mirrors = Vec::new();
            for uri in &entry.uris {
                match addresses(uri, arch) {
                    Ok(urls) => mirrors.extend(urls.into_iter().map(|url| Mirror {
                        url,
                        origin: Origin::Host { file: entry.file.clone(), line: entry.line },
                    })),
                    Err(why) => host.passed.push(PassedOver::new(entry, why)),
                }
            }
            if !mirrors.is_empty() {
                host.usable.push((entry, mirrors));
            }
        }
        host
    }

    /// Entries of the very suite; else of the same kind (main or security) of
    /// another Debian release; else the sibling of a main archive.
    pub(super) fn mirrors(&self, suite: &str, main_suite: &str) -> Vec<Mirror> {
        let having = |wanted: &dyn Fn(&str) -> bool| -> Vec<Mirror> {
            let found = self.usable.iter().filter(|(entry, _)| entry.suites.iter().any(|s| wanted(s)));
            distinct(found.flat_map(|(_, mirrors)| mirrors.iter().cloned()))
        };
        let family =
            |name: &str, suite: &str| suite.strip_prefix(name).is_some_and(|rest| POCKETS.contains(&rest));
        let kinds: [&[&str]; 3] = [&[main_suite], &CODENAMES, &ALIASES];
        for names in kinds {
            let same_kind =
                having(&|s| names.iter().any(|name| family(name, s)) && is_security(s) == is_security(suite));
            if !same_kind.is_empty() {
                return same_kind;
            }
            if is_security(suite) {
                let main = having(&|s| names.contains(&s));
                if !main.is_empty() {
                    let sibling = |m: Mirror| Mirror { url: format!("{}-security", m.url), origin: m.origin };
                    return main.into_iter().map(sibling).collect();
                }
            }
        }
        Vec::new()
    }

    /// Why none of the entries serves `suite`.
    pub(super) fn passed_over(&self, suite: &str) -> Vec<PassedOver> {
        let others = self.usable.iter().map(|(entry, _)| {
            let has = entry.suites.join(" ");
            PassedOver::new(entry, format!("it has {has}, which is nothing like Debian's {suite}"))
        });
        self.passed.iter().cloned().chain(others).take(SHOWN).collect()
    }
}

/// Debian has a component `main` and is signed by Debian's keys.
fn may_be_debian(entry: &Entry, arch: &str, debian: &BTreeSet<String>) -> Result<(), String> {
    if !entry.architectures.is_empty() && !entry.architectures.iter().any(|a| a == arch) {
        return Err(format!("it is for {} only", entry.architectures.join(", ")));
    }
    if !entry.components.iter().any(|c| c == "main") {
        return Err("it has no component `main`".to_owned());
    }
    let others = || Err("its Signed-By names none of Debian's keys".to_owned());
    let ours = |keyring: &Keyring| keyring.fingerprints().iter().any(|key| debian.contains(key));
    match &entry.signed_by {
        None => Ok(()),
        Some(SignedBy::Keys(keys)) if keys.iter().any(|key| names_debian(key, debian, &ours)) => Ok(()),
        Some(SignedBy::Keys(_)) => others(),
        Some(SignedBy::Inline(block)) => match Keyring::parse(block.as_bytes(), "Signed-By") {
            Ok(keyring) if ours(&keyring) => Ok(()),
            Ok(_) => others(),
            Err(_) => Err("the key written into its Signed-By does not read".to_owned()),
        },
    }
}

/// One word of `Signed-By`: a key file, or a fingerprint, which `!` makes exact.
fn names_debian(key: &str, debian: &BTreeSet<String>, ours: &dyn Fn(&Keyring) -> bool) -> bool {
    if !key.starts_with('/') {
        return debian.contains(&key.trim_end_matches('!').to_ascii_uppercase());
    }
    match Keyring::read(Path::new(key)) {
        Ok(keyring) if !debian.is_empty() => ours(&keyring),
        _ => key.contains("debian"),
    }
}

/// What can be fetched from for a URI of apt's.
fn addresses(uri: &str, arch: &str) -> Result<Vec<String>, String> {
    if let Some(path) = uri.strip_prefix("mirror+file:") {
        let path = format!("/{}", path.trim_start_matches('/'));
        return mirror_list::read(Path::new(&path), arch);
    }
    if uri.starts_with("mirror") {
        return Err(format!("{uri} is a list of mirrors on the network; pass one of them with --mirror"));
    }
    match address(uri) {
        Ok(url) => Ok(vec![url]),
        Err(_) => Err(format!("{uri} is no http://, https:// or file:/ address")),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::fs;

    use super::*;
    use crate::apt::sources::{parse_deb822, parse_list};

    fn urls(mirrors: Vec<Mirror>) -> Vec<String> {
        mirrors.into_iter().map(|m| m.url).collect()
    }

    fn host(entries: &[Entry], suite: &str) -> Vec<String> {
        urls(Host::new(entries, "amd64", None).mirrors(suite, "bookworm"))
    }

    const THIRD_PARTY: &str = "deb http://g.example/apt cloud-sdk-bookworm main\n\
        deb [signed-by=/etc/apt/keyrings/docker.asc] http://d.example/linux/debian bookworm stable\n\
        deb [signed-by=/usr/share/keyrings/hashi.gpg] http://h.example bookworm main\n\
        deb [arch=arm64] http://arm.example/debian bookworm main\n\
        deb cdrom:[Debian GNU/Linux 12]/ bookworm main\n\
        deb http://pg.example bookworm-pgdg main\n\
        deb http://chrome.example stable main\n";

    #[test]
    fn a_bookworm_host() {
        let mut entries = parse_list(THIRD_PARTY, Path::new("/e")).unwrap();
        let debian = "Types: deb\nURIs: http://m/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
            Types: deb\nURIs: http://m/sec\nSuites: bookworm-security\nComponents: main\n";
        entries.extend(parse_deb822(debian, Path::new("/d")).unwrap());
        assert_eq!(host(&entries, "bookworm"), ["http://m/debian"]);
        assert_eq!(host(&entries, "bookworm-updates"), ["http://m/debian"]);
        assert_eq!(host(&entries, "bookworm-security"), ["http://m/sec"]);
    }

    #[test]
    fn a_trixie_host_without_security_updates() {
        let text = format!(
            "{}deb http://m/debian trixie main\n",
            &THIRD_PARTY[..THIRD_PARTY.find("deb [sig").unwrap()]
        );
        let entries = parse_list(&text, Path::new("/e")).unwrap();
        assert_eq!(host(&entries, "bookworm"), ["http://m/debian"]);
        assert_eq!(host(&entries, "bookworm-security"), ["http://m/debian-security"]);
    }

    #[test]
    fn a_host_that_is_not_debian() {
        let text = "deb http://u.example/ubuntu noble main universe\ndeb http://n.example nodistro main\n";
        let entries = parse_list(text, Path::new("/e")).unwrap();
        assert!(host(&entries, "bookworm").is_empty());
        assert!(host(&entries, "bookworm-security").is_empty());
    }

    #[test]
    fn mirrors_from_a_list_file() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("debian.list");
        fs::write(&list, "# ours\nhttp://b/debian\tpriority:2\nhttp://a/debian/ priority:1\n\nftp://x/\n")
            .unwrap();
        let text = |path: String| {
            format!("Types: deb\nURIs: mirror+file:{path}\nSuites: bookworm\nComponents: main\n")
        };
        for path in [list.display().to_string(), format!("//{}", list.display())] {
            let entries = parse_deb822(&text(path), Path::new("/d")).unwrap();
            assert_eq!(host(&entries, "bookworm"), ["http://a/debian", "http://b/debian"]);
        }
        let entries = parse_deb822(&text("/nowhere/debian.list".into()), Path::new("/d")).unwrap();
        let known = Host::new(&entries, "amd64", None);
        assert!(known.mirrors("bookworm", "bookworm").is_empty());
        let why = known.passed_over("bookworm").iter().map(ToString::to_string).collect::<String>();
        assert!(why.contains("/d:1") && why.contains("/nowhere/debian.list"), "{why}");
    }

    #[test]
    fn every_entry_that_is_passed_over_says_why() {
        let mut text = THIRD_PARTY.to_owned();
        text += "deb mirror://m.example/list bookworm main\n";
        let entries = parse_list(&text, Path::new("/e")).unwrap();
        let mut said = String::new();
        for passed in Host::new(&entries, "amd64", None).passed_over("bookworm") {
            writeln!(said, "{passed}").unwrap();
        }
        for (line, why) in [
            (1, "cloud-sdk-bookworm, which is nothing like"),
            (2, "no component `main`"),
            (3, "none of Debian's keys"),
            (4, "for arm64 only"),
            (5, "cdrom:[Debian"),
            (6, "bookworm-pgdg, which is nothing like"),
            (8, "list of mirrors on the network"),
        ] {
            let found = said.lines().find(|said| said.starts_with(&format!("/e:{line} ")));
            assert!(found.is_some_and(|said| said.contains(why)), "{line} {why}:\n{said}");
        }
    }
}
