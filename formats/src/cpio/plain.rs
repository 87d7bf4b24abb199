//! Uncompressed archives in front of an initramfs: what the kernel looks for before it
//! unpacks anything (Linux `lib/earlycpio.c`).

use super::read::HEADER;

/// A file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member<'a> {
    name: &'a [u8],
    /// First byte of its content.
    at: usize,
    /// Length of its content.
    len: usize,
    /// First byte behind it.
    next: usize,
}

fn member(archive: &[u8], at: usize) -> Option<Member<'_>> {
    let start = at.checked_add(HEADER)?;
    let header = archive.get(at..start).filter(|header| header.starts_with(b"070701"))?;
    let field = |n: usize| -> Option<usize> {
        let text = header.get(6 + 8 * n..14 + 8 * n).and_then(|hex| std::str::from_utf8(hex).ok())?;
        usize::from_str_radix(text, 16).ok()
    };
    let (len, name_size) = (field(6)?, field(11)?);
    let end = start.checked_add(name_size)?;
    let name = archive.get(start..end)?.strip_suffix(b"\0")?;
    let at = end.checked_next_multiple_of(4)?;
    let next = at.checked_add(len)?.checked_next_multiple_of(4)?;
    (next <= archive.len()).then_some(Member { name, at, len, next })
}

/// Offset and length of a file's content in the first archive.
pub fn find(archive: &[u8], name: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        let member = member(archive, at)?;
        match member.name {
            b"TRAILER!!!" => return None,
            found if found == name.as_bytes() => return Some((member.at, member.len)),
            _ => at = member.next,
        }
    }
}

/// How many bytes of whole uncompressed archives, with the zeros behind each, come first.
pub fn prefix(bytes: &[u8]) -> usize {
    let (mut whole, mut at) = (0, 0);
    while let Some(member) = member(bytes, at) {
        at = member.next;
        if member.name == b"TRAILER!!!" {
            let zeros = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| **byte == 0).count();
            at += zeros;
            whole = at;
        }
    }
    whole
}
