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

    const PAST_END: &str = "string literal exceeds its field section";

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

    /// RFC9204-2.2-order-received
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

    /// RFC9204-4.5-empty-section, RFC9204-4.5.1.2-unused-base
    #[test]
    fn a_section_may_be_empty_and_have_any_base_that_is_not_negative() {
        assert_eq!(run(&[0, 0], LIMITS).unwrap().0, []);
        for base in [&[5][..], &[0x7f, 0], &[0x7f, 0xff, 0x01]] {
            assert!(run(&[&[0], base, &[0xd1]].concat(), LIMITS).is_ok(), "{base:x?}");
        }
    }

    /// RFC9204-4.5.1-prefix-cut
    #[test]
    fn a_section_that_ends_inside_its_prefix_is_refused() {
        for cut in [
            &[][..],
            &[0],
            &[0xff],
            &[0xff, 0x80],
            &[0, 0x7f],
            &[0, 0x7f, 0x80],
        ] {
            assert_eq!(refusal(cut), "field section ends inside its prefix", "{cut:x?}");
        }
    }

    /// RFC9204-4.5.1.1-insert-count, RFC9204-2.1.2-blocked-streams
    #[test]
    fn a_required_insert_count_is_refused() {
        for count in [&[1][..], &[0xfe], &[0xff, 0], &[0xff, 0xff, 0x7f], &[0xff; 12]] {
            let encoded = [count, &[0, 0xd1]].concat();
            assert_eq!(
                refusal(&encoded),
                "required insert count without a dynamic table",
                "{count:x?}"
            );
        }
    }

    /// RFC9204-4.5.1.2-negative-base
    #[test]
    fn a_negative_base_is_refused() {
        for base in [&[0x80][..], &[0x81], &[0xfe], &[0xff, 0]] {
            let encoded = [&[0], base, &[0xd1]].concat();
            assert_eq!(refusal(&encoded), "negative base of a field section", "{base:x?}");
        }
    }

    #[test]
    fn every_reference_to_the_dynamic_table_is_refused() {
        let cases = [
            ("RFC9204-2.2.3-indexed-dynamic", [0x80, 0xbf]),
            ("RFC9204-2.2.3-name-dynamic", [0x40, 0x6f]),
            ("RFC9204-2.2.3-indexed-post-base", [0x10, 0x1f]),
            ("RFC9204-2.2.3-name-post-base", [0x00, 0x0f]),
            // With a count of 0, which is less than any reference needs.
            ("RFC9204-2.2.1-count-too-small", [0x81, 0x9f]),
        ];
        for (rule, firsts) in cases {
            for first in firsts {
                assert_eq!(
                    refusal(&[0, 0, first, 0, 0]),
                    "reference to the dynamic table",
                    "{rule}"
                );
            }
        }
    }

    /// RFC9204-3.1-indexed-static, RFC9204-3.1-name-static
    #[test]
    fn a_static_index_above_98_is_refused() {
        assert!(run(&[0, 0, 0xff, 98 - 63], LIMITS).is_ok());
        assert!(run(&[0, 0, 0x5f, 98 - 15, 0], LIMITS).is_ok());
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3e];
        for index in [&[0xff, 99 - 63][..], &[0x5f, 99 - 15, 0], &largest] {
            assert_eq!(
                refusal(&[&[0, 0], index].concat()),
                "invalid static table index",
                "{index:x?}"
            );
        }
    }

    /// RFC9204-4.5.2-index-cut
    #[test]
    fn a_section_that_ends_inside_an_index_is_refused() {
        for cut in [&[0xff][..], &[0xff, 0x80], &[0x5f], &[0x5f, 0xff]] {
            assert_eq!(
                refusal(&[&[0, 0], cut].concat()),
                "field section ends inside an index",
                "{cut:x?}"
            );
        }
    }

    /// RFC9204-4.5.4-never-indexed
    #[test]
    fn a_line_that_must_never_be_indexed_reads_like_another() {
        let encoded = [0, 0, 0x71, 1, b'/', 0x31, b'x', 1, b'y'];
        let (fields, sources) = run(&encoded, LIMITS).unwrap();
        let expected = [(":path", "/"), ("x", "y")];
        assert_eq!(
            fields,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(sources, [Source::StaticName(1), Source::Literal]);
    }

    /// RFC9204-4.1.2-name-past-end
    #[test]
    fn a_name_longer_than_its_section_is_refused() {
        for name in [
            &[0x21][..],
            &[0x22, b'a'],
            &[0x27],
            &[0x27, 0x80],
            &[0x27, 0xff, 0xff, 0xff, 1],
            &[0x2a, 0x1f],
        ] {
            assert_eq!(refusal(&[&[0, 0], name].concat()), PAST_END, "{name:x?}");
        }
    }

    /// RFC9204-4.1.2-value-past-end
    #[test]
    fn a_value_longer_than_its_section_is_refused() {
        for value in [
            &[][..],
            &[2, b'/'],
            &[0x7f],
            &[0x7f, 0x80],
            &[0x7f, 0xff, 0xff, 0x7f],
            &[0x82, 0x1f],
        ] {
            assert_eq!(refusal(&[&[0, 0, 0x51], value].concat()), PAST_END, "{value:x?}");
            assert_eq!(
                refusal(&[&[0, 0, 0x21, b'x'], value].concat()),
                PAST_END,
                "{value:x?}"
            );
        }
    }

    /// RFC9204-7.4-integer-too-large
    #[test]
    fn an_integer_too_large_to_be_understood_is_told_apart() {
        let huge = [0xff; 10];
        let padded = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0];
        for rest in [huge, padded] {
            for before in [
                &[0, 0x7f][..],
                &[0, 0, 0xff],
                &[0, 0, 0x5f],
                &[0, 0, 0x27],
                &[0, 0, 0x51, 0x7f],
            ] {
                assert_eq!(
                    run(&[before, &rest].concat(), LIMITS),
                    Err(DecodeError::Integer),
                    "{before:x?}"
                );
            }
        }
    }

    #[test]
    fn an_invalid_huffman_code_is_refused_in_names_and_values() {
        let cases = [
            ("RFC9204-4.1.2-huffman-long-padding", &[0xff][..]),
            ("RFC9204-4.1.2-huffman-long-padding", &[0x1f, 0xff]),
            ("RFC9204-4.1.2-huffman-zero-padding", &[0x1e]),
            ("RFC9204-4.1.2-huffman-eos", &[0xff, 0xff, 0xff, 0xff]),
        ];
        for (rule, code) in cases {
            let length = code.len() as u8;
            let value = [&[0, 0, 0x51, 0x80 | length], code].concat();
            assert_eq!(refusal(&value), "invalid Huffman code", "{rule}");
            let name = [&[0, 0, 0x28 | length], code, &[0]].concat();
            assert_eq!(refusal(&name), "invalid Huffman code", "{rule}");
        }
    }

    /// RFC9204-7.4-string-limit
    #[test]
    fn a_string_is_limited_by_its_section_alone() {
        let limits = |max_bytes| FieldLimits {
            max_bytes,
            max_fields: 1,
        };
        let encoded = [&[0, 0, 0x21, b'x', 0x7f, 0xe9, 0x06][..], &[b'v'; 1000]].concat();
        assert_eq!(run(&encoded, limits(1001 + 32)).unwrap().0[0].1.len(), 1000);
        assert_eq!(run(&encoded, limits(1000 + 32)), Err(DecodeError::TooLarge));
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
