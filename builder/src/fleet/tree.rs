//! A plan's files on disk.
//!
//! Many new ones: the new `v1` is built beside the old one and both are exchanged in one step, so a
//! server that opens a path finds the old document or the new one, whole, and each with
//! its own signature. Files that stay are the same files (hard links), their times too.
//! Few: each is exchanged in a step of its own, a document and then its signature, and all others are not
//! touched. Who fetches a document before its step and the signature behind it sees two that
//! do not fit; a sled then refuses them and asks again.
//!
//! A document that lies under several keys is one file with several names. Before any
//! exchange only the index is brought to disk: it has the generations, from which a later
//! run makes everything anew that a power cut in these seconds has emptied or left out.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::before::{Output, ROOT};
use crate::output::StagedDir;
use metadata::fleet::compile::{File, INDEX, Plan, signature};

/// When one of so many files or more is another, all of `v1` is exchanged.
const FEW: usize = 8;

/// What writing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files with new content.
    pub written: usize,
    /// Files that stayed.
    pub kept: usize,
    /// Files that are gone.
    pub removed: usize,
}

/// A file that is written, and where.
type New<'a> = (&'a str, &'a Arc<[u8]>);

/// Makes `output/v1` what the plan says. `before` is then what is there now.
///
/// # Errors
/// When writing fails. What lies there is then as it was, or a part of the new documents does.
pub fn write(output: &Path, plan: &Plan, before: &mut Output) -> Result<Written, Error> {
    let mut new: Vec<New<'_>> = (plan.files.iter())
        .filter_map(|(path, file)| match file {
            File::Keep => None,
            File::Write(bytes) => Some((path.as_str(), bytes)),
        })
        .collect();
    let kept = plan.files.len() - new.len();
    let stay = kept + new.iter().filter(|(path, _)| before.has(path)).count();
    let gone: Vec<String> = if before.len() == stay {
        Vec::new()
    } else {
        before.names().filter(|path| !plan.files.contains_key(*path)).map(str::to_owned).collect()
    };
    let done = Written { written: new.len(), kept, removed: gone.len() };
    if new.is_empty() && gone.is_empty() {
        return Ok(done);
    }
    if (new.len() + gone.len()).saturating_mul(FEW) >= plan.files.len() {
        exchange(output, plan)?;
        *before = Output::look(output)?;
    } else {
        new.sort_unstable_by_key(|(path, _)| *path);
        one_by_one(output, &new, &gone)?;
        new.iter().for_each(|(path, _)| before.forget(path));
        gone.iter().for_each(|path| before.forget(path));
    }
    Ok(done)
}

/// All of them in one step.
fn exchange(output: &Path, plan: &Plan) -> Result<(), Error> {
    let staged = StagedDir::create(&output.join(ROOT))?;
    readable(staged.path()).map_err(Error::io("write", staged.path()))?;
    let mut contents = Contents::default();
    let mut made = HashSet::new();
    for (path, file) in &plan.files {
        let target = staged.path().join(below(path));
        if let Some(above) = target.parent().filter(|above| !made.contains(*above)) {
            make_dirs(staged.path(), above)?;
            made.insert(above.to_owned());
        }
        let old = output.join(path);
        match file {
            File::Keep => keep(&old, &target).map_err(Error::io("keep", &old))?,
            File::Write(bytes) => {
                contents.put(bytes, &target, &target).map_err(Error::io("write", &target))?;
            }
        }
    }
    let index = below(INDEX).to_string_lossy();
    staged.commit_small_files(&[&index, &signature(&index)])?;
    Ok(())
}

/// Each in a step of its own; nothing else is touched.
fn one_by_one(output: &Path, new: &[New<'_>], gone: &[String]) -> Result<(), Error> {
    let root = output.join(ROOT);
    // It goes away with what is left in it.
    let staged = StagedDir::create(&root)?;
    let mut contents = Contents::default();
    let mut put = |(path, bytes): &New<'_>, sync: bool| {
        let target = output.join(path);
        make_dirs(&root, target.parent().unwrap_or(&root))?;
        let beside = staged.path().join("new");
        let mut written = || {
            contents.put(bytes, &beside, &target)?;
            if sync {
                fs::File::open(&beside)?.sync_all()?;
            }
            fs::rename(&beside, &target)
        };
        written().map_err(Error::io("write", &target))
    };
    let is_index = |path: &str| path == INDEX || path == signature(INDEX);
    for new in new.iter().filter(|(path, _)| is_index(path)) {
        put(new, true)?;
    }
    fs::File::open(&root).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", &root))?;
    for new in new.iter().filter(|(path, _)| !is_index(path)) {
        put(new, false)?;
    }
    for path in gone {
        let path = output.join(path);
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        // Directories go with their last file.
        let above = path.ancestors().skip(1).take_while(|above| *above != root);
        above.map_while(|above| fs::remove_dir(above).ok()).for_each(drop);
    }
    Ok(())
}

/// What was written, by where the bytes are in memory: the same under another path is the same file.
#[derive(Default)]
struct Contents(HashMap<*const u8, PathBuf>);

impl Contents {
    /// Puts them at a path; `lies` is where they are when the next are put.
    fn put(&mut self, bytes: &Arc<[u8]>, at: &Path, lies: &Path) -> io::Result<()> {
        match self.0.get(&bytes.as_ptr()) {
            Some(same) => keep(same, at),
            None => {
                create(at, bytes)?;
                self.0.insert(bytes.as_ptr(), lies.to_owned());
                Ok(())
            }
        }
    }
}

fn readable(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
}

/// The directories between `root` and `dir`, and that.
fn make_dirs(root: &Path, dir: &Path) -> Result<(), Error> {
    let missing: Vec<_> = dir.ancestors().take_while(|dir| *dir != root && !dir.is_dir()).collect();
    missing
        .into_iter()
        .rev()
        .try_for_each(|dir| fs::create_dir(dir).and_then(|()| readable(dir)).map_err(Error::io("make", dir)))
}

/// A plan's path below [`ROOT`].
fn below(path: &str) -> &Path {
    Path::new(path).strip_prefix(ROOT).unwrap_or(Path::new(path))
}

/// A file that everybody may read, whatever the umask is.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)?;
    if file.metadata()?.permissions().mode() & 0o777 == 0o644 {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// The same file under another name; where the file system knows no links, a copy of
/// the same time.
fn keep(old: &Path, new: &Path) -> io::Result<()> {
    if fs::hard_link(old, new).is_ok() {
        return Ok(());
    }
    fs::copy(old, new)?;
    let time = fs::metadata(old)?.modified()?;
    fs::File::options().write(true).open(new)?.set_modified(time)
}
