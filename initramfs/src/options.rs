//! What the command line asks of PID 1.

use crate::console::{self, Console};
use crate::failure::{Code, Failure};
use formats::gpt::Guid;
use formats::{cmdline, verity};
use metadata::layout::WORDS;
use std::time::Duration;

/// The init of an image unless the command line names another.
pub const INIT: &str = "/usr/lib/systemd/systemd";

/// What to do when the boot fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFail {
    /// Reboot after this time.
    Reboot(Duration),
    /// Stay, with the message on the console.
    Halt,
}

/// What to mount as /var.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Var {
    /// ROOT on the disk /usr is on; without one, memory.
    Auto,
    /// Memory, even if there is a ROOT.
    Tmpfs,
}

/// All `sledos.*` parameters, with defaults where the command line says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `sledos.usrhash=`, as given.
    pub usrhash: Option<String>,
    /// `sledos.onfail=reboot|halt`, `sledos.onfail-delay=` seconds. Default: reboot after 30 s.
    pub on_fail: OnFail,
    /// `sledos.wait=` seconds for the disk with /usr to appear. Default: 60.
    pub wait: Duration,
    /// `sledos.var=auto|tmpfs`. Default: auto.
    pub var: Var,
    /// `sledos.init=` an absolute path in the image. Default: [`INIT`].
    pub init: String,
    /// `sledos.debug`: say every action.
    pub debug: bool,
    /// `sledos.trust=` a minisign public key that may sign this sled's document. May be repeated.
    pub trust: Vec<String>,
    /// `sledos.metadata=` a URL below which documents lie. May be repeated.
    pub metadata: Vec<String>,
    /// `sledos.report=` a URL that reports go to. May be repeated. Default: the metadata URLs.
    pub report: Vec<String>,
    /// `sledos.image=` a URL of a directory with this image's artefacts. May be repeated.
    pub image: Vec<String>,
    /// `sledos.identify=` by what to ask, with commas between. Default: the image's order.
    pub identify: Vec<String>,
    /// `sledos.location=<rack>/<bay>`: where this sled sits.
    pub location: Option<(String, u32)>,
    /// `sledos.freshness=required`: a server must say of each document that it is the newest.
    pub fresh_only: bool,
    /// `sledos.console=` serial ports that get PID 1's lines besides /dev/console.
    pub console: Vec<Console>,
    /// `sledos.patience=` seconds without an answer of any server before the stored
    /// document is used. Default: 30.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            usrhash: None,
            on_fail: OnFail::Reboot(Duration::from_secs(30)),
            wait: Duration::from_secs(60),
            var: Var::Auto,
            init: INIT.to_owned(),
            debug: false,
            trust: Vec::new(),
            metadata: Vec::new(),
            report: Vec::new(),
            image: Vec::new(),
            identify: Vec::new(),
            location: None,
            fresh_only: false,
            console: Vec::new(),
            patience: Duration::from_secs(30),
        }
    }
}

impl Options {
    /// Reads a command line. What is not understood keeps its default and is
    /// named in the second value, one line each: a typing mistake in a rack's
    /// PXE configuration must not keep the rack down.
    pub fn parse(line: &str) -> (Self, Vec<String>) {
        let mut options = Self::default();
        let mut warnings = Vec::new();
        let (mut halt, mut delay) = (false, Duration::from_secs(30));
        for param in cmdline::params(line).filter(|p| p.name.starts_with("sledos.")) {
            let seconds = || param.value.and_then(|v| v.parse().ok()).map(Duration::from_secs);
            let understood = match param.value {
                Some(value) if param.is("sledos.usrhash") => {
                    options.usrhash = Some(value.to_owned());
                    true
                }
                Some("reboot" | "halt") if param.is("sledos.onfail") => {
                    halt = param.value == Some("halt");
                    true
                }
                Some("auto" | "tmpfs") if param.is("sledos.var") => {
                    options.var = if param.value == Some("auto") { Var::Auto } else { Var::Tmpfs };
                    true
                }
                Some(value) if param.is("sledos.init") && value.starts_with('/') => {
                    options.init = value.to_owned();
                    true
                }
                Some(value) if param.is("sledos.trust") => add(&mut options.trust, value),
                Some(value) if param.is("sledos.metadata") => add_url(&mut options.metadata, value),
                Some(value) if param.is("sledos.report") => add_url(&mut options.report, value),
                Some(value) if param.is("sledos.image") => add_url(&mut options.image, value),
                Some(value) if param.is("sledos.identify") => {
                    let words: Vec<_> = value.split(',').map(str::to_owned).collect();
                    let known = words.iter().all(|word| WORDS.contains(&word.as_str()));
                    known.then(|| options.identify = words).is_some()
                }
                Some(value) if param.is("sledos.location") => {
                    let place = value.rsplit_once('/').filter(|(rack, _)| !rack.is_empty());
                    let place = place.and_then(|(rack, bay)| Some((rack.to_owned(), bay.parse().ok()?)));
                    place.map(|place| options.location = Some(place)).is_some()
                }
                Some("required") if param.is("sledos.freshness") => {
                    options.fresh_only = true;
                    true
                }
                Some(value) if param.is("sledos.console") && options.console.len() < console::MAX => {
                    Console::parse(value).map(|port| options.console.push(port)).is_some()
                }
                _ if param.is("sledos.patience") => seconds().map(|s| options.patience = s).is_some(),
                _ if param.is("sledos.onfail-delay") => seconds().map(|s| delay = s).is_some(),
                _ if param.is("sledos.wait") => seconds().map(|s| options.wait = s).is_some(),
                None if param.is("sledos.debug") => {
                    options.debug = true;
                    true
                }
                _ => false,
            };
            if !understood {
                let value = param.value.map(|v| format!("={v}")).unwrap_or_default();
                let why = match param.value {
                    Some(value) if value.starts_with("https://") => crate::http::url::HTTPS,
                    _ => "is not understood and ignored",
                };
                warnings.push(format!("{}{value} {why}", param.name));
            }
        }
        options.on_fail = if halt { OnFail::Halt } else { OnFail::Reboot(delay) };
        (options, warnings)
    }
}

