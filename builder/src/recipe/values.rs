//! The syntax of single values: text → value, or what is wrong with it.

use formats::tree::TreePath;

use super::model::{PciClass, PciId};
use crate::capabilities::Capabilities;
use yaml::Wrong;

/// Largest size accepted: 16 TiB, the limit of ext4 with 4 KiB blocks and 32-bit block numbers.
const MAX_SIZE: u64 = 16 << 40;

fn all(text: &str, extra: &str, class: fn(&char) -> bool) -> bool {
    text.chars().all(|c| class(&c) || extra.contains(c))
}

fn lower_or_digit(c: &char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// A size in bytes: `8MiB`, `8 MiB`, `8M`, or a plain number of bytes. K, M, G and T
/// are powers of 1024, with or without `iB`.
pub(crate) fn size(text: &str) -> Result<u64, Wrong> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || Wrong::new(format!("`{text}` is not a size"));
    let example = "write a whole number with KiB, MiB, GiB or TiB, like `512MiB`";
    let shift = match unit.trim() {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        "kB" | "KB" | "MB" | "GB" | "TB" => {
            let letter = unit.trim().chars().next().unwrap_or('M').to_ascii_uppercase();
            return Err(wrong()
                .why("it could mean powers of 1000 or of 1024")
                .hint(format!("write `{number}{letter}iB`")));
        }
        unit if unit.starts_with('.') => {
            return Err(wrong()
                .why("sizes are whole numbers")
                .hint("use the next smaller unit: `1536MiB` for 1.5 GiB"));
        }
        _ => return Err(wrong().hint(example)),
    };
    if number.is_empty() {
        return Err(wrong().hint(example));
    }
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift));
    match bytes.filter(|bytes| *bytes <= MAX_SIZE) {
        Some(0) => Err(Wrong::new("a size of nothing").hint("leave the line out for the default")),
        Some(bytes) => Ok(bytes),
        None => Err(Wrong::new(format!("`{text}` is too large")).why("at most 16TiB are possible")),
    }
}

/// A partition size: a multiple of 1 MiB.
pub(crate) fn partition_size(text: &str) -> Result<u64, Wrong> {
    let bytes = size(text)?;
    let mib = 1 << 20;
    if bytes.is_multiple_of(mib) {
        return Ok(bytes);
    }
    Err(Wrong::new(format!("`{text}` is not a multiple of 1 MiB"))
        .why("partitions begin and end on 1 MiB, as every disk wants it")
        .hint(format!("write `{}MiB`", bytes / mib + 1)))
}

/// A squashfs block size: a power of two, 4 KiB to 1 MiB.
pub(crate) fn block_size(text: &str) -> Result<u32, Wrong> {
    let bytes = size(text)?;
    match u32::try_from(bytes) {
        Ok(n) if n.is_power_of_two() && (4096..=1 << 20).contains(&n) => Ok(n),
        _ => Err(Wrong::new(format!("`{text}` is not a block size"))
            .why("squashfs blocks are a power of two from 4KiB to 1MiB")
            .hint("128KiB is usual; larger compresses better and reads slower")),
    }
}

/// A PCI id `vvvv:dddd` in hexadecimal.
pub(crate) fn pci_id(text: &str) -> Result<PciId, Wrong> {
    let hex = |s: &str| {
        let ok = s.len() == 4 && s.bytes().all(|b| b.is_ascii_hexdigit());
        ok.then(|| u16::from_str_radix(s, 16).ok()).flatten()
    };
    text.split_once(':')
        .and_then(|(vendor, device)| Some(PciId { vendor: hex(vendor)?, device: hex(device)? }))
        .ok_or_else(|| {
            Wrong::new(format!("`{text}` is not a PCI id"))
                .why("an id is vendor:device, four hexadecimal digits each")
                .hint("write it as `lspci -nn` shows it, like \"8086:10fb\"")
        })
}

/// A PCI class `ccssii` in hexadecimal.
pub(crate) fn pci_class(text: &str) -> Result<PciClass, Wrong> {
    let byte = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let hex = text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match (byte(0), byte(2), byte(4)) {
        (Some(base), Some(sub), Some(interface)) if hex => Ok(PciClass([base, sub, interface])),
        _ => Err(Wrong::new(format!("`{text}` is not a PCI class"))
            .why("a class is base class, subclass and programming interface, two hexadecimal digits each")
            .hint("as in /sys/bus/pci/devices/*/class without 0x, like \"010802\" for NVMe")),
    }
}

/// A mode in quotes: `"0644"`.
pub(crate) fn mode(text: &str, quoted: bool) -> Result<u16, Wrong> {
    let wrong = || Wrong::new(format!("`{text}` is not a mode"));
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if !octal {
        return Err(wrong().hint("write three or four octal digits in quotes, like \"0644\""));
    }
    if !quoted {
        return Err(wrong()
            .why(format!("without quotes it is a number: {text} in YAML 1.2, octal in YAML 1.1"))
            .hint(format!("put it in quotes: \"{text}\"")));
    }
    u16::from_str_radix(text, 8).map_err(|_| wrong())
}

