//! Flags of the command line and the environment.

use std::io;

use mesos_double::grammar::Result;
use mesos_double::grammar::flags::Flags;
use mesos_double::grammar::known::{AGENT, Kind};

fn load(args: &[&str], env: &[(&str, &str)]) -> Result<Flags> {
    let read = |path: &str| match path {
        "/master" => Ok("10.0.0.1:5050".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let args = args.iter().map(|a| (*a).to_owned());
    let env = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Flags::load(AGENT, args, env, &read)
}

#[test]
fn every_flag_is_a_variable_too() {
    for flag in AGENT {
        let value = match flag.kind {
            Kind::Text | Kind::Path => "x",
            Kind::Bool => "true",
            Kind::Duration => "1secs",
            Kind::Number | Kind::Port => "1",
            Kind::Bytes => "1MB",
            Kind::Json => "{}",
        };
        let variable = format!("MESOS_{}", flag.name.to_uppercase());
        let of_env = load(&[], &[(&variable, value)]).unwrap();
        assert_eq!(of_env.get(flag.name), Some(value));
        assert_eq!(load(&[&format!("--{}={value}", flag.name)], &[]).unwrap(), of_env);
    }
}

#[test]
fn booleans_have_two_forms() {
    assert!(!load(&["--no-hostname_lookup"], &[]).unwrap().is("hostname_lookup", true));
    assert!(load(&["--strict"], &[]).unwrap().is("strict", false));
    assert!(!load(&[], &[("MESOS_STRICT", "false")]).unwrap().is("strict", true));
}

#[test]
fn a_file_stands_for_what_is_in_it_unless_a_path_is_wanted() {
    assert_eq!(load(&["--master=file:///master"], &[]).unwrap().get("master"), Some("10.0.0.1:5050"));
    assert_eq!(load(&["--credential=file:///c"], &[]).unwrap().get("credential"), Some("file:///c"));
}

#[test]
fn variables_that_name_no_flag_are_ignored_and_listed() {
    let flags = load(&["stray"], &[("MESOS_ATRIBUTES", "a:b"), ("HOME", "/")]).unwrap();
    assert_eq!(flags.strange, ["MESOS_ATRIBUTES"]);
}

#[test]
fn the_old_name_is_the_same_flag() {
    let error = load(&["--agent_subsystems=cpu"], &[("MESOS_SLAVE_SUBSYSTEMS", "cpu")]).unwrap_err();
    assert!(error.to_string().contains("'slave_subsystems' is already loaded"), "{error}");
}

#[test]
fn bad_flags_are_named() {
    let attributes: &[(&str, &str)] = &[("MESOS_ATTRIBUTES", "a:c")];
    let lookup: &[(&str, &str)] = &[("MESOS_HOSTNAME_LOOKUP", "false")];
    for (args, env, says) in [
        (&["--foo_bar=1"][..], &[][..], "unknown flag 'foo_bar'"),
        (&["--no-foo_bar"], &[], "unknown flag 'foo_bar' via 'no-foo_bar'"),
        (&["--port=1", "--port=1"], &[], "Flag 'port' is already loaded via name 'port'"),
        (&["--attributes=a:b"], attributes, "Flag 'attributes' is already loaded"),
        (&["--no-hostname_lookup"], lookup, "Flag 'hostname_lookup' is already loaded"),
        (&["--no-work_dir"], &[], "non-boolean flag 'work_dir' via 'no-work_dir'"),
        (&["--work_dir"], &[], "non-boolean flag 'work_dir': Missing value"),
        (&["--no-strict=1"], &[], "boolean flag 'strict' via 'no-strict' with value '1'"),
        (&["--strict=maybe"], &[], "Failed to load flag 'strict'"),
        (&["--port=70000"], &[], "Failed to load flag 'port'"),
        (&["--recovery_timeout=1day"], &[], "unknown duration unit 'day'"),
        (&["--fetcher_cache_size=2G"], &[], "Failed to load flag 'fetcher_cache_size'"),
        (&["--domain={"], &[], "Failed to load flag 'domain'"),
        (&["--master=file:///none"], &[], "error reading '/none'"),
    ] {
        let error = load(args, env).unwrap_err().to_string();
        assert!(error.contains(says), "{args:?}: {error}");
    }
}
