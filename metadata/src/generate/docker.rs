//! Docker's daemon: the image's daemon.json with the document's values in it.
//! Source: Docker Engine 20.10, "dockerd", "Daemon configuration file".

use super::place::{self, Place};
use super::{Error, Image, made_of, one_line};
use crate::config::Docker;
use serde_json::{Map, Value};

pub(super) fn files(out: &mut Place, docker: &Docker, image: &Image) -> Result<(), Error> {
    let text = image.daemon_json.as_deref().unwrap_or("{}");
    let mut all: Map<String, Value> = serde_json::from_str(text).map_err(|e| {
        Error::new("docker", format!("the image's /etc/docker/daemon.json is no JSON object: {e}"))
    })?;
    if let Some(root) = &docker.data_root {
        data_root(out, root)?;
        all.insert("data-root".into(), root.as_str().into());
    }
    for url in &docker.mirrors {
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        // dockerd: "invalid mirror: path, query, or fragment at end of the URI".
        if !host.is_some_and(|h| is_registry(h.strip_suffix('/').unwrap_or(h))) {
            let problem = format!("`{url}` is not a mirror: https:// or http:// and a host, without a path");
            return Err(Error::new("docker.mirrors", problem));
        }
    }
    if let Some(bad) = docker.insecure_registries.iter().find(|r| !is_registry(r)) {
        return Err(Error::new("docker.insecure-registries", format!("`{bad}` is not host:port")));
    }
    list(&mut all, "registry-mirrors", &docker.mirrors);
    list(&mut all, "insecure-registries", &docker.insecure_registries);
    for (n, label) in docker.labels.iter().enumerate() {
        let field = format!("docker.labels[{n}]");
        if one_line(&field, label)?.split_once('=').is_none_or(|(key, _)| key.is_empty()) {
            return Err(Error::new(field, format!("`{label}` is not key=value")));
        }
    }
    list(&mut all, "labels", &docker.labels);
    if let Some(bridge) = docker.bridge_address {
        if !bridge.address.is_ipv4() || bridge.network().address == bridge.address {
            let problem = format!("`{bridge}` is not the IPv4 address of a router, like 172.17.0.1/16");
            return Err(Error::new("docker.bridge-address", problem));
        }
        all.insert("bip".into(), bridge.to_string().into());
    }
    logs(&mut all, docker)?;
    let mut json = serde_json::to_string_pretty(&all).unwrap_or_default();
    json.push('\n');
    out.text("docker", "/etc/docker/daemon.json", json)
}

/// dockerd starts when the directory's file system is there, and not on the empty
/// directory below it.
fn data_root(out: &mut Place, root: &str) -> Result<(), Error> {
    let field = "docker.data-root";
    if root.chars().any(|c| c.is_whitespace() || matches!(c, '%' | '"' | '\'' | '\\')) {
        return Err(Error::new(field, format!("`{root}` has spaces, quotes or `%` in it")));
    }
    // A mount point of its own (/data) is as good as something below one.
    place::check(field, &format!("{root}/x"))?;
    let text = format!("[Unit]\nRequiresMountsFor={root}\n");
    out.text(field, "/etc/systemd/system/docker.service.d/10-sledos-data-root.conf", text)
}

fn logs(all: &mut Map<String, Value>, docker: &Docker) -> Result<(), Error> {
    let mut options = match all.remove("log-opts") {
        Some(Value::Object(options)) => options,
        _ => Map::new(),
    };
    if let Some(size) = &docker.log_max_size {
        let digits = size.trim_end_matches(['k', 'm', 'g']);
        if !made_of(digits, |c| c.is_ascii_digit()) || size.len() > digits.len() + 1 {
            let problem = format!("`{size}` is not a size: a number and k, m or g");
            return Err(Error::new("docker.log-max-size", problem));
        }
        options.insert("max-size".into(), size.as_str().into());
    }
    if let Some(files) = docker.log_max_files {
        if files == 0 {
            return Err(Error::new("docker.log-max-files", "0 is not possible; at least 1 is"));
        }
        // All options of log drivers are text.
        options.insert("max-file".into(), files.to_string().into());
    }
    if !options.is_empty() {
        all.insert("log-opts".into(), options.into());
    }
    Ok(())
}

/// Nothing given leaves what the image has.
fn list(all: &mut Map<String, Value>, key: &str, values: &[String]) {
    if !values.is_empty() {
        all.insert(key.to_owned(), values.to_vec().into());
    }
}

/// A host, or network, with or without a port.
fn is_registry(text: &str) -> bool {
    made_of(text, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '/'))
        && text.matches('/').count() <= usize::from(text.parse::<crate::values::Cidr>().is_ok())
}
