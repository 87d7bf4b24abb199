//! Who may ask at all: a browser is made to ask by any page its user looks at, and by a
//! name that leads here today (DNS rebinding). `Host` and `Origin` say so. Pure.
//!
//! An address as `Host` is always good: a page that was loaded by an address is of the
//! server there, and behind NAT we do not know ours. Names are those of this machine, of
//! the fleet file's servers, and those that were given.

use hyper::header::{CONTENT_TYPE, HOST, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, StatusCode, Uri};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Why not, in a sentence.
pub type Refused = (StatusCode, String);

/// Decides about a request.
///
/// # Errors
/// What to answer.
pub fn check(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    is_name: impl Fn(&str) -> bool,
) -> Result<(), Refused> {
    let odd = |what: &str| Err((StatusCode::BAD_REQUEST, format!("{what} does not read")));
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return odd("more than one Host"),
        // HTTP/1.0 has none, and no browser speaks it.
        (None, None) => None,
        (Some(host), None) => {
            let parsed = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            let Some(host) = parsed.filter(|host| !host.as_str().contains('@')) else { return odd("Host") };
            Some(host)
        }
    };
    // What is asked for by a whole URL is asked of its host (RFC 9112 section 3.2.2).
    let host = uri.authority().cloned().or(host);
    if let Some(host) = &host
        && !is_address(host.host())
        && !is_name(&host.host().to_ascii_lowercase())
    {
        let says = "this server has another name: it is asked by its address, by a name in the fleet \
                    file's `servers`, or by one that `sledos serve --host NAME` gives it";
        return Err((StatusCode::MISDIRECTED_REQUEST, says.to_owned()));
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let of = origin.to_str().ok().and_then(|text| text.split_once("://"));
        let own = of.is_some_and(|(scheme, at)| {
            let default = if scheme == "https" { ":443" } else { ":80" };
            let at = at.strip_suffix(default).unwrap_or(at);
            host.as_ref().is_some_and(|host| {
                let host = host.as_str();
                host.strip_suffix(default).unwrap_or(host).eq_ignore_ascii_case(at)
            })
        });
        if !own {
            return Err((StatusCode::FORBIDDEN, "a page of another server asks".to_owned()));
        }
    }
    let json = || {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    };
    // Other types are sent by forms of any page without a question (Fetch standard, section 2.2.2).
    if *method == Method::POST && !json() {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "only Content-Type: application/json".to_owned()));
    }
    Ok(())
}

fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok()
}

/// The host names in these URLs, in lower case.
pub fn names<'a>(urls: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let host = |url: &String| Some(url.parse::<Uri>().ok()?.host()?.to_ascii_lowercase());
    urls.filter_map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, lines: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let uri = "/v1/status".parse().unwrap();
        match check(&method, &uri, &headers, |name| name == "rack.test") {
            Ok(()) => 200,
            Err((status, _)) => status.as_u16(),
        }
    }

    #[test]
    fn only_own_names_and_own_pages() {
        let get = |lines: &[(&'static str, &str)]| of(Method::GET, lines);
        for host in ["127.0.0.1:8080", "[::1]:80", "10.0.0.1", "rack.test", "RACK.test:8080"] {
            assert_eq!(get(&[("host", host)]), 200, "{host}");
            assert_eq!(get(&[("host", host), ("origin", &format!("http://{host}"))]), 200, "{host}");
            for origin in
                ["null", "http://evil.test", "", "https://127.0.0.2", "file://", "http://rack.test.evil"]
            {
                assert_eq!(get(&[("host", host), ("origin", origin)]), 403, "{host} {origin}");
            }
        }
        for host in
            ["evil.test", "rack.test.evil.test", "127.0.0.1.evil.test", "localhost.evil", "2130706433"]
        {
            assert_eq!(get(&[("host", host)]), 421, "{host}");
            assert_eq!(get(&[("host", host), ("origin", &format!("http://{host}"))]), 421, "{host}");
        }
        for host in ["a b", "x@127.0.0.1", ""] {
            assert_eq!(get(&[("host", host)]), 400, "{host:?}");
        }
        assert_eq!(get(&[("host", "127.0.0.1"), ("host", "evil.test")]), 400);
        assert_eq!(get(&[("host", "127.0.0.1:80"), ("origin", "http://127.0.0.1")]), 200);
        assert_eq!(get(&[]), 200);
        assert_eq!(get(&[("origin", "http://evil.test")]), 403);
    }

    #[test]
    fn only_json_is_taken() {
        let post = |kind: &'static str| of(Method::POST, &[("host", "127.0.0.1"), ("content-type", kind)]);
        assert_eq!((post("application/json"), post("Application/JSON; charset=utf-8")), (200, 200));
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/jsonp",
            "",
        ] {
            assert_eq!(post(kind), 415, "{kind}");
        }
        assert_eq!(of(Method::POST, &[("host", "127.0.0.1")]), 415);
    }

    #[test]
    fn names_are_those_of_urls() {
        let urls =
            ["http://Rack.test:8080", "http://10.0.0.1/images", "no url", "https://a.b/c"].map(String::from);
        let want = ["rack.test", "10.0.0.1", "a.b"].map(String::from);
        assert_eq!(names(urls.iter()), want.into());
    }
}
