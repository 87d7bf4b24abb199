//! One short request over a socket that is there already. HTTP/1.0 (RFC 1945), so that
//! the answer comes in one piece and ends with the connection.

use std::io::{self, Read, Write};

/// Longest answer: the state of an agent with thousands of finished tasks.
const MAX: u64 = 32 << 20;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Value of the header `Server`, if any.
    pub server: Option<String>,
    /// Body.
    pub body: Vec<u8>,
}

/// Asks and reads the whole answer. Time limits are the socket's.
///
/// # Errors
/// The socket's, and `InvalidData` when what comes back is no HTTP or too long.
pub fn ask(
    socket: &mut (impl Read + Write),
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\n");
    for (name, value) in headers {
        if value.chars().any(char::is_control) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a header with a line break"));
        }
        head.extend([name, ": ", value, "\r\n"]);
    }
    if method == "POST" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    socket.write_all(head.as_bytes())?;
    socket.write_all(body)?;
    let mut answer = Vec::new();
    match socket.take(MAX + 1).read_to_end(&mut answer) {
        Ok(_) => {}
        // A server may close hard after its last byte; the length below tells.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !answer.is_empty() => {}
        Err(error) => return Err(error),
    }
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no whole HTTP answer"))
}

fn parse(answer: &[u8]) -> Option<Response> {
    if answer.len() as u64 > MAX {
        return None;
    }
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let mut body = answer.get(end + 4..)?.to_vec();
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = words.next()?.parse().ok()?;
    let mut server = None;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.trim().parse().ok()?;
            if body.len() < length {
                return None;
            }
            body.truncate(length);
        } else if name.eq_ignore_ascii_case("server") {
            server = Some(value.trim().to_owned());
        }
    }
    Some(Response { status, server, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// What a server's answer is read as, and what it was asked.
    fn with(answer: &'static [u8]) -> (io::Result<Response>, String) {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\nxy") {
                theirs.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            theirs.write_all(answer).unwrap();
            String::from_utf8(asked).unwrap()
        });
        let response = ask(&mut ours, "POST", "h", "/p", &[("A", "b")], b"xy");
        (response, server.join().unwrap())
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let (response, asked) =
            with(b"HTTP/1.1 200 OK\r\nServer: Docker/20\r\ncontent-length: 2\r\n\r\nOKjunk");
        let expected = Response { status: 200, server: Some("Docker/20".into()), body: b"OK".to_vec() };
        assert_eq!(response.unwrap(), expected);
        assert_eq!(asked, "POST /p HTTP/1.0\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\nxy");
        assert_eq!(with(b"HTTP/1.0 401\r\n\r\n").0.unwrap().status, 401);
    }

    #[test]
    fn what_is_no_whole_answer_is_an_error() {
        for answer in [
            &b""[..],
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(with(answer).0.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let (mut ours, _theirs) = UnixStream::pair().unwrap();
        let split = ask(&mut ours, "GET", "h", "/", &[("Authorization", "Bearer a\r\nX: y")], b"");
        assert_eq!(split.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
