//! URLs, as far as a client needs them (RFC 3986, RFC 9110 section 4.2).

use super::Error;
use std::fmt;

/// Why not: there is no TLS here, see [`super`].
pub(crate) const HTTPS: &str =
    "is https://, which sleds do not speak: documents are signed and images are verified; give http://";

/// Whom to ask for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Name or address, an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query, beginning with `/`.
    pub(super) path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let fail = |why| Error::Url { url: text.escape_default().to_string(), why };
        // Anything else could end the request line early.
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(fail("has characters that no URL has"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| fail("is not a URL (http://…)"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(fail(HTTPS)),
            _ => return Err(fail("is not an http:// URL")),
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.contains('@') {
            return Err(fail("has a user name in it"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| fail("has no `]` after its address"))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().map_err(|_| fail("has no such port"))?,
            None if port.is_empty() => 80,
            None => return Err(fail("has no such port")),
        };
        if host.is_empty() {
            return Err(fail("has no host"));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { host: host.to_owned(), port, path: format!("{slash}{path}") })
    }

    /// Where a `Location` (10.2.2) leads from here.
    pub(super) fn join(&self, to: &str) -> Result<Self, Error> {
        let authority = self.authority();
        if to.contains("://") {
            Self::parse(to)
        } else if to.starts_with("//") {
            Self::parse(&format!("http:{to}"))
        } else if to.starts_with('/') {
            Self::parse(&format!("http://{authority}{to}"))
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let dir = path.rfind('/').map_or("/", |at| &path[..=at]);
            Self::parse(&format!("http://{authority}{dir}{to}"))
        }
    }

    /// Host and port, as the Host header has them (7.2).
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            80 => host,
            port => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        for (text, host, port, path) in [
            ("http://10.0.0.1", "10.0.0.1", 80, "/"),
            ("HTTP://a.b:8080/x/y?z=1#f", "a.b", 8080, "/x/y?z=1"),
            ("http://[fd00::1]/x", "fd00::1", 80, "/x"),
            ("http://[fd00::1]:81?q", "fd00::1", 81, "/?q"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host.as_str(), url.port, url.path.as_str()), (host, port, path), "{text}");
        }
        assert_eq!(Url::parse("http://[fd00::1]:81/x").unwrap().to_string(), "http://[fd00::1]:81/x");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "x",
            "ftp://a/",
            "http://",
            "http:///x",
            "http://a:b/",
            "http://a:70000/",
            "http://u:p@a/",
            "http://[::1/",
            "http://[::1]x/",
            "http://a/x\r\nHost: b",
            "http://a/ x",
            "http://é/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_location_is_relative_to_where_it_came_from() {
        let from = Url::parse("http://a:81/x/y?z").unwrap();
        for (to, expected) in [
            ("http://b/c", "http://b/c"),
            ("//b/c", "http://b/c"),
            ("/c", "http://a:81/c"),
            ("c", "http://a:81/x/c"),
        ] {
            assert_eq!(from.join(to).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_server_that_wants_tls_is_named_with_what_to_do() {
        let from = Url::parse("http://a/x").unwrap();
        for error in [Url::parse("HTTPS://a/x").unwrap_err(), from.join("https://a/x").unwrap_err()] {
            let says = error.to_string();
            assert!(says.contains("https://") && says.ends_with("give http://"), "{says}");
        }
    }
}
