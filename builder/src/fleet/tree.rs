//! A plan's files on disk.
//!
//! The new `v1` is built beside the old one and both are exchanged in one step, so a
//! server that opens a path finds the old document or the new one, whole, and each with
//! its own signature. Files that stay are the same files (hard links), their times too.
//! Only who fetches a document before the step and its signature behind it sees two that
//! do not fit; a sled then refuses them and asks again.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Error;
use crate::output::StagedDir;
use metadata::fleet::compile::{File, Plan};

/// The directory in the output directory that is exchanged.
const ROOT: &str = "v1";

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

/// What is in an output directory at a path of a plan.
pub fn read(output: &Path, path: &str) -> Option<Vec<u8>> {
    fs::read(output.join(path)).ok()
}

/// Makes `output/v1` what the plan says.
///
/// # Errors
/// When writing fails; it is then as it was.
pub fn write(output: &Path, plan: &Plan) -> Result<Written, Error> {
    let kept = plan.files.values().filter(|f| matches!(f, File::Keep)).count();
    let there = count(&output.join(ROOT));
    let written = plan.files.len() - kept;
    // Replaced files are no removed ones.
    let replaced =
        plan.files.iter().filter(|(p, f)| matches!(f, File::Write(_)) && output.join(p).is_file()).count();
    let done = Written { written, kept, removed: there.saturating_sub(kept + replaced) };
    if written == 0 && done.removed == 0 {
        return Ok(done);
    }
    let staged = StagedDir::create(&output.join(ROOT))?;
    let readable = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    readable(staged.path(), 0o755).map_err(Error::io("write", staged.path()))?;
    let mut made = std::collections::BTreeSet::new();
    for (path, file) in &plan.files {
        let below = Path::new(path).strip_prefix(ROOT).unwrap_or(Path::new(path));
        let target = staged.path().join(below);
        let mut above = staged.path().to_owned();
        for part in below.parent().into_iter().flat_map(Path::components) {
            above.push(part);
            if made.insert(above.clone()) {
                fs::create_dir(&above)
                    .and_then(|()| readable(&above, 0o755))
                    .map_err(Error::io("make", &above))?;
            }
        }
        match file {
            File::Keep => keep(&output.join(path), &target).map_err(Error::io("keep", &output.join(path)))?,
            File::Write(bytes) => fs::write(&target, bytes)
                .and_then(|()| readable(&target, 0o644))
                .map_err(Error::io("write", &target))?,
        }
    }
    staged.commit_small_files()?;
    Ok(done)
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

/// How many files are below a directory.
fn count(dir: &Path) -> usize {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .map_while(Result::ok)
        .map(|e| if e.file_type().is_ok_and(|t| t.is_dir()) { count(&e.path()) } else { 1 })
        .sum()
}
