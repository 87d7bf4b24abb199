//! QEMU's control socket (QEMU Machine Protocol): one JSON object per line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Error;

/// A connection that has left the negotiation mode.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

/// QEMU answers at once; this only bounds a hang.
const ANSWER: Duration = Duration::from_secs(20);

impl Qmp {
    /// Connects to the socket that a QEMU just started will make.
    ///
    /// # Errors
    /// When it does not appear, or does not speak the protocol.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { what: "connecting to", path: socket.to_owned(), source };
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(e) if start.elapsed() > ANSWER => return Err(io(e)),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        stream.set_read_timeout(Some(ANSWER)).map_err(io)?;
        let mut qmp = Self { reader: BufReader::new(stream) };
        qmp.line()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns what it returned.
    ///
    /// # Errors
    /// When QEMU refuses it or goes away.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let text = json!({ "execute": command, "arguments": arguments }).to_string();
        writeln!(self.reader.get_mut(), "{text}").map_err(|e| Error::Qmp(format!("{command}: {e}")))?;
        loop {
            let mut answer = self.line()?;
            if let Some(error) = answer.get("error") {
                return Err(Error::Qmp(format!("{command}: {error}")));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // Anything else is an event.
        }
    }

    /// The host port that a `hostfwd` to the guest's TCP port got.
    ///
    /// # Errors
    /// When there is none.
    pub fn forwarded_port(&mut self, guest: u16) -> Result<u16, Error> {
        let text = self.execute("human-monitor-command", json!({ "command-line": "info usernet" }))?;
        let text = text.as_str().unwrap_or_default();
        parse_usernet(text, guest)
            .ok_or_else(|| Error::Qmp(format!("no port is forwarded to {guest}, it says:\n{text}")))
    }

    fn line(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Err(Error::Qmp("closed".into())),
            Ok(_) => serde_json::from_str(&line).map_err(|e| Error::Qmp(format!("{e} in {line:?}"))),
            Err(e) => Err(Error::Qmp(e.to_string())),
        }
    }
}

/// Lines are `TCP[HOST_FORWARD]  12  127.0.0.1 34567  10.0.2.15  22  0 0`.
fn parse_usernet(text: &str, guest: u16) -> Option<u16> {
    text.lines().filter(|l| l.contains("TCP[HOST_FORWARD]")).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, _, _, host, _, to, ..] = fields[..] else { return None };
        (to.parse() == Ok(guest)).then(|| host.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernet_table() {
        let text = "Hub -1 (n0):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  \
                    TCP[HOST_FORWARD]  13       127.0.0.1 40123       10.0.2.15    22     0     0\n";
        assert_eq!(parse_usernet(text, 22), Some(40123));
        assert_eq!(parse_usernet(text, 80), None);
    }
}
