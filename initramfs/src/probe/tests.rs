use super::*;

const SIZE: u64 = 4 << 20;

fn edge() -> Vec<u8> {
    vec![0; 1 << 20]
}

fn what(head: &[u8], tail: &[u8]) -> Option<&'static str> {
    probe(SIZE, head, tail).map(|found| found.what)
}

#[test]
fn only_a_disk_with_nothing_on_it_is_blank() {
    assert_eq!(probe(SIZE, &edge(), &edge()), None);
    assert_eq!(probe(SIZE, &vec![0xff; 1 << 20], &edge()), None);
    assert_eq!(probe(0, &[], &[]), None);
    let unknown = Some(Found { kind: Kind::Unknown, what: "data of an unknown kind" });
    for at in [0, 5000, (1 << 20) - 1] {
        let mut other = edge();
        other[at] = 1;
        assert_eq!(probe(SIZE, &other, &edge()), unknown);
        assert_eq!(probe(SIZE, &edge(), &other), unknown);
    }
}

#[test]
fn every_signature_is_found() {
    for (kind, name, at, magic) in &SIGNATURES {
        let (mut head, mut tail) = (edge(), edge());
        let (place, start) = match at {
            Start(at) => (&mut head, *at),
            End(back) => (&mut tail, (1 << 20) - back),
        };
        place[start..start + magic.len()].copy_from_slice(magic);
        assert_eq!(probe(SIZE, &head, &tail), Some(Found { kind: *kind, what: name }));
    }
    for (at, version) in [((1 << 20) - 0x1_0000, "0.90"), ((1 << 20) - 0x2000, "1.0")] {
        let mut tail = edge();
        tail[at..at + 4].copy_from_slice(b"\xfc\x4e\x2b\xa9");
        let expected = format!("a member of a Linux RAID ({version})");
        assert_eq!(what(&edge(), &tail), Some(expected.as_str()));
    }
    for at in [128 << 10, 255 << 10, 640 << 10] {
        let mut zfs = edge();
        zfs[at..at + 8].copy_from_slice(&0x00ba_b10c_u64.to_be_bytes());
        assert_eq!(what(&zfs, &edge()), Some("a member of a ZFS pool"));
        assert_eq!(what(&edge(), &zfs), Some("a member of a ZFS pool"));
    }
}
