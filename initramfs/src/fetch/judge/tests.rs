//! One change to a good document, one named refusal.

use super::*;
use metadata::config::Config;
use metadata::document::{Artefact, Head, Image, Location, Servers};
use metadata::values::{Hash32, Mac};

/// The time in these tests; documents are issued a day earlier and last a week.
pub(crate) const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// A key and the documents it signs.
pub(crate) struct Signer(minisign::KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(minisign::KeyPair::generate_unencrypted_keypair().unwrap())
    }

    pub(crate) fn trusted(&self) -> TrustedKey {
        TrustedKey::parse(&self.0.pk.to_base64()).unwrap()
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        minisign::sign(None, &self.0.sk, bytes, Some("t"), Some("untrusted comment: u")).unwrap().to_string()
    }
}

pub(crate) fn hardware() -> Hardware {
    Hardware {
        board: Some("ZM1".into()),
        product: Some("P1".into()),
        macs: vec![Mac([2, 0, 0, 0, 0, 1])],
        ..Hardware::default()
    }
}

pub(crate) fn document(generation: u64) -> SledDocument {
    let artefact = Artefact { file: "f".into(), size: 1, sha256: Hash32([1; 32]) };
    SledDocument {
        sledos: FORMAT,
        head: Head {
            sled: "r1-b7".into(),
            generation,
            issued: NOW - DAY,
            expires: NOW + 7 * DAY,
            identity: Identity {
                location: Some(Location { rack: "r1".into(), bay: 7 }),
                board_serial: Some("ZM1".into()),
                macs: vec![Mac([2, 0, 0, 0, 0, 1])],
                ..Identity::default()
            },
        },
        role: "compute".into(),
        image: Image {
            name: "compute".into(),
            version: "1".into(),
            root_hash: Hash32([2; 32]),
            urls: vec![],
            usr: artefact.clone(),
            verity: artefact.clone(),
            uki: artefact,
            layout: None,
            extensions: Default::default(),
        },
        install: None,
        servers: Servers::default(),
        freshness: None,
        config: Config { hostname: "r1-b7".into(), ..Config::default() },
    }
}

pub(crate) fn tombstone(generation: u64) -> Vec<u8> {
    let head = document(generation).head;
    serde_json::to_vec(&Retired { sledos: FORMAT, head, retired: "replaced by board ZM2".into() }).unwrap()
}

/// What is judged, changed by `change`.
fn judged(
    found: Found<'_>,
    change: impl FnOnce(&mut SledDocument),
    seen: u64,
    believable: bool,
) -> Result<Accepted, String> {
    let signer = Signer::new();
    let mut document = document(7);
    change(&mut document);
    let bytes = serde_json::to_vec(&document).unwrap();
    judge(&signer, &bytes, &signer.sign(&bytes), found, seen, believable)
}

fn judge(
    signer: &Signer,
    bytes: &[u8],
    minisig: &str,
    found: Found<'_>,
    seen: u64,
    believable: bool,
) -> Result<Accepted, String> {
    let (trusted, hardware) = ([signer.trusted()], hardware());
    let seen = [("r1-b7".to_owned(), seen)].into();
    let clock = Time { least: NOW, believable };
    let judge = Judge { trusted: &trusted, hardware: &hardware, seen: &seen, clock };
    judge.judge(Offer { document: bytes, minisig, found }).map_err(|refusal| refusal.to_string())
}

fn board() -> Key {
    Key::Board("ZM1".into())
}

#[test]
fn a_good_document_is_accepted_under_each_key_it_lists() {
    for key in [board(), Key::Mac(Mac([2, 0, 0, 0, 0, 1])), Key::Location("r1".into(), 7)] {
        let accepted = judged(Found::Under(&key), |_| {}, 7, true).unwrap();
        assert_eq!(
            (accepted.document.head.generation, accepted.notes.as_slice()),
            (7, [].as_slice()),
            "{key}"
        );
    }
    // The same document again, and one for a sled of which another generation was seen.
    assert!(judged(Found::Under(&board()), |d| d.head.sled = "r1-b8".into(), 99, true).is_ok());
}

#[test]
fn each_reason_to_refuse_has_its_sentence() {
    let key = board();
    let refused =
        |change: fn(&mut SledDocument), seen| judged(Found::Under(&key), change, seen, true).unwrap_err();
    assert_eq!(
        refused(|d| d.head.identity.board_serial = Some("ZM2".into()), 0),
        "another sled's document: it is for r1-b7 and does not list board ZM1"
    );
    assert_eq!(refused(|_| {}, 8), "older generation replayed: seen 8, offered 7");
    assert_eq!(
        refused(|d| d.head.expires = NOW, 0),
        "expired: at 2027-01-15T08:00:00Z, now 2027-01-15T08:00:00Z"
    );
    assert_eq!(refused(|d| d.sledos = 2, 0), "other format: 2, and this image reads 1");
    assert_eq!(refused(|d| d.head.expires = 1, 0), "malformed: it expires before it is issued");
}

