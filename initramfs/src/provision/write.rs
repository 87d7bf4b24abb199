//! Generated files onto the file system, with exactly the owner and mode they are to have.

use metadata::generate::{Content, File, Generated, KEEP};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where generated files go, and what the image has.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// For those below /etc.
    pub etc: &'a Path,
    /// For all others.
    pub root: &'a Path,
    /// The image's /etc.
    pub image_etc: &'a Path,
}

/// Writes the files. Returns how many there are.
///
/// # Errors
/// The first that cannot be written, with its path; also one that would replace a file
/// of the image that it must not replace.
pub fn write(generated: &Generated, to: Places<'_>) -> Result<usize, (String, io::Error)> {
    let files = &generated.files;
    let fail = |file: &File| {
        let path = file.path.clone();
        move |error| (path, error)
    };
    for file in files {
        if generated.fresh.contains(&file.path) && is_in_image(file, to) {
            let wrong = "the image has it, and it is not to be overwritten";
            return Err((file.path.clone(), io::Error::new(io::ErrorKind::AlreadyExists, wrong)));
        }
        one(file, to).map_err(fail(file))?;
    }
    keep_directories(to.etc, to.image_etc)?;
    for file in files {
        let path = place(&file.path, to.etc, to.root);
        match &file.content {
            // Only now: those of the image were given the image's mode just before.
            Content::Directory => own(file, &path, true),
            Content::Hard(target) => fs::hard_link(place(target, to.etc, to.root), path),
            _ => Ok(()),
        }
        .map_err(fail(file))?;
    }
    Ok(files.len())
}

/// Whether the image has something else at the place of a file below /etc.
fn is_in_image(file: &File, to: Places<'_>) -> bool {
    let path = place(&file.path, to.image_etc, to.root);
    let same = match &file.content {
        Content::Link(target) => fs::read_link(&path).is_ok_and(|there| there == Path::new(target)),
        _ => false,
    };
    !same && fs::symlink_metadata(path).is_ok()
}

