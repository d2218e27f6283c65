//! Field sections that use the static table only (RFC 9204 §4.5).

use super::static_table::TABLE;
use super::{huffman, integer};
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
    /// It is not valid QPACK: QPACK_DECOMPRESSION_FAILED.
    Encoding(&'static str),
    /// A field breaks the rules of its message.
    Malformed(&'static str),
}

/// Decodes `encoded` into `section` (emptied first) and lets `rules` judge each field.
pub(crate) fn decode(
    mut encoded: &[u8],
    limits: FieldLimits,
    section: &mut FieldSection,
    rules: &mut impl FieldRules,
) -> Result<(), DecodeError> {
    section.clear();
    read_prefix(&mut encoded)?;
    let max_bytes = limits.max_bytes.min(MAX_TEXT);
    while let Some(first) = encoded.first() {
        let index = section.len();
        if index >= limits.max_fields {
            return Err(DecodeError::TooLarge);
        }
        let source = read_field(*first, &mut encoded, section)?;
        if section.size() > max_bytes {
            return Err(DecodeError::TooLarge);
        }
        rules
            .check(section, index, source)
            .map_err(DecodeError::Malformed)?;
    }
    Ok(())
}

/// Required Insert Count and Base (RFC 9204 §4.5.1). The count must be 0, because we offer no dynamic table;
/// a negative Base is then invalid (§4.5.1.2), any other unused.
#[inline]
fn read_prefix(encoded: &mut &[u8]) -> Result<(), DecodeError> {
    if let [0, 0, rest @ ..] = encoded {
        *encoded = rest;
        return Ok(());
    }
    if integer::decode(encoded, 8) != Some(0) {
        return Err(DecodeError::Encoding(
            "required insert count without a dynamic table",
        ));
    }
    let negative = encoded.first().is_some_and(|byte| byte & 0x80 != 0);
    match integer::decode(encoded, 7) {
        Some(_) if !negative => Ok(()),
        _ => Err(DecodeError::Encoding("invalid base of a field section")),
    }
}

/// One field line (RFC 9204 §4.5.2 to §4.5.6); `first` is the first byte of `encoded`.
#[inline]
fn read_field(first: u8, encoded: &mut &[u8], section: &mut FieldSection) -> Result<Source, DecodeError> {
    const DYNAMIC: DecodeError = DecodeError::Encoding("reference to the dynamic table");
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
        // Indexed, by name reference and post-base: all of them name dynamic entries.
        _ => Err(DYNAMIC),
    }
}

