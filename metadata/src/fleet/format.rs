//! Texts with a form of their own, by the name their JSON Schema has under `format`.

use crate::signature::TrustedKey;
use crate::values::{Cidr, Mac};
use std::net::IpAddr;
use yaml::Wrong;

type Check = fn(&str) -> Result<(), Wrong>;

/// All formats. Sorted, for people.
const FORMATS: &[(&str, Check)] = &[
    ("absolute-path", absolute_path),
    ("bond-hash", |t| one_of(t, &["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4"])),
    ("cidr", |t| t.parse::<Cidr>().map(drop).map_err(|e| is(t, e))),
    ("date", date),
    ("disk-set", disk_set),
    ("docker-size", docker_size),
    ("host", host),
    ("hostname", hostname),
    ("image", image),
    ("ip", |t| t.parse::<IpAddr>().map(drop).map_err(|_| is(t, "not an IP address, like 10.1.2.3"))),
    ("mac", mac),
    ("mesos-flag", mesos_flag),
    ("mesos-key", |t| super::mesos::attribute_key(t).map_err(|e| is(t, e))),
    ("mesos-policy", |t| one_of(t, &["equal", "additive"])),
    ("mesos-value", |t| super::mesos::attribute_value(t).map_err(|e| is(t, e))),
    ("mode", mode),
    ("name", name),
    ("network-address", network_address),
    ("port-range", port_range),
    ("public-key", |t| TrustedKey::parse(t).map(drop).map_err(|e| Wrong::new(e.to_string()))),
    ("server-url", server_url),
    ("ssh-key", ssh_key),
    ("text", text),
    ("time-span", |t| t.parse::<super::file::Lifetime>().map(drop).map_err(|e| is(t, e))),
    ("unit", unit),
    ("url", url),
    ("uuid", uuid),
    ("zone", zone),
];

/// Whether there is a format of this name.
#[cfg(test)]
pub(super) fn known(format: &str) -> bool {
    FORMATS.iter().any(|(name, _)| *name == format)
}

/// Whether a text has a format; one that is not in the table (`uint32`) has no form.
pub(super) fn check(format: &str, text: &str) -> Result<(), Wrong> {
    FORMATS.iter().find(|(name, _)| *name == format).map_or(Ok(()), |(_, check)| check(text))
}

fn is(text: &str, what: impl std::fmt::Display) -> Wrong {
    Wrong::new(format!("`{text}` is {what}"))
}

fn ok_or(good: bool, text: &str, what: &str) -> Result<(), Wrong> {
    if good { Ok(()) } else { Err(is(text, what)) }
}

fn one_of(text: &str, these: &[&str]) -> Result<(), Wrong> {
    if these.contains(&text) {
        return Ok(());
    }
    let wrong = is(text, format_args!("none of {}", these.join(", ")));
    Err(match yaml::nearest::nearest(text, these.iter().copied()) {
        Some(near) => wrong.hint(format!("did you mean `{near}`?")),
        None => wrong,
    })
}

fn absolute_path(text: &str) -> Result<(), Wrong> {
    let parts = text.strip_prefix('/').unwrap_or_default();
    let good = parts.split('/').all(|p| !matches!(p, "" | "." | "..")) && !text.contains(char::is_control);
    ok_or(good, text, "not an absolute path without `.`, `..` and `//`")
}

fn disk_set(text: &str) -> Result<(), Wrong> {
    let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = (1..=9).contains(&text.len()) && text.bytes().all(small);
    ok_or(good, text, "no name of a set of disks: up to 9 small letters and digits")
}

fn date(text: &str) -> Result<(), Wrong> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(n, b)| match n {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    let number = |from, to| text.get(from..to).and_then(|t: &str| t.parse::<u32>().ok()).unwrap_or(0);
    let real = shape && (1..=12).contains(&number(5, 7)) && (1..=31).contains(&number(8, 10));
    ok_or(real, text, "not a date like 2026-11-24")
}

fn docker_size(text: &str) -> Result<(), Wrong> {
    let digits = text.trim_end_matches(['k', 'm', 'g']);
    let good = text.len() - digits.len() <= 1 && number(digits).is_some_and(|n| n > 0);
    ok_or(good, text, "not a size like 50m (k, m or g)")
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

fn host(text: &str) -> Result<(), Wrong> {
    if text.parse::<IpAddr>().is_ok() { Ok(()) } else { hostname(text) }
}

/// RFC 1123, section 2.1; the kernel takes 64 bytes.
fn hostname(text: &str) -> Result<(), Wrong> {
    let label = |l: &str| {
        let inside = l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&l.len()) && inside && !l.starts_with('-') && !l.ends_with('-')
    };
    if !text.split('.').all(label) {
        return Err(is(text, "not a host name: labels of letters, digits and `-`, with dots between"));
    }
    ok_or(text.len() <= 64, text, "longer than 64 characters, the most Linux takes")
}

fn image(text: &str) -> Result<(), Wrong> {
    let (image, version) = text.split_once('@').unwrap_or((text, "0"));
    let good = name(image).is_ok() && name(version).is_ok();
    ok_or(good, text, "not an image: NAME for its newest version, or NAME@VERSION")
}

fn mac(text: &str) -> Result<(), Wrong> {
    let mac: Mac = text.parse().map_err(|e| is(text, e))?;
    ok_or(mac.is_unicast(), text, "not the address of a NIC: it is zero or a group address")
}

