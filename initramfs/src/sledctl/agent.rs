//! An agent that is not Mesos: a service, and the document's commands that say whether it is
//! ready and that drain it.

use super::ready::Answer;
use super::sled::Sled;
use super::unit::Unit;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};

/// What a command may take that says whether the agent is ready, in seconds.
const READY: &str = "10";
/// Longest output that is looked at, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;

/// Looks at the agent of a sled.
pub fn look(sled: &Sled) -> Answer {
    let Some(agent) = sled.document().ok().and_then(|document| document.config.agent) else {
        return Answer::Unused;
    };
    if sled.masks(&agent.unit) {
        return Answer::Unused;
    }
    let name = &agent.unit;
    match Unit::show(sled, name) {
        Ok(unit) if unit.active == "active" => {}
        Ok(unit) => return Answer::Down(format!("{name} does not run ({}, {})", unit.active, unit.sub)),
        Err(why) => return Answer::Down(format!("{name} is not known: {why}")),
    }
    if agent.ready.is_empty() {
        return Answer::Up(name.clone());
    }
    match run(sled, &["timeout", READY], &agent.ready) {
        Ok((status, says)) if status.success() => Answer::Up(format!("{name} {says}").trim_end().to_owned()),
        // timeout(1) of coreutils.
        Ok((status, _)) if status.code() == Some(124) => {
            Answer::Down(format!("{name} runs, but does not say within {READY} s whether it is ready"))
        }
        Ok((status, says)) => {
            Answer::Down(format!("{name} runs, but is not ready ({status}) {says}").trim_end().to_owned())
        }
        Err(why) => Answer::Down(format!("{name} runs, but cannot be asked: {why}")),
    }
}

/// Runs the document's command that moves the sled's work away.
///
/// # Errors
/// When it does not run or fails.
pub fn drain(sled: &Sled) -> Result<(), String> {
    let command = sled.document()?.config.agent.map(|agent| agent.drain).unwrap_or_default();
    if command.is_empty() {
        println!("nothing drains this sled: its document has no `agent.drain`");
        return Ok(());
    }
    match run(sled, &[], &command)? {
        (status, says) if status.success() => {
            println!("drained {says}");
            Ok(())
        }
        (status, says) => Err(format!("{}: {status} {says}", command.join(" "))),
    }
}

/// Runs a command of the document behind another. Gives the last line it prints.
fn run(sled: &Sled, before: &[&str], command: &[String]) -> Result<(ExitStatus, String), String> {
    let Some((program, arguments)) = command.split_first() else { return Err("no command".into()) };
    let mut words = before.iter().map(|word| (*word).into()).chain([sled.path(program).into_os_string()]);
    let first = words.next().unwrap_or_default();
    let mut child = Command::new(first)
        .args(words)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    let mut output = Vec::new();
    if let Some(out) = child.stdout.take() {
        // Who prints more is told so by a closed pipe.
        let _ = out.take(MAX_OUTPUT).read_to_end(&mut output);
    }
    let status = child.wait().map_err(|e| format!("{program}: {e}"))?;
    let output = String::from_utf8_lossy(&output);
    let last = output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok((status, last.chars().filter(|c| !c.is_control()).take(200).collect()))
}
