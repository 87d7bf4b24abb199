//! The serial port that firmware uses as its console: the ACPI table SPCR.
//!
//! Source: Microsoft, "Serial Port Console Redirection Table", revision 2 and later.
//! Numbers are little-endian.

/// Where the port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// An I/O port.
    Io(u64),
    /// Memory.
    Memory(u64),
}

/// A serial port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Where it is.
    pub base: Base,
    /// Bits per second; `None`: as the firmware has set it.
    pub baud: Option<u32>,
}

/// Reads a table; `None` when it is none, damaged, or names no port.
pub fn parse(table: &[u8]) -> Option<Port> {
    let length = usize::try_from(u32::from_le_bytes(*table.get(4..)?.first_chunk()?)).ok()?;
    let table = table.get(..length).filter(|table| table.starts_with(b"SPCR"))?;
    let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    // Generic Address Structure (ACPI 6.5, 5.2.3.2): address space, width, offset, access, address.
    let address = u64::from_le_bytes(*table.get(44..)?.first_chunk()?);
    let base = match table.get(40)? {
        0 => Base::Memory(address),
        1 => Base::Io(address),
        _ => return None,
    };
    let baud = match table.get(58)? {
        3 => Some(9600),
        4 => Some(19_200),
        6 => Some(57_600),
        7 => Some(115_200),
        _ => None,
    };
    // An address of 0 says that the console is off.
    (sum == 0 && address != 0).then_some(Port { base, baud })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(space: u8, address: u64, baud: u8) -> Vec<u8> {
        let mut table = vec![0; 80];
        table[..4].copy_from_slice(b"SPCR");
        table[4] = 80;
        table[8] = 2;
        table[40] = space;
        table[44..52].copy_from_slice(&address.to_le_bytes());
        table[58] = baud;
        let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        table[9] = 0_u8.wrapping_sub(sum);
        table
    }

    #[test]
    fn the_port_is_read_and_damage_is_none() {
        let com2 = Port { base: Base::Io(0x2f8), baud: Some(115_200) };
        assert_eq!(parse(&table(1, 0x2f8, 7)), Some(com2));
        assert_eq!(
            parse(&table(0, 0xfe03_4000, 0)),
            Some(Port { base: Base::Memory(0xfe03_4000), baud: None })
        );
        assert_eq!(parse(&table(1, 0, 7)), None, "switched off");
        assert_eq!(parse(&table(3, 1, 7)), None, "neither memory nor port");
        let good = table(1, 0x2f8, 7);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_ne!(parse(&bad), Some(com2), "{at}");
            assert_eq!(parse(&good[..at]), None);
        }
    }
}
