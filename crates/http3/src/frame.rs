//! Frame types and the frame header (RFC 9114 §7.1).

use bytes::{Buf, Bytes, BytesMut};

use crate::varint;

/// DATA (RFC 9114 §7.2.1).
pub const DATA: u64 = 0x0;
/// HEADERS (RFC 9114 §7.2.2).
pub const HEADERS: u64 = 0x1;
/// CANCEL_PUSH (RFC 9114 §7.2.3).
pub const CANCEL_PUSH: u64 = 0x3;
/// SETTINGS (RFC 9114 §7.2.4).
pub const SETTINGS: u64 = 0x4;
/// PUSH_PROMISE (RFC 9114 §7.2.5).
pub const PUSH_PROMISE: u64 = 0x5;
/// GOAWAY (RFC 9114 §7.2.6).
pub const GOAWAY: u64 = 0x7;
/// MAX_PUSH_ID (RFC 9114 §7.2.7).
pub const MAX_PUSH_ID: u64 = 0xd;
/// Begins a bidirectional WebTransport stream; nowhere else a frame (draft-ietf-webtrans-http3-16 §4.3).
pub const WEBTRANSPORT_STREAM: u64 = 0x41;
/// PRIORITY_UPDATE for a request (RFC 9218 §7.2).
pub const PRIORITY_UPDATE_REQUEST: u64 = 0xf0700;
/// PRIORITY_UPDATE for a push (RFC 9218 §7.2).
pub const PRIORITY_UPDATE_PUSH: u64 = 0xf0701;

/// Whether the type meant something in HTTP/2 only: PRIORITY, PING, WINDOW_UPDATE, CONTINUATION. Receiving it
/// is H3_FRAME_UNEXPECTED (RFC 9114 §7.2.8).
pub const fn is_http2_only(frame_type: u64) -> bool {
    matches!(frame_type, 0x2 | 0x6 | 0x8 | 0x9)
}

/// Whether the type has a meaning, but none on a request stream: H3_FRAME_UNEXPECTED (RFC 9114 §7.2, RFC 9218 §7.2;
/// RFC9114-4.4-connect-known-frames).
pub(crate) const fn is_misplaced_on_request_stream(frame_type: u64) -> bool {
    matches!(
        frame_type,
        CANCEL_PUSH // RFC9114-7.2.3-cancel-push-on-request
            | SETTINGS // RFC9114-7.2.4-settings-on-request
            | PUSH_PROMISE // RFC9114-7.2.5-push-promise-to-server
            | GOAWAY // RFC9114-7.2.6-goaway-on-request
            | MAX_PUSH_ID // RFC9114-7.2.7-max-push-id-on-request
            | PRIORITY_UPDATE_REQUEST
            | PRIORITY_UPDATE_PUSH
    ) || is_http2_only(frame_type) // RFC9114-7.2.8-http2-on-request
}

/// Appends type and length.
#[inline]
pub(crate) fn write_header(out: &mut BytesMut, frame_type: u64, length: u64) {
    varint::encode(out, frame_type);
    varint::encode(out, length);
}

/// The two integers in front of a frame or capsule, which may arrive in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeaderReader {
    partial: [u8; 2 * varint::MAX_LEN],
    filled: u8,
}

impl HeaderReader {
    /// Takes type and length from the front of `chunk`. `None`: all of `chunk` was consumed and more is
    /// needed.
    #[inline]
    pub(crate) fn read(&mut self, chunk: &mut Bytes) -> Option<(u64, u64)> {
        if self.filled == 0
            && let Some((kind, length, size)) = decode_header(chunk)
        {
            chunk.advance(size);
            return Some((kind, length));
        }
        self.read_pieces(chunk)
    }

    /// Whether the stream may end here: no header has begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    #[cold]
    fn read_pieces(&mut self, chunk: &mut Bytes) -> Option<(u64, u64)> {
        // Two integers never need more than `partial` holds, so a header is found before it is full.
        while chunk.has_remaining() {
            self.partial[usize::from(self.filled)] = chunk.get_u8();
            self.filled += 1;
            if let Some((kind, length, _)) = decode_header(&self.partial[..usize::from(self.filled)]) {
                self.filled = 0;
                return Some((kind, length));
            }
        }
        None
    }
}

/// Type, length and the size of both.
#[inline]
fn decode_header(bytes: &[u8]) -> Option<(u64, u64, usize)> {
    let (kind, first) = varint::decode(bytes)?;
    let (length, second) = varint::decode(&bytes[first..])?;
    Some((kind, length, first + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_wherever_it_is_cut() {
        let mut wire = BytesMut::new();
        write_header(&mut wire, PRIORITY_UPDATE_REQUEST, 1 << 40);
        wire.extend_from_slice(b"rest");
        let wire = wire.freeze();
        for cut in 0..wire.len() {
            let mut reader = HeaderReader::default();
            let (mut front, mut back) = (wire.slice(..cut), wire.slice(cut..));
            let header = reader.read(&mut front).or_else(|| reader.read(&mut back));
            assert_eq!(header, Some((PRIORITY_UPDATE_REQUEST, 1 << 40)), "cut at {cut}");
            assert_eq!(front.len() + back.len(), 4);
            assert!(reader.is_empty());
        }
    }

    /// The constants of h3 cannot be read back, only written.
    #[test]
    fn the_frame_types_are_those_of_h3() {
        use h3::proto::frame::FrameType;
        let pairs = [
            (FrameType::DATA, DATA),
            (FrameType::HEADERS, HEADERS),
            (FrameType::CANCEL_PUSH, CANCEL_PUSH),
            (FrameType::SETTINGS, SETTINGS),
            (FrameType::PUSH_PROMISE, PUSH_PROMISE),
            (FrameType::GOAWAY, GOAWAY),
            (FrameType::MAX_PUSH_ID, MAX_PUSH_ID),
            (FrameType::WEBTRANSPORT_BI_STREAM, WEBTRANSPORT_STREAM),
        ];
        for (theirs, ours) in pairs {
            let mut wire = BytesMut::new();
            theirs.encode(&mut wire);
            assert_eq!(varint::decode(&wire), Some((ours, wire.len())));
        }
    }

    #[test]
    fn an_unfinished_header_is_remembered() {
        let mut reader = HeaderReader::default();
        assert_eq!(reader.read(&mut Bytes::from_static(&[0x40])), None);
        assert!(!reader.is_empty());
        assert_eq!(
            reader.read(&mut Bytes::from_static(&[0x21, 0x05])),
            Some((0x21, 5))
        );
    }
}
