//! What a bidirectional stream is: its first bytes decide.

use crate::error::Error;
use crate::{varint, webtransport};

/// The kind of a bidirectional stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BidiKind {
    /// A request and its response (RFC 9114 §6.1). Its bytes begin with the first frame.
    Request,
    /// A stream of a WebTransport session (draft-ietf-webtrans-http3-16 §4.3).
    WebTransport {
        /// Id of the session's CONNECT stream.
        session: u64,
        /// Bytes in front of the application's own.
        prefix_len: usize,
    },
}

/// Looks at the first bytes of a bidirectional stream; `None`: more are needed (at most 16 in all).
///
/// # Errors
/// H3_ID_ERROR, connection: the session id is no client-initiated bidirectional stream.
pub fn classify_bidi(bytes: &[u8]) -> Result<Option<BidiKind>, Error> {
    let Some((kind, first)) = varint::decode(bytes) else {
        return Ok(None);
    };
    if kind != webtransport::BIDI_STREAM {
        return Ok(Some(BidiKind::Request));
    }
    let Some((session, second)) = varint::decode(&bytes[first..]) else {
        return Ok(None);
    };
    let session = webtransport::check_session_id(session)?;
    Ok(Some(BidiKind::WebTransport {
        session,
        prefix_len: first + second,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Scope};
    use bytes::BytesMut;

    #[test]
    fn a_stream_that_begins_with_a_frame_is_a_request() {
        assert_eq!(classify_bidi(&[0x01, 0x10]), Ok(Some(BidiKind::Request)));
        assert_eq!(classify_bidi(&[0x21]), Ok(Some(BidiKind::Request)));
    }

    #[test]
    fn a_webtransport_prefix_names_its_session_once_it_is_complete() {
        let mut wire = BytesMut::new();
        webtransport::write_bidi_prefix(&mut wire, 400);
        for cut in 0..wire.len() {
            assert_eq!(classify_bidi(&wire[..cut]), Ok(None));
        }
        let kind = BidiKind::WebTransport {
            session: 400,
            prefix_len: wire.len(),
        };
        assert_eq!(classify_bidi(&wire), Ok(Some(kind)));
    }

    #[test]
    fn a_session_id_that_is_no_request_stream_closes_the_connection() {
        for id in [1, 2, 3] {
            let error = classify_bidi(&[0x40, 0x41, id]).unwrap_err();
            assert_eq!((error.code, error.scope), (Code::H3_ID_ERROR, Scope::Connection));
        }
    }
}
