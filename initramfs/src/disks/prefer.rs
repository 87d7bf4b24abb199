//! Which of several disks with the same /usr is booted: each may have a /var of its own. Pure.

use super::Found;
use formats::gpt::types;

/// The disks in the order they are tried in, and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferred {
    /// The one that is meant first.
    pub order: Vec<Found>,
    /// Which it is, and by what; nothing when there is one, or they are a mirror.
    pub says: Option<String>,
}

/// Orders disks that were found for one hash. `esp` is the id of the ESP that the firmware
/// came from, as systemd-boot has it in `LoaderDevicePartUUID`; `used` tells when the
/// filesystem on a ROOT was last written to. What stays equal keeps its order.
pub fn prefer(mut order: Vec<Found>, esp: Option<&str>, used: &dyn Fn(&Found) -> Option<u32>) -> Preferred {
    let mirror = |f: &Found| f.root.as_ref().is_some_and(|root| root.type_guid == types::LINUX_RAID);
    let started = |f: &Found| {
        let own = f.esp.as_ref().map(|own| own.guid.to_string());
        own.zip(esp).is_some_and(|(own, esp)| own.eq_ignore_ascii_case(esp))
    };
    let why = if order.iter().any(started) {
        order.sort_by_key(|f| !started(f));
        "the firmware came from it"
    } else {
        let times: Vec<_> = order.iter().map(used).collect();
        let last = times.iter().max().copied().flatten();
        let alone = last.is_some() && times.iter().filter(|time| **time == last).count() == 1;
        if alone {
            order.sort_by_key(|f| used(f) != last);
            "its /var was used last"
        } else {
            "nothing tells which /var was used last, and its GUID is the first"
        }
    };
    let says = match order.as_slice() {
        [first, others @ ..] if !others.is_empty() && !order.iter().all(mirror) => {
            let others: Vec<_> = others.iter().map(ToString::to_string).collect();
            let others = others.join(", ");
            Some(format!(
                "/usr is there {} times, each with a /var of its own; takes {first}, not {others}: {why}",
                order.len()
            ))
        }
        _ => None,
    };
    Preferred { order, says }
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::gpt::{Guid, Partition};

    fn found(n: u8, root: Guid) -> Found {
        let partition = |name: &str, type_guid, id| Partition {
            number: 1,
            name: name.into(),
            type_guid,
            guid: Guid([id; 16]),
            start: 0,
            size: 4096,
            attributes: 0,
        };
        Found {
            disk: format!("sd{}", char::from(b'a' + n)),
            disk_guid: Guid([n; 16]),
            usr: partition("USR-A", types::USR_X86_64, 7),
            verity: partition("USR-A-VERITY", types::USR_X86_64_VERITY, 8),
            root: Some(partition("ROOT", root, 9)),
            oem: None,
            esp: Some(partition("EFI-SYSTEM", types::ESP, 0x20 + n)),
        }
    }

    #[test]
    fn the_disk_that_was_started_then_the_one_used_last_and_it_is_said() {
        let all = || (0..3).map(|n| found(n, types::LINUX_GENERIC)).collect::<Vec<_>>();
        let with = |esp: Option<&str>, times: [Option<u32>; 3]| {
            let used = |f: &Found| times[usize::from(f.disk_guid.0[0])];
            let Preferred { order, says } = prefer(all(), esp, &used);
            let names: Vec<_> = order.into_iter().map(|f| f.disk).collect();
            (names.join(" "), says.unwrap().rsplit_once(": ").unwrap().1.to_owned())
        };
        let esp = Guid([0x21; 16]).to_string();
        let (came, last) = ("the firmware came from it", "its /var was used last");
        let unknown = "nothing tells which /var was used last, and its GUID is the first";
        let expect = |names: &str, why: &str| (names.to_owned(), why.to_owned());
        for esp in [esp.to_uppercase(), esp.to_lowercase()] {
            assert_eq!(with(Some(&esp), [Some(5), None, Some(9)]), expect("sdb sda sdc", came));
        }
        assert_eq!(with(Some("other"), [Some(5), None, Some(9)]), expect("sdc sda sdb", last));
        assert_eq!(with(None, [Some(5), Some(9), Some(9)]), expect("sda sdb sdc", unknown));
        assert_eq!(with(None, [None; 3]), expect("sda sdb sdc", unknown));
        let one = prefer(vec![found(0, types::LINUX_GENERIC)], None, &|_| None);
        assert_eq!(one.says, None);
        let mirror = (0..2).map(|n| found(n, types::LINUX_RAID)).collect();
        assert_eq!(prefer(mirror, None, &|_| None).says, None);
    }
}
