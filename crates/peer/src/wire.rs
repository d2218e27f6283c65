//! HTTP/3 by hand: just enough bytes to misbehave with.

use bytes::{BufMut, BytesMut};
use quinn::VarInt;

/// The frame type DATA (RFC 9114 §7.2.1).
pub(crate) const DATA: u64 = 0x0;
/// The frame type HEADERS (RFC 9114 §7.2.2).
pub(crate) const HEADERS: u64 = 0x1;
/// The frame type SETTINGS (RFC 9114 §7.2.4).
pub(crate) const SETTINGS: u64 = 0x4;
/// The frame type PRIORITY_UPDATE for request streams (RFC 9218 §7.2).
pub(crate) const PRIORITY_UPDATE: u64 = 0xf0700;
/// A control stream that opens with empty SETTINGS (RFC 9114 §6.2.1).
pub(crate) const CONTROL_STREAM: &[u8] = b"\x00\x04\x00";

/// Appends a variable-length integer (RFC 9000 §16). Values above 2⁶² are cut to the largest.
pub(crate) fn varint(out: &mut BytesMut, value: u64) {
    let value = VarInt::from_u64(value).unwrap_or(VarInt::MAX).into_inner();
    match value {
        0..=0x3f => out.put_u8(value as u8),
        0x40..=0x3fff => out.put_u16(1 << 14 | value as u16),
        0x4000..=0x3fff_ffff => out.put_u32(2 << 30 | value as u32),
        _ => out.put_u64(3 << 62 | value),
    }
}

/// Appends a frame.
pub(crate) fn frame(out: &mut BytesMut, kind: u64, payload: &[u8]) {
    varint(out, kind);
    varint(out, payload.len() as u64);
    out.put_slice(payload);
}

/// The nth type that is reserved for frames, streams and settings alike, and has no meaning (RFC 9114 §6.2.3, §7.2.4.1, §7.2.8).
pub(crate) fn reserved(number: u64) -> u64 {
    0x1f * number + 0x21
}

/// A field section of literals without Huffman coding or dynamic table (RFC 9204 §4.5.6), whatever the names and values are.
pub(crate) fn field_section<'a>(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> BytesMut {
    let mut out = BytesMut::from(&[0, 0][..]);
    for (name, value) in fields {
        prefixed(&mut out, 0x20, 3, name.len());
        out.put_slice(name);
        prefixed(&mut out, 0x00, 7, value.len());
        out.put_slice(value);
    }
    out
}

/// The field section of a plain request.
pub(crate) fn request(method: &str, url: &http::Uri, more: &[(&[u8], &[u8])]) -> BytesMut {
    let authority = url.authority().map_or("localhost", http::uri::Authority::as_str);
    let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let pseudo: [(&[u8], &[u8]); 4] = [
        (b":method", method.as_bytes()),
        (b":scheme", b"https"),
        (b":authority", authority.as_bytes()),
        (b":path", path.as_bytes()),
    ];
    field_section(pseudo.into_iter().chain(more.iter().copied()))
}