/// Gives directories below `etc` the mode and owner that the image's have: in an overlay
/// the upper directory's count, and /etc/ssl/private must not become open to all because
/// a file was generated into it.
///
/// # Errors
/// The first directory that cannot be given them, with its path.
fn keep_directories(etc: &Path, image: &Path) -> Result<(), (String, io::Error)> {
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

fn one(file: &File, to: Places<'_>) -> io::Result<()> {
    let path = &place(&file.path, to.etc, to.root);
    if let Content::Directory = file.content {
        return fs::create_dir_all(path);
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut before = None;
    if let Content::Append(_) = file.content {
        let there = place(&file.path, to.image_etc, to.root);
        match fs::symlink_metadata(&there) {
            Ok(meta) if !meta.is_file() => return Err(io::ErrorKind::InvalidInput.into()),
            // Outside of /etc it is the file itself.
            Ok(_) if there == *path => return own(file, path, true),
            Ok(meta) => before = Some((fs::read(&there)?, meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // What an earlier boot left, on /var, must not be written through.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = file.clone();
    let parts: [&[u8]; 2] = match (&file.content, &before) {
        (Content::Link(target), _) => {
            rustix::fs::symlink(target, path)?;
            return own(&file, path, false);
        }
        (Content::Append(bytes), Some((content, meta))) => {
            let keep = |given: u32, there: u32| if given == KEEP { there } else { given };
            file.mode = keep(file.mode, meta.mode() & 0o7777);
            (file.uid, file.gid) = (keep(file.uid, meta.uid()), keep(file.gid, meta.gid()));
            [content, bytes]
        }
        (Content::Text(text), _) => [text.as_bytes(), &[]],
        (Content::Bytes(bytes) | Content::Append(bytes), _) => [bytes, &[]],
        (Content::Hard(_) | Content::Directory, _) => return Ok(()),
    };
    // Nobody can read it before it has its owner.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut open = fs::File::from(rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?);
    parts.iter().try_for_each(|part| open.write_all(part))?;
    if file.mode == KEEP {
        file.mode = 0o644;
    }
    own(&file, path, true)
}

/// Gives it its owner and, if it has one, its mode.
fn own(file: &File, path: &Path, has_mode: bool) -> io::Result<()> {
    let id = |id: u32| Some(id).filter(|id| *id != KEEP);
    let (uid, gid) = (id(file.uid).map(Uid::from_raw), id(file.gid).map(Gid::from_raw));
    rustix::fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if has_mode && file.mode != KEEP {
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

    fn text(text: &str) -> Content {
        Content::Text(text.into())
    }

    fn generated(files: impl IntoIterator<Item = File>) -> Generated {
        Generated { files: files.into_iter().collect(), ..Generated::default() }
    }

    /// Writes below a directory: `generated`, `root`, `image`.
    fn lay(dir: &Path, generated: &Generated) -> Result<usize, (String, io::Error)> {
        let [etc, root, image] = ["generated", "root", "image"].map(|name| dir.join(name));
        write(generated, Places { etc: &etc, root: &root, image_etc: &image })
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn files_get_their_place_mode_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let (etc, root) = (dir.path().join("generated"), dir.path().join("root"));
        let files = generated([
            file("/etc/a/b", text("one")),
            file("/etc/c", Content::Hard("/etc/a/b".into())),
            file("/etc/link", Content::Link("a/b".into())),
            file("/var/lib/x", Content::Bytes(vec![0, 0xff])),
            File { mode: 0o2750, ..file("/srv/dir", Content::Directory) },
            file("/etcetera", text("three")),
        ]);
        assert_eq!(lay(dir.path(), &files).unwrap(), 6);
        // A second boot finds what the first one left.
        assert_eq!(lay(dir.path(), &files).unwrap(), 6);
        assert_eq!(fs::read_to_string(etc.join("link")).unwrap(), "one");
        assert_eq!(mode(&etc.join("a/b")), 0o640);
        assert_eq!(fs::metadata(etc.join("c")).unwrap().ino(), fs::metadata(etc.join("a/b")).unwrap().ino());
        assert_eq!(fs::metadata(etc.join("a")).unwrap().mode() & 0o022, 0);
        assert_eq!(fs::read(root.join("var/lib/x")).unwrap(), [0, 0xff]);
        assert_eq!(mode(&root.join("srv/dir")), 0o2750);
        assert_eq!(fs::read_to_string(root.join("etcetera")).unwrap(), "three");
    }

    #[test]
    fn what_the_image_has_is_kept_appended_to_or_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (etc, image) = (dir.path().join("generated"), dir.path().join("image"));
        fs::create_dir_all(image.join("ssl/private")).unwrap();
        fs::set_permissions(image.join("ssl/private"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(image.join("profile"), "image\n").unwrap();
        fs::set_permissions(image.join("profile"), fs::Permissions::from_mode(0o604)).unwrap();
        let keep =
            |path: &str, content| File { mode: KEEP, uid: KEEP, gid: KEEP, path: path.into(), content };
        let mut files = generated([
            keep("/etc/new/empty", Content::Append(Vec::new())),
            keep("/etc/profile", Content::Append(b"more\n".to_vec())),
            keep("/etc/ssl", Content::Directory),
            file("/etc/ssl/private/key", text("x")),
            File { mode: 0o711, ..file("/etc/ssl/private", Content::Directory) },
            keep("/srv/log", Content::Append(Vec::new())),
        ]);
        lay(dir.path(), &files).unwrap();
        fs::write(dir.path().join("root/srv/log"), "kept").unwrap();
        lay(dir.path(), &files).unwrap();
        assert_eq!(fs::read_to_string(etc.join("profile")).unwrap(), "image\nmore\n");
        assert_eq!(mode(&etc.join("profile")), 0o604);
        assert_eq!(fs::read_to_string(dir.path().join("root/srv/log")).unwrap(), "kept");
        assert_eq!((mode(&etc.join("new/empty")), mode(&etc.join("new"))), (0o644, 0o755));
        assert_eq!(mode(&etc.join("ssl/private")), 0o711);
        files.files.remove(4);
        fs::remove_dir_all(&etc).unwrap();
        lay(dir.path(), &files).unwrap();
        assert_eq!(mode(&etc.join("ssl/private")), 0o700, "the image's");

        let fresh =
            Generated { fresh: vec!["/etc/profile".into()], ..generated([file("/etc/profile", text(""))]) };
        let (path, error) = lay(dir.path(), &fresh).unwrap_err();
        assert_eq!((&*path, error.kind()), ("/etc/profile", io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn a_link_that_is_there_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "kept").unwrap();
        fs::create_dir_all(dir.path().join("root/var")).unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("root/var/x")).unwrap();
        lay(dir.path(), &generated([file("/var/x", text("new"))])).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
        let dir_in_the_way = generated([file("/var", text("new"))]);
        assert_eq!(lay(dir.path(), &dir_in_the_way).unwrap_err().0, "/var");
    }
}
