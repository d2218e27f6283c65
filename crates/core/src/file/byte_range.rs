//! The Range field of a request for one file (RFC 9110 §14).

/// What of the file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// All of it: no range was asked for, or the field is ignored.
    Whole,
    /// The bytes from `start` on, `length` of them, at least one: 206.
    Part { start: u64, length: u64 },
    /// Nothing of the file lies in the range: 416.
    Unsatisfiable,
}

impl ByteRange {
    /// Reads a Range field for a file of `length` bytes. A unit other than `bytes`, a malformed field and several ranges
    /// are ignored, as RFC 9110 §14.2 allows.
    pub(crate) fn parse(field: &[u8], length: u64) -> Self {
        let Some((first, last)) = only_range(field) else {
            return Self::Whole;
        };
        let (start, end) = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1)),
            (Some(first), None) if last.is_empty() => (first, u64::MAX),
            // The last so many bytes (RFC 9110 §14.1.2).
            (None, Some(0)) if first.is_empty() => return Self::Unsatisfiable,
            (None, Some(suffix)) if first.is_empty() => (length.saturating_sub(suffix), u64::MAX),
            _ => return Self::Whole,
        };
        if start >= length {
            // The last bytes of an empty file exist, but no Content-Range can say so.
            let is_suffix = first.is_empty();
            return if is_suffix {
                Self::Whole
            } else {
                Self::Unsatisfiable
            };
        }
        Self::Part {
            start,
            length: end.min(length) - start,
        }
    }
}

/// Both sides of the "-" of the one range in the field.
fn only_range(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = field.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = (&field[..at], &field[at + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    // A list may have empty elements (RFC 9110 §5.6.1.2).
    let mut ranges = set
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|range| !range.is_empty());
    let range = ranges.next()?;
    if ranges.next().is_some() {
        return None;
    }
    let dash = range.iter().position(|byte| *byte == b'-')?;
    Some((&range[..dash], &range[dash + 1..]))
}

/// A decimal number; one that does not fit is the largest there is.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u64, |value, digit| {
        value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(start: u64, length: u64) -> ByteRange {
        ByteRange::Part { start, length }
    }

    /// RFC 9110 §14.1.2
    #[test]
    fn one_range_is_cut_to_the_file() {
        for (field, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 100)),
            ("bytes=10-19", part(10, 10)),
            ("bytes=99-", part(99, 1)),
            ("bytes=50-1000", part(50, 50)),
            ("bytes=-1", part(99, 1)),
            ("bytes=-1000", part(0, 100)),
            ("BYTES= 5-6 ,", part(5, 2)),
            ("bytes=5-99999999999999999999999", part(5, 95)),
        ] {
            assert_eq!(ByteRange::parse(field.as_bytes(), 100), expected, "{field}");
        }
    }

    /// RFC 9110 §14.1.2, §15.5.17
    #[test]
    fn a_range_behind_the_end_is_unsatisfiable() {
        for field in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(
                ByteRange::parse(field.as_bytes(), 100),
                ByteRange::Unsatisfiable,
                "{field}"
            );
        }
        assert_eq!(ByteRange::parse(b"bytes=0-", 0), ByteRange::Unsatisfiable);
        assert_eq!(ByteRange::parse(b"bytes=-5", 0), ByteRange::Whole);
    }

    /// RFC 9110 §14.2
    #[test]
    fn malformed_foreign_and_several_ranges_are_ignored() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=6-5",
            "bytes=a-b",
            "bytes=1-2,4-5",
            "bytes=1-2-3",
            "lines=1-2",
            "bytes =1-2",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=0x1-2",
        ] {
            assert_eq!(
                ByteRange::parse(field.as_bytes(), 100),
                ByteRange::Whole,
                "{field}"
            );
        }
    }

    #[test]
    fn files_beyond_four_gibibytes_have_ranges() {
        let length = 10 << 40;
        let field = format!("bytes={}-", length - 1);
        assert_eq!(ByteRange::parse(field.as_bytes(), length), part(length - 1, 1));
    }
}
