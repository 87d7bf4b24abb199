//! An agent that is not Mesos.

use crate::fixture;
use metadata::generate::{Content, Generated};
use serde_json::{Value, json};

fn with(agent: Value) -> Result<Generated, String> {
    let mut config = fixture::compute();
    config.as_object_mut().unwrap().remove("mesos");
    config["agent"] = agent;
    fixture::generate(config).map_err(|e| e.to_string())
}

#[test]
fn a_service_is_started_with_its_environment_and_drained() {
    let drain = ["/usr/bin/nomad", "node", "drain", "-self", "-enable"];
    let agent = json!({"unit": "nomad.service", "environment": {"NOMAD_ADDR": "http://10.0.0.1:4646"}, "drain": drain});
    let generated = with(agent).unwrap();
    let file = |path: &str| generated.files.iter().find(|file| file.path == path).unwrap();
    let text = |path: &str| match &file(path).content {
        Content::Text(text) | Content::Link(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert!(text("/etc/sledos/agent.env").ends_with("\nNOMAD_ADDR=\"http://10.0.0.1:4646\"\n"));
    assert_eq!(file("/etc/sledos/agent.env").mode, 0o600);
    let units = "/etc/systemd/system";
    assert!(
        text(&format!("{units}/nomad.service.d/10-sledos.conf"))
            .contains("EnvironmentFile=-/etc/sledos/agent.env")
    );
    text(&format!("{units}/multi-user.target.wants/nomad.service"));
    let drain = text(&format!("{units}/sledos-drain.service"));
    assert!(drain.contains("After=nomad.service") && drain.contains("ExecStop=/usr/bin/sledctl drain"));
    assert_eq!(
        text(&format!("{units}/multi-user.target.wants/sledos-drain.service")),
        "../sledos-drain.service"
    );
}

#[test]
fn what_cannot_be_an_agent_is_refused() {
    for (agent, says) in [
        (json!({"unit": "nomad"}), "agent.unit: `nomad` is not the name of a service"),
        (json!({"unit": "x.timer"}), "agent.unit: "),
        (json!({"unit": "x.service", "ready": ["nomad"]}), "agent.ready: begins with the path"),
        (json!({"unit": "x.service", "drain": ["/x", "a\nb"]}), "agent.drain: has a line break"),
        (json!({"unit": "x.service", "environment": {"A B": "c"}}), "agent.environment.A B: is no name"),
        (
            json!({"unit": "x.service", "environment": {"A": "c\nB=d"}}),
            "agent.environment.A: has a line break",
        ),
    ] {
        let error = with(agent.clone()).unwrap_err();
        assert!(error.starts_with(says), "{agent}: {error}");
    }
    let mut config = fixture::compute();
    config["agent"] = json!({"unit": "x.service"});
    assert!(
        fixture::generate(config).unwrap_err().to_string().starts_with("agent: is for sleds without `mesos`")
    );
}
