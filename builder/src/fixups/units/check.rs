//! What an enabled unit needs of the image: systemd.exec(5), systemd.service(5), systemd.unit(5).

use std::collections::{BTreeMap, BTreeSet};

use super::super::edit::Edit;
use super::super::{Context, Error};
use super::{UNITS, unit_file};
use crate::accounts::Unknown;
use crate::shell;

/// Where units of packages and of the administrator are.
const DIRS: [&str; 2] = [UNITS, "etc/systemd/system"];

/// A unit's settings, section by section, those of its drop-ins after its own.
#[derive(Debug, Default)]
struct Unit(Vec<(String, String, String)>);

impl Unit {
    fn read(edit: &Edit<'_>, unit: &str) -> Result<Self, Error> {
        let mut found = Self::default();
        let file = unit_file(unit);
        let own = DIRS.iter().rev().find(|dir| edit.has(&format!("{dir}/{file}"))).unwrap_or(&UNITS);
        found.add(&edit.read_text(&format!("{own}/{file}"))?.unwrap_or_default());
        for dir in DIRS {
            for name in BTreeSet::from([file.as_str(), unit]) {
                let drop_ins = format!("{dir}/{name}.d");
                for conf in edit.names(&drop_ins, ".conf")? {
                    found.add(&edit.read_text(&format!("{drop_ins}/{conf}"))?.unwrap_or_default());
                }
            }
        }
        Ok(found)
    }

    fn add(&mut self, text: &str) {
        let mut section = String::new();
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=') {
                self.0.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    /// Values of a setting; an empty one takes those before it back.
    fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (_, _, value) in self.0.iter().filter(|(s, k, _)| s == section && k == key) {
            match value.as_str() {
                "" => values.clear(),
                value => values.push(value),
            }
        }
        values
    }

    /// The last value; sections that run something share these settings.
    fn exec(&self, key: &str) -> Option<&str> {
        ["Service", "Socket"].iter().rev().find_map(|section| self.all(section, key).pop())
    }

    /// Whether a condition may keep it from starting.
    fn is_conditional(&self) -> bool {
        self.0.iter().any(|(section, key, _)| section == "Unit" && key.starts_with("Condition"))
    }
}

/// Users and groups of enabled units that have no number.
pub(in super::super) fn unknown(
    edit: &Edit<'_>,
    context: &Context<'_>,
) -> Result<Vec<(Unknown, String)>, Error> {
    let mut unknown = Vec::new();
    for unit in context.recipe.enable.keys() {
        let settings = Unit::read(edit, unit)?;
        // It makes its user while it runs.
        let dynamic = settings.exec("DynamicUser").is_some_and(|v| ["yes", "true", "on", "1"].contains(&v));
        let named = |name: &&str| !name.contains('%') && name.parse::<u32>().is_err();
        let mut ask = |key: &str, find: &dyn Fn(&str) -> Option<Unknown>| {
            if let Some(name) = settings.exec(key).filter(named) {
                unknown.extend(find(name).map(|who| (who, format!("{unit} has {key}={name}"))));
            }
        };
        if !dynamic {
            ask("User", &|name| context.ids.uid(name).err());
            ask("Group", &|name| context.ids.gid(name).err());
        }
        ask("SocketUser", &|name| context.ids.uid(name).err());
        ask("SocketGroup", &|name| context.ids.gid(name).err());
        for groups in settings.all("Service", "SupplementaryGroups") {
            for name in groups.split_whitespace().filter(named) {
                let why = || format!("{unit} has SupplementaryGroups={name}");
                unknown.extend(context.ids.gid(name).err().map(|who| (who, why())));
            }
        }
    }
    Ok(unknown)
}

