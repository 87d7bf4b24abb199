//! The trust store: one bundle, and a directory that OpenSSL searches by the
//! hash of the subject, as `update-ca-certificates(8)` makes them.

use std::collections::{BTreeMap, BTreeSet};

use super::edit::Edit;
use super::x509_name::subject_hash;
use super::{Context, Error};

/// Where certificates come from: those of Debian, and those an overlay adds.
const SOURCES: &[&str] = &["usr/share/ca-certificates/mozilla", "usr/local/share/ca-certificates"];
const STORE: &str = "etc/ssl/certs";
/// Lines `!mozilla/Name.crt` distrust a certificate.
const CHOICE: &str = "etc/ca-certificates.conf";

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let choice = edit.read_text(CHOICE)?.unwrap_or_default();
    let distrusted: BTreeSet<_> = choice.lines().filter_map(|l| l.trim().strip_prefix('!')).collect();
    let mut bundle = String::new();
    let mut hashes: BTreeMap<u32, u32> = BTreeMap::new();
    for dir in SOURCES {
        for file in edit.names(dir, ".crt")? {
            let path = format!("{dir}/{file}");
            if distrusted.contains(path.trim_start_matches("usr/share/ca-certificates/")) {
                continue;
            }
            let pem = edit.read_text(&path)?.unwrap_or_default();
            let Some(hash) = subject_hash(&pem) else {
                return Err(edit.unexpected(&path, "is not an X.509 certificate in PEM form"));
            };
            bundle.push_str(&pem);
            if !pem.ends_with('\n') {
                bundle.push('\n');
            }
            let name = format!("{}.pem", file.trim_end_matches(".crt"))
                .replace([' ', ','], "_")
                .replace(['(', ')'], "=");
            edit.link(&format!("{STORE}/{name}"), &format!("/{path}"))?;
            let number = hashes.entry(hash).or_default();
            edit.link(&format!("{STORE}/{hash:08x}.{number}"), &name)?;
            *number += 1;
        }
    }
    if bundle.is_empty() {
        // Nobody asked for a trust store: an image that talks to no server needs none.
        return Ok(());
    }
    edit.write(&format!("{STORE}/ca-certificates.crt"), bundle, 0o644)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text};
    use super::*;

    /// Made with `openssl req -x509 -newkey ed25519 -subj "/O=Sled  Test/CN=Root CA" -days 36500`;
    /// `openssl x509 -subject_hash` says cc040a4a.
    const ROOT: &str = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBZTCCARegAwIBAgIUWZPZkoZemd7iOOWIGSRrvYutGtEwBQYDK2VwMCcxEzAR\n\
        BgNVBAoMClNsZWQgIFRlc3QxEDAOBgNVBAMMB1Jvb3QgQ0EwIBcNMjYxMTIzMDIx\n\
        NzI2WhgPMjEyNjEwMzAwMjE3MjZaMCcxEzARBgNVBAoMClNsZWQgIFRlc3QxEDAO\n\
        BgNVBAMMB1Jvb3QgQ0EwKjAFBgMrZXADIQCHzXhVm/vy4gFAj4xV30dj3LgrvsOm\n\
        5kpgr//OxkxF36NTMFEwHQYDVR0OBBYEFP26HbCNFQPG4L1gXEVBhqTk04pJMB8G\n\
        A1UdIwQYMBaAFP26HbCNFQPG4L1gXEVBhqTk04pJMA8GA1UdEwEB/wQFMAMBAf8w\n\
        BQYDK2VwA0EAHZ0e1FsQCyY5zdLlzWzbquYzb6fEPJC1PbZPPvgCbz9MFgbGNQZr\n\
        Sv9tBUDQRhBZfVnnWOVa2xApiRZW4dkPCQ==\n\
        -----END CERTIFICATE-----\n";

    #[test]
    fn certificates_are_bundled_and_found_by_hash() {
        let mut f = Fixture::new();
        f.file("usr/share/ca-certificates/mozilla/Root (1).crt", ROOT.trim_end());
        f.file("usr/share/ca-certificates/mozilla/Bad.crt", ROOT);
        f.file("usr/local/share/ca-certificates/ours.crt", ROOT);
        f.file(CHOICE, "mozilla/Root (1).crt\n!mozilla/Bad.crt\n");
        f.run(run).unwrap();
        assert_eq!(text(&f.tree, "etc/ssl/certs/ca-certificates.crt"), ROOT.repeat(2));
        assert_eq!(
            text(&f.tree, "etc/ssl/certs/Root_=1=.pem"),
            "-> /usr/share/ca-certificates/mozilla/Root (1).crt"
        );
        assert_eq!(text(&f.tree, "etc/ssl/certs/cc040a4a.0"), "-> Root_=1=.pem");
        assert_eq!(text(&f.tree, "etc/ssl/certs/cc040a4a.1"), "-> ours.pem");
        assert!(!f.has("etc/ssl/certs/Bad.pem"));
    }

    #[test]
    fn without_certificates_there_is_no_store_and_what_is_none_is_an_error() {
        let mut f = Fixture::new();
        f.run(run).unwrap();
        assert!(!f.has("etc/ssl/certs/ca-certificates.crt"));
        f.file("usr/share/ca-certificates/mozilla/x.crt", "hello");
        assert!(matches!(f.run(run).unwrap_err(), Error::Unexpected { .. }));
    }
}