fn mesos_flag(text: &str) -> Result<(), Wrong> {
    let good =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    ok_or(
        good,
        text,
        "not a flag of the agent, like executor_registration_timeout (without `--` and `MESOS_`)",
    )
}

fn mode(text: &str) -> Result<(), Wrong> {
    let good = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    ok_or(good, text, "not a mode in octal, like 0644")
}

fn name(text: &str) -> Result<(), Wrong> {
    let inside = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let good = inside && text.len() <= 63 && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    ok_or(good, text, "not a name: up to 63 letters, digits, `.`, `_`, `-`, with a letter or digit first")
}

fn network_address(text: &str) -> Result<(), Wrong> {
    let good = matches!(text, "rack" | "dhcp") || text.parse::<Cidr>().is_ok();
    ok_or(good, text, "neither `rack` nor `dhcp` nor an address with its prefix length, like 10.1.2.3/24")
}

fn port_range(text: &str) -> Result<(), Wrong> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let good = matches!((number(low), number(high)), (Some(l), Some(h)) if l <= h && h <= 65_535);
    ok_or(good, text, "not a range of ports, like 31000-32000")
}

fn ssh_key(text: &str) -> Result<(), Wrong> {
    let blob = text.split_ascii_whitespace().any(|word| word.len() >= 60 && word.starts_with("AAAA"));
    if text.contains("PRIVATE KEY") {
        return Err(Wrong::new("this is a private SSH key").hint("give the public one, from the file *.pub"));
    }
    ok_or(
        blob && !text.contains(['\n', '\r']),
        text,
        "not one line of authorized_keys, like `ssh-ed25519 AAAA… name`",
    )
}

fn text(text: &str) -> Result<(), Wrong> {
    let good = !text.trim().is_empty() && !text.contains(char::is_control);
    ok_or(good, text, "empty, or has control characters in it")
}

fn unit(text: &str) -> Result<(), Wrong> {
    const TYPES: [&str; 9] =
        ["service", "socket", "target", "timer", "mount", "path", "slice", "automount", "swap"];
    let good = text.rsplit_once('.').is_some_and(|(name, kind)| {
        let inside = name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b));
        !name.is_empty() && inside && TYPES.contains(&kind)
    });
    ok_or(good, text, "not a systemd unit, like backup.service or backup.timer")
}

fn url(text: &str) -> Result<(), Wrong> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#?".contains(&b));
    ok_or(
        plain && !host.is_empty() && !host.starts_with(':'),
        text,
        "not a URL like http://10.0.0.2:8080/images",
    )
}

/// A URL that a sled asks. PID 1 has no TLS, which would be a third of it: documents are
/// signed and every block of an image is checked against its root hash.
fn server_url(text: &str) -> Result<(), Wrong> {
    url(text)?;
    ok_or(
        text.starts_with("http://"),
        text,
        "an https:// URL, and sleds speak HTTP only: documents are signed and images are verified; write http://",
    )
}

fn uuid(text: &str) -> Result<(), Wrong> {
    let shape = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let good = shape && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    ok_or(good, text, "not a UUID like 4c4c4544-0042-3510-8051-b7c04f333832")
}

fn zone(text: &str) -> Result<(), Wrong> {
    let Err(near) = super::known::zone(text) else { return Ok(()) };
    let wrong = is(text, "not a time zone like Europe/Berlin or UTC");
    Err(match near {
        Some(near) => wrong.hint(format!("did you mean `{near}`?")),
        None => wrong.hint("`timedatectl list-timezones` shows them all"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_good_and_what_is_not() {
        for (format, good, bad) in [
            ("absolute-path", "/etc/a.conf", "/etc/../a"),
            ("absolute-path", "/a", "a"),
            ("cidr", "10.0.0.0/8", "10.0.0.0"),
            ("date", "2026-11-24", "24.11.2026"),
            ("date", "2026-12-31", "2026-13-01"),
            ("docker-size", "50m", "50mb"),
            ("host", "10.0.0.1", "ntp server"),
            ("hostname", "r12-b07.example", "r12_b07"),
            ("image", "compute@1.2", "compute@"),
            ("ip", "fd00::1", "10.0.0"),
            ("mac", "AA-BB-CC-00-00-01", "ff:ff:ff:ff:ff:ff"),
            ("mesos-flag", "recovery_timeout", "--recovery_timeout"),
            ("mode", "0644", "0x44"),
            ("name", "r12-b07", "-r12"),
            ("network-address", "rack", "static"),
            ("port-range", "31000-32000", "32000-31000"),
            ("time-span", "90d", "90"),
            ("unit", "a@b.service", "a.servise"),
            ("url", "http://10.0.0.2:8080", "10.0.0.2:8080"),
            ("url", "https://registry.example/v2", "ftp://registry.example"),
            ("server-url", "http://10.0.0.2:8080", "https://10.0.0.2:8443"),
            ("server-url", "http://[fd00::1]/v1", "10.0.0.2:8080"),
            ("uuid", "4c4c4544-0042-3510-8051-b7c04f333832", "4c4c4544"),
            ("zone", "Europe/Berlin", "../etc/passwd"),
            ("zone", "Etc/GMT+1", "UTC+1"),
        ] {
            assert!(check(format, good).is_ok(), "{format} {good}: {:?}", check(format, good));
            assert!(check(format, bad).is_err(), "{format} {bad}");
        }
    }
}
