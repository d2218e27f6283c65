//! QUIC frames by hand (RFC 9000 §19): those that an attacker sends, and where frames begin and end in what it receives.

use std::ops::Range;

use bytes::{Buf as _, BufMut, BytesMut};

use crate::wire::varint;

/// The frame type PING (RFC 9000 §19.2): one byte, and it wants an acknowledgement.
pub(super) const PING: u8 = 0x01;
/// The frame type NEW_CONNECTION_ID (RFC 9000 §19.15).
pub(super) const NEW_CONNECTION_ID: u64 = 0x18;
/// The frame type RETIRE_CONNECTION_ID (RFC 9000 §19.16).
pub(super) const RETIRE_CONNECTION_ID: u64 = 0x19;
/// The frame type DATAGRAM with a length (RFC 9221 §4).
pub(super) const DATAGRAM: u8 = 0x31;

/// The length of a connection id that [`new_connection_id`] offers.
const ID_LENGTH: u8 = 8;

/// PATH_CHALLENGE (RFC 9000 §19.17): the server owes a PATH_RESPONSE.
pub(super) fn path_challenge(out: &mut BytesMut, data: u64) {
    varint(out, 0x1a);
    out.put_u64(data);
}

/// RETIRE_CONNECTION_ID: the server owes a new id in its place.
pub(super) fn retire_connection_id(out: &mut BytesMut, sequence: u64) {
    varint(out, RETIRE_CONNECTION_ID);
    varint(out, sequence);
}

/// NEW_CONNECTION_ID that retires nothing; the id and its reset token are made of `seed`.
pub(super) fn new_connection_id(out: &mut BytesMut, sequence: u64, seed: u64) {
    varint(out, NEW_CONNECTION_ID);
    varint(out, sequence);
    varint(out, 0);
    out.put_u8(ID_LENGTH);
    out.put_u64(seed);
    out.put_u64(seed);
    out.put_u64(!seed);
}

/// DATAGRAM with a length.
pub(super) fn datagram(out: &mut BytesMut, payload: &[u8]) {
    out.put_u8(DATAGRAM);
    varint(out, payload.len() as u64);
    out.put_slice(payload);
}

/// CRYPTO (RFC 9000 §19.6).
pub(super) fn crypto(out: &mut BytesMut, offset: u64, data: &[u8]) {
    varint(out, 0x06);
    varint(out, offset);
    varint(out, data.len() as u64);
    out.put_slice(data);
}

/// STREAM (RFC 9000 §19.8) with offset 0 and no data.
pub(super) fn empty_stream(out: &mut BytesMut, stream: u64) {
    varint(out, 0x0a);
    varint(out, stream);
    varint(out, 0);
}

/// ACK (RFC 9000 §19.3) of one packet and no other.
pub(super) fn ack(out: &mut BytesMut, packet: u64) {
    varint(out, 0x02);
    varint(out, packet);
    // No delay, no gaps, and no further packet in the first range.
    out.put_slice(&[0, 0, 0]);
}

/// Frames that say something about flow control and change nothing, in turn: MAX_DATA, MAX_STREAMS of both kinds, DATA_BLOCKED,
/// STREAMS_BLOCKED of both kinds (RFC 9000 §19.9 to §19.14).
pub(super) fn flow_control(out: &mut BytesMut, number: u64) {
    const TYPES: [u64; 6] = [0x10, 0x12, 0x13, 0x14, 0x16, 0x17];
    varint(out, TYPES[number as usize % TYPES.len()]);
    varint(out, 1);
}

/// Calls `found` with type and place of each frame of a packet, up to the first that this side does not know or that is cut.
pub(super) fn each(packet: &[u8], mut found: impl FnMut(u64, Range<usize>)) {
    let mut rest = packet;
    while !rest.is_empty() {
        let start = packet.len() - rest.len();
        let Some(kind) = skip(&mut rest) else { return };
        found(kind, start..packet.len() - rest.len());
    }
}

