//! Huffman strings (RFC 7541 §5.2 and Appendix B, used by RFC 9204 §4.1.2).

use super::huffman_code::{CODES, LENGTHS};

/// Codes up to this length are found with one look at [`SHORT`]: all letters, digits and the usual
/// punctuation.
const SHORT_BITS: u32 = 11;
/// The longest code.
const LONGEST: usize = 30;

/// Byte and code length for each value of the next 11 bits; length 0: the code is longer.
static SHORT: [(u8, u8); 1 << SHORT_BITS] = short_table();
/// The codes longer than [`SHORT_BITS`], by length.
static LONG: LongCodes = long_codes();

/// The code is canonical: codes of one length are consecutive, in the order of their bytes.
struct LongCodes {
    /// First code of each length.
    first: [u32; LONGEST + 1],
    /// How many codes have each length (EOS excluded).
    count: [u32; LONGEST + 1],
    /// Where the bytes of each length begin in `bytes`.
    offset: [u32; LONGEST + 1],
    bytes: [u8; 256],
}

/// A string is no valid Huffman code: wrong padding, or EOS inside (RFC 7541 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid Huffman code")]
pub struct InvalidCode;

/// Decodes `source` and appends the text to `out`: at most `source.len() * 8 / 5` bytes.
///
/// # Errors
/// Padding of more than 7 bits or not of ones, or EOS. `out` then holds what came before it.
pub fn decode(mut source: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidCode> {
    out.reserve(source.len() * 8 / 5);
    // The next bits, left-aligned; zeros behind them.
    let (mut window, mut bits) = (0u64, 0u32);
    loop {
        refill(&mut source, &mut window, &mut bits);
        let (byte, length) = SHORT[(window >> (64 - SHORT_BITS)) as usize];
        let (byte, length) = if length != 0 {
            (byte, u32::from(length))
        } else {
            // No padding is as long as this, but the zeros behind the last bits can look like a long code.
            long_code(window).unwrap_or((0, u32::MAX))
        };
        if length > bits {
            return if is_padding(window, bits) {
                Ok(())
            } else {
                Err(InvalidCode)
            };
        }
        out.push(byte);
        window <<= length;
        bits -= length;
    }
}

/// Tops the window up to at least 33 bits while there is source.
#[inline]
fn refill(source: &mut &[u8], window: &mut u64, bits: &mut u32) {
    if *bits > 32 {
        return;
    }
    if let Some((word, rest)) = source.split_first_chunk::<4>() {
        *window |= u64::from(u32::from_be_bytes(*word)) << (32 - *bits);
        *bits += 32;
        *source = rest;
        return;
    }
    for byte in std::mem::take(source) {
        *window |= u64::from(*byte) << (56 - *bits);
        *bits += 8;
    }
}

/// The end of a string: fewer than 8 bits (RFC9204-4.1.2-huffman-long-padding), all ones
/// (RFC9204-4.1.2-huffman-zero-padding).
fn is_padding(window: u64, bits: u32) -> bool {
    bits == 0 || bits < 8 && window >> (64 - bits) == (1 << bits) - 1
}

/// Byte and length of the code at the front, if it has 12 to 30 bits and is not EOS (RFC9204-4.1.2-huffman-eos).
#[cold]
fn long_code(window: u64) -> Option<(u8, u32)> {
    for length in SHORT_BITS as usize + 1..=LONGEST {
        let code = (window >> (64 - length)) as u32;
        let nth = code.wrapping_sub(LONG.first[length]);
        if nth < LONG.count[length] {
            return Some((LONG.bytes[(LONG.offset[length] + nth) as usize], length as u32));
        }
    }
    None
}

/// The number of bytes that [`encode`] appends.
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|byte| usize::from(LENGTHS[usize::from(*byte)]))
        .sum();
    bits.div_ceil(8)
}

