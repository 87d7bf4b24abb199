//! The index files kmod reads, as `depmod` of kmod 30 writes them.
//!
//! The binary files, `modules.dep`, `modules.alias`, `modules.softdep` and
//! `modules.devname` are the same to the byte. `modules.symbols` has the same
//! lines, sorted by symbol rather than by a hash; nothing but people reads it.

use std::fmt::Write as _;

use super::graph::{Graph, Module};
use super::lists;
use super::trie::Trie;

pub use super::trie::Error as IndexError;

/// A string that cannot be written, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kernel module {module}: cannot be written into {file}")]
pub struct Error {
    /// The module.
    pub module: String,
    /// The index file.
    pub file: &'static str,
    /// What is wrong.
    pub source: IndexError,
}

/// Makes the index files: name and content, to be put beside `modules.order`.
/// `builtin` and `builtin_modinfo` are the content of `modules.builtin` and
/// `modules.builtin.modinfo`.
///
/// # Errors
/// When a name or an alias of a module does not fit kmod's format.
pub fn files(
    graph: &Graph,
    builtin: &str,
    builtin_modinfo: &[u8],
) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let (dep, dep_bin) = dependencies(graph)?;
    let (alias, alias_bin) = aliases(graph)?;
    let (symbols, symbols_bin) = symbols(graph)?;
    Ok(vec![
        ("modules.alias", alias.into_bytes()),
        ("modules.alias.bin", alias_bin),
        ("modules.builtin.alias.bin", builtin_aliases(builtin_modinfo)?),
        ("modules.builtin.bin", builtin_names(builtin)?),
        ("modules.dep", dep.into_bytes()),
        ("modules.dep.bin", dep_bin),
        ("modules.devname", devnames(graph).into_bytes()),
        ("modules.softdep", softdeps(graph).into_bytes()),
        ("modules.symbols", symbols.into_bytes()),
        ("modules.symbols.bin", symbols_bin),
    ])
}

/// A binary index on its way to a file.
struct Index {
    file: &'static str,
    trie: Trie,
}

impl Index {
    fn new(file: &'static str) -> Self {
        Self { file, trie: Trie::default() }
    }

    fn insert(&mut self, module: &str, key: &str, value: &str, priority: usize) -> Result<(), Error> {
        let failed = |source| Error { module: module.to_owned(), file: self.file, source };
        let priority = u32::try_from(priority).map_err(|_| failed(IndexError::TooLarge))?;
        self.trie.insert(key, value, priority).map_err(failed)
    }

    fn finish(self) -> Result<Vec<u8>, Error> {
        self.trie.write().map_err(|source| Error {
            module: "all of them".to_owned(),
            file: self.file,
            source,
        })
    }
}

fn dependencies(graph: &Graph) -> Result<(String, Vec<u8>), Error> {
    let mut text = String::new();
    let mut index = Index::new("modules.dep.bin");
    for (n, module) in graph.modules().iter().enumerate() {
        let mut line = format!("{}:", module.path);
        for need in graph.all_needs(n).iter().filter_map(|need| graph.modules().get(*need)) {
            line.push(' ');
            line.push_str(&need.path);
        }
        index.insert(&module.name, &module.name, &line, n)?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok((text, index.finish()?))
}

fn aliases(graph: &Graph) -> Result<(String, Vec<u8>), Error> {
    let mut text = String::from("# Aliases extracted from modules themselves.\n");
    let mut index = Index::new("modules.alias.bin");
    for (n, Module { name, info, .. }) in graph.modules().iter().enumerate() {
        for alias in &info.aliases {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "alias {alias} {name}");
            if let Some(key) = normal_alias(alias) {
                index.insert(name, &key, name, n)?;
            }
        }
    }
    Ok((text, index.finish()?))
}

