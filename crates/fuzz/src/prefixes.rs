//! What a stream is, told by its first bytes.

use std::fmt::Debug;

use trilane_http3::{BidiKind, Error, PeerStreams, Role, UniKind, classify_bidi, classify_uni};

/// Bytes that are always enough: two integers.
const ENOUGH: usize = 16;

/// RFC 9114 §6: once a prefix is judged, more bytes change nothing, and no prefix is longer than two integers.
pub(crate) fn prefixes(input: &[u8]) {
    let bidi = settled(input, classify_bidi);
    if let Ok(Some(BidiKind::WebTransport { session, prefix_len })) = bidi {
        assert!(session.is_multiple_of(4));
        assert!(prefix_len <= input.len() && prefix_len <= ENOUGH);
    }
    let uni = settled(input, classify_uni);
    if let Ok(Some((kind, length))) = uni {
        assert!(length <= input.len() && length <= ENOUGH);
        if let UniKind::WebTransport { session } = kind {
            assert!(session.is_multiple_of(4));
        }
        opens_once(&kind);
    }
}

/// What `classify` says of all of `input`, which must be what it says from the first bytes on that it accepts.
fn settled<T: Debug + PartialEq>(
    input: &[u8],
    classify: impl Fn(&[u8]) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    let whole = classify(input);
    for length in 0..input.len().min(ENOUGH) {
        let part = classify(&input[..length]);
        assert!(
            part == Ok(None) || part == whole,
            "{length} bytes: {part:?}, all: {whole:?}"
        );
    }
    if input.len() >= ENOUGH {
        assert_ne!(whole, Ok(None));
    }
    whole
}

/// RFC 9114 §6.2: critical streams once, push streams never, others always.
fn opens_once(kind: &UniKind) {
    for role in [Role::Client, Role::Server] {
        let mut streams = PeerStreams::new(role);
        let (first, second) = (streams.open(kind), streams.open(kind));
        match kind {
            UniKind::Push => assert!(first.is_err() && second.is_err()),
            UniKind::Control | UniKind::QpackEncoder | UniKind::QpackDecoder => {
                assert!(first.is_ok() && second.is_err());
            }
            UniKind::WebTransport { .. } | UniKind::Unknown(_) => assert!(first.is_ok() && second.is_ok()),
        }
    }
}
