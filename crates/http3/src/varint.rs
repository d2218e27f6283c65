//! Variable-length integers (RFC 9000 §16).

use bytes::{BufMut, BytesMut};

/// The largest value: 62 bits.
pub const MAX: u64 = (1 << 62) - 1;

/// The longest encoding, in bytes.
pub const MAX_LEN: usize = 8;

/// Reads one integer from the front: its value and its length in bytes. `None`: more bytes are needed.
///
/// Encodings longer than necessary are valid (RFC 9000 §16, RFC9114-7.1-long-encodings).
#[inline]
pub fn decode(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1usize << (first >> 6);
    let mut value = u64::from(first & 0x3f);
    for byte in bytes.get(1..length)? {
        value = value << 8 | u64::from(*byte);
    }
    Some((value, length))
}

/// Appends `value` in the shortest form. `value` must not exceed [`MAX`].
#[inline]
pub fn encode(out: &mut BytesMut, value: u64) {
    debug_assert!(value <= MAX);
    match len(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(value as u16 | 0x4000),
        4 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// The number of bytes that [`encode`] writes.
#[inline]
pub const fn len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000 §A.1, RFC9114-7.1-long-encodings
    #[test]
    fn the_samples_of_the_standard_decode() {
        let samples: [(&[u8], u64); 5] = [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in samples {
            assert_eq!(decode(bytes), Some((value, bytes.len())));
        }
    }

    #[test]
    fn every_boundary_survives_a_round_trip_in_its_shortest_form() {
        for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, MAX] {
            let mut out = BytesMut::new();
            encode(&mut out, value);
            assert_eq!(out.len(), len(value));
            assert_eq!(decode(&out), Some((value, len(value))));
        }
        assert_eq!((len(63), len(64), len(16_384), len(1 << 30)), (1, 2, 4, 8));
    }

    #[test]
    fn a_cut_integer_asks_for_more() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[0x40]), None);
        assert_eq!(decode(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8]), None);
    }
}
