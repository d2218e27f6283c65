//! Conditional requests (RFC 9110 §13) for one file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

/// The fields of a request that make it conditional or ask for a part. Leave all out for methods other than GET and
/// HEAD, and `range` for HEAD: RFC 9110 §14.2 defines it for GET only.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// If-Match.
    pub if_match: Option<Bytes>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<Bytes>,
    /// If-None-Match.
    pub if_none_match: Option<Bytes>,
    /// If-Modified-Since.
    pub if_modified_since: Option<Bytes>,
    /// If-Range.
    pub if_range: Option<Bytes>,
    /// Range.
    pub range: Option<Bytes>,
}

/// What the conditions allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    /// 304
    NotModified,
    /// 412
    PreconditionFailed,
}

/// What tells one state of a file from another.
#[derive(Debug)]
pub(crate) struct Validators {
    /// An entity tag, `W/` included.
    pub(crate) etag: Option<Bytes>,
    /// In whole seconds, as Last-Modified says it.
    pub(crate) modified: Option<SystemTime>,
}

/// A file that was modified less than this before may be modified again without a change of its time stamp: file
/// systems count in steps of up to two seconds. Its entity tag is weak.
const STEP: Duration = Duration::from_secs(2);

impl Validators {
    /// Those of a file of `length` bytes, modified at `modified`, for an answer made at `now`.
    ///
    /// The tag is made from length and time: equal on all machines to which a folder was copied with its times, which
    /// inode and change time are not. It is strong once another change must show in it, so that interrupted downloads
    /// can be resumed; before that it is weak (RFC 9110 §8.8.1).
    pub(crate) fn of(length: u64, modified: Option<SystemTime>, now: SystemTime) -> Self {
        let Some(modified) = modified else {
            return Self {
                etag: None,
                modified: None,
            };
        };
        let (sign, age) = match modified.duration_since(UNIX_EPOCH) {
            Ok(age) => ("", age),
            Err(before) => ("-", before.duration()),
        };
        let is_settled = now.duration_since(modified).is_ok_and(|since| since >= STEP);
        let weak = if is_settled { "" } else { "W/" };
        Self {
            etag: Some(format!("{weak}\"{length:x}-{sign}{:x}\"", age.as_nanos()).into()),
            // RFC 9110 §8.8.2.1: not later than the answer itself.
            modified: whole_seconds(modified.min(now)),
        }
    }
}

impl Conditions {
    /// Judges all but Range, in the order of RFC 9110 §13.2.2, for GET and HEAD.
    pub(crate) fn judge(&self, validators: &Validators) -> Verdict {
        let (etag, modified) = (validators.etag.as_deref(), validators.modified);
        if let Some(list) = &self.if_match {
            if !lists(list, etag, strong_match) {
                return Verdict::PreconditionFailed;
            }
        } else if let (Some(since), Some(modified)) = (date(self.if_unmodified_since.as_deref()), modified)
            && modified > since
        {
            return Verdict::PreconditionFailed;
        }
        if let Some(list) = &self.if_none_match {
            if lists(list, etag, weak_match) {
                return Verdict::NotModified;
            }
        } else if let (Some(since), Some(modified)) = (date(self.if_modified_since.as_deref()), modified)
            && modified <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Send
    }

    /// Whether a Range may be honoured: there is no If-Range, or it names the present state (RFC 9110 §13.1.5).
    pub(crate) fn may_send_part(&self, validators: &Validators) -> bool {
        let Some(condition) = self.if_range.as_deref() else {
            return true;
        };
        if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
            return validators
                .etag
                .as_deref()
                .is_some_and(|etag| strong_match(condition, etag));
        }
        let date = date(Some(condition));
        date.is_some() && date == validators.modified
    }
}

/// RFC 9110 §8.8.3.2
fn strong_match(left: &[u8], right: &[u8]) -> bool {
    left == right && !left.starts_with(b"W/")
}

/// RFC 9110 §8.8.3.2
fn weak_match(left: &[u8], right: &[u8]) -> bool {
    opaque(left) == opaque(right)
}

fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

/// Whether `list`, `*` or entity tags with commas between them, has `etag`. Reading ends at what is no entity tag.
fn lists(list: &[u8], etag: Option<&[u8]>, matches: fn(&[u8], &[u8]) -> bool) -> bool {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    loop {
        while let [b',' | b' ' | b'\t', tail @ ..] = rest {
            rest = tail;
        }
        let quote = if rest.starts_with(b"W/") { 2 } else { 0 };
        if rest.get(quote) != Some(&b'"') {
            return false;
        }
        let Some(length) = rest[quote + 1..].iter().position(|byte| *byte == b'"') else {
            return false;
        };
        let (candidate, tail) = rest.split_at(quote + length + 2);
        if matches(candidate, etag) {
            return true;
        }
        rest = tail;
    }
}

/// An HTTP-date; one that is none is as if the field were not there (RFC 9110 §13.1.3, §13.1.4).
pub(crate) fn date(field: Option<&[u8]>) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(field?).ok()?).ok()
}