/// Appends `text` in Huffman code.
pub fn encode(text: &[u8], out: &mut bytes::BytesMut) {
    use bytes::BufMut;
    let (mut window, mut bits) = (0u64, 0u32);
    for byte in text {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        window = window << length | u64::from(CODES[usize::from(*byte)]);
        bits += length;
        while bits >= 8 {
            bits -= 8;
            out.put_u8((window >> bits) as u8);
        }
    }
    if bits > 0 {
        out.put_u8((window << (8 - bits)) as u8 | 0xff >> bits);
    }
}

const fn short_table() -> [(u8, u8); 1 << SHORT_BITS] {
    let mut table = [(0, 0); 1 << SHORT_BITS];
    let mut byte = 0;
    while byte < 256 {
        let length = LENGTHS[byte] as u32;
        if length <= SHORT_BITS {
            let free = SHORT_BITS - length;
            let first = (CODES[byte] as usize) << free;
            let mut tail = 0;
            while tail < 1 << free {
                table[first + tail] = (byte as u8, length as u8);
                tail += 1;
            }
        }
        byte += 1;
    }
    table
}

const fn long_codes() -> LongCodes {
    let mut codes = LongCodes {
        first: [u32::MAX; LONGEST + 1],
        count: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        bytes: [0; 256],
    };
    let (mut length, mut filled) = (SHORT_BITS as usize + 1, 0);
    while length <= LONGEST {
        codes.offset[length] = filled as u32;
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                if codes.count[length] == 0 {
                    codes.first[length] = CODES[byte];
                }
                codes.bytes[filled] = byte as u8;
                codes.count[length] += 1;
                filled += 1;
            }
            byte += 1;
        }
        length += 1;
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn decoded(source: &[u8]) -> Result<Vec<u8>, InvalidCode> {
        let mut out = Vec::new();
        decode(source, &mut out).map(|()| out)
    }

    fn encoded(text: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        encode(text, &mut out);
        assert_eq!(out.len(), encoded_len(text));
        out
    }

    /// RFC 7541 §C.4 and §C.6.
    #[test]
    fn the_samples_of_the_standard_agree_in_both_directions() {
        let samples: [(&[u8], &[u8]); 6] = [
            (
                b"www.example.com",
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ],
            ),
            (b"no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            (b"custom-key", &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f]),
            (
                b"custom-value",
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf],
            ),
            (b"302", &[0x64, 0x02]),
            (b"private", &[0xae, 0xc3, 0x77, 0x1a, 0x4b]),
        ];
        for (text, code) in samples {
            assert_eq!(decoded(code).unwrap(), text);
            assert_eq!(&encoded(text)[..], code);
        }
    }

    #[test]
    fn every_byte_survives_at_every_bit_offset() {
        for byte in 0..=255u8 {
            for repeat in 1..10 {
                for lead in [&b""[..], b"a", b"ab:", b"~~"] {
                    let mut text = lead.to_vec();
                    text.resize(lead.len() + repeat, byte);
                    assert_eq!(decoded(&encoded(&text)).unwrap(), text);
                }
            }
        }
    }

    /// RFC9204-4.1.2-huffman-long-padding
    #[test]
    fn padding_of_8_bits_or_more_is_refused() {
        assert_eq!(decoded(&[0xff]), Err(InvalidCode));
        for text in [&b"0"[..], b"302", b"www.example.com"] {
            let mut code = encoded(text);
            code.extend_from_slice(&[0xff]);
            assert_eq!(decoded(&code), Err(InvalidCode));
        }
    }

    /// RFC9204-4.1.2-huffman-zero-padding
    #[test]
    fn padding_with_a_zero_in_it_is_refused() {
        // "a" is 00011: three bits of padding, each cleared in turn.
        assert_eq!(decoded(&[0b0001_1111]).unwrap(), b"a");
        for code in [0b0001_1110, 0b0001_1101, 0b0001_1011] {
            assert_eq!(decoded(&[code]), Err(InvalidCode));
        }
    }

    /// RFC9204-4.1.2-huffman-eos
    #[test]
    fn eos_inside_a_string_is_refused() {
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(InvalidCode));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc, 0x1f]), Err(InvalidCode));
    }
}
