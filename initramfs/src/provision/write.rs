//! Generated files onto the file system, with exactly the owner and mode they are to have.

use crate::beneath::Dir;
use metadata::generate::{Content, File, Generated, KEEP};
use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
    let open = |path: &Path| {
        let dir = fs::create_dir_all(path).and_then(|()| Dir::open(path));
        dir.map_err(|error| (path.display().to_string(), error))
    };
    let trees = Trees { etc: open(to.etc)?, root: open(to.root)?, image_etc: to.image_etc };
    for file in files {
        if generated.fresh.contains(&file.path) && is_in_image(file, to) {
            let wrong = "the image has it, and it is not to be overwritten";
            return Err((file.path.clone(), io::Error::new(io::ErrorKind::AlreadyExists, wrong)));
        }
        one(file, &trees).map_err(fail(file))?;
    }
    keep_directories(to.etc, to.image_etc)?;
    for file in files {
        match &file.content {
            // Only now: those of the image were given the image's mode just before.
            Content::Directory => trees.directory(&file.path).and_then(|dir| own(file, &dir)),
            Content::Hard(target) => hard_link(target, &file.path, &trees),
            _ => Ok(()),
        }
        .map_err(fail(file))?;
    }
    Ok(files.len())
}

/// Whether the image has something else at the place of a file below /etc.
fn is_in_image(file: &File, to: Places<'_>) -> bool {
    let path = match below_etc(&file.path) {
        Some(below) => to.image_etc.join(below),
        None => to.root.join(file.path.trim_start_matches('/')),
    };
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

fn below_etc(path: &str) -> Option<&str> {
    path.trim_start_matches('/').strip_prefix("etc/")
}

/// The trees that are written to. Below them users own directories.
struct Trees<'a> {
    etc: Dir,
    root: Dir,
    image_etc: &'a Path,
}

impl Trees<'_> {
    /// The tree of a path, and the path in it.
    fn place<'p>(&self, path: &'p str) -> (&Dir, &'p Path) {
        match below_etc(path) {
            Some(below) => (&self.etc, Path::new(below)),
            None => (&self.root, Path::new(path)),
        }
    }

    fn directory(&self, path: &str) -> io::Result<Dir> {
        let (tree, path) = self.place(path);
        tree.make(path)
    }

    /// The directory of a file, made when it is not there, and the file's name in it.
    fn parent<'p>(&self, path: &'p str) -> io::Result<(Dir, &'p OsStr)> {
        let (tree, path) = self.place(path);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((tree.make(path.parent().unwrap_or(Path::new("")))?, name))
    }
}

