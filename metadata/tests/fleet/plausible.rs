//! What is well-formed and probably a slip: each kind in sheets of many shapes, and none in good ones.

use super::{edited, lines, source};
use metadata::fleet::import::{Racks, Request, import};
use proptest::prelude::*;
use std::fmt::Write as _;
use std::path::Path;

/// A sheet of a delivery, before something slips.
#[derive(Clone, Debug)]
struct Sheet {
    /// What all serials begin with; digits follow.
    prefix: String,
    first: u32,
    /// The first five bytes of all MAC addresses.
    block: [u8; 5],
    rows: Vec<[String; 4]>,
}

impl Sheet {
    fn new(prefix: String, first: u32, block: [u8; 5], rows: u32) -> Self {
        let row = |n: u32| {
            let [a, b, c, d, e] = block;
            [
                format!("{prefix}{:05}", first + n),
                format!("CN{:07}", 1_000_000 + first + n),
                format!("4c4c4544-0042-3510-8051-b7c04f4{:05x}", first + n),
                format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{n:02x}"),
            ]
        };
        Self { rows: (1..=rows).map(row).collect(), prefix, first, block }
    }

    /// Errors and warnings, without the lines that are the header's.
    fn warnings(&self, more: &str) -> Vec<String> {
        let rack = "  r14:\n    bays: 40\n    subnets: {data: {network: 10.1.14.0/24, first: 10.1.14.11}}\n\nroles:\n";
        let fleet = edited("roles:\n", rack);
        let mut text = format!("Bay;Board serial;Product serial;UUID;MAC{more}\n");
        for (n, row) in self.rows.iter().enumerate() {
            let rest = if more.is_empty() { String::new() } else { format!(";{}", row[3].replace(':', "-")) };
            writeln!(text, "{};{}{rest}", n + 1, row.join(";")).unwrap();
        }
        let request = Request {
            racks: Racks::One("r14".into()),
            role: Some("compute".into()),
            name: "{rack}-b{bay:02}".into(),
            columns: Vec::new(),
            in_order: false,
        };
        let done = import(&source(&fleet), Path::new("v.csv"), text.as_bytes(), &request);
        assert_eq!(lines(&done.errors), [""; 0], "{text}");
        lines(&done.warnings)
    }
}

fn sheets() -> impl Strategy<Value = (Sheet, usize)> {
    // Four letters of which no two neighbours are the same; a maker's block, not locally administered.
    let prefix = "[A-HJKMNP][0-9][Q-Z][2-9]";
    let block = (0..64_u8, any::<[u8; 4]>()).prop_map(|(a, [b, c, d, e])| [a * 4, b, c, d | 1, e]);
    (prefix, 10_000..40_000_u32, block, 6..30_u32).prop_flat_map(|(prefix, first, block, rows)| {
        (Just(Sheet::new(prefix, first, block, rows)), 0..rows as usize)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_slip_is_one_warning_and_none_is_none((good, at) in sheets(), local in 0..64_u8) {
        prop_assert_eq!(good.warnings(""), [""; 0]);
        let line = at + 2;
        let (board, mac) = (good.rows[at][0].clone(), good.rows[at][3].clone());
        let with = |column: usize, text: String| {
            let mut sheet = good.clone();
            sheet.rows[at][column] = text;
            sheet.warnings("")
        };
        // Another maker; made up; the first of its maker.
        let [a, b, c, d, _] = good.block;
        let usual = &mac[..8];
        let other = format!("{:02x}{}", a ^ 4, &mac[2..]);
        let differs = |mac: &str| format!("{line}: the MAC address {mac} does not begin with {usual}, as most of its column do");
        prop_assert_eq!(with(3, other.clone()), [differs(&other)]);
        let made_up = format!("{:02x}{}", local * 4 + 2, &mac[2..]);
        prop_assert_eq!(with(3, made_up.clone()), [differs(&made_up)]);
        let example = format!("{a:02x}:{b:02x}:{c:02x}:00:00:01");
        prop_assert_eq!(with(3, example.clone()), [format!("{line}: the MAC address {example} looks like an example")]);
        prop_assert!(d != 0);

        // A letter for a digit, two characters the other way round, a leading zero that is lost.
        let digits = board.len() - 5;
        let letter = format!("{}O{}", &board[..digits], &board[digits + 1..]);
        prop_assert_eq!(with(0, letter.clone()), [format!("{line}: the serial number `{letter}` has `O` where all others have a digit")]);
        let mut swapped = board.clone().into_bytes();
        swapped.swap(1, 2);
        let swapped = String::from_utf8(swapped).unwrap();
        let (there, usual) = (&swapped[1..3], &board[1..3]);
        prop_assert_eq!(with(0, swapped.clone()), [format!("{line}: the serial number `{swapped}` has `{there}` where all others have `{usual}`")]);
        let short = board[1..].to_owned();
        prop_assert_eq!(with(0, short.clone()), [format!("{line}: the serial number `{short}` is not 9 characters long, as most are")]);

        // A product serial and a UUID of the fleet, a column that nobody uses.
        let says = with(0, "1234567801".into());
        let of = format!("{line}: the board serial 1234567801 is the product serial of sled `r12-b01` of the fleet");
        prop_assert!(says.contains(&of), "{:?}", says);
        let uuid = "4c4c4544-0042-3510-8051-b7c04f330001";
        prop_assert_eq!(with(2, uuid.into()), [format!("{line}: the fleet has the UUID {uuid} already, in sled `r12-b01`")]);
        let says = good.warnings(";Port label");
        prop_assert_eq!(says, [format!("1: column `Port label` has {} MAC addresses and is not used", good.rows.len())]);
        prop_assert!(good.first > 0 && !good.prefix.is_empty());
    }
}