/// A Debian package name (Debian Policy 5.6.1).
pub(crate) fn package(text: &str) -> Result<String, Wrong> {
    let first = text.chars().next().is_some_and(|c| lower_or_digit(&c));
    if text.len() >= 2 && first && all(text, "+-.", lower_or_digit) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("`{text}` is not a package name"));
    let lower = text.to_ascii_lowercase();
    Err(if text.contains(['=', '<', '>', '(']) {
        wrong.why("exact versions are kept in the lock file, not in the recipe").hint("write the name only")
    } else if text.contains(':') {
        wrong.why("all packages are of the recipe's `debian.arch`").hint("write the name only")
    } else if lower != text && package(&lower).is_ok() {
        wrong.hint(format!("package names are in lower case: `{lower}`"))
    } else {
        wrong.why(
            "names have at least two characters: a-z, 0-9, `+`, `-` and `.`, the first a letter or digit",
        )
    })
}

/// A package, and perhaps from where: `podman`, `podman/bookworm-backports`.
pub(crate) fn asked_package(text: &str) -> Result<String, Wrong> {
    let (name, release) = match text.split_once('/') {
        Some((name, release)) => (name, Some(release)),
        None => (text, None),
    };
    package(name)?;
    if let Some(release) = release {
        archive_part(release)?;
    }
    Ok(text.to_owned())
}

/// The suite of a repository, or the directory of a flat one, which ends in a slash.
pub(crate) fn repository_suite(text: &str) -> Result<String, Wrong> {
    let Some(dir) = text.strip_suffix('/') else { return archive_part(text) };
    if dir.is_empty() || dir == "." || archive_part(dir).is_ok() {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is no directory of a flat repository")).hint("like `./` or `debian12/`"))
}

/// An image name: names artefacts, partitions and the lock file.
pub(crate) fn image_name(text: &str) -> Result<String, Wrong> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    if first && text.len() <= 32 && all(text, "-", lower_or_digit) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not an image name"))
        .why("it becomes part of file and partition names: a-z, 0-9 and `-`, a letter first, at most 32 characters"))
}

/// The name of an extension.
pub(crate) fn extension_name(text: &str) -> Result<String, Wrong> {
    metadata::document::is_extension_name(text).then(|| text.to_owned()).ok_or_else(|| {
        Wrong::new(format!("`{text}` is not the name of an extension"))
            .why("it becomes part of file and device names: a-z, 0-9 and `-`, a letter first, at most 32 characters")
    })
}

/// The name of an overlay, component or repository: one harmless path component.
pub(crate) fn plain_name(text: &str) -> Result<String, Wrong> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && text.len() <= 64 && all(text, "-_.", char::is_ascii_alphanumeric) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a name"))
        .why("it becomes part of a file name: letters, digits, `-`, `_` and `.`, a letter or digit first, at most 64"))
}

/// A suite or component of an archive, which become part of URLs: `bookworm-security`.
pub(crate) fn archive_part(text: &str) -> Result<String, Wrong> {
    let part = |p: &str| {
        p.chars().next().is_some_and(|c| c.is_ascii_alphanumeric())
            && all(p, "-_.+~", char::is_ascii_alphanumeric)
    };
    if text.len() <= 64 && text.split('/').all(part) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a suite or component")).hint("like `bookworm-updates` or `main`"))
}

/// `amd64`.
pub(crate) fn arch(text: &str) -> Result<String, Wrong> {
    match text {
        "amd64" => Ok(text.to_owned()),
        "x86_64" | "x86-64" => {
            Err(Wrong::new(format!("`{text}` is not Debian's name")).hint("write `amd64`"))
        }
        _ => Err(Wrong::new(format!("the architecture `{text}` is not supported")).hint("only `amd64` is")),
    }
}

/// The base URL of an archive.
pub(crate) fn url(text: &str) -> Result<String, Wrong> {
    let rest = ["https://", "http://", "file:///"].iter().find_map(|scheme| text.strip_prefix(scheme));
    match rest {
        Some(rest) if !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic()) => Ok(text.to_owned()),
        _ => {
            Err(Wrong::new(format!("`{text}` is not a URL"))
                .hint("it begins with https://, http:// or file:///"))
        }
    }
}

/// A minisign public key: the second line of its `.pub` file.
pub(crate) fn public_key(text: &str) -> Result<String, Wrong> {
    match metadata::signature::TrustedKey::parse(text) {
        Ok(key) => Ok(key.as_str().to_owned()),
        Err(error) => Err(Wrong::new(error.to_string())
            .hint("it is the second line of the .pub file that `sledos keys new` writes")),
    }
}