#[inline]
fn read_static_index(encoded: &mut &[u8], bits: u32) -> Result<usize, DecodeError> {
    match integer::decode(encoded, bits) {
        Some(index) if index < TABLE.len() as u64 => Ok(index as usize),
        _ => Err(DecodeError::Encoding("invalid static table index")),
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
    let string = integer::decode(encoded, bits)
        .and_then(|length| usize::try_from(length).ok())
        .and_then(|length| encoded.split_at_checked(length));
    let Some((string, rest)) = string else {
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
mod tests {
    use super::*;

    struct Anything(Vec<Source>);

    impl FieldRules for Anything {
        fn check(&mut self, _: &FieldSection, index: usize, source: Source) -> Result<(), &'static str> {
            assert_eq!(index, self.0.len());
            self.0.push(source);
            Ok(())
        }
    }

    const LIMITS: FieldLimits = FieldLimits {
        max_bytes: 1000,
        max_fields: 10,
    };

    type Fields = Vec<(String, String)>;

    fn run(encoded: &[u8], limits: FieldLimits) -> Result<(Fields, Vec<Source>), DecodeError> {
        let (mut section, mut rules) = (FieldSection::new(), Anything(Vec::new()));
        decode(encoded, limits, &mut section, &mut rules)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok((
            section
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            rules.0,
        ))
    }

    fn refusal(encoded: &[u8]) -> &'static str {
        match run(encoded, LIMITS) {
            Err(DecodeError::Encoding(reason)) => reason,
            other => panic!("expected a QPACK error, got {other:?}"),
        }
    }

    /// RFC 9204 §B.1.
    #[test]
    fn the_literal_sample_of_the_standard_decodes() {
        let encoded = [&[0x00, 0x00, 0x51, 0x0b][..], b"/index.html"].concat();
        let (fields, sources) = run(&encoded, LIMITS).unwrap();
        assert_eq!(fields, [(":path".to_owned(), "/index.html".to_owned())]);
        assert_eq!(sources, [Source::StaticName(1)]);
    }

    #[test]
    fn indexed_and_huffman_and_plain_fields_decode() {
        let mut encoded = vec![0, 0, 0xd1, 0xff, 0x23];
        encoded.extend_from_slice(&[
            0x2f, 0x01, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f, 0x82, 0x64, 0x02,
        ]);
        encoded.extend_from_slice(&[0x31, b'x', 0x01, b'y']);
        let (fields, sources) = run(&encoded, LIMITS).unwrap();
        let expected = [
            (":method", "GET"),
            ("x-frame-options", "sameorigin"),
            ("custom-key", "302"),
            ("x", "y"),
        ];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(
            sources,
            [
                Source::Indexed(17),
                Source::Indexed(98),
                Source::Literal,
                Source::Literal
            ]
        );
    }

    /// RFC 9204 §2.2.1 and §4.5.1.
    #[test]
    fn a_required_insert_count_or_a_negative_base_is_refused() {
        assert_eq!(
            refusal(&[1, 0, 0xd1]),
            "required insert count without a dynamic table"
        );
        assert_eq!(refusal(&[0, 0x80, 0xd1]), "invalid base of a field section");
        assert_eq!(refusal(&[0]), "invalid base of a field section");
        assert_eq!(refusal(&[]), "required insert count without a dynamic table");
        assert!(run(&[0, 5, 0xd1], LIMITS).is_ok(), "an unused base is harmless");
    }

    /// RFC 9204 §2.2.3.
    #[test]
    fn every_reference_to_the_dynamic_table_is_refused() {
        for first in [0x80, 0xbf, 0x40, 0x6f, 0x10, 0x1f, 0x00, 0x0f] {
            assert_eq!(refusal(&[0, 0, first, 0, 0]), "reference to the dynamic table");
        }
    }

    /// RFC 9204 §3.1.
    #[test]
    fn a_static_index_above_98_is_refused() {
        assert!(run(&[0, 0, 0xff, 98 - 63], LIMITS).is_ok());
        assert_eq!(refusal(&[0, 0, 0xff, 99 - 63]), "invalid static table index");
        assert_eq!(refusal(&[0, 0, 0x5f, 99 - 15, 0]), "invalid static table index");
        assert_eq!(refusal(&[0, 0, 0xff]), "invalid static table index");
    }

    #[test]
    fn a_string_longer_than_its_section_is_refused() {
        assert_eq!(
            refusal(&[0, 0, 0x51, 2, b'/']),
            "string literal exceeds its field section"
        );
        assert_eq!(refusal(&[0, 0, 0x51]), "string literal exceeds its field section");
        assert_eq!(
            refusal(&[0, 0, 0x27, 0xff, 0xff, 0xff]),
            "string literal exceeds its field section"
        );
    }

    /// RFC 9204 §4.1.2.
    #[test]
    fn an_invalid_huffman_code_is_refused() {
        assert_eq!(refusal(&[0, 0, 0x51, 0x81, 0xff]), "invalid Huffman code");
    }

    /// RFC 9114 §4.2.2.
    #[test]
    fn a_section_one_byte_or_one_field_over_its_limits_is_too_large() {
        let encoded = [0, 0, 0xd1, 0xd1];
        let size = 2 * (":methodGET".len() + 32);
        assert!(
            run(
                &encoded,
                FieldLimits {
                    max_bytes: size,
                    max_fields: 2
                }
            )
            .is_ok()
        );
        let one_less = FieldLimits {
            max_bytes: size - 1,
            max_fields: 2,
        };
        assert_eq!(run(&encoded, one_less), Err(DecodeError::TooLarge));
        let one_field = FieldLimits {
            max_bytes: size,
            max_fields: 1,
        };
        assert_eq!(run(&encoded, one_field), Err(DecodeError::TooLarge));
    }
}