/// Goes past one frame of 1-RTT packets (RFC 9000 §12.4) and returns its type.
fn skip(rest: &mut &[u8]) -> Option<u64> {
    let kind = number(rest)?;
    match kind {
        // PADDING, PING, HANDSHAKE_DONE, and IMMEDIATE_ACK of the acknowledgement frequency draft.
        0x00 | 0x01 | 0x1e | 0x1f => {}
        0x02 | 0x03 => {
            numbers(rest, 2)?;
            let gaps = number(rest)?;
            numbers(rest, 1)?;
            numbers(rest, gaps.checked_mul(2)?)?;
            numbers(rest, if kind == 0x03 { 3 } else { 0 })?;
        }
        // RESET_STREAM; then STOP_SENDING, MAX_STREAM_DATA, STREAM_DATA_BLOCKED; then CRYPTO.
        0x04 => numbers(rest, 3)?,
        0x05 | 0x11 | 0x15 => numbers(rest, 2)?,
        0x06 => {
            numbers(rest, 1)?;
            counted(rest)?;
        }
        // NEW_TOKEN and DATAGRAM with a length.
        0x07 | 0x31 => counted(rest)?,
        0x08..=0x0f => {
            numbers(rest, if kind & 0x04 == 0 { 1 } else { 2 })?;
            if kind & 0x02 == 0 {
                *rest = &[];
            } else {
                counted(rest)?;
            }
        }
        0x10 | 0x12..=0x14 | 0x16 | 0x17 | RETIRE_CONNECTION_ID => numbers(rest, 1)?,
        NEW_CONNECTION_ID => {
            numbers(rest, 2)?;
            let length = *rest.first()?;
            bytes(rest, 1 + u64::from(length) + 16)?;
        }
        0x1a | 0x1b => bytes(rest, 8)?,
        0x1c | 0x1d => {
            numbers(rest, if kind == 0x1c { 2 } else { 1 })?;
            counted(rest)?;
        }
        0x30 => *rest = &[],
        // ACK_FREQUENCY of the same draft.
        0xaf => numbers(rest, 4)?,
        _ => return None,
    }
    Some(kind)
}

fn counted(rest: &mut &[u8]) -> Option<()> {
    let length = number(rest)?;
    bytes(rest, length)
}

fn bytes(rest: &mut &[u8], length: u64) -> Option<()> {
    *rest = rest.get(usize::try_from(length).ok()?..)?;
    Some(())
}

fn numbers(rest: &mut &[u8], count: u64) -> Option<()> {
    (0..count).try_for_each(|_| number(rest).map(drop))
}

/// A variable-length integer (RFC 9000 §16), taken off the front.
pub(super) fn number(rest: &mut &[u8]) -> Option<u64> {
    let length = 1 << (rest.first()? >> 6);
    if rest.len() < length {
        return None;
    }
    let value = rest.get_uint(length);
    Some(value & (u64::MAX >> (64 - 8 * length + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(packet: &[u8]) -> Vec<(u64, usize)> {
        let mut kinds = Vec::new();
        each(packet, |kind, place| kinds.push((kind, place.len())));
        kinds
    }

    #[test]
    fn what_is_written_is_found_again_with_its_length() {
        let mut packet = BytesMut::new();
        packet.put_u8(PING);
        path_challenge(&mut packet, 7);
        retire_connection_id(&mut packet, 300);
        new_connection_id(&mut packet, 1, 9);
        datagram(&mut packet, &[0; 100]);
        crypto(&mut packet, 70_000, b"ab");
        flow_control(&mut packet, 1);
        empty_stream(&mut packet, 400);
        ack(&mut packet, 1);
        assert_eq!(
            kinds(&packet),
            [
                (0x01, 1),
                (0x1a, 9),
                (0x19, 3),
                (0x18, 28),
                (0x31, 103),
                (0x06, 8),
                (0x12, 2),
                (0x0a, 4),
                (0x02, 5)
            ]
        );
    }

    #[test]
    fn acknowledgements_and_streams_are_skipped_whole() {
        // ACK with one gap; STREAM with offset and length; STREAM that fills the rest.
        let packet = b"\x02\x10\x00\x01\x01\x02\x03\x0e\x04\x05\x02hi\x01\x08\x00rest";
        assert_eq!(kinds(packet), [(0x02, 7), (0x0e, 6), (0x01, 1), (0x08, 6)]);
    }

    #[test]
    fn a_cut_or_unknown_frame_ends_the_search() {
        assert_eq!(kinds(b"\x01\x1a\x00"), [(0x01, 1)]);
        assert_eq!(kinds(b"\x01\x3f\x01"), [(0x01, 1)]);
        assert_eq!(kinds(b"\x02\x10\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"), []);
    }
}
