//! The document's own files, directories, links and units.

use super::accounts::{Accounts, owner};
use super::place::{self, Place};
use super::{Content, Error, File, KEEP, base64, made_of};
use crate::config::{Config, FileEntry, Unit};

pub(super) const DIR: &str = "/etc/systemd/system";

pub(super) fn files(out: &mut Place, config: &Config, accounts: &Accounts) -> Result<(), Error> {
    for (path, entry) in &config.files {
        let field = format!("files.{path}");
        place::check_given(&field, path)?;
        let FileEntry { mode, uid, gid, user, group, .. } = entry;
        let content = content(&field, path, entry, config)?;
        let (default, owner_default) = match content {
            Content::Append(_) | Content::Directory => (KEEP, KEEP),
            _ => (0o644, 0),
        };
        let mode = mode_of(&field, mode.as_deref(), default)?;
        let uid = owner(out, &field, accounts.uid(*uid, user.as_ref()), user.as_ref(), owner_default);
        let gid = owner(out, &field, accounts.gid(*gid, group.as_ref()), group.as_ref(), owner_default);
        if entry.overwrite == Some(false) && !entry.append {
            out.fresh(path);
        }
        out.add(&field, File { path: path.clone(), mode, uid, gid, content })?;
    }
    config.units.iter().try_for_each(|(name, entry)| unit(out, name, entry))
}

/// What an entry of `files` is.
fn content(field: &str, path: &str, entry: &FileEntry, config: &Config) -> Result<Content, Error> {
    let fail = |part: &str, problem: String| Err(Error::new(format!("{field}{part}"), problem));
    let FileEntry { contents, base64, append, link, .. } = entry;
    let is_file = *append || *base64 || !contents.is_empty();
    if [is_file, entry.directory, link.is_some()].into_iter().filter(|is| *is).count() > 1 {
        return fail("", "is more than one of a file, a directory and a link".to_owned());
    }
    if entry.directory {
        return Ok(Content::Directory);
    }
    if let Some(target) = link {
        if target.is_empty() || target.contains('\0') {
            return fail(".link", "is empty, or has a zero byte in it".to_owned());
        }
        if !entry.hard {
            return Ok(Content::Link(target.clone()));
        }
        if !config.files.get(target).is_some_and(|to| !to.directory && to.link.is_none()) {
            return fail(
                ".link",
                format!("`{target}` is no file of `files`, and only those can be linked to"),
            );
        }
        return Ok(Content::Hard(target.clone()));
    }
    if !base64 && !append {
        return Ok(Content::Text(contents.clone()));
    }
    let bytes = if *base64 { base64::decode(contents) } else { Some(contents.clone().into_bytes()) };
    match bytes {
        None => fail(".contents", "is not base64; is it text?".to_owned()),
        Some(bytes) if !append => Ok(Content::Bytes(bytes)),
        Some(bytes) if bytes.is_empty() || path.starts_with("/etc/") => Ok(Content::Append(bytes)),
        Some(_) => {
            let problem = "`append` is only for files below /etc: elsewhere it would grow at each boot";
            fail("", problem.to_owned())
        }
    }
}

fn mode_of(field: &str, text: Option<&str>, default: u32) -> Result<u32, Error> {
    let Some(text) = text else { return Ok(default) };
    let octal = made_of(text, |c| ('0'..='7').contains(&c));
    u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o7777).ok_or_else(|| {
        Error::new(format!("{field}.mode"), format!("`{text}` is not a mode in octal, like 0644"))
    })
}

fn unit(out: &mut Place, name: &str, entry: &Unit) -> Result<(), Error> {
    let field = format!("units.{name}");
    let Unit { contents, wanted_by, mask, drop_ins } = entry;
    if !is_unit(name) {
        let problem = "is not the name of a unit: letters, digits, `:-_.@\\` and .service, .timer, .mount…";
        return Err(Error::new(field, problem));
    }
    if *mask && (contents.is_some() || !wanted_by.is_empty() || !drop_ins.is_empty()) {
        return Err(Error::new(field, "`mask` keeps it from starting, so that nothing else has an effect"));
    }
    if !mask && contents.is_none() && wanted_by.is_empty() && drop_ins.is_empty() {
        return Err(Error::new(field, "says nothing; give contents, drop-ins, wanted-by or mask"));
    }
    if *mask {
        return out.link(&field, format!("{DIR}/{name}"), "/dev/null");
    }
    if let Some(contents) = contents {
        out.text(&field, format!("{DIR}/{name}"), contents.clone())?;
    }
    for (file, drop_in) in drop_ins {
        if !file.ends_with(".conf") || file.starts_with('.') || file.contains('/') {
            let problem = format!("`{file}` is not the name of a drop-in, like 10-limits.conf");
            return Err(Error::new(format!("{field}.drop-ins"), problem));
        }
        out.text(&field, format!("{DIR}/{name}.d/{file}"), drop_in.contents.clone())?;
    }
    for target in wanted_by {
        if !is_unit(target) {
            let problem = format!("`{target}` is not the name of a unit");
            return Err(Error::new(format!("{field}.wanted-by"), problem));
        }
        // An instance of a template links to the template.
        let file = match (name.split_once('@'), name.rsplit_once('.')) {
            (Some((template, _)), Some((_, kind))) => format!("{template}@.{kind}"),
            _ => name.to_owned(),
        };
        let to = match contents {
            Some(_) => format!("../{name}"),
            None => format!("/usr/lib/systemd/system/{file}"),
        };
        out.link(&field, format!("{DIR}/{target}.wants/{name}"), to)?;
    }
    Ok(())
}

/// Source: systemd.unit(5): at most 255 characters of a small set, and a known type.
pub(super) fn is_unit(name: &str) -> bool {
    let kinds = ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer"];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let Some((stem, kind)) = name.rsplit_once('.') else { return false };
    made_of(stem, plain)
        && !stem.starts_with(['@', '.'])
        && name.len() <= 240
        && (kinds.contains(&kind) || matches!(kind, "slice" | "scope"))
}
