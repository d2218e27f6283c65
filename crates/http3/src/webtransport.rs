//! WebTransport over HTTP/3: stream prefixes and error codes (draft-ietf-webtrans-http3-16).

mod exporter;
mod flow_limits;
mod session_flow;

pub use exporter::{EXPORTER_LABEL, exporter_context};
pub use flow_limits::PeerFlowLimits;
pub use session_flow::{FlowStreams, SessionFlow};

use bytes::BytesMut;

use crate::code::Code;
use crate::error::Error;
use crate::varint;

pub use crate::code::{
    WT_ALPN_ERROR, WT_BUFFERED_STREAM_REJECTED, WT_FLOW_CONTROL_ERROR, WT_REQUIREMENTS_NOT_MET,
    WT_SESSION_GONE,
};

/// First bytes of a bidirectional stream of a session (§4.3).
pub const BIDI_STREAM: u64 = 0x41;
/// Type of a unidirectional stream of a session (§4.2).
pub const UNI_STREAM: u64 = 0x54;

/// First HTTP/3 code that stands for an application error code (§4.4).
pub const APPLICATION_ERROR_FIRST: u64 = 0x52e4_a40f_a8db;
/// Last HTTP/3 code that stands for an application error code (§4.4).
pub const APPLICATION_ERROR_LAST: u64 = 0x52e5_ac98_3162;

/// The HTTP/3 code that carries an application's error code (§4.4).
pub const fn to_http3_code(application_code: u32) -> u64 {
    let code = application_code as u64;
    APPLICATION_ERROR_FIRST + code + code / 0x1e
}

/// The application's error code behind an HTTP/3 code; `None` outside the range and for the reserved codes in
/// it (§4.4).
pub const fn to_application_code(http3_code: u64) -> Option<u32> {
    if http3_code < APPLICATION_ERROR_FIRST || http3_code > APPLICATION_ERROR_LAST {
        return None;
    }
    if (http3_code - 0x21).is_multiple_of(0x1f) {
        return None;
    }
    let shifted = http3_code - APPLICATION_ERROR_FIRST;
    Some((shifted - shifted / 0x1f) as u32)
}

/// Appends the prefix of a bidirectional stream of `session`.
pub fn write_bidi_prefix(out: &mut BytesMut, session: u64) {
    varint::encode(out, BIDI_STREAM);
    varint::encode(out, session);
}

/// Appends the prefix of a unidirectional stream of `session`.
pub fn write_uni_prefix(out: &mut BytesMut, session: u64) {
    varint::encode(out, UNI_STREAM);
    varint::encode(out, session);
}

/// A session id is the id of its CONNECT stream, so of a client-initiated bidirectional stream; any other
/// closes the connection (§4).
pub(crate) fn check_session_id(session: u64) -> Result<u64, Error> {
    if session.is_multiple_of(4) {
        Ok(session)
    } else {
        Err(Error::connection(
            Code::H3_ID_ERROR,
            "session id is not a client-initiated bidirectional stream",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_codes_survive_a_round_trip() {
        for code in [0, 1, 0x1d, 0x1e, 0x1f, 0xff, 0x1234_5678, u32::MAX - 1, u32::MAX] {
            assert_eq!(to_application_code(to_http3_code(code)), Some(code));
        }
        assert_eq!(to_http3_code(0), APPLICATION_ERROR_FIRST);
        assert_eq!(to_http3_code(u32::MAX), APPLICATION_ERROR_LAST);
    }

    #[test]
    fn no_application_code_is_written_as_a_reserved_http3_code() {
        for code in 0..1000 {
            assert_ne!((to_http3_code(code) - 0x21) % 0x1f, 0);
        }
    }

    #[test]
    fn codes_outside_the_range_and_reserved_codes_are_no_application_codes() {
        let reserved = APPLICATION_ERROR_FIRST + 0x1e;
        assert_eq!((reserved - 0x21) % 0x1f, 0);
        for code in [
            0,
            0x100,
            APPLICATION_ERROR_FIRST - 1,
            reserved,
            APPLICATION_ERROR_LAST + 1,
            varint::MAX,
        ] {
            assert_eq!(to_application_code(code), None);
        }
    }

    #[test]
    fn the_stream_types_are_those_of_h3() {
        use h3::proto::stream::StreamType;
        assert_eq!(StreamType::WEBTRANSPORT_BIDI.value(), BIDI_STREAM);
        assert_eq!(StreamType::WEBTRANSPORT_UNI.value(), UNI_STREAM);
    }
}
