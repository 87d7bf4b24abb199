//! Which links enable a unit. Source: systemd.unit(5), "[Install] section options";
//! systemctl(1), `enable`.

use std::collections::{BTreeMap, BTreeSet};

const DIR: &str = "/etc/systemd/system";

/// The unit files and drop-ins of a config, by name: what `enable` can read.
pub(super) type Units<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// The links that enable a unit, and where they point.
///
/// # Errors
/// What cannot be done.
pub(super) fn links(name: &str, units: &Units<'_>) -> Result<BTreeMap<String, String>, String> {
    let mut links = BTreeMap::new();
    let mut done = BTreeSet::new();
    let mut todo = vec![name.to_owned()];
    while let Some(name) = todo.pop() {
        if !done.insert(name.clone()) {
            continue;
        }
        let (stem, kind) = name.rsplit_once('.').ok_or("is no unit")?;
        let (prefix, instance) = stem.split_once('@').map_or((stem, None), |(p, i)| (p, Some(i)));
        let template = format!("{prefix}@.{kind}");
        let file = [name.as_str(), template.as_str()].into_iter().find(|n| units.contains_key(n));
        let Some(file) = file else {
            return Err(format!(
                "`{name}` is not in this config, so that its [Install] section is not known; enable it in \
                 the fleet file: `units: {{{name}: {{wanted-by: [multi-user.target]}}}}`"
            ));
        };
        let install = section(units.get(file).map(Vec::as_slice).unwrap_or_default());
        let words = |key: &str| {
            let values = install.iter().filter(|(k, _)| k == key);
            values.flat_map(|(_, v)| v.split_whitespace()).collect::<Vec<_>>()
        };
        let default = words("DefaultInstance").last().copied();
        let instance = match instance {
            Some("") => match default {
                Some(instance) => Some(instance),
                // A template alone is enabled by nobody.
                None => continue,
            },
            instance => instance,
        };
        let full = instance.map_or(name.clone(), |i| format!("{prefix}@{i}.{kind}"));
        let expand = |word: &str| specifiers(word, &full, prefix, instance.unwrap_or_default());
        let to = format!("{DIR}/{file}");
        for (key, suffix) in [("WantedBy", "wants"), ("RequiredBy", "requires")] {
            for by in words(key) {
                links.insert(format!("{DIR}/{}.{suffix}/{full}", expand(by)?), to.clone());
            }
        }
        for alias in words("Alias") {
            links.insert(format!("{DIR}/{}", expand(alias)?), to.clone());
        }
        for also in words("Also") {
            todo.push(expand(also)?);
        }
    }
    Ok(links)
}

fn specifiers(word: &str, name: &str, prefix: &str, instance: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        match (c, if c == '%' { rest.next() } else { None }) {
            ('%', Some('%')) => out.push('%'),
            ('%', Some('i')) => out += instance,
            ('%', Some('n')) => out += name,
            ('%', Some('p')) => out += prefix,
            ('%', _) => return Err(format!("`{word}` in [Install]: only %i, %n and %p are understood")),
            (c, _) => out.push(c),
        }
    }
    // As systemd: a unit's name has at most 255 bytes. One that grows by itself ends there.
    if out.contains('/') || out.is_empty() || out.len() > 255 {
        return Err(format!("`{word}` in [Install] is no unit"));
    }
    Ok(out)
}

/// The settings of the [Install] sections.
fn section(texts: &[&str]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for text in texts {
        let mut inside = false;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut line = line.trim().to_owned();
            if line.starts_with(['#', ';']) {
                continue;
            }
            while line.ends_with('\\') {
                line.pop();
                match lines.next().map(str::trim) {
                    Some(next) if next.starts_with(['#', ';']) => line.push('\\'),
                    Some(next) => {
                        line.push(' ');
                        line += next;
                    }
                    None => break,
                }
            }
            if line.starts_with('[') {
                inside = line == "[Install]";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
                let (key, value) = (key.trim(), value.trim());
                if value.is_empty() {
                    found.retain(|(k, _)| k != key);
                } else {
                    found.push((key.to_owned(), value.to_owned()));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(name: &str, units: &[(&'static str, &'static str)]) -> Vec<String> {
        let units: Units<'_> = units.iter().map(|(name, text)| (*name, vec![*text])).collect();
        links(name, &units)
            .unwrap()
            .into_iter()
            .map(|(from, to)| format!("{from} {to}").replace(DIR, ""))
            .collect()
    }

    #[test]
    fn every_setting_of_the_section() {
        let text = "[Unit]\nWantedBy=no.target\n[Install]\n# WantedBy=no.target\nWantedBy=a.target \\\n b.target\n\
                    RequiredBy=c.target\nAlias=z.service\nAlso=y.service\n";
        assert_eq!(
            all(
                "x.service",
                &[("x.service", text), ("y.service", "[Install]\nWantedBy=\nWantedBy=d.target")]
            ),
            [
                "/a.target.wants/x.service /x.service",
                "/b.target.wants/x.service /x.service",
                "/c.target.requires/x.service /x.service",
                "/d.target.wants/y.service /y.service",
                "/z.service /x.service",
            ]
        );
    }

    #[test]
    fn instances() {
        let units = [("e@.service", "[Install]\nWantedBy=a-%i.target\nDefaultInstance=one\n")];
        assert_eq!(all("e@two.service", &units), ["/a-two.target.wants/e@two.service /e@.service"]);
        assert_eq!(all("e@.service", &units), ["/a-one.target.wants/e@one.service /e@.service"]);
        assert_eq!(all("e@.service", &[("e@.service", "[Install]\nWantedBy=a.target\n")]), [""; 0]);
        assert!(links("sshd.service", &Units::new()).unwrap_err().contains("not in this config"));
    }
}