fn one(file: &File, to: &Trees<'_>) -> io::Result<()> {
    if let Content::Directory = file.content {
        return to.directory(&file.path).map(drop);
    }
    let (dir, name) = to.parent(&file.path)?;
    let mut before = None;
    if let Content::Append(_) = file.content {
        match below_etc(&file.path) {
            Some(below) => before = regular(&to.image_etc.join(below))?,
            // Outside of /etc it is the file itself.
            None => match dir.file(name) {
                Ok(open) => return adopt(file, &open),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
        }
    }
    // What an earlier boot left, on /var, must not be written through.
    match rustix::fs::unlinkat(&dir, name, AtFlags::empty()) {
        Err(error) if error != Errno::NOENT => return Err(error.into()),
        _ => {}
    }
    let mut file = file.clone();
    let parts: [&[u8]; 2] = match (&file.content, &before) {
        (Content::Link(target), _) => {
            rustix::fs::symlinkat(target, &dir, name)?;
            let (uid, gid) = ids(&file);
            return Ok(rustix::fs::chownat(&dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?);
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
    let mut open = dir.create(name)?;
    parts.iter().try_for_each(|part| open.write_all(part))?;
    if file.mode == KEEP {
        file.mode = 0o644;
    }
    own(&file, &open)
}

/// A regular file of the image; `None` when there is none.
fn regular(path: &Path) -> io::Result<Option<(Vec<u8>, fs::Metadata)>> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() => Err(io::ErrorKind::InvalidInput.into()),
        Ok(meta) => Ok(Some((fs::read(path)?, meta))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives a file that was there before its owner and mode.
fn adopt(file: &File, open: &fs::File) -> io::Result<()> {
    let meta = open.metadata()?;
    if !meta.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Any user may link to another's file; that one is not given away.
    if meta.nlink() > 1 && file.uid != KEEP && file.uid != meta.uid() {
        let wrong = "it has another name, too, and is not given to another owner under that";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
    }
    own(file, open)
}

fn hard_link(target: &str, path: &str, to: &Trees<'_>) -> io::Result<()> {
    let (from, old) = to.parent(target)?;
    let (dir, new) = to.parent(path)?;
    Ok(rustix::fs::linkat(&from, old, &dir, new, AtFlags::empty())?)
}

fn ids(file: &File) -> (Option<Uid>, Option<Gid>) {
    let id = |id: u32| Some(id).filter(|id| *id != KEEP);
    (id(file.uid).map(Uid::from_raw), id(file.gid).map(Gid::from_raw))
}

/// Gives what was opened its owner and mode.
fn own(file: &File, open: impl AsFd) -> io::Result<()> {
    let (uid, gid) = ids(file);
    rustix::fs::fchown(&open, uid, gid)?;
    if file.mode != KEEP {
        // After the owner: a change of owner takes setuid away.
        rustix::fs::fchmod(&open, Mode::from_raw_mode(file.mode))?;
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

    /// A user who owns a directory in which root's files lie plants links in it.
    #[test]
    fn links_below_a_directory_that_a_user_owns_lead_nowhere() {
        let kept = |path: &Path| {
            let meta = fs::metadata(path).unwrap();
            (meta.permissions().mode(), meta.uid(), meta.mtime(), fs::read_dir(path).unwrap().count())
        };
        let planted = |target: &Path, link: &str, generated: &Generated| {
            let dir = tempfile::tempdir().unwrap();
            let link = dir.path().join("root").join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, link).unwrap();
            lay(dir.path(), generated)
        };
        let victim = tempfile::tempdir().unwrap();
        fs::create_dir(victim.path().join("private")).unwrap();
        fs::write(victim.path().join("daemon.json"), "root's").unwrap();
        let before = kept(victim.path());
        let contents = [text("user's"), Content::Link("/x".into()), Content::Append(b"x".to_vec())];
        for content in contents.into_iter().chain([Content::Directory]) {
            for path in ["/var/home/u/app/daemon.json", "/var/home/u/app/private", "/var/home/u/app/new/x"] {
                let generated = generated([File { mode: 0o2777, ..file(path, content.clone()) }]);
                let (at, error) = planted(victim.path(), "var/home/u/app", &generated).unwrap_err();
                assert_eq!(at, path);
                assert!(error.to_string().starts_with("/var/home/u/app is a link"), "{error}");
            }
        }
        // A directory itself, and the target of a hard link.
        let files = generated([File { mode: 0o2777, ..file("/var/u/app", Content::Directory) }]);
        planted(&victim.path().join("private"), "var/u/app", &files).unwrap_err();
        let files = generated([file("/var/copy", Content::Hard("/var/u/app/daemon.json".into()))]);
        planted(victim.path(), "var/u/app", &files).unwrap_err();
        // Neither is the file itself when it is kept.
        let files = generated([file("/var/u/log", Content::Append(Vec::new()))]);
        planted(&victim.path().join("daemon.json"), "var/u/log", &files).unwrap_err();
        assert_eq!(kept(victim.path()), before);
        assert_eq!(kept(&victim.path().join("private")).3, 0);
        assert_eq!(fs::read_to_string(victim.path().join("daemon.json")).unwrap(), "root's");
    }

    /// Also a hard link to somebody else's file is a user's to make.
    #[test]
    fn a_file_with_another_name_is_not_given_away() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "").unwrap();
        fs::create_dir_all(dir.path().join("root/var/u")).unwrap();
        fs::hard_link(&victim, dir.path().join("root/var/u/log")).unwrap();
        let log = file("/var/u/log", Content::Append(Vec::new()));
        let other = File { uid: log.uid + 1, ..log.clone() };
        let (_, error) = lay(dir.path(), &generated([other])).unwrap_err();
        assert!(error.to_string().contains("another name"), "{error}");
        assert_ne!(mode(&victim), 0o640);
        lay(dir.path(), &generated([log])).unwrap();
        assert_eq!(mode(&victim), 0o640, "its owner's own link");
    }
}
