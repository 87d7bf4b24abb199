//! What the builder tells PID 1 through the initramfs: `/etc/sledos/initramfs.conf`.
//!
//! One `key=value` a line; values have no quotes and no escapes. Keys this
//! version does not know are skipped, so that an older PID 1 reads a newer file.

/// Where the file is in the initramfs.
pub const PATH: &str = "/etc/sledos/initramfs.conf";

/// Content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitConf {
    /// Name of the image: `compute`.
    pub image: String,
    /// Version of the image.
    pub version: String,
    /// When the image was made, in seconds since 1970-01-01T00:00:00Z. No clock
    /// that shows less is right.
    pub time: u64,
    /// Modules to load whatever devices there are, by name, in this order.
    pub load: Vec<String>,
    /// Public keys (minisign) that may sign documents of sleds.
    pub trust: Vec<String>,
    /// URLs below which documents lie.
    pub metadata: Vec<String>,
    /// By what a sled asks for its document, in this order; empty: the default order.
    pub identify: Vec<String>,
    /// Whether a server must say of each document that it is the newest.
    pub fresh_only: bool,
}

/// A line that is not `key=value`, or a value that is not what the key wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("initramfs.conf, line {line}: {what}; the initramfs was not made by this version of sledos")]
pub struct Error {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl InitConf {
    /// Reads the file. Empty lines and lines that begin with `#` are skipped;
    /// of a repeated key the last one counts.
    ///
    /// # Errors
    /// For a line without `=` and for a time that is no number.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut conf = Self::default();
        for (line, text) in text.lines().enumerate().map(|(n, text)| (n + 1, text.trim())) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (key, value) = text.split_once('=').ok_or(Error { line, what: "no `=` in it" })?;
            match key {
                "image" => value.clone_into(&mut conf.image),
                "version" => value.clone_into(&mut conf.version),
                "time" => {
                    conf.time = value.parse().map_err(|_| Error { line, what: "time is not a number" })?
                }
                "load" => conf.load = list(value),
                "trust" => conf.trust = list(value),
                "metadata" => conf.metadata = list(value),
                "identify" => conf.identify = list(value),
                "freshness" => conf.fresh_only = value == "required",
                _ => {}
            }
        }
        Ok(conf)
    }
}

/// Values between commas; none of them has a comma in it.
fn list(value: &str) -> Vec<String> {
    value.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect()
}

impl std::fmt::Display for InitConf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { image, version, time, load, trust, metadata, identify, fresh_only } = self;
        write!(f, "image={image}\nversion={version}\ntime={time}\nload={}\n", load.join(","))?;
        let lists = [("trust", trust), ("metadata", metadata), ("identify", identify)];
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        given.into_iter().try_for_each(|(key, list)| writeln!(f, "{key}={}", list.join(",")))?;
        if *fresh_only { writeln!(f, "freshness=required") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let conf = InitConf {
            image: "compute".into(),
            version: "2026.11".into(),
            time: 1_790_000_000,
            load: vec!["dm-verity".into(), "squashfs".into()],
            trust: vec!["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".into()],
            metadata: vec!["http://10.0.0.1:8080".into(), "http://10.0.0.2/x=y".into()],
            identify: vec!["mac".into()],
            fresh_only: true,
        };
        assert_eq!(InitConf::parse(&conf.to_string()), Ok(conf));
        assert_eq!(InitConf::parse(&InitConf::default().to_string()), Ok(InitConf::default()));
    }

    #[test]
    fn unknown_keys_are_left_for_newer_versions_and_broken_lines_are_named() {
        assert_eq!(InitConf::parse("# x\n\nfuture=1\ntime=7\n").unwrap().time, 7);
        assert_eq!(InitConf::parse("time=7\nimage\n"), Err(Error { line: 2, what: "no `=` in it" }));
        assert_eq!(InitConf::parse("time=-1"), Err(Error { line: 1, what: "time is not a number" }));
    }
}
