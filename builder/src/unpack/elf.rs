//! The one thing that is asked of a program: whether it brings all that it needs.

/// How ELF files begin.
pub(super) const MAGIC: &[u8] = b"\x7fELF";
/// Offsets of ELF64 (System V ABI, "Object Files"): of the program headers, and their number.
const PHOFF: usize = 32;
const PHNUM: usize = 56;
/// Size of a program header.
const PHDR: usize = 56;
/// The program header that names the dynamic linker.
const PT_INTERP: u32 = 3;

/// Whether a program asks for a dynamic linker. What is no ELF64 does, too: it is no
/// program for these machines.
pub(super) fn needs_libraries(elf: &[u8]) -> bool {
    asks_for_linker(elf).unwrap_or(true)
}

fn asks_for_linker(elf: &[u8]) -> Option<bool> {
    // 64 bits, little-endian.
    if elf.get(4..6)? != [2, 1] {
        return None;
    }
    let at = usize::try_from(u64::from_le_bytes(elf.get(PHOFF..PHOFF + 8)?.try_into().ok()?)).ok()?;
    let count = u16::from_le_bytes(elf.get(PHNUM..PHNUM + 2)?.try_into().ok()?);
    let end = at.checked_add(usize::from(count) * PHDR)?;
    let mut headers = elf.get(at..end)?.chunks_exact(PHDR);
    Some(count == 0 || headers.any(|header| header.starts_with(&PT_INTERP.to_le_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_programs_are_told_from_others() {
        assert!(!needs_libraries(crate::build::INIT), "PID 1 is static");
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(needs_libraries(&own), "this test is not");
        let mut damaged = crate::build::INIT.to_vec();
        damaged[PHOFF + 7] = 0xff;
        for wrong in [&damaged[..], &crate::build::INIT[..60], b"\x7fELF", b"\x7fELF\x01\x01"] {
            assert!(needs_libraries(wrong));
        }
    }
}