/// A URL that PID 1 can ask: http or https, no comma, no `/` at the end.
pub(crate) fn metadata_url(text: &str) -> Result<String, Wrong> {
    let wrong = Wrong::new(format!("`{text}` is no URL that a sled can ask"));
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Err(wrong.hint("it begins with http:// or https://"));
    }
    if text.contains(',') {
        return Err(wrong.why("PID 1 keeps several URLs with commas between them"));
    }
    url(text).map(|url| url.trim_end_matches('/').to_owned())
}

/// A word of `provisioning.identify`.
pub(crate) fn identity_key(text: &str) -> Result<String, Wrong> {
    let words = metadata::layout::WORDS;
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("a sled cannot be recognised by `{text}`"));
    Err(wrong.hint(format!("possible are {}", words.join(", "))))
}

/// `provisioning.freshness`: whether it is required.
pub(crate) fn freshness(text: &str) -> Result<bool, Wrong> {
    match text {
        "required" => Ok(true),
        "optional" => Ok(false),
        _ => Err(Wrong::new(format!("`{text}` is neither `required` nor `optional`"))),
    }
}

/// A sha256 in hexadecimal.
pub(crate) fn sha256(text: &str) -> Result<String, Wrong> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Wrong::new("this is not a sha256")
        .why(format!("it has 64 hexadecimal digits, this has {} characters", text.chars().count()))
        .hint("print it with `sha256sum FILE`"))
}

/// A relative path without `.`, `..` or empty components; `what` names it in messages.
pub(crate) fn check_relative(text: &str, what: &str) -> Result<(), Wrong> {
    let wrong = |why: &str| Wrong::new(format!("the {what} `{text}` {why}"));
    if text.is_empty() {
        return Err(Wrong::new(format!("an empty {what}")));
    }
    if text.starts_with('/') {
        return Err(wrong("is absolute")
            .why("it is taken from the root of the image")
            .hint("leave out the leading `/`"));
    }
    if text.split('/').any(|c| c == "..") {
        return Err(wrong("has a `..` in it")
            .why("it could lead out of the image")
            .hint("write it without `..`"));
    }
    if text.ends_with('/') {
        return Err(wrong("ends in `/`").hint("leave it out; `dir/**` is all that is below a directory"));
    }
    if text.split('/').any(|c| c.is_empty() || c == ".") {
        return Err(wrong("has an empty component or a `.` in it").hint("write it in the shortest form"));
    }
    Ok(())
}

/// A path in the image, without a leading slash.
pub(crate) fn image_path(text: &str) -> Result<TreePath, Wrong> {
    check_relative(text, "path")?;
    TreePath::parse(text.as_bytes()).map_err(|e| Wrong::new(e.to_string()))
}

/// A pattern, kept as text once it is known to parse.
pub(crate) fn glob(text: &str) -> Result<String, Wrong> {
    super::glob::Glob::parse(text).map(|_| text.to_owned())
}

/// A module directory or file below `/usr/lib/modules/<version>/`.
pub(crate) fn module_path(text: &str) -> Result<String, Wrong> {
    check_relative(text, "path")?;
    if text.contains(['*', '?', '[']) {
        return Err(Wrong::new(format!("`{text}` is not a directory")).why("patterns are not expanded here"));
    }
    Ok(text.to_owned())
}

/// The name of a kernel module.
pub(crate) fn module(text: &str) -> Result<String, Wrong> {
    if !text.is_empty() && all(text, "_-", char::is_ascii_alphanumeric) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("`{text}` is not a module name"));
    let stem = text.rsplit('/').next().unwrap_or(text).split(".ko").next().unwrap_or(text);
    Err(if text.contains(".ko") && module(stem).is_ok() {
        wrong.hint(format!("write `{stem}`, without directory and ending"))
    } else {
        wrong.why("letters, digits, `_` and `-`")
    })
}

/// A systemd unit (systemd.unit(5)).
pub(crate) fn unit(text: &str) -> Result<String, Wrong> {
    const TYPES: [&str; 11] = [
        "service",
        "socket",
        "device",
        "mount",
        "automount",
        "swap",
        "target",
        "path",
        "timer",
        "slice",
        "scope",
    ];
    let wrong = Wrong::new(format!("`{text}` is not a unit name"));
    if text.is_empty() || text.len() > 255 || !all(text, ":-_.\\@", char::is_ascii_alphanumeric) {
        return Err(wrong.why("unit names have letters, digits and `:-_.\\@`, at most 255"));
    }
    match text.rsplit_once('.') {
        Some((name, kind)) if TYPES.contains(&kind) && !name.is_empty() && !name.starts_with('@') => {
            if name.ends_with('@') {
                return Err(wrong
                    .why("it is a template, which runs only as an instance")
                    .hint(format!("name the instance: `{name}NAME.{kind}`")));
            }
            Ok(text.to_owned())
        }
        Some((name, kind)) if !name.is_empty() && yaml::nearest::nearest(kind, TYPES).is_some() => {
            let near = yaml::nearest::nearest(kind, TYPES).unwrap_or("service");
            Err(wrong.hint(format!("did you mean `{name}.{near}`?")))
        }
        _ => Err(wrong.hint(format!("it ends in its type, like `{text}.service`"))),
    }
}

