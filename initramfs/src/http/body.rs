//! An answer and its body (RFC 9112 sections 6 and 7).

use super::Error;
use super::head::Head;
use super::wire::Wire;
use std::io::{self, BufRead, BufReader, Read};
use std::time::Duration;

/// Lines after the last chunk, which are of no use here.
const MAX_TRAILERS: u32 = 64;

/// An answer. Reading it reads the body; errors in between are [`Error`]s, see
/// [`Error::of`]. A body that ends early is an error, never just shorter.
#[derive(Debug)]
pub struct Response {
    /// Status code: 200, 206, 404…
    pub status: u16,
    /// Length of the body that follows, in bytes, when it is known.
    pub length: Option<u64>,
    /// Which byte of the whole the body begins with: 0 unless the status is 206.
    pub start: u64,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    pub(super) location: Option<String>,
    reader: BufReader<Wire>,
    rest: Rest,
    got: u64,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// This many bytes are left.
    Bytes(u64),
    /// This many bytes of a chunk are left, then its line end, then the next.
    Chunk(u64),
    /// The next chunk begins here.
    NextChunk,
    /// When the connection ends.
    Connection,
}

impl Response {
    pub(super) fn new(head: &Head, reader: BufReader<Wire>, now: u64) -> Result<Self, Error> {
        let rest = match (head.status, head.chunked, head.length) {
            (204 | 304, ..) => Rest::Bytes(0),
            (_, true, _) => Rest::NextChunk,
            (_, _, Some(length)) => Rest::Bytes(length),
            _ => Rest::Connection,
        };
        let length = if let Rest::Bytes(length) = rest { Some(length) } else { None };
        let start = match (head.status, head.range) {
            (206, Some((start, _))) => start,
            _ => 0,
        };
        let (status, location) = (head.status, head.location.clone());
        let retry_after = head.retry_after(now);
        Ok(Self { status, length, start, retry_after, location, reader, rest, got: 0 })
    }

    /// The whole body, if it is no longer than this.
    ///
    /// # Errors
    /// [`Error::TooLong`], or what broke the connection.
    pub fn read_all(mut self, max: usize) -> Result<Vec<u8>, Error> {
        let max = max as u64;
        if self.length.is_some_and(|length| length > max) {
            return Err(Error::TooLong(max));
        }
        let mut bytes = Vec::new();
        (&mut self).take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::of)?;
        if bytes.len() as u64 > max { Err(Error::TooLong(max)) } else { Ok(bytes) }
    }

    fn closed(&self) -> io::Error {
        Error::Closed { got: self.got, of: self.length }.into_io()
    }

    /// Reads from the connection; an end or a reset of it is the body's end.
    fn pull(&mut self, buffer: &mut [u8], most: u64) -> io::Result<usize> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        match self.reader.read(&mut buffer[..most]) {
            Err(error) if is_end(&error) => Err(self.closed()),
            other => other,
        }
    }

    /// The length of the next chunk, 0 for the last one (7.1).
    fn next_chunk(&mut self) -> io::Result<u64> {
        let line = self.line()?;
        let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let text = std::str::from_utf8(digits).unwrap_or_default();
        let hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        let length = u64::from_str_radix(text, 16).ok().filter(|_| hex);
        length.ok_or_else(|| Error::Garbage("a chunk without a length").into_io())
    }

    /// A line of the chunked coding, without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(1024).read_until(b'\n', &mut line);
        match read {
            Err(error) if is_end(&error) => return Err(self.closed()),
            other => other?,
        };
        if line.pop() != Some(b'\n') {
            return Err(if line.len() < 1023 {
                self.closed()
            } else {
                Error::Garbage("a chunk without a length").into_io()
            });
        }
        line.pop_if(|last| *last == b'\r');
        Ok(line)
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let most = match self.rest {
                Rest::Bytes(0) => return Ok(0),
                Rest::Bytes(left) | Rest::Chunk(left) => left,
                Rest::Connection => u64::MAX,
                Rest::NextChunk => {
                    let length = self.next_chunk()?;
                    if length > 0 {
                        self.rest = Rest::Chunk(length);
                        continue;
                    }
                    // What follows the last chunk is of no use here (7.1.2).
                    let mut left = MAX_TRAILERS;
                    while !self.line()?.is_empty() {
                        left = left
                            .checked_sub(1)
                            .ok_or_else(|| Error::Garbage("trailers without an end").into_io())?;
                    }
                    self.rest = Rest::Bytes(0);
                    return Ok(0);
                }
            };
            let read = self.pull(buffer, most)?;
            let bytes = read as u64;
            self.got = self.got.saturating_add(bytes);
            self.rest = match self.rest {
                Rest::Connection => Rest::Connection,
                _ if read == 0 => return Err(self.closed()),
                Rest::Bytes(left) => Rest::Bytes(left.saturating_sub(bytes)),
                Rest::Chunk(left) if left > bytes => Rest::Chunk(left - bytes),
                _ => {
                    if !self.line()?.is_empty() {
                        return Err(Error::Garbage("a chunk longer than its length").into_io());
                    }
                    Rest::NextChunk
                }
            };
            return Ok(read);
        }
    }
}