/// Programs and units that an enabled unit names and no package has, and units that Debian
/// enables and this image does not.
pub(super) fn notes(edit: &Edit<'_>, context: &Context<'_>) -> Result<Vec<String>, Error> {
    let mut notes = Vec::new();
    for unit in context.recipe.enable.keys() {
        let settings = Unit::read(edit, unit)?;
        for command in settings.all("Service", "ExecStart") {
            if let Some(program) = missing_program(edit, command) {
                let then =
                    if settings.is_conditional() { "is enabled and has a condition" } else { "cannot start" };
                notes.push(format!("{unit} {then}: its program {program} is in no package"));
            }
        }
        for key in ["Requires", "Requisite", "BindsTo", "Wants"] {
            let names = settings.all("Unit", key).into_iter().flat_map(str::split_whitespace);
            for name in names.filter(|name| is_file_of_packages(name) && !is_there(edit, name)) {
                notes.push(format!("{unit} has {key}={name}, which is in no package"));
            }
        }
    }
    notes.extend(not_enabled(edit, context));
    Ok(notes)
}

/// The program of `ExecStart=` when the image does not have it.
fn missing_program<'c>(edit: &Edit<'_>, command: &'c str) -> Option<&'c str> {
    let program = command.split_whitespace().next()?;
    // Prefixes: systemd.service(5), "Special executable prefixes".
    let optional = program.starts_with('-');
    let program = program.trim_start_matches(['-', '@', ':', '+', '!', '|']).trim_matches('"');
    if optional || program.is_empty() || program.contains(['%', '$', '\\']) {
        return None;
    }
    let there = if program.starts_with('/') {
        edit.resolve(program).is_some()
    } else {
        ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"]
            .iter()
            .any(|dir| edit.resolve(&format!("/{dir}/{program}")).is_some())
    };
    // What is not in the image's own directories may come at run time.
    let of_image = !["/var/", "/run/", "/mnt/", "/srv/", "/home/"].iter().any(|dir| program.starts_with(dir));
    (!there && of_image).then_some(program)
}

/// Whether a unit of this name would be a file: others are made at run time, from devices,
/// mounts and the like.
fn is_file_of_packages(unit: &str) -> bool {
    let kinds = [".service", ".socket", ".target", ".path", ".timer"];
    !unit.contains(['%', '$']) && kinds.iter().any(|kind| unit.ends_with(kind))
}

fn is_there(edit: &Edit<'_>, unit: &str) -> bool {
    let file = unit_file(unit);
    DIRS.iter().any(|dir| edit.has(&format!("{dir}/{unit}")) || edit.has(&format!("{dir}/{file}")))
}

/// Units that postinsts enable (`deb-systemd-helper enable`) and the image does not.
fn not_enabled(edit: &Edit<'_>, context: &Context<'_>) -> Option<String> {
    let recipe = context.recipe;
    let mut units: BTreeMap<String, &str> = BTreeMap::new();
    for script in context.scripts.iter().filter(|script| script.postinst.contains("deb-systemd-helper")) {
        for command in shell::commands(script.postinst) {
            let Some((program, words)) = command.split_first() else { continue };
            let mut words = words.iter().filter(|word| !word.starts_with('-'));
            if program.rsplit('/').next() != Some("deb-systemd-helper")
                || words.next().is_none_or(|verb| verb != "enable")
            {
                continue;
            }
            for unit in words.take_while(|word| !word.contains(['>', '<'])) {
                let known = recipe.enable.contains_key(unit) || recipe.mask.contains(unit);
                if !known && is_there(edit, unit) && !is_wanted(edit, unit) {
                    units.insert(unit.clone(), script.package);
                }
            }
        }
    }
    let all: Vec<String> = units.iter().map(|(unit, package)| format!("{unit} ({package})")).collect();
    (!all.is_empty()).then(|| {
        format!(
            "Debian enables these and this image does not, unless `enable:` names them: {}",
            all.join(", ")
        )
    })
}

