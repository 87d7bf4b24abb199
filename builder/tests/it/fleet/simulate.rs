//! `sledos fleet simulate`: PID 1's code against servers that are killed.

use serde_json::Value;

use super::support::Case;

fn figures(args: &[&str]) -> Value {
    let case = Case::new();
    let says = case.works(&[&["fleet", "simulate", "--json"], args].concat());
    serde_json::from_str(&says).unwrap()
}

#[test]
fn no_sled_is_lost_when_servers_are_killed() {
    // Switched on within two seconds, so that there is a half-way.
    let args = ["--sleds", "600", "--servers", "2", "--kill", "2", "--down", "0.3", "--image", "64"];
    let figures = figures(&[&args[..], &["--spread", "2"]].concat());
    assert_eq!((&figures["ready"], &figures["lost"]), (&600.into(), &serde_json::json!([])), "{figures:#}");
    assert!(figures["killed"].as_u64() >= Some(1), "{figures:#}");
    // Every one has its documents and its whole image.
    assert!(figures["bytes"].as_u64() > Some(600 * (64 << 10)), "{figures:#}");
    println!("{figures:#}");
}

#[test]
fn one_server_that_is_killed_behind_slow_links_that_break_is_waited_for() {
    let args = ["--sleds", "60", "--servers", "1", "--kill", "1", "--down", "1", "--image", "512"];
    let figures = figures(&[&args[..], &["--rate", "2048", "--breaks", "20"]].concat());
    assert_eq!((&figures["ready"], &figures["lost"]), (&60.into(), &serde_json::json!([])), "{figures:#}");
    assert!(figures["repeated"].as_u64().unwrap() > 0, "something broke: {figures:#}");
    println!("{figures:#}");
}

#[test]
fn no_sled_is_lost_among_thousands_of_strangers() {
    let args = ["--sleds", "300", "--servers", "1", "--image", "64", "--spread", "2", "--strangers", "3000"];
    let figures = figures(&args);
    assert_eq!((&figures["ready"], &figures["lost"]), (&300.into(), &serde_json::json!([])), "{figures:#}");
    // Those who wait for the longest make room.
    assert_eq!(figures["strangers"]["taken"], 3000, "{figures:#}");
}

#[test]
fn who_is_not_ready_in_time_is_lost_and_named() {
    let case = Case::new();
    // No image comes through links this slow.
    let args = ["fleet", "simulate", "--sleds", "3", "--servers", "1", "--image", "256"];
    case.fails(&[&args[..], &["--rate", "64", "--deadline", "1"]].concat(), 1, "3 sleds were lost");
}
