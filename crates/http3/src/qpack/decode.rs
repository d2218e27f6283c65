//! Field sections that use the static table only (RFC 9204 §4.5).

use super::huffman;
use super::integer::{self, Fault};
use super::static_table::TABLE;
use crate::field_section::{FieldLimits, FieldSection};

/// The text is indexed with 32 bits, whatever larger limit was asked for.
const MAX_TEXT: usize = u32::MAX as usize / 2;

/// Where the name and value of a field come from, so that rules need not look twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Both from this index of the static table.
    Indexed(usize),
    /// The name from this index, the value as sent.
    StaticName(usize),
    /// Both as sent.
    Literal,
}

/// Judges each field as it is decoded.
pub(crate) trait FieldRules {
    /// Judges field number `index` of `section`, the last one there. The error says what is malformed.
    fn check(&mut self, section: &FieldSection, index: usize, source: Source) -> Result<(), &'static str>;
}

/// Why a field section cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It exceeds the limits.
    TooLarge,
    /// It is not valid QPACK: QPACK_DECOMPRESSION_FAILED, of the connection.
    Encoding(&'static str),
    /// An integer in it is larger than any that is understood here: QPACK_DECOMPRESSION_FAILED, of the stream.
    Integer,
    /// A field breaks the rules of its message.
    Malformed(&'static str),
}

/// Decodes `encoded` into `section` (emptied first), in its order (RFC9204-2.2-order-received), and lets `rules` judge
/// each field.
pub(crate) fn decode(
    mut encoded: &[u8],
    limits: FieldLimits,
    section: &mut FieldSection,
    rules: &mut impl FieldRules,
) -> Result<(), DecodeError> {
    section.clear();
    read_prefix(&mut encoded)?;
    let max_bytes = limits.max_bytes.min(MAX_TEXT);
    // RFC9204-4.5-empty-section: there may be none.
    while let Some(first) = encoded.first() {
        let index = section.len();
        if index >= limits.max_fields {
            return Err(DecodeError::TooLarge);
        }
        let source = read_field(*first, &mut encoded, section)?;
        // RFC9204-7.4-string-limit: a string adds to the size, and a frame above the limit is not even read.
        if section.size() > max_bytes {
            return Err(DecodeError::TooLarge);
        }
        rules
            .check(section, index, source)
            .map_err(DecodeError::Malformed)?;
    }
    Ok(())
}

/// Required Insert Count and Base (RFC 9204 §4.5.1). The count must be 0, because we offer no dynamic table.
#[inline]
fn read_prefix(encoded: &mut &[u8]) -> Result<(), DecodeError> {
    const CUT: DecodeError = DecodeError::Encoding("field section ends inside its prefix");
    if let [0, 0, rest @ ..] = encoded {
        *encoded = rest;
        return Ok(());
    }
    match integer::decode(encoded, 8) {
        Ok(0) => {}
        // RFC9204-4.5.1-prefix-cut
        Err(Fault::Cut) => return Err(CUT),
        // RFC9204-4.5.1.1-insert-count, RFC9204-2.1.2-blocked-streams
        Ok(_) | Err(Fault::TooLarge) => {
            return Err(DecodeError::Encoding(
                "required insert count without a dynamic table",
            ));
        }
    }
    // RFC9204-4.5.1-prefix-cut
    let negative = encoded.first().ok_or(CUT)? & 0x80 != 0;
    match integer::decode(encoded, 7) {
        // RFC9204-4.5.1.2-negative-base: the count is 0, so no Delta Base is below it.
        Ok(_) if negative => Err(DecodeError::Encoding("negative base of a field section")),
        // RFC9204-4.5.1.2-unused-base
        Ok(_) => Ok(()),
        Err(Fault::Cut) => Err(CUT),
        Err(Fault::TooLarge) => Err(DecodeError::Integer),
    }
}

/// One field line (RFC 9204 §4.5.2 to §4.5.6); `first` is the first byte of `encoded`.
#[inline]
fn read_field(first: u8, encoded: &mut &[u8], section: &mut FieldSection) -> Result<Source, DecodeError> {
    const DYNAMIC: DecodeError = DecodeError::Encoding("reference to the dynamic table");
    // RFC9204-4.5.4-never-indexed: that bit of a literal is passed over.
    match first >> 4 {
        0b1100.. => {
            let index = read_static_index(encoded, 6)?;
            let (name, value) = TABLE[index];
            let text = section.text_mut();
            text.extend_from_slice(name);
            let name_end = text.len();
            text.extend_from_slice(value);
            section.close_field(name_end);
            Ok(Source::Indexed(index))
        }
        0b0101 | 0b0111 => {
            let index = read_static_index(encoded, 4)?;
            section.text_mut().extend_from_slice(TABLE[index].0);
            read_value(encoded, section)?;
            Ok(Source::StaticName(index))
        }
        0b0010 | 0b0011 => {
            read_string(encoded, 3, first & 0x08 != 0, section.text_mut())?;
            read_value(encoded, section)?;
            Ok(Source::Literal)
        }
        // All of these name dynamic entries, which no required insert count promised (RFC9204-2.2.1-count-too-small):
        // RFC9204-2.2.3-indexed-dynamic
        0b1000..=0b1011 => Err(DYNAMIC),
        // RFC9204-2.2.3-name-dynamic
        0b0100 | 0b0110 => Err(DYNAMIC),
        // RFC9204-2.2.3-indexed-post-base
        0b0001 => Err(DYNAMIC),
        // RFC9204-2.2.3-name-post-base
        _ => Err(DYNAMIC),
    }
}

/// RFC9204-3.1-indexed-static, RFC9204-3.1-name-static
#[inline]
fn read_static_index(encoded: &mut &[u8], bits: u32) -> Result<usize, DecodeError> {
    match integer::decode(encoded, bits) {
        Ok(index) if index < TABLE.len() as u64 => Ok(index as usize),
        Ok(_) => Err(DecodeError::Encoding("invalid static table index")),
        // RFC9204-4.5.2-index-cut
        Err(Fault::Cut) => Err(DecodeError::Encoding("field section ends inside an index")),
        // RFC9204-7.4-integer-too-large
        Err(Fault::TooLarge) => Err(DecodeError::Integer),
    }
}

/// Reads the value behind the name that ends the text, and makes both a field.
#[inline]
fn read_value(encoded: &mut &[u8], section: &mut FieldSection) -> Result<(), DecodeError> {
    let text = section.text_mut();
    let name_end = text.len();
    let huffman = encoded.first().is_some_and(|byte| byte & 0x80 != 0);
    read_string(encoded, 7, huffman, text)?;
    section.close_field(name_end);
    Ok(())
}

/// A string literal (RFC 9204 §4.1.2) whose length has a prefix of `bits`.
#[inline]
fn read_string(encoded: &mut &[u8], bits: u32, huffman: bool, text: &mut Vec<u8>) -> Result<(), DecodeError> {
    let length = match integer::decode(encoded, bits) {
        Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Err(Fault::Cut) => usize::MAX,
        // RFC9204-7.4-integer-too-large
        Err(Fault::TooLarge) => return Err(DecodeError::Integer),
    };
    // RFC9204-4.1.2-name-past-end, RFC9204-4.1.2-value-past-end
    let Some((string, rest)) = encoded.split_at_checked(length) else {
        return Err(DecodeError::Encoding("string literal exceeds its field section"));
    };
    *encoded = rest;
    if huffman {
        huffman::decode(string, text).map_err(|_| DecodeError::Encoding("invalid Huffman code"))
    } else {
        text.extend_from_slice(string);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
