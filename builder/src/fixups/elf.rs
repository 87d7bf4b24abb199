//! What is read from ELF files: texts of the dynamic section, as the name a shared library
//! gives itself.

/// Offsets and sizes of ELF64, little-endian (System V ABI, "Object Files").
const PHDR: usize = 56;
const DYN: usize = 16;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
const EM_X86_64: u16 = 62;

/// `DT_SONAME` of a shared library for x86-64; `None` for everything else.
pub(super) fn soname(elf: &[u8]) -> Option<&[u8]> {
    strings(elf, DT_SONAME).into_iter().next()
}

/// The texts with a tag of a program or library for x86-64; none of everything else.
pub(crate) fn strings(elf: &[u8], tag: u64) -> Vec<&[u8]> {
    dynamic(elf, tag).unwrap_or_default()
}

fn dynamic(elf: &[u8], tag: u64) -> Option<Vec<&[u8]>> {
    let machine = u16::from_le_bytes(elf.get(18..20)?.try_into().ok()?);
    if !elf.starts_with(b"\x7fELF\x02\x01") || machine != EM_X86_64 {
        return None;
    }
    let headers_at = usize::try_from(word(elf, 32)?).ok()?;
    let count = usize::from(u16::from_le_bytes(elf.get(56..58)?.try_into().ok()?));
    let table = elf.get(headers_at..)?;
    let headers: Vec<&[u8]> = table.chunks_exact(PHDR).take(count).collect();
    let of_type = |wanted: u32| {
        let kind = move |h: &&&[u8]| h.get(..4).is_some_and(|t| t == wanted.to_le_bytes());
        headers.iter().filter(kind)
    };
    let dynamic = of_type(PT_DYNAMIC).next()?;
    let start = usize::try_from(word(dynamic, 8)?).ok()?;
    let len = usize::try_from(word(dynamic, 32)?).ok()?;
    let entries = elf.get(start..start.checked_add(len)?)?;
    let values = |tag: u64| {
        entries.chunks_exact(DYN).filter(move |e| word(e, 0) == Some(tag)).filter_map(|e| word(e, 8))
    };
    let strings = values(DT_STRTAB).next()?;
    // The string table is given by its address; a segment tells where that is in the file.
    let segment = of_type(PT_LOAD).find(|h| {
        let range = word(h, 16).zip(word(h, 32));
        range.is_some_and(|(at, len)| strings >= at && strings - at < len)
    })?;
    let table = word(segment, 8)?.checked_add(strings - word(segment, 16)?)?;
    let text = |at: u64| elf.get(usize::try_from(table.checked_add(at)?).ok()?..)?.split(|b| *b == 0).next();
    Some(values(tag).filter_map(text).collect())
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library of one loaded segment at address 0x1000, which is the whole file.
    fn library(name: &[u8]) -> Vec<u8> {
        let mut elf = vec![0; 64 + 2 * PHDR];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 62;
        elf[32] = 64;
        elf[56] = 2;
        let dynamic_at = elf.len() as u64;
        let strings_at = dynamic_at + 3 * DYN as u64;
        for (tag, value) in [(DT_SONAME, 1), (DT_STRTAB, 0x1000 + strings_at), (0, 0)] {
            elf.extend([tag.to_le_bytes(), value.to_le_bytes()].concat());
        }
        elf.extend([b"\0", name, b"\0"].concat());
        let whole = elf.len() as u64;
        for (at, kind, fields) in [
            (64, PT_LOAD, [0, 0x1000, 0x1000, whole]),
            (64 + PHDR, PT_DYNAMIC, [dynamic_at, 0x1000 + dynamic_at, 0, 3 * DYN as u64]),
        ] {
            elf[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            for (n, field) in fields.iter().enumerate() {
                elf[at + 8 + 8 * n..at + 16 + 8 * n].copy_from_slice(&field.to_le_bytes());
            }
        }
        elf
    }

    #[test]
    fn the_name_is_found_through_the_segment() {
        assert_eq!(soname(&library(b"libx.so.1")), Some(&b"libx.so.1"[..]));
    }

    #[test]
    fn damage_is_no_name_and_no_panic() {
        let good = library(b"libx.so.1");
        for len in 0..good.len() {
            let _ = soname(&good[..len]);
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            let _ = soname(&bad);
        }
        assert_eq!(soname(b"#!/bin/sh\n"), None);
    }
}