/// An integer with an n-bit prefix (RFC 7541 §5.1) beside the bits of `pattern`.
fn prefixed(out: &mut BytesMut, pattern: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        out.put_u8(pattern | value as u8);
        return;
    }
    out.put_u8(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.put_u8(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// The status of a response, read from the beginning of its stream: `None` if the first field line is nothing known here.
///
/// Servers put `:status` first: an index into the static table, or a literal whose name is one and whose three digits may be
/// Huffman coded (RFC 9204 §4.5.2, §4.5.4).
pub(crate) fn status(stream: &[u8]) -> Option<u16> {
    let (&HEADERS_BYTE, rest) = stream.split_first()? else {
        return None;
    };
    // Field sections below 16 KiB: a length of one or two bytes, then the two bytes of the prefix.
    let line = rest.get(if *rest.first()? < 0x40 { 3 } else { 4 }..)?;
    let first = *line.first()?;
    match first {
        0xc0..=0xfe => STATIC_STATUS
            .iter()
            .find(|(index, _)| *index == u16::from(first & 0x3f))
            .map(|s| s.1),
        0xff => {
            let index = 0x3f + u16::from(*line.get(1)?);
            STATIC_STATUS
                .iter()
                .find(|(known, _)| *known == index)
                .map(|s| s.1)
        }
        _ if first & 0xd0 == 0x50 => {
            // Indexes from 15 on take one byte more.
            let value = line.get(if first & 0x0f == 0x0f { 2 } else { 1 }..)?;
            let (&length, text) = value.split_first()?;
            digits(text.get(..usize::from(length & 0x7f))?, length & 0x80 != 0)
        }
        _ => None,
    }
}

const HEADERS_BYTE: u8 = HEADERS as u8;

/// The rows of QPACK's static table that are `:status` (RFC 9204, appendix A).
const STATIC_STATUS: [(u16, u16); 14] = [
    (24, 103),
    (25, 200),
    (26, 304),
    (27, 404),
    (28, 503),
    (63, 100),
    (64, 204),
    (65, 206),
    (66, 302),
    (67, 400),
    (68, 403),
    (69, 421),
    (70, 425),
    (71, 500),
];

fn digits(text: &[u8], huffman: bool) -> Option<u16> {
    if !huffman {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    // 0, 1 and 2 are five bits long and 0 to 2; the others are six bits long and 25 to 31 (RFC 7541, appendix B).
    let bits = text
        .iter()
        .take(3)
        .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let (mut status, mut left) = (0, 8 * text.len().min(3) as u32);
    for _ in 0..3 {
        let five = bits.checked_shr(left.checked_sub(5)?)? & 0x1f;
        let digit = if five <= 2 {
            left -= 5;
            five
        } else {
            left = left.checked_sub(6)?;
            (bits >> left & 0x3f).checked_sub(22)?
        };
        status = status * 10 + digit as u16;
    }
    Some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_take_the_lengths_of_rfc_9000_appendix_a() {
        let encode = |value| {
            let mut out = BytesMut::new();
            varint(&mut out, value);
            out.to_vec()
        };
        assert_eq!(
            encode(151_288_809_941_952_652),
            b"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c"
        );
        assert_eq!(encode(494_878_333), b"\x9d\x7f\x3e\x7d");
        assert_eq!(encode(15_293), b"\x7b\xbd");
        assert_eq!(encode(37), b"\x25");
    }

    #[test]
    fn long_lengths_continue_in_bytes_of_seven_bits() {
        let section = field_section([(&b"n"[..], &[b'v'; 300][..])]);
        // Name: 001 pattern, no Huffman, length 1; value: 127 + 45 + 128 = 300.
        assert_eq!(section[..6], [0, 0, 0x21, b'n', 0x7f, 0x80 | 45]);
        assert_eq!(section[6], 1);
        assert_eq!(section.len(), 2 + 2 + 3 + 300);
    }

    #[test]
    fn the_status_is_read_from_static_rows_and_literals() {
        assert_eq!(status(b"\x01\x04\x00\x00\xd9\xf5"), Some(200));
        assert_eq!(status(b"\x01\x04\x00\x00\xff\x04"), Some(400));
        // Literal with the static name 24: plain, then Huffman 4 = 011010, 3 = 011001, 1 = 00001, padded with ones.
        assert_eq!(status(b"\x01\x08\x00\x00\x5f\x09\x03431"), Some(431));
        assert_eq!(status(b"\x01\x08\x00\x00\x5f\x09\x83\x69\x90\xff"), Some(431));
        assert_eq!(status(b"\x01\x08\x00\x00\x5f\x09\x83\x69"), None);
        assert_eq!(status(b"\x00\x04\x00\x00\xd9"), None);
        assert_eq!(status(b""), None);
    }
}
