//! The initramfs module index: one small text file from which PID 1 knows what
//! to load for a device or a name, in which order.
//!
//! kmod's own indexes are made for thousands of modules and a reader that maps
//! them into memory; an initramfs has about a hundred modules, so this one can
//! be read in one pass and checked completely. It says, line by line:
//!
//! ```text
//! sledos-modules 1
//! kernel 6.1.0-38-amd64
//! builtin efivarfs
//! module crc32c_generic kernel/crypto/crc32c_generic.ko
//! module jbd2 kernel/fs/jbd2/jbd2.ko
//! wants 0
//! module ext4 kernel/fs/ext4/ext4.ko
//! needs 1
//! alias fs-ext4
//! ```
//!
//! - The first line names the format and its version. A reader refuses other versions.
//! - `kernel`: the release (`uname -r`) the modules are for; the paths are below
//!   `/lib/modules/<release>/`.
//! - `builtin`: a name that needs no loading. Any number of lines.
//! - `module <name> <path>` starts a module, numbered from 0. Lines up to the next one are about it:
//!   `needs <n>…` must be loaded before (the kernel refuses the module without),
//!   `wants <n>…` should be loaded before (a soft dependency),
//!   `also <n>…` should be loaded after,
//!   `alias <pattern>` is a [glob](super::glob) of modaliases it serves.
//! - `needs` and `wants` name only modules further up, so the file cannot describe a circle.
//!
//! Version 1 has no other lines; unknown ones are errors.

use std::fmt;

/// Where the builder puts the index in the initramfs.
pub const PATH: &str = "/lib/modules/sledos.index";

/// The first line.
pub const MAGIC: &str = "sledos-modules 1";

/// Upper limit for the number of modules: four times what a kernel has today.
const MAX_MODULES: usize = 16_384;

/// An index, borrowed from the bytes of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Index<'a> {
    kernel: &'a str,
    builtin: Vec<&'a str>,
    modules: Vec<Module<'a>>,
}

/// A module of the initramfs.
#[derive(Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// Its name, with underscores.
    pub name: &'a str,
    /// Its file, below `/lib/modules/<release>/`.
    pub path: &'a str,
    needs: Vec<usize>,
    wants: Vec<usize>,
    also: Vec<usize>,
    aliases: Vec<&'a str>,
}

/// One step of a load order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'i, 'a> {
    /// What to load.
    pub module: &'i Module<'a>,
    /// Whether what was asked for fails without it. Soft dependencies may fail.
    pub required: bool,
}

/// Where and why a file is not an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "module index, line {}: {}; the initramfs is damaged or was not made by this version of sledos",
            self.line, self.what
        )
    }
}

impl std::error::Error for Error {}

