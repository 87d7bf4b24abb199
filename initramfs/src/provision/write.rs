//! Generated files onto the file system, with exactly the owner and mode they are to have.

use metadata::generate::{Content, File};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Writes the files. Those below /etc go to `etc`, all others below `root`. Returns the
/// number of files.
///
/// # Errors
/// The first that cannot be written, with its path.
pub fn write(files: &[File], etc: &Path, root: &Path) -> Result<usize, (String, io::Error)> {
    for file in files {
        let path = place(&file.path, etc, root);
        one(file, &path).map_err(|error| (file.path.clone(), error))?;
    }
    Ok(files.len())
}

/// Gives directories below `etc` the mode and owner that the image's have: in an overlay
/// the upper directory's count, and /etc/ssl/private must not become open to all because
/// a file was generated into it.
///
/// # Errors
/// The first directory that cannot be given them, with its path.
pub fn keep_directories(etc: &Path, image: &Path) -> Result<(), (String, io::Error)> {
    let entries = fs::read_dir(etc).into_iter().flatten().flatten();
    for dir in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let (ours, theirs) = (dir.path(), image.join(dir.file_name()));
        if let Ok(meta) = fs::symlink_metadata(&theirs)
            && meta.is_dir()
        {
            let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
            rustix::fs::chownat(CWD, &ours, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .and_then(|()| rustix::fs::chmod(&ours, Mode::from_raw_mode(meta.mode() & 0o7777)))
                .map_err(|error| (ours.display().to_string(), error.into()))?;
        }
        keep_directories(&ours, &theirs)?;
    }
    Ok(())
}

fn place(path: &str, etc: &Path, root: &Path) -> PathBuf {
    let relative = path.trim_start_matches('/');
    match relative.strip_prefix("etc/") {
        Some(below) => etc.join(below),
        None => root.join(relative),
    }
}

fn one(file: &File, path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // What an earlier boot left, on /var, must not be written through.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (uid, gid) = (Uid::from_raw(file.uid), Gid::from_raw(file.gid));
    match &file.content {
        Content::Link(target) => rustix::fs::symlink(target, path)?,
        Content::Text(text) => {
            // Nobody can read it before it has its owner.
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut open = fs::File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?);
            open.write_all(text.as_bytes())?;
        }
    }
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if let Content::Text(_) = file.content {
        // After the owner: a change of owner takes setuid away.
        rustix::fs::chmod(path, Mode::from_raw_mode(file.mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(path: &str, content: Content) -> File {
        let me = rustix::process::getuid().as_raw();
        let group = rustix::process::getgid().as_raw();
        File { path: path.into(), mode: 0o640, uid: me, gid: group, content }
    }

    #[test]
    fn files_get_their_place_mode_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let (etc, root) = (dir.path().join("generated"), dir.path().join("root"));
        let text = |text: &str| Content::Text(text.into());
        let files = [
            file("/etc/a/b", text("one")),
            file("/etc/link", Content::Link("a/b".into())),
            file("/var/lib/x", text("two")),
            file("/etcetera", text("three")),
        ];
        assert_eq!(write(&files, &etc, &root).unwrap(), 4);
        // A second boot finds what the first one left.
        assert_eq!(write(&files, &etc, &root).unwrap(), 4);
        assert_eq!(fs::read_to_string(etc.join("link")).unwrap(), "one");
        assert_eq!(fs::metadata(etc.join("a/b")).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::metadata(etc.join("a")).unwrap().mode() & 0o022, 0);
        assert_eq!(fs::read_to_string(root.join("var/lib/x")).unwrap(), "two");
        assert_eq!(fs::read_to_string(root.join("etcetera")).unwrap(), "three");
    }

    #[test]
    fn a_private_directory_of_the_image_stays_private() {
        let dir = tempfile::tempdir().unwrap();
        let (etc, image) = (dir.path().join("generated"), dir.path().join("image"));
        fs::create_dir_all(image.join("ssl/private")).unwrap();
        fs::set_permissions(image.join("ssl/private"), fs::Permissions::from_mode(0o700)).unwrap();
        let text = || Content::Text("x".into());
        write(&[file("/etc/ssl/private/key", text()), file("/etc/new/file", text())], &etc, &etc).unwrap();
        keep_directories(&etc, &image).unwrap();
        let mode = |path: &str| fs::metadata(etc.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("ssl/private"), mode("new")), (0o700, 0o755));
    }

    #[test]
    fn a_link_that_is_there_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "kept").unwrap();
        fs::create_dir(dir.path().join("var")).unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("var/x")).unwrap();
        write(&[file("/var/x", Content::Text("new".into()))], dir.path(), dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
        let dir_in_the_way = file("/var", Content::Text("new".into()));
        assert_eq!(write(&[dir_in_the_way], dir.path(), dir.path()).unwrap_err().0, "/var");
    }
}