/// An alias with underscores for dashes, but for those within brackets. `None`
/// when its brackets do not match up; the text file has those aliases, too.
fn normal_alias(alias: &str) -> Option<String> {
    let mut out = String::with_capacity(alias.len());
    let mut within = false;
    for c in alias.chars() {
        match c {
            ']' if !within => return None,
            ']' => within = false,
            '[' => within = true,
            _ => {}
        }
        out.push(if c == '-' && !within { '_' } else { c });
    }
    (!within).then_some(out)
}

fn symbols(graph: &Graph) -> Result<(String, Vec<u8>), Error> {
    let mut text = String::from("# Aliases for symbols, used by symbol_request().\n");
    let mut index = Index::new("modules.symbols.bin");
    for (symbol, module) in graph.symbols() {
        let _ = writeln!(text, "alias symbol:{symbol} {}", module.name);
    }
    let positions: std::collections::BTreeMap<&str, usize> =
        graph.modules().iter().enumerate().map(|(n, m)| (m.name.as_str(), n)).collect();
    for (symbol, module) in graph.symbols() {
        let position = positions.get(module.name.as_str()).copied().unwrap_or_default();
        index.insert(&module.name, &format!("symbol:{symbol}"), &module.name, position)?;
    }
    Ok((text, index.finish()?))
}

fn softdeps(graph: &Graph) -> String {
    let mut text = String::from("# Soft dependencies extracted from modules themselves.\n");
    for Module { name, info, .. } in graph.modules() {
        for value in &info.softdeps {
            let _ = writeln!(text, "softdep {name} {value}");
        }
    }
    text
}

/// Device nodes that load a module when somebody opens them: modules with both
/// a `devname:` alias and one of `char-major-…` or `block-major-…`.
fn devnames(graph: &Graph) -> String {
    let mut text = String::new();
    for Module { name, info, .. } in graph.modules() {
        let (mut node, mut device) = (None, None);
        for alias in &info.aliases {
            if let Some(name) = alias.strip_prefix("devname:") {
                node = Some(name);
            } else if let Some((major, minor)) = device_number(alias, "char-major-") {
                device = Some(('c', major, minor));
            } else if let Some((major, minor)) = device_number(alias, "block-major-") {
                device = Some(('b', major, minor));
            }
            if node.is_some() && device.is_some() {
                break;
            }
        }
        if let (Some(node), Some((kind, major, minor))) = (node, device) {
            if text.is_empty() {
                text.push_str("# Device nodes to trigger on-demand module loading.\n");
            }
            let _ = writeln!(text, "{name} {node} {kind}{major}:{minor}");
        }
    }
    text
}

fn device_number(alias: &str, prefix: &str) -> Option<(u32, u32)> {
    let (major, minor) = alias.strip_prefix(prefix)?.split_once('-')?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major.parse().ok()?, minor.get(..digits)?.parse().ok()?))
}

fn builtin_names(builtin: &str) -> Result<Vec<u8>, Error> {
    let mut index = Index::new("modules.builtin.bin");
    for name in lists::builtin(builtin) {
        index.insert(&name, &name, "", 0)?;
    }
    index.finish()
}

fn builtin_aliases(modinfo: &[u8]) -> Result<Vec<u8>, Error> {
    let mut index = Index::new("modules.builtin.alias.bin");
    for field in lists::builtin_modinfo(modinfo).filter(|f| f.key == "alias") {
        if let Some(key) = normal_alias(field.value) {
            index.insert(field.module, &key, field.module, 0)?;
        }
    }
    index.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_keep_dashes_within_brackets() {
        assert_eq!(normal_alias("a-b[0-9]c-d").as_deref(), Some("a_b[0-9]c_d"));
        assert_eq!(normal_alias("a]"), None);
        assert_eq!(normal_alias("a[0-9"), None);
    }

    #[test]
    fn device_numbers() {
        assert_eq!(device_number("char-major-10-235", "char-major-"), Some((10, 235)));
        assert_eq!(device_number("char-major-10-*", "char-major-"), None);
    }
}
