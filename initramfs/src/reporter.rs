//! Telling the servers: the report of a boot, the inventory of an unknown sled.
//!
//! Never a reason not to boot: each server has a few seconds, the first one that
//! takes it is enough, and what nobody takes is not kept (the next boot has its own).

use crate::http::{Client, Error, Limits};
use std::time::Duration;

/// What one server gets, from looking up its name to the end of its answer.
const AT_MOST: Duration = Duration::from_secs(5);

/// Posts to the report servers.
#[derive(Debug)]
pub struct Reporter {
    client: Client,
    servers: Vec<String>,
    token: Option<String>,
}

impl Reporter {
    /// Posts to these servers (URLs without a `/` at the end), with this token if
    /// there is one. Name servers and trust are those of `client`.
    pub fn new(client: &Client, servers: &[String], token: Option<&str>) -> Self {
        Self::within(client, servers, token, AT_MOST)
    }

    fn within(client: &Client, servers: &[String], token: Option<&str>, at_most: Duration) -> Self {
        let limits = Limits { connect: at_most, stall: at_most, total: Some(at_most), ..Limits::default() };
        Self { client: client.with(limits), servers: servers.to_vec(), token: token.map(str::to_owned) }
    }

    /// Posts the report of a boot to `<server>/v1/report/<sled>`. Returns what to say.
    pub fn boot(&self, sled: &str, json: &str) -> Vec<String> {
        // Names of sleds have no other characters; a path must not get any.
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
        self.post(&format!("v1/report/{}", sled.chars().map(plain).collect::<String>()), json)
    }

    /// Posts an inventory to `<server>/v1/inventory`. Returns what to say.
    pub fn inventory(&self, json: &str) -> Vec<String> {
        self.post("v1/inventory", json)
    }

    fn post(&self, path: &str, json: &str) -> Vec<String> {
        let mut said = Vec::new();
        for server in &self.servers {
            let url = format!("{server}/{path}");
            match self.client.post(&url, "application/json", self.token.as_deref(), json.as_bytes()) {
                Ok(response) if (200..300).contains(&response.status) => return said,
                Ok(response) => said.push(format!("{url}: the server answers {}", response.status)),
                Err(Error::Broken(error)) => said.push(format!("{url}: {error}")),
                Err(error) => said.push(format!("{url}: {error}")),
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};

    /// A server that answers each post with this status, or never with 0.
    fn server(status: u16) -> (String, Receiver<(String, TcpStream)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, posts) = channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut reader = BufReader::new(socket.try_clone().unwrap());
                let mut text = String::new();
                while !text.ends_with("\r\n\r\n") {
                    reader.read_line(&mut text).unwrap();
                }
                let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                if status > 0 {
                    write!(socket, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
                sender.send((text + &String::from_utf8(body).unwrap(), socket)).unwrap();
            }
        });
        (url, posts)
    }

    #[test]
    fn the_first_server_that_takes_it_is_enough_and_one_that_hangs_is_left() {
        let (hangs, hung) = server(0);
        let (broken, _broken) = server(500);
        let (good, posts) = server(204);
        let (spare, spared) = server(204);
        let servers = [hangs.clone(), broken.clone(), good, spare];
        let client = Client::new(Limits::default());
        let reporter = Reporter::within(&client, &servers, Some("token"), Duration::from_millis(200));
        let said = reporter.boot("r1-b7/..", "{}");
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with(&format!("{hangs}/v1/report/r1-b7_..: ")), "{said:?}");
        assert_eq!(said[1], format!("{broken}/v1/report/r1-b7_..: the server answers 500"));
        let (post, _) = posts.recv().unwrap();
        assert!(
            post.starts_with("POST /v1/report/r1-b7_.. HTTP/1.1\r\n") && post.ends_with("\r\n\r\n{}"),
            "{post}"
        );
        assert!(post.contains("\r\nAuthorization: Bearer token\r\n"), "{post}");
        assert!(spared.try_recv().is_err());
        drop(hung);
    }

    #[test]
    fn without_servers_nothing_is_said() {
        let client = Client::new(Limits::default());
        assert!(Reporter::new(&client, &[], None).inventory("{}").is_empty());
    }
}