#[test]
fn what_is_not_signed_by_a_trusted_key_is_refused_before_it_is_read() {
    let (signer, other, key) = (Signer::new(), Signer::new(), board());
    let bytes = b"not even JSON";
    let refused = |bytes: &[u8], minisig: &str| {
        judge(&signer, bytes, minisig, Found::Under(&key), 0, true).unwrap_err()
    };
    let (id, foreign) = (signer.trusted().id(), other.trusted().id());
    assert_eq!(
        refused(b"other bytes", &signer.sign(bytes)),
        format!("bad signature: the signature by key {id} does not match the document")
    );
    assert_eq!(
        refused(bytes, &other.sign(bytes)),
        format!("unknown key: signed by {foreign}, trusted: {id}")
    );
    assert_eq!(refused(bytes, "<html>"), "bad signature: not a minisign signature");
    assert!(refused(bytes, &signer.sign(bytes)).starts_with("malformed: expected "));
    let clock = Time { least: NOW, believable: true };
    let none = Judge { trusted: &[], hardware: &hardware(), seen: &BTreeMap::new(), clock };
    let offer = Offer { document: bytes, minisig: &signer.sign(bytes), found: Found::Under(&key) };
    assert_eq!(none.judge(offer), Err(Refusal::NoKeys));
}

#[test]
fn a_tombstone_is_refused_and_does_not_expire_but_may_be_replayed_no_more_than_others() {
    let (signer, key) = (Signer::new(), board());
    let bytes = tombstone(7);
    let refused =
        |seen| judge(&signer, &bytes, &signer.sign(&bytes), Found::Under(&key), seen, true).unwrap_err();
    assert_eq!(
        refused(7),
        "retired: this hardware was r1-b7 and is not to come back (replaced by board ZM2)"
    );
    assert_eq!(refused(8), "older generation replayed: seen 8, offered 7");
}

#[test]
fn a_clock_that_was_reset_is_late_enough_for_an_end_and_too_early_for_a_beginning() {
    let key = board();
    let over = judged(Found::Under(&key), |d| d.head.expires = NOW, 0, false).unwrap_err();
    assert!(over.starts_with("expired: "), "{over}");
    assert!(judged(Found::Under(&key), |d| d.head.expires = NOW + 1, 0, false).is_ok());
    let early = |d: &mut SledDocument| d.head.issued = NOW + DAY;
    assert_eq!(
        judged(Found::Under(&key), early, 0, true).unwrap().notes,
        ["it was signed at 2027-01-16T08:00:00Z, the clock says 2027-01-15T08:00:00Z"]
    );
    assert!(judged(Found::Under(&key), early, 0, false).unwrap().notes.is_empty());
}

#[test]
fn another_board_in_the_same_place_is_accepted_and_said() {
    let key = Key::Location("r1".into(), 7);
    let accepted = judged(Found::Under(&key), |d| d.head.identity.board_serial = Some("ZM0".into()), 0, true);
    assert_eq!(accepted.unwrap().notes, ["board ZM1 sits where ZM0 was"]);
}

#[test]
fn a_stored_document_may_be_expired_and_must_be_this_sleds() {
    let stored = |here, change: fn(&mut SledDocument)| judged(Found::Stored { here }, change, 7, true);
    assert_eq!(
        stored(false, |d| d.head.expires = NOW - 1).unwrap().notes,
        ["it expired at 2027-01-15T07:59:59Z"]
    );
    let elsewhere: fn(&mut SledDocument) =
        |d| d.head.identity = Identity { location: d.head.identity.location.clone(), ..Identity::default() };
    assert_eq!(
        stored(false, elsewhere).unwrap_err(),
        "another sled's document: it is for r1-b7 and does not list any key of this sled"
    );
    assert!(stored(true, elsewhere).is_ok());
}

#[test]
fn a_uuid_alone_does_not_make_this_sled_another_one() {
    const UUID: &str = "4c4c4544-0042-3510-8051-b7c04f333832";
    let key = Key::Uuid(UUID.into());
    let with = |change: fn(&mut Identity)| {
        let change = |document: &mut SledDocument| {
            document.head.identity.uuid = Some(UUID.into());
            change(&mut document.head.identity);
        };
        judged(Found::Under(&key), change, 0, true).map(drop)
    };
    assert_eq!(with(|_| {}), Ok(()));
    assert_eq!(with(|i| i.board_serial = None), Ok(()), "a MAC address is enough");
    let refused = with(|i| (i.board_serial, i.macs) = (None, vec![Mac([2, 0, 0, 0, 0, 9])]));
    let why =
        format!("another sled's document: it is for r1-b7 and lists nothing of this sled but uuid {UUID}");
    assert_eq!(refused, Err(why));
    // The fleet knows nothing else of it.
    assert_eq!(with(|i| (i.board_serial, i.macs) = (None, vec![])), Ok(()));
}
