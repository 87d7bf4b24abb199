//! The document's own files and units.

use super::place::{self, Place};
use super::{Content, Error, File, made_of};
use crate::config::{Config, FileEntry, Unit};

const DIR: &str = "/etc/systemd/system";

pub(super) fn files(out: &mut Place, config: &Config) -> Result<(), Error> {
    for (path, entry) in &config.files {
        let field = format!("files.{path}");
        place::check_given(&field, path)?;
        let FileEntry { contents, mode, uid, gid } = entry;
        let mode = mode_of(&field, mode.as_deref())?;
        let content = Content::Text(contents.clone());
        let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
        out.add(&field, File { path: path.clone(), mode, uid, gid, content })?;
    }
    config.units.iter().try_for_each(|(name, entry)| unit(out, name, entry))
}

fn mode_of(field: &str, text: Option<&str>) -> Result<u32, Error> {
    let Some(text) = text else { return Ok(0o644) };
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
fn is_unit(name: &str) -> bool {
    let kinds = ["service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer"];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
    let Some((stem, kind)) = name.rsplit_once('.') else { return false };
    made_of(stem, plain)
        && !stem.starts_with(['@', '.'])
        && name.len() <= 240
        && (kinds.contains(&kind) || matches!(kind, "slice" | "scope"))
}