fn add(list: &mut Vec<String>, value: &str) -> bool {
    if !value.is_empty() && !list.iter().any(|v| v == value) {
        list.push(value.to_owned());
    }
    !value.is_empty()
}

fn add_url(list: &mut Vec<String>, value: &str) -> bool {
    value.starts_with("http://") && add(list, value.trim_end_matches('/'))
}

/// The dm-verity root hash of a /usr: what is to be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootHash(verity::Hash);

impl RootHash {
    /// The hash the options name.
    ///
    /// # Errors
    /// [`Code::CommandLine`] when there is none or it is not 64 hex digits.
    pub fn of(options: &Options) -> Result<Self, Failure> {
        let fail = |detail: String| Failure::new(Code::CommandLine, detail);
        let given = options
            .usrhash
            .as_ref()
            .ok_or_else(|| fail("sledos.usrhash= is not on the command line".into()))?;
        parse(given).map(Self).ok_or_else(|| fail(format!("sledos.usrhash={given} is not 64 hex digits")))
    }

    /// The hash of another /usr.
    pub fn from_bytes(bytes: verity::Hash) -> Self {
        Self(bytes)
    }

    /// The hash itself.
    pub fn bytes(&self) -> &verity::Hash {
        &self.0
    }

    /// The GUIDs of the two partitions of this /usr: data is the first half of
    /// the hash, verity the second. Source: Discoverable Partitions
    /// Specification, "Verity" (`uapi-group.org/specifications`).
    pub fn partition_guids(&self) -> (Guid, Guid) {
        let (mut data, mut verity) = ([0; 16], [0; 16]);
        let halves = self.0.split_at(16);
        data.copy_from_slice(halves.0);
        verity.copy_from_slice(halves.1);
        (Guid::from_uuid(data), Guid::from_uuid(verity))
    }
}

impl std::fmt::Display for RootHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&verity::hex(&self.0))
    }
}

/// 64 hex digits.
fn parse(text: &str) -> Option<verity::Hash> {
    let mut digits = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()));
    let mut hash = [0; 32];
    for byte in &mut hash {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    digits.next().is_none().then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_read() {
        let line = "quiet sledos.usrhash=ab sledos.onfail=halt sledos.onfail_delay=5 sledos.wait=9 \
                    sledos.var=tmpfs sledos.init=/bin/x sledos.debug root=LABEL=x \
                    sledos.trust=RWx sledos.metadata=http://a/ sledos.metadata=http://b/c sledos.metadata=http://a \
                    sledos.report=http://r sledos.image=http://i/compute/1/ sledos.identify=mac,board \
                    sledos.location=r/1/7 sledos.freshness=required sledos.console=ttyS1,9600 sledos.console=ttyS2 sledos.patience=3";
        let (options, warnings) = Options::parse(line);
        let expected = Options {
            usrhash: Some("ab".into()),
            on_fail: OnFail::Halt,
            wait: Duration::from_secs(9),
            var: Var::Tmpfs,
            init: "/bin/x".into(),
            debug: true,
            trust: vec!["RWx".into()],
            metadata: vec!["http://a".into(), "http://b/c".into()],
            report: vec!["http://r".into()],
            image: vec!["http://i/compute/1".into()],
            identify: vec!["mac".into(), "board".into()],
            location: Some(("r/1".into(), 7)),
            fresh_only: true,
            console: ["ttyS1,9600", "ttyS2"].iter().filter_map(|text| Console::parse(text)).collect(),
            patience: Duration::from_secs(3),
        };
        assert_eq!((options, warnings.as_slice()), (expected, [].as_slice()));
        let (options, _) = Options::parse("sledos.onfail=halt sledos.onfail-delay=5 sledos.onfail=reboot");
        assert_eq!(options.on_fail, OnFail::Reboot(Duration::from_secs(5)));
    }

    #[test]
    fn mistakes_are_named_and_keep_the_default() {
        let line = "sledos.onfail=hald sledos.wait=-1 sledos.wait sledos.usrhsh=1 sledos.init=x sledos.debug=1 sledos.usrhash \
                    sledos.metadata=ftp://x sledos.trust= sledos.location=r12 sledos.location=a/b sledos.identify=name sledos.freshness=maybe";
        let (options, warnings) = Options::parse(line);
        assert_eq!(options, Options::default());
        assert_eq!(warnings.len(), 13);
        assert_eq!(warnings[0], "sledos.onfail=hald is not understood and ignored");
    }

    #[test]
    fn the_hash_is_the_two_guids() {
        let hex = "0123456789ABCDEF0123456789abcdef".to_owned() + &"f".repeat(32);
        let options = |hash: &str| Options { usrhash: Some(hash.to_owned()), ..Options::default() };
        let hash = RootHash::of(&options(&hex)).unwrap();
        let (data, verity) = hash.partition_guids();
        assert_eq!(data.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(verity.to_string(), "ffffffff-ffff-ffff-ffff-ffffffffffff");
        for bad in ["", "abc", &"g".repeat(64), &"a".repeat(65), &"é".repeat(32)] {
            assert_eq!(RootHash::of(&options(bad)).unwrap_err().code, Code::CommandLine, "{bad}");
        }
        assert_eq!(RootHash::of(&Options::default()).unwrap_err().code, Code::CommandLine);
    }
}
