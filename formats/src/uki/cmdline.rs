//! The command line of an image, without anything else of it: what PID 1 needs to
//! know which /usr an image on the ESP boots.
//!
//! Fields: Microsoft's "PE Format", sections "COFF File Header" and "Section Table".

/// Bytes in an entry of the section table.
const SECTION: usize = 40;
/// Bytes of the signature and the file header behind it.
const HEADERS: usize = 4 + 20;

/// The kernel command line in an image; `None` when it is no PE image or has none.
pub fn cmdline(image: &[u8]) -> Option<&str> {
    let headers = index(image, 0x3c)?;
    if image.get(headers..headers.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let optional = usize::from(u16_at(image, headers.checked_add(20)?)?);
    let mut at = headers.checked_add(HEADERS)?.checked_add(optional)?;
    for _ in 0..u16_at(image, headers + 6)? {
        let section = image.get(at..at.checked_add(SECTION)?)?;
        if section.starts_with(b".cmdline") {
            // The size on disk is rounded up; the size in memory is the text's.
            let (start, len) = (index(section, 20)?, index(section, 8)?.min(index(section, 16)?));
            let text = image.get(start..start.checked_add(len)?)?;
            return std::str::from_utf8(text.split(|b| *b == 0).next()?).ok();
        }
        at += SECTION;
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn index(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sections, the second of them the command line.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 0x200];
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x46] = 2;
        image[0x54] = 8; // size of the optional header
        let table = 0x40 + HEADERS + 8;
        image[table..table + 6].copy_from_slice(b".osrel");
        let second = table + SECTION;
        image[second..second + 8].copy_from_slice(b".cmdline");
        image[second + 8] = 11; // in memory
        image[second + 16..second + 18].copy_from_slice(&0x80_u16.to_le_bytes());
        image[second + 20..second + 22].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x100..0x10b].copy_from_slice(b"quiet a=b c");
        image
    }

    #[test]
    fn the_text_is_as_long_as_in_memory() {
        assert_eq!(cmdline(&image()), Some("quiet a=b c"));
    }

    #[test]
    fn damaged_images_have_none() {
        let whole = image();
        for len in 0..0x10b {
            assert_eq!(cmdline(&whole[..len]), None, "{len}");
        }
        for (at, byte) in [(0x40, 0), (0x3f, 0xff), (0x46, 1), (0x54, 9)] {
            let mut bad = image();
            bad[at] = byte;
            assert_eq!(cmdline(&bad), None, "{at}");
        }
    }
}
