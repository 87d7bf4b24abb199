//! Questions to a name server and its answers, as bytes (RFC 1035 section 4).

use std::io;
use std::net::IpAddr;

/// Which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The addresses of this kind; none when the name has only other records.
    Addresses(Vec<IpAddr>),
    /// The name does not exist.
    NoSuchName,
    /// The server cannot answer: its response code.
    Failed(u8),
    /// Not a message.
    Garbage,
}

/// Header, one question, recursion desired.
pub(super) fn question(id: [u8; 2], name: &str, kind: Kind) -> io::Result<Vec<u8>> {
    let mut message = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|l| (1..=63).contains(l));
        message.push(length.ok_or_else(|| io::Error::other("no host has such a name"))?);
        message.extend_from_slice(label.as_bytes());
    }
    if message.len() > 12 + 254 {
        return Err(io::Error::other("no host has such a long name"));
    }
    message.extend([0, 0, kind.number(), 0, 1]);
    Ok(message)
}

/// Whether it is an answer to this question.
pub(super) fn answers(message: &[u8], id: [u8; 2], name: &str, kind: Kind) -> bool {
    let Ok(asked) = question(id, name, kind) else { return false };
    let head = message.starts_with(&id) && message.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let question = message.get(12..asked.len()).unwrap_or_default();
    head && question.eq_ignore_ascii_case(asked.get(12..).unwrap_or_default())
}

/// Reads an answer. The names of the records are not compared: a server that
/// recurses sends the whole chain of aliases, and it is trusted as far as DNS is.
pub(super) fn read(message: &[u8], kind: Kind) -> Answer {
    let Some(code) = message.get(3).map(|flags| flags & 0x0f) else { return Answer::Garbage };
    match code {
        0 => addresses(message, kind).map_or(Answer::Garbage, Answer::Addresses),
        3 => Answer::NoSuchName,
        code => Answer::Failed(code),
    }
}

fn addresses(message: &[u8], kind: Kind) -> Option<Vec<IpAddr>> {
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let truncated = message.get(2)? & 2 != 0;
    let mut at = 12;
    for _ in 0..number(4)? {
        at = skip_name(message, at)? + 4;
    }
    let mut addresses = Vec::new();
    for _ in 0..number(6)? {
        let record = || {
            let at = skip_name(message, at)?;
            let data = at + 10;
            let end = data + usize::from(number(at + 8)?);
            Some((number(at)?, number(at + 2)?, message.get(data..end)?, end))
        };
        // The records that fit into a truncated message are as good as any.
        let Some((found, class, data, end)) = record() else {
            return truncated.then_some(addresses);
        };
        let address = match (found, class) {
            (1, 1) => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            (28, 1) => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        };
        addresses.extend(address.filter(|_| found == u16::from(kind.number())));
        at = end;
    }
    Some(addresses)
}

/// Where a name ends: at an empty label or at a pointer (4.1.4).
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u8, records: &[u8], count: u8) -> Vec<u8> {
        let mut message = question([1, 2], "a.bc", Kind::A).unwrap();
        message[2] |= 0x80;
        message[3] = code;
        message[7] = count;
        message.extend_from_slice(records);
        message
    }
    const ALIAS: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1, b'x', 0];
    const ADDRESS: &[u8] = &[1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1];

    #[test]
    fn an_alias_and_its_address_are_the_address() {
        let message = answer(0, &[ALIAS, ADDRESS].concat(), 2);
        assert!(answers(&message, [1, 2], "A.bc.", Kind::A));
        assert_eq!(read(&message, Kind::A), Answer::Addresses(vec!["10.0.0.1".parse().unwrap()]));
        assert_eq!(read(&message, Kind::Aaaa), Answer::Addresses(Vec::new()));
        assert_eq!(read(&answer(3, &[], 0), Kind::A), Answer::NoSuchName);
        assert_eq!(read(&answer(5, &[], 0), Kind::A), Answer::Failed(5));
    }

    #[test]
    fn what_answers_another_question_is_no_answer() {
        let message = answer(0, ADDRESS, 1);
        assert!(!answers(&message, [1, 3], "a.bc", Kind::A));
        assert!(!answers(&message, [1, 2], "a.bd", Kind::A));
        assert!(!answers(&message, [1, 2], "a.bc", Kind::Aaaa));
        assert!(!answers(&question([1, 2], "a.bc", Kind::A).unwrap(), [1, 2], "a.bc", Kind::A));
        assert!(!answers(&message[..7], [1, 2], "a.bc", Kind::A));
    }

    #[test]
    fn a_message_cut_anywhere_is_garbage_and_nothing_worse() {
        let message = answer(0, &[ALIAS, ADDRESS].concat(), 2);
        for length in 0..message.len() {
            assert_eq!(read(&message[..length], Kind::A), Answer::Garbage, "{length}");
        }
        let mut cut = answer(0, &[ADDRESS, ADDRESS].concat(), 2);
        cut.truncate(cut.len() - 3);
        cut[2] |= 2;
        assert_eq!(read(&cut, Kind::A), Answer::Addresses(vec!["10.0.0.1".parse().unwrap()]));
    }

    #[test]
    fn names_that_no_host_has_are_not_asked_for() {
        for name in ["", ".", "a..b", &"x".repeat(64), &"abcdefg.".repeat(40)] {
            assert!(question([0, 0], name, Kind::A).is_err(), "{name}");
        }
    }
}
