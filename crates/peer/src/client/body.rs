//! What a request sends after its header block.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use h3::error::Code;

use crate::failure::Failure;

/// The bytes of a body: given, or a pattern of a given length.
#[derive(Clone)]
pub(super) enum Body {
    /// These bytes.
    Given(Bytes),
    /// So many bytes; the byte at offset `n` is `n % 251`.
    Pattern(u64),
}

/// The largest given or patterned body: a script error should not fill the machine's memory or hours.
const MOST: u64 = 1 << 32;

impl Body {
    /// From `body_base64` or `body_size`.
    pub(super) fn new(base64: Option<&str>, size: Option<u64>) -> Result<Self, Failure> {
        match (base64, size) {
            (Some(_), Some(_)) => Err(Failure::usage("body_base64 and body_size exclude each other")),
            (Some(text), None) => Ok(Self::Given(
                BASE64.decode(text.as_bytes()).map_err(Failure::usage)?.into(),
            )),
            (None, Some(size)) if size > MOST => Err(Failure::usage(format!("at most {MOST} bytes"))),
            (None, size) => Ok(Self::Pattern(size.unwrap_or(0))),
        }
    }

    /// The length in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Given(bytes) => bytes.len() as u64,
            Self::Pattern(length) => *length,
        }
    }

    /// Up to `most` bytes from `offset`, which is not past the end.
    pub(super) fn chunk(&self, offset: u64, most: usize) -> Bytes {
        let length = (self.len() - offset).min(most as u64);
        match self {
            Self::Given(bytes) => bytes.slice(offset as usize..(offset + length) as usize),
            Self::Pattern(_) => (offset..offset + length).map(|at| (at % 251) as u8).collect(),
        }
    }
}

/// How a body is sent, and whether all of it is.
#[derive(Clone)]
pub(super) struct Pace {
    /// Bytes of one DATA frame, at least 1.
    pub(super) chunk_size: usize,
    /// The pause after each.
    pub(super) pause: Option<Duration>,
    /// After so many bytes the stream is reset with this code.
    pub(super) reset: Option<(u64, Code)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_does_not_depend_on_how_it_is_cut() {
        let body = Body::new(None, Some(1000)).unwrap();
        let whole = body.chunk(0, 1000);
        let mut parts = body.chunk(0, 300).to_vec();
        parts.extend_from_slice(&body.chunk(300, 10_000));
        assert_eq!(whole, parts);
        assert_eq!(whole[251], 0);
    }

    #[test]
    fn a_given_body_is_what_was_given() {
        let body = Body::new(Some("aGVsbG8="), None).unwrap();
        assert_eq!((body.len(), body.chunk(1, 3)), (5, Bytes::from_static(b"ell")));
    }

    #[test]
    fn two_bodies_are_refused() {
        assert!(Body::new(Some(""), Some(1)).is_err());
    }
}
