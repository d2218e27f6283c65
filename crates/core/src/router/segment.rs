//! Segments of a path: where they are, and when two of them are the same.

use std::cmp::Ordering;

use super::ParamSpan;
use super::pattern::MAX_SEGMENTS;

/// The path of one request, cut at its slashes.
pub(super) struct SplitPath<'a> {
    path: &'a [u8],
    /// Where each segment begins; one entry more than there are segments, each one byte behind the end before
    /// it.
    starts: [u32; MAX_SEGMENTS + 2],
    count: usize,
    /// Whether there is any percent sign before the query.
    escaped: bool,
}

impl<'a> SplitPath<'a> {
    /// Cuts the part before `?` into at most `depth + 1` segments, the last of which may contain slashes.
    /// `depth` is at most `MAX_SEGMENTS`. None if the path does not begin with a slash.
    #[inline]
    pub(super) fn new(path: &'a [u8], depth: usize) -> Option<Self> {
        if path.first() != Some(&b'/') || u32::try_from(path.len()).is_err() {
            return None;
        }
        let mut split = Self {
            path,
            starts: [1; MAX_SEGMENTS + 2],
            count: 1,
            escaped: false,
        };
        let mut end = path.len();
        for (index, byte) in path.iter().enumerate().skip(1) {
            match byte {
                b'/' if split.count <= depth => {
                    split.starts[split.count] = index as u32 + 1;
                    split.count += 1;
                }
                b'%' => split.escaped = true,
                b'?' => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        split.starts[split.count] = end as u32 + 1;
        Some(split)
    }

    /// How many segments there are; `depth + 1` stands for that many or more.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Where segment `index` is; `index` is below [`Self::count`].
    pub(super) fn span(&self, index: usize) -> ParamSpan {
        ParamSpan {
            start: self.starts[index],
            end: self.starts[index + 1] - 1,
        }
    }

    /// Everything from segment `index` to the end of the path.
    pub(super) fn span_from(&self, index: usize) -> ParamSpan {
        ParamSpan {
            start: self.starts[index],
            end: self.starts[self.count] - 1,
        }
    }

    /// Whether segment `index` holds no byte.
    pub(super) fn is_empty(&self, index: usize) -> bool {
        let span = self.span(index);
        span.start == span.end
    }

    /// Compares segment `index`, in normal form, with a `literal` that is in normal form.
    pub(super) fn compare(&self, index: usize, literal: &[u8]) -> Ordering {
        let span = self.span(index);
        let raw = &self.path[span.start as usize..span.end as usize];
        if self.escaped {
            compare_escaped(raw, literal)
        } else {
            raw.cmp(literal)
        }
    }
}

/// Brings a segment into normal form: escapes of unreserved characters decoded, the digits of all others in
/// capitals (RFC 3986 §6.2.2.1, §6.2.2.2). `%2F` thus never becomes a slash.
pub(super) fn normalize(raw: &[u8]) -> Vec<u8> {
    Units { rest: raw }
        .flat_map(|unit| unit.bytes.into_iter().take(unit.len))
        .collect()
}

/// Stops at the first difference, so a long segment costs no more than the literal.
fn compare_escaped(raw: &[u8], literal: &[u8]) -> Ordering {
    let mut expected = literal;
    for unit in (Units { rest: raw }) {
        let bytes = &unit.bytes[..unit.len];
        let (head, tail) = expected.split_at(expected.len().min(bytes.len()));
        match bytes.cmp(head) {
            Ordering::Equal => expected = tail,
            different => return different,
        }
    }
    if expected.is_empty() {
        Ordering::Equal
    } else {
        Ordering::Less
    }
}

/// One character of a normal form: a byte, or an escape of three.
struct Unit {
    bytes: [u8; 3],
    len: usize,
}

struct Units<'a> {
    rest: &'a [u8],
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        let (&first, tail) = self.rest.split_first()?;
        let Some(value) = escape_value(self.rest) else {
            self.rest = tail;
            return Some(Unit {
                bytes: [first, 0, 0],
                len: 1,
            });
        };
        self.rest = &self.rest[3..];
        Some(if is_unreserved(value) {
            Unit {
                bytes: [value, 0, 0],
                len: 1,
            }
        } else {
            let [high, low] = hex_digits(value);
            Unit {
                bytes: [b'%', high, low],
                len: 3,
            }
        })
    }
}

/// The byte that the escape at the beginning of `text` stands for, if there is a whole one.
pub(super) fn escape_value(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Two capital hexadecimal digits.
pub(super) fn hex_digits(value: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [DIGITS[usize::from(value >> 4)], DIGITS[usize::from(value & 15)]]
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_escapes_are_decoded() {
        assert_eq!(normalize(b"%41%7e%2d"), b"A~-");
        assert_eq!(normalize(b"a%2fb%c3%A9"), b"a%2Fb%C3%A9");
        assert_eq!(normalize(b"%2525%41"), b"%2525A", "decoded once, not twice");
        assert_eq!(normalize(b"100%"), b"100%");
        assert_eq!(normalize(b"%4"), b"%4");
        assert_eq!(normalize(b"%zz"), b"%zz");
    }

    #[test]
    fn comparing_agrees_with_normalizing() {
        let texts: [&[u8]; 9] = [
            b"", b"a", b"%61", b"ab", b"a%62", b"a%2f", b"a%2F", b"a%", b"%41b",
        ];
        for raw in texts {
            for other in texts {
                let literal = normalize(other);
                assert_eq!(
                    compare_escaped(raw, &literal),
                    normalize(raw).cmp(&literal),
                    "{raw:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn a_path_is_cut_no_further_than_asked() {
        let path = b"/a/bc//d?x/y";
        let split = SplitPath::new(path, 1).unwrap();
        assert_eq!(split.count(), 2);
        assert_eq!(split.span_from(1), ParamSpan { start: 3, end: 8 });
        let split = SplitPath::new(path, MAX_SEGMENTS).unwrap();
        assert_eq!(split.count(), 4);
        assert_eq!(split.span(1), ParamSpan { start: 3, end: 5 });
        assert!(split.is_empty(2));
        assert_eq!(split.span(3), ParamSpan { start: 7, end: 8 });
    }

    #[test]
    fn more_slashes_than_any_pattern_has_are_no_danger() {
        let path = vec![b'/'; 100_000];
        assert_eq!(
            SplitPath::new(&path, MAX_SEGMENTS).unwrap().count(),
            MAX_SEGMENTS + 1
        );
        assert_eq!(SplitPath::new(&path, 0).unwrap().count(), 1);
        assert!(SplitPath::new(b"", 3).is_none());
        assert!(SplitPath::new(b"*", 3).is_none());
    }
}
