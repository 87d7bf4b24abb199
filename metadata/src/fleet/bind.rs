//! Hardware that nobody knew becomes a sled of the fleet file.
//!
//! In a bay that has a sled it takes that one's place, as `replace` does it; in an empty
//! one it becomes a new sled.

use super::edit::{Editor, New, flow, quoted};
use super::file::Hardware;
use super::replace::{Replacement, replace};
use super::{check, load};
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Source};

/// What is added.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The rack.
    pub rack: String,
    /// The bay.
    pub bay: u32,
    /// The role, for a bay without a sled.
    pub role: Option<String>,
    /// The hardware.
    pub hardware: Hardware,
    /// Today: `2026-11-24`.
    pub date: String,
}

/// Returns the new text of the file and the name of the sled.
///
/// # Errors
/// When the file has mistakes, before or after, or the place or role does not exist.
pub fn bind(source: &Arc<Source>, new: &Newcomer) -> Result<(String, String), Diagnostics> {
    let fleet = load(source)?;
    let Newcomer { rack, bay, role, hardware, date } = new;
    let bays = fleet.file.racks.get(rack).map(|rack| rack.bays);
    match bays {
        None => return Err(Diagnostic::nowhere(format!("there is no rack `{rack}`")).into()),
        Some(bays) if *bay == 0 || *bay > bays => {
            return Err(Diagnostic::nowhere(format!("rack `{rack}` has bays 1 to {bays}, not {bay}")).into());
        }
        Some(_) => {}
    }
    if fleet.file.sleds.values().any(|sled| sled.rack == *rack && sled.bay == *bay) {
        let wanted =
            Replacement { rack: rack.clone(), bay: *bay, hardware: hardware.clone(), date: date.clone() };
        return replace(source, &wanted).map(|done| (done.text, done.sled));
    }
    let Some(role) = role.as_ref().filter(|role| fleet.file.roles.contains_key(*role)) else {
        let roles: Vec<_> = fleet.file.roles.keys().map(String::as_str).collect();
        let wrong =
            Diagnostic::nowhere(format!("bay {bay} of rack `{rack}` has no sled yet: a role is needed"));
        return Err(wrong.hint(format!("one of {}", roles.join(", "))).into());
    };
    let name = format!("{rack}-b{bay:02}");
    if fleet.file.sleds.contains_key(&name) {
        return Err(Diagnostic::nowhere(format!("there is a sled `{name}` in another place")).into());
    }
    let one = |key: &str, text: &Option<String>| text.as_ref().map(|text| format!("{key}: {}", quoted(text)));
    let macs: Vec<_> = hardware.macs.iter().map(ToString::to_string).collect();
    let mut parts =
        vec![format!("rack: {}", quoted(rack)), format!("bay: {bay}"), format!("role: {}", quoted(role))];
    parts.extend(one("board-serial", &hardware.board_serial));
    parts.extend(one("product-serial", &hardware.product_serial));
    parts.extend(one("uuid", &hardware.uuid));
    parts.extend((!macs.is_empty()).then(|| format!("macs: {}", flow(&New::Many(macs)))));
    let mut editor = Editor::new(&source.text);
    editor.append(&fleet.root, "sleds", &[format!("{}: {{{}}}", quoted(&name), parts.join(", "))]);
    let text = editor.finish();
    let report = check(&Source::new(&source.file, text.clone()));
    let Some(after) = report.fleet else { return Err(Diagnostics(report.errors)) };
    let added =
        after.file.sleds.get(&name).is_some_and(|sled| sled.hardware == *hardware && sled.bay == *bay);
    if !added || after.file.sleds.len() != fleet.file.sleds.len() + 1 {
        let wrong = Diagnostic::nowhere("the file is written in a way that cannot be changed automatically");
        return Err(wrong.hint("add the sled by hand").into());
    }
    Ok((text, name))
}
