//! Every rule of a field section, each broken once.

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
                refusal(&[0, 0, first, 0xd1]),
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
