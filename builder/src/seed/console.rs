//! Lines of a terminal. What comes in may be anything: lines without end, bytes that are no
//! text, the end.

use std::io::{BufRead, Write};

use super::Error;

/// Longest line that is kept. A terminal gives at most [`TERMINAL`].
const LINE: usize = 64 << 10;
/// What the kernel keeps of a line that is typed (termios(3), canonical mode): the rest of a
/// longer one is lost.
const TERMINAL: usize = 4095;
/// Longest text that is pasted.
const PASTE: usize = 4 << 20;
/// The line that ends it.
pub const END: &str = ".";

/// A terminal.
#[derive(Debug)]
pub struct Console<R, W> {
    input: R,
    output: W,
}

impl<R: BufRead, W: Write> Console<R, W> {
    /// One on this input and output.
    pub fn new(input: R, output: W) -> Self {
        Self { input, output }
    }

    /// Prints a text and a line's end.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn say(&mut self, text: &str) -> Result<(), Error> {
        writeln!(self.output, "{text}").and_then(|()| self.output.flush()).map_err(Error::Terminal)
    }

    /// A line, without its end, and whether all of it is there. At most [`LINE`] bytes are
    /// kept of it.
    fn line(&mut self) -> Result<(Vec<u8>, bool), Error> {
        let (mut line, mut whole) = (Vec::new(), true);
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other.map_err(Error::Terminal)?,
            };
            if buffer.is_empty() {
                // What was typed before the end was never sent off with Enter.
                return Err(Error::Ended);
            }
            let end = buffer.iter().position(|b| *b == b'\n');
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            let room = LINE.saturating_sub(line.len());
            whole &= part.len() <= room;
            line.extend(part.iter().take(room));
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                whole &= line.len() != TERMINAL;
                return Ok((line, whole));
            }
        }
    }

    /// Asks until a line is text; returns it without spaces around.
    ///
    /// # Errors
    /// When the terminal has gone, or nobody types any more.
    pub fn ask(&mut self, question: &str) -> Result<String, Error> {
        loop {
            write!(self.output, "{question} ").and_then(|()| self.output.flush()).map_err(Error::Terminal)?;
            let (line, whole) = self.line()?;
            match String::from_utf8(line) {
                Ok(text) if whole && !text.contains(|c: char| c.is_control() && c != '\t') => {
                    return Ok(text.trim().to_owned());
                }
                _ if !whole => self.say("  This line is too long. Write it again, shorter.")?,
                // Cursor keys send such signs.
                _ => self.say("  There were signs in this line that are no text. Write it again.")?,
            }
        }
    }

    /// Takes lines up to [`END`].
    ///
    /// # Errors
    /// As [`Console::ask`]; the inner one says why what was pasted cannot be used.
    pub fn paste(&mut self) -> Result<Result<Vec<u8>, String>, Error> {
        let (mut text, mut wrong, mut number) = (Vec::new(), None, 0_usize);
        loop {
            let (line, whole) = self.line()?;
            number += 1;
            if whole && line == END.as_bytes() {
                return Ok(wrong.map_or(Ok(text), Err));
            }
            if !whole {
                let why = format!(
                    "line {number} is longer than a terminal takes, {TERMINAL} bytes; use a stick or a URL"
                );
                wrong.get_or_insert(why);
            }
            if text.len() + line.len() > PASTE {
                wrong.get_or_insert("this is too long to be pasted; use a stick or a URL".to_owned());
                text.clear();
            }
            text.extend(line);
            text.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn console(input: &[u8]) -> Console<BufReader<&[u8]>, Vec<u8>> {
        // A small buffer: lines come in pieces.
        Console::new(BufReader::with_capacity(7, input), Vec::new())
    }

    #[test]
    fn a_line_that_is_no_text_is_asked_for_again() {
        let long = vec![b'x'; 200_000];
        let cut = vec![b'y'; TERMINAL];
        let input = [b"\x1b[A\n\xff\xfe\n\0\n", &long[..], b"\n", &cut, b"\n  10.0.0.2/24 \r\nrest"].concat();
        let mut console = console(&input);
        assert_eq!(console.ask("Address?").unwrap(), "10.0.0.2/24");
        let out = String::from_utf8(std::mem::take(&mut console.output)).unwrap();
        assert_eq!(out.matches("Address?").count(), 6);
        assert_eq!((out.matches("no text").count(), out.matches("too long").count()), (3, 2), "{out}");
        assert!(matches!(console.ask("?"), Err(Error::Ended)), "half a line is no answer");
    }

    #[test]
    fn pasted_text_ends_with_a_full_stop() {
        let mut c = console(b"fleet: a\r\n.x\n\n.\nnext\n");
        assert_eq!(c.paste().unwrap().unwrap(), b"fleet: a\n.x\n\n");
        assert_eq!(c.ask("?").unwrap(), "next");
        assert!(matches!(console(b"a\n").paste(), Err(Error::Ended)));
    }

    #[test]
    fn what_a_terminal_has_cut_is_refused_and_all_of_it_taken() {
        let cut = vec![b'y'; TERMINAL];
        let input = [b"a\n", &cut[..], b"\nb\n.\nnext\n"].concat();
        let mut c = console(&input);
        assert!(c.paste().unwrap().unwrap_err().starts_with("line 2 is longer"));
        assert_eq!(c.ask("?").unwrap(), "next");
        let much = [&b"0123456789012345678901234567890123456789\n".repeat(120_000)[..], b".\n"].concat();
        assert!(console(&much).paste().unwrap().unwrap_err().contains("too long"));
    }
}
