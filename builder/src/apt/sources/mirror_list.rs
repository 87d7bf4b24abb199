//! The files that `mirror+file:` names: an address per line, and perhaps what is to be known of
//! it (apt-transport-mirror(1)).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::mirrors::address;

/// Larger lists are refused; Debian has 400 mirrors.
const LIMIT: u64 = 1 << 20;

/// The addresses of a list, the best first; or why there is none.
pub(super) fn read(file: &Path, arch: &str) -> Result<Vec<String>, String> {
    let named =
        |problem: &dyn std::fmt::Display| format!("its list of mirrors {}: {problem}", file.display());
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|open| open.take(LIMIT + 1).read_to_end(&mut bytes));
    opened.map_err(|error| named(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LIMIT) {
        return Err(named(&format!("more than {LIMIT} bytes")));
    }
    let found = parse(&String::from_utf8_lossy(&bytes), arch);
    if found.is_empty() {
        return Err(named(&"no address in it can be fetched from"));
    }
    Ok(found)
}

fn parse(text: &str, arch: &str) -> Vec<String> {
    let mut found: Vec<(u64, String)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        let Some(Ok(url)) = words.next().map(address) else { continue };
        // Those without a priority come last.
        let mut priority = u64::MAX;
        let (mut archs, mut types) = (Vec::new(), Vec::new());
        for word in words {
            match word.split_once(':') {
                Some(("priority", number)) => priority = number.parse().unwrap_or(u64::MAX),
                Some(("arch", name)) => archs.push(name),
                Some(("type", name)) => types.push(name),
                _ => {}
            }
        }
        // What a mirror does not have is asked for at the next one.
        let serves = types.is_empty() || types.iter().any(|name| ["index", "deb"].contains(name));
        if serves && (archs.is_empty() || archs.contains(&arch)) {
            found.push((priority, url));
        }
    }
    found.sort_by_key(|(priority, _)| *priority);
    found.into_iter().map(|(_, url)| url).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_what_is_known_of_them() {
        let text = "http://last/debian\nhttp://b/debian/\tpriority:10\tarch:amd64 arch:arm64\n\
            file:/srv/debian priority:1\n#http://no\nhttp://arm arch:arm64\nhttp://src type:deb-src\nwhat\n";
        assert_eq!(parse(text, "amd64"), ["file:///srv/debian", "http://b/debian", "http://last/debian"]);
    }
}
