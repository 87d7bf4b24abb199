//! The head of an answer (RFC 9112 sections 2 and 4).

use super::{Error, date};
use std::io::{BufRead, Read};
use std::time::Duration;

/// Longest head that is read, in bytes.
const MAX_BYTES: u64 = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Interim answers before the one that counts.
const MAX_INTERIM: u32 = 8;

/// What is used of a head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    /// First byte and length of the whole, of `Content-Range`.
    pub(super) range: Option<(u64, Option<u64>)>,
    pub(super) location: Option<String>,
    retry_after: Option<String>,
    date: Option<u64>,
}

impl Head {
    /// Reads one head; interim ones (100 to 199) are skipped.
    pub(super) fn read(reader: &mut impl BufRead) -> Result<Self, Error> {
        for _ in 0..=MAX_INTERIM {
            let head = Self::parse(&lines(reader)?)?;
            if !(100..200).contains(&head.status) {
                return Ok(head);
            }
        }
        Err(Error::Garbage("interim answers without an end"))
    }

    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        match answer.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Error::Garbage("too many headers")),
            _ => return Err(Error::Garbage("its head is not understood")),
        }
        let mut head = Self { status: answer.code.unwrap_or(0), ..Self::default() };
        for header in answer.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                let digits = value.bytes().all(|b| b.is_ascii_digit());
                let length = value.parse().ok().filter(|_| digits);
                let length: u64 = length.ok_or(Error::Garbage("its Content-Length is no number"))?;
                // Two lengths are how one answer is passed off as two (9112 section 6.3).
                if head.length.is_some_and(|before| before != length) {
                    return Err(Error::Garbage("it has two lengths"));
                }
                head.length = Some(length);
            } else if is("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(Error::Garbage("its Transfer-Encoding is not chunked"));
                }
                head.chunked = true;
            } else if is("content-range") {
                head.range = Some(range(value).ok_or(Error::Garbage("its Content-Range is not understood"))?);
            } else if is("location") {
                head.location = Some(value.to_owned());
            } else if is("retry-after") {
                head.retry_after = Some(value.to_owned());
            } else if is("date") {
                head.date = date::parse(value);
            }
        }
        if head.status == 206 && head.range.is_none() {
            return Err(Error::Garbage("206 without a Content-Range"));
        }
        Ok(head)
    }

    /// How long the server asks to be left alone (10.2.3): seconds, or a date, which
    /// is compared with the server's own clock where it gives one.
    pub(super) fn retry_after(&self, now: u64) -> Option<Duration> {
        let text = self.retry_after.as_deref()?;
        let seconds = match text.parse() {
            Ok(seconds) => seconds,
            Err(_) => date::parse(text)?.saturating_sub(self.date.unwrap_or(now)),
        };
        Some(Duration::from_secs(seconds))
    }
}

/// `bytes 100-199/1000` (14.4): where it starts and the length of the whole. A
/// range that cannot be satisfied, `bytes */1000`, starts at the end.
fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = value.strip_prefix("bytes ")?.split_once('/')?;
    let whole = if whole == "*" { None } else { Some(whole.parse().ok()?) };
    if range == "*" {
        return Some((whole?, whole));
    }
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, whole))
}

/// Everything up to the empty line.
fn lines(reader: &mut impl BufRead) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        let left = MAX_BYTES.saturating_sub(bytes.len() as u64);
        let read = match reader.take(left).read_until(b'\n', &mut bytes) {
            Ok(read) => read,
            Err(error) => match Error::of(error) {
                Error::Broken(_) if bytes.is_empty() => return Err(Error::NoHead),
                other => return Err(other),
            },
        };
        match (read, bytes.last()) {
            (0, _) if left == 0 => return Err(Error::Garbage("its head is too long")),
            (0, None) => return Err(Error::NoHead),
            (0, _) => return Err(Error::Garbage("its head has no end")),
            (1, Some(b'\n')) => return Ok(bytes),
            (2, Some(b'\n')) if bytes.ends_with(b"\r\n") => return Ok(bytes),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, Error> {
        Head::read(&mut text.as_bytes())
    }

    #[test]
    fn what_is_used_is_read() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 Partial\r\ncontent-LENGTH:  5\r\n\
                    Content-Range: bytes 10-14/15\r\nRetry-After: 7\r\n\r\nhello";
        let head = head(text).unwrap();
        assert_eq!((head.status, head.length, head.range), (206, Some(5), Some((10, Some(15)))));
        assert_eq!(head.retry_after(0), Some(Duration::from_secs(7)));
        assert_eq!(range("bytes */15"), Some((15, Some(15))));
    }

    #[test]
    fn a_date_to_retry_after_is_by_the_servers_clock() {
        let base = "HTTP/1.1 503 x\r\nRetry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n";
        let own = head(&format!("{base}Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n")).unwrap();
        assert_eq!(own.retry_after(0), Some(Duration::from_secs(60)));
        let ours = head(&format!("{base}\r\n")).unwrap();
        assert_eq!(ours.retry_after(784_111_777), Some(Duration::from_secs(60)));
        assert_eq!(ours.retry_after(u64::MAX), Some(Duration::ZERO));
    }

    #[test]
    fn heads_that_are_none_are_refused_by_name() {
        let long = format!("HTTP/1.1 200 x\r\nA: {}\r\n\r\n", "x".repeat(20_000));
        let many = format!("HTTP/1.1 200 x\r\n{}\r\n", "A: b\r\n".repeat(65));
        for (text, why) in [
            ("", "closed without an answer"),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP: its head is not understood"),
            ("HTTP/1.1 200 OK\r\n", "the answer is not HTTP: its head has no end"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                "the answer is not HTTP: its Content-Length is no number",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                "the answer is not HTTP: it has two lengths",
            ),
            ("HTTP/1.1 206 OK\r\n\r\n", "the answer is not HTTP: 206 without a Content-Range"),
            (
                "HTTP/1.1 206 OK\r\nContent-Range: bytes 9-1/2\r\n\r\n",
                "the answer is not HTTP: its Content-Range is not understood",
            ),
            (&long, "the answer is not HTTP: its head is too long"),
            (&many, "the answer is not HTTP: too many headers"),
        ] {
            assert_eq!(head(text).unwrap_err().to_string(), why);
        }
    }
}
