//! Module parameters and exclusions from the command line, as modprobe takes them.

use formats::cmdline;
use formats::modules::canonical_name;
use std::collections::{BTreeMap, BTreeSet};

/// `<module>.<parameter>=<value>` and `modprobe.blacklist=<module>,…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    params: BTreeMap<String, String>,
    excluded: BTreeSet<String>,
}

impl Params {
    /// Reads a command line.
    pub fn parse(line: &str) -> Self {
        let mut out = Self::default();
        for param in cmdline::params(line) {
            let Some((module, name)) = param.name.split_once('.') else { continue };
            if param.is("modprobe.blacklist") {
                out.excluded.extend(param.value.unwrap_or("").split(',').map(canonical_name));
                continue;
            }
            let value = match param.value {
                None => name.to_owned(),
                // The kernel cuts a module's parameters by the same rules again.
                Some(value) if value.contains(' ') => format!("{name}=\"{value}\""),
                Some(value) => format!("{name}={value}"),
            };
            let all = out.params.entry(canonical_name(module)).or_default();
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(&value);
        }
        out
    }

    /// What to give a module when loading it; empty for most.
    pub fn of(&self, module: &str) -> &str {
        self.params.get(module).map_or("", String::as_str)
    }

    /// Whether a module is not to be loaded for a device that it matches.
    pub fn excludes(&self, module: &str) -> bool {
        self.excluded.contains(module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_gets_its_parameters_in_order() {
        let params = Params::parse(
            "quiet ixgbe.allow_unsupported_sfp=1 nvme-core.io_timeout=5 ixgbe.x ixgbe.y=\"a b\"",
        );
        assert_eq!(params.of("ixgbe"), "allow_unsupported_sfp=1 x y=\"a b\"");
        assert_eq!(params.of("nvme_core"), "io_timeout=5");
        assert_eq!(params.of("igb"), "");
    }

    #[test]
    fn excluded_modules_add_up() {
        let params = Params::parse("modprobe.blacklist=a-b,c modprobe.blacklist=d");
        assert!(["a_b", "c", "d"].iter().all(|m| params.excludes(m)));
        assert!(!params.excludes("e"));
    }
}
