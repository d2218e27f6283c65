//! HTTP datagrams in QUIC DATAGRAM frames (RFC 9297 §2.1): quarter stream id, then payload.

use bytes::{Bytes, BytesMut};
use h3_datagram::datagram::Datagram;

use crate::code::Code;
use crate::error::Error;
use crate::varint;

/// Splits a QUIC datagram into stream id and payload (a view, not a copy).
///
/// # Errors
/// H3_DATAGRAM_ERROR, connection: shorter than its quarter stream id (RFC9297-2.1-too-short), or that id above 2^60-1
/// (RFC9297-2.1-quarter-id-too-large). An empty payload is valid (RFC9297-2.1-empty-payload).
pub fn decode(datagram: Bytes) -> Result<(u64, Bytes), Error> {
    match Datagram::decode(datagram) {
        Ok(datagram) => Ok((datagram.stream_id().into_inner(), datagram.into_payload())),
        Err(_) => Err(Error::connection(
            Code::H3_DATAGRAM_ERROR,
            "invalid quarter stream id",
        )),
    }
}

/// A QUIC datagram that carries `payload` for the request stream `stream_id`, a client-initiated
/// bidirectional stream (RFC 9297 §2.1).
pub fn encode(stream_id: u64, payload: &[u8]) -> Bytes {
    debug_assert!(stream_id.is_multiple_of(4));
    let mut out = BytesMut::with_capacity(overhead(stream_id) + payload.len());
    varint::encode(&mut out, stream_id / 4);
    out.extend_from_slice(payload);
    out.freeze()
}

/// Bytes that [`encode`] puts in front of the payload.
pub fn overhead(stream_id: u64) -> usize {
    varint::len(stream_id / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;
    use h3::quic::StreamId;

    #[test]
    fn a_datagram_survives_a_round_trip_on_any_stream() {
        for stream_id in [0, 4, 252, 256, 65_536, 1 << 34, ((1 << 60) - 1) * 4] {
            let wire = encode(stream_id, b"payload");
            assert_eq!(wire.len(), overhead(stream_id) + 7);
            assert_eq!(decode(wire).unwrap(), (stream_id, Bytes::from_static(b"payload")));
        }
    }

    /// RFC9297-2.1-empty-payload
    #[test]
    fn an_empty_payload_is_valid() {
        assert_eq!(decode(Bytes::from_static(&[1])).unwrap(), (4, Bytes::new()));
    }

    fn refusal(bytes: &[u8]) -> (Code, crate::Scope) {
        let error = decode(Bytes::copy_from_slice(bytes)).unwrap_err();
        (error.code, error.scope)
    }

    const FAILED: (Code, crate::Scope) = (Code::H3_DATAGRAM_ERROR, crate::Scope::Connection);

    /// RFC9297-2.1-too-short
    #[test]
    fn a_datagram_that_ends_inside_its_quarter_stream_id_closes_the_connection() {
        for bytes in [&[][..], &[0x40], &[0x80, 0, 0], &[0xc0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(refusal(bytes), FAILED, "{bytes:x?}");
        }
    }

    /// RFC9297-2.1-quarter-id-too-large
    #[test]
    fn a_quarter_stream_id_of_61_bits_closes_the_connection() {
        for id in [1 << 60, varint::MAX] {
            let mut large = BytesMut::new();
            varint::encode(&mut large, id);
            large.extend_from_slice(b"payload");
            assert_eq!(refusal(&large), FAILED, "{id:#x}");
        }
    }

    /// When this fails, a fixed release is in use and [`encode`] may call it.
    #[test]
    fn the_encoder_of_h3_datagram_still_writes_stream_zero_for_everything() {
        let stream = StreamId::try_from(16).unwrap();
        let mut encoded = Datagram::new(stream, Bytes::from_static(b"x")).encode();
        let wire = encoded.copy_to_bytes(encoded.remaining());
        assert_eq!(&wire[..], b"\0x", "expected the known defect, not stream 16");
    }
}
