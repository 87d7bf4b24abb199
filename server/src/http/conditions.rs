//! Conditional and partial requests. Pure. Source: RFC 9110 sections 13 and 14.

use super::date;
use hyper::HeaderMap;
use hyper::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use std::time::SystemTime;

/// What is to be answered about a file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: all of it.
    Whole,
    /// 206: from the first byte to the one before the second.
    Part(u64, u64),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    NoSuchPart,
}

/// Decides (13.2.2 has the order). `etag` is the file's, strong, with its quotes.
pub fn answer(headers: &HeaderMap, etag: &str, modified: SystemTime, length: u64) -> Answer {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let date = |name: HeaderName| text(name).and_then(date::parse);
    let modified = date::whole(modified);
    match (text(IF_MATCH), date(IF_UNMODIFIED_SINCE)) {
        (Some(list), _) if !lists(list, etag, false) => return Answer::Failed,
        (None, Some(since)) if modified > since => return Answer::Failed,
        _ => {}
    }
    match (text(IF_NONE_MATCH), date(IF_MODIFIED_SINCE)) {
        (Some(list), _) if lists(list, etag, true) => return Answer::NotModified,
        (None, Some(since)) if modified <= since => return Answer::NotModified,
        _ => {}
    }
    let Some(range) = text(RANGE) else { return Answer::Whole };
    // A part of another version would be worse than the whole of this one (13.1.5).
    let fits = match text(IF_RANGE) {
        None => true,
        Some(tag) if tag.trim_start().starts_with(['"', 'W']) && !tag.starts_with("Wed") => {
            tag.trim() == etag
        }
        Some(at) => date::parse(at) == Some(modified),
    };
    if fits { part(range, length) } else { Answer::Whole }
}

/// Whether a list of entity tags has this one; weakly compared, `W/` makes no difference.
fn lists(list: &str, etag: &str, weak: bool) -> bool {
    let mut tags = list.split(',').map(str::trim);
    list.trim() == "*" || tags.any(|tag| tag == etag || weak && tag.strip_prefix("W/") == Some(etag))
}

/// One range of bytes (14.1.2). Several, or another unit, are answered with the whole,
/// as 14.2 allows.
fn part(range: &str, length: u64) -> Answer {
    let Some(spec) = range.trim().strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else {
        return Answer::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Answer::Whole };
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number beyond every file is as good as the greatest.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => {
            if first < length {
                Answer::Part(first, length)
            } else {
                Answer::NoSuchPart
            }
        }
        (Some(first), Some(last)) if last < first => Answer::Whole,
        (Some(first), Some(last)) => {
            let end = last.saturating_add(1).min(length);
            if first < length { Answer::Part(first, end) } else { Answer::NoSuchPart }
        }
        (None, Some(suffix)) if first.is_empty() => {
            if suffix > 0 && length > 0 {
                Answer::Part(length.saturating_sub(suffix), length)
            } else {
                Answer::NoSuchPart
            }
        }
        _ => Answer::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const ETAG: &str = "\"abc\"";

    fn of(headers: &[(HeaderName, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        answer(&headers, ETAG, UNIX_EPOCH + Duration::from_millis(784_111_777_500), 100)
    }

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-", Answer::Part(0, 100)),
            ("bytes=99-", Answer::Part(99, 100)),
            ("bytes=100-", Answer::NoSuchPart),
            ("bytes=10-19", Answer::Part(10, 20)),
            ("bytes=10-1000", Answer::Part(10, 100)),
            ("bytes=10-99999999999999999999999", Answer::Part(10, 100)),
            ("bytes=20-10", Answer::Whole),
            ("bytes=-10", Answer::Part(90, 100)),
            ("bytes=-1000", Answer::Part(0, 100)),
            ("bytes=-0", Answer::NoSuchPart),
            ("bytes=-", Answer::Whole),
            ("bytes=0-1,5-6", Answer::Whole),
            ("bytes=+1-2", Answer::Whole),
            ("pages=1-2", Answer::Whole),
        ];
        for (range, want) in cases {
            assert_eq!(of(&[(RANGE, range)]), want, "{range}");
        }
    }

    #[test]
    fn conditions() {
        let (same, before, after) = (
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "Sun, 06 Nov 1994 08:49:38 GMT",
        );
        let part = Answer::Part(0, 10);
        let range = (RANGE, "bytes=0-9");
        assert_eq!(of(&[(IF_NONE_MATCH, ETAG)]), Answer::NotModified);
        assert_eq!(of(&[(IF_NONE_MATCH, "\"x\", W/\"abc\"")]), Answer::NotModified);
        assert_eq!(of(&[(IF_NONE_MATCH, "*")]), Answer::NotModified);
        assert_eq!(
            of(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, after)]),
            Answer::Whole,
            "the tag decides"
        );
        assert_eq!(of(&[(IF_MODIFIED_SINCE, same)]), Answer::NotModified);
        assert_eq!(of(&[(IF_MODIFIED_SINCE, before)]), Answer::Whole);
        assert_eq!(of(&[(IF_MODIFIED_SINCE, "yesterday")]), Answer::Whole);
        assert_eq!(of(&[(IF_MATCH, "\"x\""), range.clone()]), Answer::Failed);
        assert_eq!(of(&[(IF_MATCH, ETAG), range.clone()]), part);
        assert_eq!(of(&[(IF_UNMODIFIED_SINCE, before)]), Answer::Failed);
        assert_eq!(of(&[(IF_UNMODIFIED_SINCE, same)]), Answer::Whole);
        assert_eq!(of(&[(IF_RANGE, ETAG), range.clone()]), part);
        assert_eq!(of(&[(IF_RANGE, "W/\"abc\""), range.clone()]), Answer::Whole, "a weak tag never fits");
        assert_eq!(of(&[(IF_RANGE, same), range.clone()]), part);
        assert_eq!(of(&[(IF_RANGE, after), range]), Answer::Whole);
    }
}