impl<'a> Index<'a> {
    /// Reads the whole file. Memory is bounded by a small multiple of its size.
    ///
    /// # Errors
    /// For anything the format above does not allow.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let line = bytes.iter().take(e.valid_up_to()).filter(|b| **b == b'\n').count() + 1;
            Error { line, what: "not UTF-8" }
        })?;
        let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
        if lines.next().map(|(_, line)| line) != Some(MAGIC) {
            return Err(Error { line: 1, what: "not `sledos-modules 1`" });
        }
        let kernel = lines
            .next()
            .and_then(|(_, line)| line.strip_prefix("kernel "))
            .filter(|release| is_path(release) && !release.contains('/'))
            .ok_or(Error { line: 2, what: "not `kernel <release>`" })?;
        let mut index = Self { kernel, builtin: Vec::new(), modules: Vec::new() };
        for (line, text) in lines {
            index.add(text).map_err(|what| Error { line, what })?;
        }
        let known = index.modules.len();
        if index.modules.iter().any(|m| m.also.iter().any(|n| *n >= known)) {
            return Err(Error {
                line: text.lines().count(),
                what: "`also` names a module that is not there",
            });
        }
        Ok(index)
    }

    fn add(&mut self, text: &'a str) -> Result<(), &'static str> {
        let (key, value) = text.split_once(' ').ok_or("not `<key> <value>`")?;
        let known = self.modules.len();
        match key {
            "builtin" => self.builtin.push(value),
            "module" => {
                let (name, path) = value.split_once(' ').ok_or("not `module <name> <path>`")?;
                if name.is_empty() || !is_path(path) {
                    return Err("a module without a name or with a bad path");
                }
                if known == MAX_MODULES {
                    return Err("more modules than a kernel has");
                }
                let none = Vec::new;
                self.modules.push(Module {
                    name,
                    path,
                    needs: none(),
                    wants: none(),
                    also: none(),
                    aliases: Vec::new(),
                });
            }
            _ => {
                let module = self.modules.last_mut().ok_or("no module above this line")?;
                match key {
                    "alias" => module.aliases.push(value),
                    "needs" => module.needs = numbers(value, known - 1)?,
                    "wants" => module.wants = numbers(value, known - 1)?,
                    "also" => module.also = numbers(value, MAX_MODULES)?,
                    _ => return Err("an unknown kind of line"),
                }
            }
        }
        Ok(())
    }

    /// The kernel release the modules are for, as `uname -r` prints it.
    pub fn kernel(&self) -> &'a str {
        self.kernel
    }

    /// All modules, what others need first.
    pub fn modules(&self) -> &[Module<'a>] {
        &self.modules
    }

    /// Whether a name needs no loading because it is part of the kernel.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.iter().any(|b| same_name(b, name))
    }

    /// The modules that serve a device: `modalias` is what the device's file of
    /// that name in sysfs says, without the newline.
    pub fn modules_for_alias(&self, modalias: &str) -> Vec<&Module<'a>> {
        let serves = |m: &&Module<'a>| m.aliases.iter().any(|a| super::glob::matches(a, modalias));
        self.modules.iter().filter(serves).collect()
    }

    /// The module of a name; dashes and underscores are one.
    pub fn module(&self, name: &str) -> Option<&Module<'a>> {
        self.modules.iter().find(|m| same_name(m.name, name))
    }

    /// What to load, in order, for the module of a name, itself included.
    /// `None` when there is no such module (it may be [built in](Self::is_builtin)).
    pub fn load_order(&self, name: &str) -> Option<Vec<Step<'_, 'a>>> {
        let wanted = self.modules.iter().position(|m| same_name(m.name, name))?;
        let mut marks = vec![Mark::No; self.modules.len()];
        self.mark(wanted, Mark::Required, &mut marks);
        // Whatever was marked by here comes before what should follow it.
        let before = marks.clone();
        let mut later = Vec::new();
        for (module, _) in self.modules.iter().zip(&before).filter(|(_, mark)| **mark != Mark::No) {
            later.extend(module.also.iter().copied());
        }
        for n in later {
            self.mark(n, Mark::Optional, &mut marks);
        }
        let steps = |pick: fn(Mark) -> bool| {
            let marks = marks.iter().zip(&before);
            self.modules.iter().zip(marks).filter_map(move |(module, (mark, before))| {
                let step = Step { module, required: *mark == Mark::Required };
                (*mark != Mark::No && pick(*before)).then_some(step)
            })
        };
        Some(steps(|before| before != Mark::No).chain(steps(|before| before == Mark::No)).collect())
    }

    /// Marks a module and, below it, everything that has to come before. One
    /// pass from the end is enough: `needs` and `wants` point up the file only.
    fn mark(&self, wanted: usize, mark: Mark, marks: &mut [Mark]) {
        raise(marks, wanted, mark);
        for (n, module) in self.modules.iter().enumerate().take(wanted + 1).rev() {
            let here = marks.get(n).copied().unwrap_or(Mark::No);
            if here == Mark::No {
                continue;
            }
            module.needs.iter().for_each(|m| raise(marks, *m, here));
            module.wants.iter().for_each(|m| raise(marks, *m, Mark::Optional));
        }
    }
}

/// How much a module matters to what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    No,
    Optional,
    Required,
}

fn raise(marks: &mut [Mark], at: usize, to: Mark) {
    if let Some(mark) = marks.get_mut(at) {
        *mark = to.max(*mark);
    }
}

fn same_name(a: &str, b: &str) -> bool {
    let one = |c: u8| if c == b'-' { b'_' } else { c };
    a.len() == b.len() && a.bytes().map(one).eq(b.bytes().map(one))
}

/// Whether a path stays below the directory it is taken from.
fn is_path(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Numbers below `limit`.
fn numbers(text: &str, limit: usize) -> Result<Vec<usize>, &'static str> {
    let number = |word: &str| match word.parse() {
        Ok(n) if n < limit => Ok(n),
        Ok(_) => Err("a number that names no module further up"),
        Err(_) => Err("not a number"),
    };
    text.split(' ').map(number).collect()
}

/// A module as the builder describes it to [`write`]; the numbers are positions in the slice.
#[cfg(feature = "write")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its name, with underscores.
    pub name: String,
    /// Its file, below `/lib/modules/<release>/`.
    pub path: String,
    /// Must be loaded before. Only smaller numbers than its own.
    pub needs: Vec<usize>,
    /// Should be loaded before. Only smaller numbers than its own.
    pub wants: Vec<usize>,
    /// Should be loaded after.
    pub also: Vec<usize>,
    /// Patterns of the modaliases it serves.
    pub aliases: Vec<String>,
}

