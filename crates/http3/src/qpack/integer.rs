//! Prefixed integers (RFC 9204 §4.1.1, RFC 7541 §5.1).

use bytes::{BufMut, BytesMut};

/// Integers of more than 62 bits are refused; everything below is understood (RFC9204-4.1.1-62-bits).
const MAX: u64 = (1 << 62) - 1;

/// Why there is no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end inside it.
    Cut,
    /// It has more than 62 bits, or more bytes than any such integer needs.
    TooLarge,
}

/// Takes an integer with a prefix of `bits` from the front of `bytes`.
#[inline]
pub(super) fn decode(bytes: &mut &[u8], bits: u32) -> Result<u64, Fault> {
    let (first, rest) = bytes.split_first().ok_or(Fault::Cut)?;
    *bytes = rest;
    let mask = (1u64 << bits) - 1;
    let prefix = u64::from(*first) & mask;
    if prefix < mask {
        Ok(prefix)
    } else {
        decode_rest(bytes, mask)
    }
}

/// The bytes behind a full prefix.
fn decode_rest(bytes: &mut &[u8], prefix: u64) -> Result<u64, Fault> {
    let mut integer = Continuation::new(prefix);
    loop {
        let (byte, rest) = bytes.split_first().ok_or(Fault::Cut)?;
        *bytes = rest;
        match integer.push(*byte) {
            Progress::More => {}
            Progress::Done(value) => return Ok(value),
            Progress::Overflow => return Err(Fault::TooLarge),
        }
    }
}

/// An integer whose prefix was full, fed byte by byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Continuation {
    value: u64,
    shift: u32,
}

/// What a byte did to a [`Continuation`].
pub(super) enum Progress {
    More,
    Done(u64),
    Overflow,
}

impl Continuation {
    pub(super) fn new(prefix: u64) -> Self {
        Self {
            value: prefix,
            shift: 0,
        }
    }

    pub(super) fn push(&mut self, byte: u8) -> Progress {
        // Nine bytes carry 63 bits; a tenth could only be padding or overflow.
        if self.shift > 56 {
            return Progress::Overflow;
        }
        self.value += u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if self.value > MAX {
            return Progress::Overflow;
        }
        if byte & 0x80 == 0 {
            Progress::Done(self.value)
        } else {
            Progress::More
        }
    }
}

/// Appends `value` with a prefix of `bits`; `pattern` holds the bits in front of the prefix.
#[inline]
pub(super) fn encode(out: &mut BytesMut, pattern: u8, bits: u32, value: usize) {
    let mask = (1usize << bits) - 1;
    if value < mask {
        return out.put_u8(pattern | value as u8);
    }
    out.put_u8(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541 §C.1.
    #[test]
    fn the_samples_of_the_standard_decode() {
        let samples: [(&[u8], u32, u64); 3] = [
            (&[0b1110_1010], 5, 10),
            (&[0x1f, 0x9a, 0x0a], 5, 1337),
            (&[42], 8, 42),
        ];
        for (mut bytes, bits, value) in samples {
            assert_eq!(decode(&mut bytes, bits), Ok(value));
            assert!(bytes.is_empty());
        }
    }

    /// RFC9204-4.1.1-62-bits
    #[test]
    fn every_boundary_survives_a_round_trip() {
        for bits in 3..=8 {
            for value in [
                0,
                1,
                6,
                7,
                30,
                31,
                126,
                127,
                128,
                254,
                255,
                256,
                16_510,
                1 << 30,
                1 << 40,
                (1 << 62) - 1,
            ] {
                let mut out = BytesMut::new();
                encode(&mut out, 0, bits, value);
                let mut bytes = &out[..];
                assert_eq!(decode(&mut bytes, bits), Ok(value as u64), "{bits} bits");
                assert!(bytes.is_empty());
            }
        }
    }

    /// RFC9204-7.4-integer-too-large
    #[test]
    fn an_integer_above_62_bits_or_padded_without_end_is_refused() {
        let mut above = &[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..];
        assert_eq!(decode(&mut above, 5), Err(Fault::TooLarge));
        let mut one_above = BytesMut::new();
        encode(&mut one_above, 0, 5, 1 << 62);
        assert_eq!(decode(&mut &one_above[..], 5), Err(Fault::TooLarge));
        let mut padded = &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..];
        assert_eq!(decode(&mut padded, 5), Err(Fault::TooLarge));
    }

    #[test]
    fn a_cut_integer_is_refused() {
        assert_eq!(decode(&mut &[][..], 5), Err(Fault::Cut));
        assert_eq!(decode(&mut &[0x1f, 0x9a][..], 5), Err(Fault::Cut));
    }
}
