//! InRelease files that are to be trusted, and all kinds that are not.

use sledos::apt::release::{Clock, Error, Keyring, Release, open};

use crate::apt::repo::{Key, MUCH_LATER, NOW};

const CLOCK: Clock = Clock { now: NOW, archived: false };
const TEXT: &str = "Suite: stable\nCodename: bookworm\nDate: Sat, 01 Mar 2025 00:00:00 UTC\n\
    Valid-Until: Sat, 08 Mar 2025 00:00:00 UTC\nComponents: main\nArchitectures: amd64\n\
    Description: -dashed\nSHA256:\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n";

fn check(file: &str, key: &Key, clock: Clock) -> Result<Release, Error> {
    let keyring = Keyring::parse(&key.export(false), "test.gpg").unwrap();
    open(file.as_bytes(), "bookworm", &keyring, clock)
}

#[test]
fn a_good_signature_by_any_key_of_a_keyring() {
    let (key, other) = (Key::new("ed25519", "sign"), Key::new("rsa2048", "sign"));
    let armoured = [other.export(true), key.export(true)].concat();
    let binary = [other.export(false), key.export(false)].concat();
    let file = key.clearsign(TEXT, &[]);
    for keyring in [armoured, binary] {
        let keyring = Keyring::parse(&keyring, "test.gpg").unwrap();
        let release = open(file.as_bytes(), "bookworm", &keyring, CLOCK).unwrap();
        assert_eq!(release.signed_by, key.fingerprint);
        assert_eq!(release.files.len(), 1);
    }
    assert_eq!(check(&other.clearsign(TEXT, &[]), &other, CLOCK).unwrap().signed_by, other.fingerprint);
}

#[test]
fn a_signing_subkey_counts_as_its_owner() {
    let key = Key::new("ed25519", "cert");
    key.add_signing_subkey("1y");
    let release = check(&key.clearsign(TEXT, &[]), &key, CLOCK).unwrap();
    assert_eq!(release.signed_by, key.fingerprint);
}

#[test]
fn an_unknown_signer_is_refused_unless_another_one_is_known() {
    let (key, other) = (Key::new("ed25519", "sign"), Key::new("ed25519", "sign"));
    let file = other.clearsign(TEXT, &[]);
    let error = check(&file, &key, CLOCK).unwrap_err();
    assert!(
        matches!(&error, Error::UnknownSigner { signers, .. } if *signers == other.fingerprint),
        "{error}"
    );
}

#[test]
fn a_tampered_body_is_refused() {
    let key = Key::new("ed25519", "sign");
    let file = key.clearsign(TEXT, &[]);
    for tampered in [
        file.replace(" 0 main/", " 1 main/"),
        file.replace("Codename: bookworm", "Codename: bookworm\nExtra: 1"),
        file.replace("Components: main\n", ""),
    ] {
        assert_ne!(tampered, file);
        let error = check(&tampered, &key, CLOCK).unwrap_err();
        assert!(matches!(error, Error::BadSignature { .. }), "{error}");
    }
}

#[test]
fn a_signature_of_another_text_is_refused() {
    let key = Key::new("ed25519", "sign");
    let (file, other) = (key.clearsign(TEXT, &[]), key.clearsign("Suite: bookworm\n", &[]));
    let at = |text: &str| text.find("-----BEGIN PGP SIGNATURE").unwrap();
    let mixed = format!("{}{}", &file[..at(&file)], &other[at(&other)..]);
    assert!(matches!(check(&mixed, &key, CLOCK), Err(Error::BadSignature { .. })));
}

#[test]
fn an_expired_key_is_refused_but_for_an_archive_of_its_time() {
    let key = Key::new("ed25519", "sign");
    let file = key.clearsign(TEXT, &[]);
    let late = Clock { now: MUCH_LATER, archived: false };
    let error = check(&file, &key, late).unwrap_err();
    assert!(matches!(error, Error::ExpiredKey { .. }), "{error}");
    assert!(check(&file, &key, Clock { archived: true, ..late }).is_ok());
}

#[test]
fn an_expired_subkey_is_refused() {
    let key = Key::new("ed25519", "cert");
    key.add_signing_subkey("2d");
    let file = key.clearsign(TEXT, &[]);
    assert!(check(&file, &key, CLOCK).is_ok());
    let late = Clock { now: NOW + 3 * 86_400, archived: false };
    let error = check(&file, &key, late).unwrap_err();
    assert!(matches!(error, Error::ExpiredKey { .. }), "{error}");
}

#[test]
fn a_revoked_key_is_refused() {
    let key = Key::new("ed25519", "sign");
    let file = key.clearsign(TEXT, &[]);
    key.revoke();
    let error = check(&file, &key, CLOCK).unwrap_err();
    assert!(matches!(error, Error::RevokedKey { .. }), "{error}");
}

#[test]
fn a_weak_hash_is_refused() {
    let key = Key::new("rsa2048", "sign");
    let file = key.clearsign(TEXT, &["--digest-algo", "SHA1"]);
    let error = check(&file, &key, CLOCK).unwrap_err();
    assert!(matches!(&error, Error::WeakHash { hash, .. } if hash == "SHA1"), "{error}");
}

#[test]
fn a_signature_of_tomorrow_is_refused() {
    let key = Key::new("ed25519", "sign");
    let file = key.clearsign(TEXT, &[]);
    let early = Clock { now: NOW - 30 * 86_400, archived: false };
    let error = check(&file, &key, early).unwrap_err();
    assert!(matches!(error, Error::SignatureTime { .. }), "{error}");
}

#[test]
fn text_outside_of_the_signed_part_is_refused() {
    let key = Key::new("ed25519", "sign");
    let file = key.clearsign(TEXT, &[]);
    for padded in [format!("Suite: x\n{file}"), format!("{file}\nSuite: x\n"), format!("{file}{file}")] {
        let error = check(&padded, &key, CLOCK).unwrap_err();
        assert!(matches!(error, Error::TextOutside), "{error}");
    }
    assert!(check(&format!("{file}\n"), &key, CLOCK).is_ok());
}

#[test]
fn what_is_not_signed_is_refused() {
    let key = Key::new("ed25519", "sign");
    let file = key.clearsign(TEXT, &[]);
    let cut = file.find("-----BEGIN PGP SIGNATURE").unwrap();
    for bad in [TEXT, "", &file[..cut], &file[..file.len() - 40], "<html>captive portal</html>"] {
        let error = check(bad, &key, CLOCK).unwrap_err();
        assert!(matches!(error, Error::NotSigned { .. }), "{error}");
    }
}

#[test]
fn the_wrong_suite_and_an_old_file_are_refused() {
    let key = Key::new("ed25519", "sign");
    let keyring = Keyring::parse(&key.export(false), "k").unwrap();
    let file = key.clearsign(TEXT, &[]);
    let error = open(file.as_bytes(), "trixie", &keyring, CLOCK).unwrap_err();
    assert!(matches!(error, Error::WrongSuite { .. }), "{error}");
    let late = Clock { now: NOW + 20 * 86_400, archived: false };
    let error = open(file.as_bytes(), "bookworm", &keyring, late).unwrap_err();
    assert!(matches!(error, Error::OutOfDate { .. }), "{error}");
}