/// Writes an index. What it writes is what [`Index::parse`] gives back, which
/// is checked: an entry that the format cannot hold is an error here, not in PID 1.
///
/// # Errors
/// When the entries break a rule of the format, with the line that would.
#[cfg(feature = "write")]
pub fn write(kernel: &str, builtin: &[String], entries: &[Entry]) -> Result<String, Error> {
    use fmt::Write as _;
    let mut out = format!("{MAGIC}\nkernel {kernel}\n");
    // Writing to a String cannot fail.
    for name in builtin {
        let _ = writeln!(out, "builtin {name}");
    }
    for entry in entries {
        let _ = writeln!(out, "module {} {}", entry.name, entry.path);
        for (key, list) in [("needs", &entry.needs), ("wants", &entry.wants), ("also", &entry.also)] {
            if !list.is_empty() {
                let list: Vec<String> = list.iter().map(usize::to_string).collect();
                let _ = writeln!(out, "{key} {}", list.join(" "));
            }
        }
        for alias in &entry.aliases {
            let _ = writeln!(out, "alias {alias}");
        }
    }
    Index::parse(out.as_bytes())?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "sledos-modules 1
kernel 6.1.0-38-amd64
builtin efivarfs
module crc32c_generic kernel/crypto/crc32c_generic.ko
alias crypto-crc32c
module crc16 kernel/lib/crc16.ko
module jbd2 kernel/fs/jbd2/jbd2.ko
wants 0
module ext4 kernel/fs/ext4/ext4.ko
needs 1 2
wants 0
alias fs-ext4
module ipmi_msghandler kernel/drivers/char/ipmi/ipmi_msghandler.ko
also 5
module ipmi_devintf kernel/drivers/char/ipmi/ipmi-devintf.ko
needs 4
module igb kernel/drivers/net/ethernet/intel/igb/igb.ko
alias pci:v00008086d00001521sv*sd*bc*sc*i*
";

    fn order(index: &Index<'_>, name: &str) -> Vec<(String, bool)> {
        let steps = index.load_order(name).unwrap();
        steps.iter().map(|s| (s.module.name.to_owned(), s.required)).collect()
    }

    #[test]
    fn orders_and_aliases() {
        let index = Index::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(index.kernel(), "6.1.0-38-amd64");
        let named = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
            list.iter().map(|(n, r)| ((*n).to_owned(), *r)).collect()
        };
        assert_eq!(
            order(&index, "ext4"),
            named(&[("crc32c_generic", false), ("crc16", true), ("jbd2", true), ("ext4", true)])
        );
        assert_eq!(
            order(&index, "ipmi-msghandler"),
            named(&[("ipmi_msghandler", true), ("ipmi_devintf", false)])
        );
        assert!(index.load_order("efivarfs").is_none() && index.is_builtin("efivarfs"));
        let igb = index.modules_for_alias("pci:v00008086d00001521sv00008086sd00000001bc02sc00i00");
        assert_eq!(igb.iter().map(|m| m.name).collect::<Vec<_>>(), ["igb"]);
        assert_eq!(index.modules_for_alias("crypto_crc32c").len(), 1);
    }

    #[test]
    fn one_mutation_one_error() {
        let bad = |from: &str, to: &str| {
            assert!(GOOD.contains(from), "{from:?}");
            let text = GOOD.replacen(from, to, 1);
            let error = Index::parse(text.as_bytes()).unwrap_err();
            (error.line, error.what)
        };
        assert_eq!(bad("modules 1", "modules 2"), (1, "not `sledos-modules 1`"));
        assert_eq!(bad("kernel 6.1.0-38-amd64", "kernel ../x").0, 2);
        assert_eq!(bad("kernel/lib/crc16.ko", "../crc16.ko").1, "a module without a name or with a bad path");
        assert_eq!(bad("needs 1 2", "needs 1 3"), (10, "a number that names no module further up"));
        assert_eq!(bad("needs 1 2", "needs 1 -2"), (10, "not a number"));
        assert_eq!(bad("also 5", "also 7").1, "`also` names a module that is not there");
        assert_eq!(bad("alias fs-ext4", "firmware fs"), (12, "an unknown kind of line"));
        assert_eq!(bad("builtin efivarfs", "alias efivarfs"), (3, "no module above this line"));
        assert_eq!(Index::parse(b"sledos-modules 1\nkernel \xff\n").unwrap_err().what, "not UTF-8");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(cut in 0usize..600, junk in "[a-z0-9 \n-]{0,40}") {
            let mut text = GOOD.get(..cut).unwrap_or(GOOD).to_owned();
            text.push_str(&junk);
            if let Ok(index) = Index::parse(text.as_bytes()) {
                for module in index.modules() {
                    let _ = index.load_order(module.name);
                }
            }
        }
    }
}
