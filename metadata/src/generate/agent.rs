//! The agent of a sled that has none of Mesos: its environment, that it starts, and the unit
//! that drains it.

use super::extra::{DIR, is_unit};
use super::place::Place;
use super::{Error, made_of, one_line};
use crate::config::Config;
use crate::envfile;

/// Read by its unit.
const ENV: &str = "/etc/sledos/agent.env";
/// Stops before the agent does, and runs [`crate::config::Agent::drain`] then.
const DRAIN: &str = "sledos-drain.service";

pub(super) fn files(out: &mut Place, config: &Config) -> Result<(), Error> {
    let Some(agent) = &config.agent else { return Ok(()) };
    let unit = &agent.unit;
    if config.mesos.is_some() {
        return Err(Error::new("agent", "is for sleds without `mesos`: a sled has one agent"));
    }
    if !is_unit(unit) || !unit.ends_with(".service") {
        return Err(Error::new(
            "agent.unit",
            format!("`{unit}` is not the name of a service, like nomad.service"),
        ));
    }
    for (field, command) in [("agent.ready", &agent.ready), ("agent.drain", &agent.drain)] {
        if command.first().is_some_and(|program| !program.starts_with('/')) {
            return Err(Error::new(field, "begins with the path of a program, like /usr/bin/nomad"));
        }
        command.iter().try_for_each(|word| one_line(field, word).map(drop))?;
    }
    let mut text = String::from("# Made from the sled document at every boot.\n");
    for (name, value) in &agent.environment {
        let field = format!("agent.environment.{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !made_of(name, plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Error::new(field, "is no name of a variable: letters, digits and `_`"));
        }
        text += &format!("{name}={}\n", envfile::quote(one_line(&field, value)?));
    }
    out.secret("agent.environment", ENV, text)?;
    let drop_in = format!("[Service]\nEnvironmentFile=-{ENV}\n");
    out.text("agent.environment", format!("{DIR}/{unit}.d/10-sledos.conf"), drop_in)?;
    // The name of the link is what counts (systemd.unit(5)): a generator may make the unit.
    let wants = format!("{DIR}/multi-user.target.wants");
    let at = format!("{wants}/{unit}");
    if !out.has(&at) && config.units.get(unit).is_none_or(|unit| unit.wanted_by.is_empty()) {
        out.link("agent.unit", at, format!("/usr/lib/systemd/system/{unit}"))?;
    }
    if agent.drain.is_empty() {
        return Ok(());
    }
    let drain = format!(
        "[Unit]\nDescription=Drain the sled before its agent stops\nAfter={unit} network-online.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/usr/bin/sledctl drain\n\
         TimeoutStopSec=10min\n"
    );
    out.text("agent.drain", format!("{DIR}/{DRAIN}"), drain)?;
    out.link("agent.drain", format!("{wants}/{DRAIN}"), format!("../{DRAIN}"))
}
