//! A sled's hardware is replaced: the new identity goes into the fleet file, the old one
//! to `retired:`, and everything else stays as it was.

use super::edit::{Editor, New, content, flow, quoted};
use super::file::{Hardware, SledEntry};
use super::{Fleet, at, check, load};
use crate::junk;
use crate::values::Mac;
use std::sync::Arc;
use yaml::diagnostic::{Diagnostic, Diagnostics, Source};
use yaml::{Node, Value};

/// What to replace by what.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The rack of the sled.
    pub rack: String,
    /// Its bay.
    pub bay: u32,
    /// The new hardware.
    pub hardware: Hardware,
    /// Today: `2026-11-24`.
    pub date: String,
}

/// What was done.
#[derive(Debug)]
pub struct Replaced {
    /// The new text of the fleet file.
    pub text: String,
    /// The name of the sled.
    pub sled: String,
    /// The hardware before.
    pub before: Hardware,
    /// What of that is retired; the rest is in use again.
    pub retired: Option<Hardware>,
    /// Warnings about the new file.
    pub warnings: Vec<Diagnostic>,
}

const KEYS: [&str; 5] = ["board-serial", "product-serial", "uuid", "macs", "bmc-mac"];

/// Replaces.
///
/// # Errors
/// When the file has mistakes, before or after, when there is no such sled, or when the
/// file is written in a way that cannot be edited.
pub fn replace(source: &Arc<Source>, wanted: &Replacement) -> Result<Replaced, Diagnostics> {
    let fleet = load(source)?;
    let Replacement { rack, bay, hardware, date } = wanted;
    let found = fleet.file.sleds.iter().find(|(_, s)| s.rack == *rack && s.bay == *bay);
    let Some((name, entry)) = found else {
        let wrong = format!("no sled is in bay {bay} of rack `{rack}`");
        return Err(Diagnostic::nowhere(wrong)
            .hint("a new sled is added to `sleds:`, by hand or by `fleet import`")
            .into());
    };
    let before = &entry.hardware;
    if before == hardware {
        let wrong = Diagnostic::nowhere(format!("`{name}` has this hardware already"));
        return Err(wrong.hint("nothing was changed").into());
    }
    let retired = retired(&fleet, name, entry, hardware);
    let Some(node) = at(&fleet.root, &["sleds", name]) else { return Err(uneditable()) };
    let mut editor = Editor::new(&source.text);
    for (key, new) in KEYS.into_iter().zip(values(hardware)) {
        let beside = ["rack", "bay", "role", "board-serial", "product-serial", "uuid", "macs", "bmc-mac"];
        editor.set(node, key, new, &beside);
    }
    if let Some(retired) = &retired {
        let mut parts = vec![format!("sled: {}", quoted(name)), format!("since: {date}")];
        parts.extend(hardware.board_serial.iter().map(|by| format!("by: {}", quoted(by))));
        let values = KEYS.into_iter().zip(values(retired));
        parts.extend(values.filter_map(|(key, value)| Some(format!("{key}: {}", flow(&value?)))));
        editor.append(&fleet.root, "retired", &[format!("- {{{}}}", parts.join(", "))]);
    }
    let text = editor.finish();
    let report = check(&Source::new(&source.file, text.clone()));
    let Some(after) = report.fleet else { return Err(Diagnostics(report.errors)) };
    let good = after.file.sleds.get(name).is_some_and(|s| s.hardware == *hardware)
        && after.file.retired.len() == fleet.file.retired.len() + usize::from(retired.is_some())
        && rest(&after.root, name) == rest(&fleet.root, name);
    if !good {
        return Err(uneditable());
    }
    Ok(Replaced { text, sled: name.clone(), before: before.clone(), retired, warnings: report.warnings })
}

fn uneditable() -> Diagnostics {
    Diagnostic::nowhere("the file is written in a way that cannot be changed automatically")
        .why("the changed text would not mean what it should; nothing was written")
        .hint("change the sled's lines and add the old values to `retired:` by hand")
        .into()
}

/// What of the old hardware is not in use any more and recognises it.
fn retired(fleet: &Fleet, name: &str, entry: &SledEntry, new: &Hardware) -> Option<Hardware> {
    let old = &entry.hardware;
    let gone = |old: &Option<String>, new: &Option<String>| {
        old.clone()
            .filter(|o| junk::serial(o).is_some() && !new.as_ref().is_some_and(|n| n.eq_ignore_ascii_case(o)))
    };
    let others = || fleet.file.sleds.iter().filter(|(n, _)| *n != name).map(|(_, s)| &s.hardware);
    let shared =
        |uuid: &String| others().any(|h| h.uuid.as_ref().is_some_and(|u| u.eq_ignore_ascii_case(uuid)));
    let hardware = Hardware {
        board_serial: gone(&old.board_serial, &new.board_serial),
        product_serial: gone(&old.product_serial, &new.product_serial),
        uuid: gone(&old.uuid, &new.uuid).filter(|u| junk::uuid(u).is_some() && !shared(u)),
        macs: old.macs.iter().copied().filter(|m| !new.macs.contains(m)).collect(),
        bmc_mac: None,
    };
    let bmc = old.bmc_mac.filter(|m| new.bmc_mac != Some(*m));
    (hardware != Hardware::default()).then_some(Hardware { bmc_mac: bmc, ..hardware })
}

fn values(hardware: &Hardware) -> [Option<New>; 5] {
    let one = |text: &Option<String>| text.clone().map(New::One);
    let macs = hardware.macs.iter().map(Mac::to_string).collect::<Vec<_>>();
    [
        one(&hardware.board_serial),
        one(&hardware.product_serial),
        one(&hardware.uuid),
        (!macs.is_empty()).then_some(New::Many(macs)),
        one(&hardware.bmc_mac.map(|m| m.to_string())),
    ]
}

/// Everything of a file but the hardware of one sled and what is retired.
fn rest(root: &Node, sled: &str) -> String {
    let mut root = root.clone();
    let Value::Map(map) = &mut root.value else { return String::new() };
    map.retain(|(k, _)| k.name != "retired");
    let sleds = map.iter_mut().find(|(k, _)| k.name == "sleds").map(|(_, n)| &mut n.value);
    if let Some(Value::Map(sleds)) = sleds {
        for (_, node) in sleds.iter_mut().filter(|(k, _)| k.name == sled) {
            if let Value::Map(keys) = &mut node.value {
                keys.retain(|(k, _)| !KEYS.contains(&k.name.as_str()));
            }
        }
    }
    content(&root)
}
