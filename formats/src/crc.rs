//! The two 32-bit CRCs that the formats here need, as small tables.
//!
//! They cover metadata of kilobytes only. Bulk data wants `crc32fast`.

/// A reflected CRC-32, initial value and final xor left to the caller.
pub(crate) struct Crc([u32; 256]);

/// CRC-32C (Castagnoli), used by ext4.
#[cfg(feature = "ext4")]
pub(crate) static CRC32C: Crc = Crc::new(0x82f6_3b78);

/// CRC-32 (ISO-HDLC), used by GPT.
pub(crate) static CRC32: Crc = Crc::new(0xedb8_8320);

impl Crc {
    const fn new(polynomial: u32) -> Self {
        let mut table = [0; 256];
        let mut i: u32 = 0;
        while i < 256 {
            let mut value = i;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ polynomial } else { value >> 1 };
                bit += 1;
            }
            table[i as usize] = value;
            i += 1;
        }
        Self(table)
    }

    /// Feeds bytes to a running value, as Linux's `crc32c()` does: start with
    /// `!0`, invert at the end where the format says so.
    pub(crate) fn update(&self, crc: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(crc, |crc, byte| {
            // The index is below 256, the length of the table.
            (crc >> 8) ^ self.0[usize::from(crc.to_le_bytes()[0] ^ byte)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the CRC catalogue for `123456789`.
    #[test]
    fn check_values() {
        assert_eq!(!CRC32.update(!0, b"123456789"), 0xcbf4_3926);
        #[cfg(feature = "ext4")]
        assert_eq!(!CRC32C.update(!0, b"123456789"), 0xe306_9283);
    }
}
