//! Field lines for our own messages: static table references where they fit, plain literals elsewhere.
//!
//! No Huffman: plain literals are the cheapest to write; [`super::huffman::encode`] is there for those who
//! would rather save bytes.

use bytes::{BufMut, BytesMut};

use super::integer;
use super::static_table::{STATUS, TABLE, indices_of};

/// Appends the prefix of a section that refers to no dynamic entry (RFC 9204 §4.5.1), and so never blocks
/// (RFC9204-2.1.2-blocked-streams-sent).
#[inline]
pub(crate) fn write_prefix(out: &mut BytesMut) {
    out.put_slice(&[0, 0]);
}

/// Appends one field line.
#[inline]
pub(crate) fn write_field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    let indices = indices_of(name);
    for index in indices {
        if TABLE[usize::from(*index)].1 == value {
            return integer::encode(out, 0xc0, 6, usize::from(*index));
        }
    }
    match indices.first() {
        Some(index) => integer::encode(out, 0x50, 4, usize::from(*index)),
        None => {
            integer::encode(out, 0x20, 3, name.len());
            out.extend_from_slice(name);
        }
    }
    integer::encode(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// Appends `:status`. `status` has three digits.
#[inline]
pub(crate) fn write_status(out: &mut BytesMut, status: u16) {
    debug_assert!((100..=999).contains(&status));
    let index = match status {
        200 => 25,
        304 => 26,
        404 => 27,
        503 => 28,
        103 => 24,
        100 => 63,
        204 => 64,
        206 => 65,
        302 => 66,
        400 => 67,
        403 => 68,
        421 => 69,
        425 => 70,
        500 => 71,
        _ => return write_other_status(out, status),
    };
    integer::encode(out, 0xc0, 6, index);
}

fn write_other_status(out: &mut BytesMut, status: u16) {
    let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
    integer::encode(out, 0x50, 4, STATUS);
    out.put_slice(&[3, digit(100), digit(10), digit(1)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field_section::{FieldLimits, FieldSection};
    use crate::qpack::{FieldRules, Source, decode};

    struct Anything;

    impl FieldRules for Anything {
        fn check(&mut self, _: &FieldSection, _: usize, _: Source) -> Result<(), &'static str> {
            Ok(())
        }
    }

    fn decoded(encoded: &[u8]) -> FieldSection {
        let limits = FieldLimits {
            max_bytes: 1 << 20,
            max_fields: 2000,
        };
        let mut section = FieldSection::new();
        decode(encoded, limits, &mut section, &mut Anything).unwrap();
        section
    }

    /// RFC9204-2.1.2-blocked-streams-sent
    #[test]
    fn our_sections_need_no_insertion() {
        let mut out = BytesMut::new();
        write_prefix(&mut out);
        assert_eq!(out[..], [0, 0], "a required insert count and a delta base of 0");
    }

    #[test]
    fn every_entry_of_the_static_table_is_written_as_an_index() {
        let mut out = BytesMut::new();
        write_prefix(&mut out);
        for (name, value) in TABLE {
            let before = out.len();
            write_field(&mut out, name, value);
            assert!(
                out.len() - before <= 2,
                "{} is not indexed",
                String::from_utf8_lossy(name)
            );
        }
        assert!(decoded(&out).iter().eq(TABLE));
    }

    /// RFC9204-2.1-order-sent
    #[test]
    fn static_names_and_new_names_of_any_length_survive_a_round_trip() {
        let long_name = vec![b'n'; 300];
        let long_value = vec![b'v'; 20_000];
        let fields: [(&[u8], &[u8]); 5] = [
            (b"server", b"trilane"),
            (b"x-a", b""),
            (&long_name, &long_value),
            (b"vary", b"*"),
            (b"etag", &long_value),
        ];
        let mut out = BytesMut::new();
        write_prefix(&mut out);
        for (name, value) in fields {
            write_field(&mut out, name, value);
        }
        assert!(decoded(&out).iter().eq(fields));
    }

    #[test]
    fn every_status_is_written_as_it_reads() {
        for status in 100..=999 {
            let mut out = BytesMut::new();
            write_prefix(&mut out);
            write_status(&mut out, status);
            let section = decoded(&out);
            assert_eq!(section.get(b":status"), Some(status.to_string().as_bytes()));
            let in_table = indices_of(b":status")
                .iter()
                .any(|i| TABLE[usize::from(*i)].1 == status.to_string().as_bytes());
            assert_eq!(out.len() <= 4, in_table, "{status}");
        }
    }
}