/// Whether a package or an overlay has a link that starts it.
fn is_wanted(edit: &Edit<'_>, unit: &str) -> bool {
    DIRS.iter().any(|dir| {
        let Ok(all) = edit.names(dir, "s") else { return false };
        all.iter()
            .filter(|name| name.ends_with(".wants") || name.ends_with(".requires"))
            .any(|name| edit.has(&format!("{dir}/{name}/{unit}")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Fixture, user};
    use super::super::run;
    use super::*;

    fn unit(f: &mut Fixture, name: &str, text: &str) {
        f.file(&format!("{UNITS}/{name}"), text);
        f.recipe.enable.insert(name.into(), vec!["multi-user.target".into()]);
    }

    #[test]
    fn programs_and_units_that_are_nowhere_are_noted() {
        let mut f = Fixture::new();
        f.file("usr/sbin/there", "");
        f.put(
            "usr/bin/link",
            formats::tree::Node::symlink("../sbin/there", formats::tree::Origin::Fixup("test")),
        );
        f.put("sbin", formats::tree::Node::symlink("usr/sbin", formats::tree::Origin::Fixup("test")));
        unit(
            &mut f,
            "good.service",
            "[Service]\nExecStart=-/nope\nExecStart=@!/usr/bin/link x\nExecStart=/sbin/there\nExecStart=there\n",
        );
        unit(
            &mut f,
            "bad.service",
            "[Unit]\nWants=no.target dev-sda.device\nRequires=good.service\\\n other@1.service\n[Service]\nExecStart=/usr/sbin/slurmd -D\n",
        );
        unit(&mut f, "reset.service", "[Service]\nExecStart=/usr/sbin/old\n");
        f.file(
            "etc/systemd/system/reset.service.d/site.conf",
            "[Service]\nExecStart=\nExecStart=/usr/sbin/there\n",
        );
        unit(
            &mut f,
            "waits.service",
            "[Unit]\nConditionPathExists=/usr/sbin/agent\n[Service]\nExecStart=/usr/sbin/agent\n",
        );
        f.scripts = vec![(
            "p".into(),
            "if deb-systemd-helper --quiet was-enabled 'x.timer'; then\n deb-systemd-helper enable 'x.timer' >/dev/null || true\nfi\n\
             deb-systemd-helper enable 'good.service' 'gone.service'\n"
                .into(),
        )];
        f.file(&format!("{UNITS}/x.timer"), "[Timer]\n");
        f.run(run).unwrap();
        assert_eq!(
            f.notes,
            [
                "bad.service cannot start: its program /usr/sbin/slurmd is in no package",
                "bad.service has Requires=other@1.service, which is in no package",
                "bad.service has Wants=no.target, which is in no package",
                "waits.service is enabled and has a condition: its program /usr/sbin/agent is in no package",
                "Debian enables these and this image does not, unless `enable:` names them: x.timer (p)",
            ]
        );
        f.recipe.mask.insert("x.timer".into());
        f.run(run).unwrap();
        assert!(!f.notes.iter().any(|note| note.contains("x.timer")), "{:?}", f.notes);
    }

    #[test]
    fn users_and_groups_need_numbers() {
        let asked = |text: &str| {
            let mut f = Fixture::new();
            f.recipe.users = vec![user("known", 900, None)];
            unit(&mut f, "a.service", text);
            let found = std::cell::RefCell::new(Vec::new());
            let ids = crate::accounts::Ids::from_masters(
                super::super::super::testing::PASSWD_MASTER,
                super::super::super::testing::GROUP_MASTER,
            );
            let ids = ids.unwrap().with(&f.recipe.users, &[]).unwrap();
            let context = Context { recipe: &f.recipe, ids: &ids, version: "1", packages: &[], scripts: &[] };
            let edit = Edit::new(&mut f.tree, "test");
            found.borrow_mut().extend(unknown(&edit, &context).unwrap());
            found.into_inner().into_iter().map(|(who, _)| who.name).collect::<Vec<_>>()
        };
        assert_eq!(asked("[Service]\nUser=munge\nGroup=known\n"), ["munge"]);
        assert_eq!(asked("[Service]\nUser=known\nGroup=g\nSupplementaryGroups=adm h\n"), ["g", "h"]);
        assert_eq!(asked("[Service]\nUser=x\nDynamicUser=yes\n"), [""; 0]);
        assert_eq!(asked("[Service]\nUser=%i\nGroup=12\n"), [""; 0]);
        assert_eq!(asked("[Socket]\nSocketUser=s\n"), ["s"]);
        assert_eq!(asked("[Service]\nUser=x\nUser=known\n"), [""; 0]);
    }
}