/// One argument of the kernel command line.
pub(crate) fn kernel_arg(text: &str) -> Result<String, Wrong> {
    let wrong = Wrong::new(format!("`{text}` cannot be on the kernel command line"));
    let key = text.split('=').next().unwrap_or(text);
    match key {
        "usrhash" | "roothash" => {
            return Err(wrong
                .why("systemd-veritysetup-generator would take it for its own and wait 90 s for a device that never comes")
                .hint("leave it out: the build adds `sledos.usrhash=`, which PID 1 reads"));
        }
        "sledos.usrhash" => {
            return Err(wrong
                .why("it is the hash of the very image that is being built")
                .hint("leave it out: the build adds it"));
        }
        _ => {}
    }
    if text.is_empty() {
        return Err(Wrong::new("an empty argument").hint("remove it"));
    }
    let quotes = text.matches('"').count();
    if !text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err(wrong.why("only printable ASCII is passed on unchanged"));
    }
    if !quotes.is_multiple_of(2) {
        return Err(wrong.why("it opens a `\"` and does not close it"));
    }
    if text.split('"').step_by(2).any(|outside| outside.contains(' ')) {
        return Err(wrong
            .why("every entry is one argument, and a space ends an argument")
            .hint("make it several entries, or put the value in double quotes: `name=\"a b\"`"));
    }
    // It splits at spaces and knows no quotes; `sledos.trust=` comes after this.
    let ipxe = |word: &str| matches!(word, ";" | "&&" | "||") || word.starts_with('#');
    if text.split(' ').any(ipxe) || text.contains("${") || text.contains("  ") {
        return Err(
            wrong.why("iPXE would take part of it for its own: `;`, `&&`, `||`, `#`, `${`, several spaces")
        );
    }
    Ok(text.to_owned())
}

/// A file's capabilities as setcap(8) takes them.
pub(crate) fn capabilities(text: &str) -> Result<Capabilities, Wrong> {
    Capabilities::parse(text).map_err(|error| {
        Wrong::new(format!("`{text}` cannot be a file's capabilities"))
            .why(error.to_string())
            .hint("write them as for setcap(8), like \"cap_net_raw=ep\"")
    })
}

/// A user or group name as useradd takes it.
pub(crate) fn user_name(text: &str) -> Result<String, Wrong> {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    if first && text.len() <= 32 && all(text, "_-", lower_or_digit) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a user or group name"))
        .why("a-z, 0-9, `_` and `-`, a letter or `_` first, at most 32 characters"))
}

/// An absolute path as a field of /etc/passwd.
pub(crate) fn passwd_path(text: &str) -> Result<String, Wrong> {
    passwd_field(text)?;
    let normal =
        text.strip_prefix('/').is_some_and(|rest| rest.is_empty() || check_relative(rest, "path").is_ok());
    if normal {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not an absolute path"))
        .hint("like /var/lib/chrony or /usr/sbin/nologin"))
}

/// A field of /etc/passwd.
pub(crate) fn passwd_field(text: &str) -> Result<String, Wrong> {
    if text.contains(':') || text.contains(char::is_control) {
        return Err(Wrong::new(format!("{text:?} cannot be a field of /etc/passwd"))
            .why("a colon or a control character would break the file"));
    }
    Ok(text.to_owned())
}

/// Text for people: one line, not empty.
pub(crate) fn line(text: &str) -> Result<String, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Wrong::new("this text is empty").hint("say it in a few words"));
    }
    if text.contains(|c: char| c.is_control()) {
        return Err(Wrong::new("this text has several lines or control characters").hint("write one line"));
    }
    Ok(text.to_owned())
}

/// Where a symbolic link points.
pub(crate) fn link_target(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > 4095 || text.contains(char::is_control) {
        return Err(Wrong::new("a link cannot point there").why("1 to 4095 bytes, no control characters"));
    }
    Ok(text.to_owned())
}

/// A path on the build host or a URL.
pub(crate) fn location(text: &str) -> Result<String, Wrong> {
    match text {
        "" => Err(Wrong::new("an empty path")),
        _ if text.contains(char::is_control) => Err(Wrong::new("a path with control characters")),
        _ if text.contains("://") => url(text),
        _ => Ok(text.to_owned()),
    }
}