/// `time` as an HTTP-date can say it; `None` before 1970.
fn whole_seconds(time: SystemTime) -> Option<SystemTime> {
    let age = time.duration_since(UNIX_EPOCH).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(age.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(number: u32) -> SystemTime {
        UNIX_EPOCH + DAY * number
    }

    fn field(text: &str) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn on(number: u32) -> Option<Bytes> {
        field(&httpdate::fmt_http_date(day(number)))
    }

    /// A file with the tag `"a"`, modified on day 10.
    fn validators() -> Validators {
        Validators {
            etag: field("\"a\""),
            modified: Some(day(10)),
        }
    }

    fn judge(conditions: Conditions) -> Verdict {
        conditions.judge(&validators())
    }

    /// RFC 9110 §13.1.1
    #[test]
    fn if_match_compares_strongly() {
        for (list, expected) in [
            ("\"a\"", Verdict::Send),
            ("*", Verdict::Send),
            ("\"b\", \"a\"", Verdict::Send),
            ("W/\"a\"", Verdict::PreconditionFailed),
            ("\"b\"", Verdict::PreconditionFailed),
            ("a", Verdict::PreconditionFailed),
            ("\"a", Verdict::PreconditionFailed),
            ("\"b,\"a\"", Verdict::PreconditionFailed),
        ] {
            let verdict = judge(Conditions {
                if_match: field(list),
                ..Conditions::default()
            });
            assert_eq!(verdict, expected, "{list}");
        }
    }

    /// RFC 9110 §13.1.2
    #[test]
    fn if_none_match_compares_weakly() {
        for (list, expected) in [
            ("\"a\"", Verdict::NotModified),
            ("W/\"a\"", Verdict::NotModified),
            (" \"x,y\" ,, W/\"a\" ", Verdict::NotModified),
            ("*", Verdict::NotModified),
            ("\"A\"", Verdict::Send),
            ("", Verdict::Send),
            ("W/", Verdict::Send),
        ] {
            let verdict = judge(Conditions {
                if_none_match: field(list),
                ..Conditions::default()
            });
            assert_eq!(verdict, expected, "{list}");
        }
    }

    /// RFC 9110 §13.1.3, §13.1.4
    #[test]
    fn dates_are_compared_in_whole_seconds_and_ignored_if_malformed() {
        let modified_since = |since| {
            judge(Conditions {
                if_modified_since: since,
                ..Conditions::default()
            })
        };
        assert_eq!(modified_since(on(9)), Verdict::Send);
        assert_eq!(modified_since(on(10)), Verdict::NotModified);
        assert_eq!(modified_since(on(11)), Verdict::NotModified);
        assert_eq!(modified_since(field("yesterday")), Verdict::Send);
        let unmodified_since = |since| {
            judge(Conditions {
                if_unmodified_since: since,
                ..Conditions::default()
            })
        };
        assert_eq!(unmodified_since(on(9)), Verdict::PreconditionFailed);
        assert_eq!(unmodified_since(on(10)), Verdict::Send);
        assert_eq!(unmodified_since(field("10")), Verdict::Send);
    }

    /// RFC 9110 §13.2.2
    #[test]
    fn entity_tags_come_before_dates_and_if_match_before_if_none_match() {
        let all = Conditions {
            if_match: field("\"a\""),
            if_unmodified_since: on(1),
            if_none_match: field("\"b\""),
            if_modified_since: on(20),
            ..Conditions::default()
        };
        assert_eq!(judge(all.clone()), Verdict::Send);
        let failed = Conditions {
            if_match: field("\"b\""),
            if_none_match: field("\"a\""),
            ..all
        };
        assert_eq!(judge(failed), Verdict::PreconditionFailed);
    }

    /// RFC 9110 §13.1.5
    #[test]
    fn if_range_needs_the_same_strong_tag_or_the_same_date() {
        for (condition, expected) in [
            (None, true),
            (field("\"a\""), true),
            (field("W/\"a\""), false),
            (field("\"b\""), false),
            (on(10), true),
            (on(9), false),
            (on(11), false),
            (field("soon"), false),
        ] {
            let conditions = Conditions {
                if_range: condition.clone(),
                ..Conditions::default()
            };
            assert_eq!(conditions.may_send_part(&validators()), expected, "{condition:?}");
        }
    }

    /// RFC 9110 §8.8.1
    #[test]
    fn the_tag_of_a_file_just_written_is_weak_and_otherwise_the_same() {
        let modified = day(10) + Duration::from_nanos(5);
        let young = Validators::of(1, Some(modified), modified + Duration::from_secs(1));
        let old = Validators::of(1, Some(modified), modified + Duration::from_secs(2));
        let (young, old) = (young.etag.unwrap(), old.etag.unwrap());
        assert_eq!(young.strip_prefix(b"W/"), Some(&old[..]));
        assert!(weak_match(&young, &old) && !strong_match(&young, &old));
        for (length, modified) in [(2, modified), (1, modified + Duration::from_nanos(1))] {
            let other = Validators::of(length, Some(modified), modified + STEP);
            assert_ne!(other.etag.unwrap(), old);
        }
    }

    /// RFC 9110 §8.8.2.1
    #[test]
    fn last_modified_is_never_in_the_future_nor_before_1970() {
        let future = Validators::of(1, Some(day(20)), day(10));
        assert_eq!(future.modified, Some(day(10)));
        let past = Validators::of(1, Some(UNIX_EPOCH - DAY), day(10));
        assert_eq!(past.modified, None);
        assert_eq!(past.etag.unwrap(), &b"\"1--4e94914f0000\""[..]);
    }
}
