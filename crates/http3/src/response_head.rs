//! The head of a response (RFC 9114 §4.3.2), final or informational.

use crate::field::{self, Field};
use crate::field_section::{FieldLimits, FieldSection};
use crate::qpack::{self, DecodeError, FieldRules, Source};

/// The head of a response. Reuse it: the next one keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    section: FieldSection,
    rules: ResponseRules,
}

impl ResponseHead {
    /// An empty head, to be filled by a [`ResponseReader`](crate::ResponseReader); allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// `:status`: three digits, 100 or more. 0 before a head was read.
    pub fn status(&self) -> u16 {
        self.rules.status.unwrap_or(0)
    }

    /// Whether the status is 1xx: another head follows.
    pub fn is_informational(&self) -> bool {
        (100..200).contains(&self.status())
    }

    /// The fields in the order received, without `:status`.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.section.iter_from(usize::from(self.rules.status.is_some()))
    }

    /// The first value of the field `name` (lower case).
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// `content-length` as sent, whether or not the response has content.
    pub fn content_length(&self) -> Option<u64> {
        self.rules.content_length
    }

    /// Replaces the head by the one in `encoded`, the payload of a HEADERS frame.
    pub(crate) fn decode(&mut self, encoded: &[u8], limits: FieldLimits) -> Result<(), DecodeError> {
        self.rules = ResponseRules::default();
        qpack::decode(encoded, limits, &mut self.section, &mut self.rules)?;
        match self.rules.status {
            Some(_) => Ok(()),
            // RFC9114-4.3.2-status-missing
            None => Err(DecodeError::Malformed("no :status")),
        }
    }
}

/// What makes the head of a response malformed.
#[derive(Clone, Debug, Default)]
struct ResponseRules {
    status: Option<u16>,
    content_length: Option<u64>,
}

impl FieldRules for ResponseRules {
    fn check(&mut self, section: &FieldSection, index: usize, source: Source) -> Result<(), &'static str> {
        let (name, value) = section.field(index);
        if name.first() == Some(&b':') {
            return self.note_pseudo_header(name, value, index);
        }
        // RFC9114-10.3-response-fields, RFC9114-4.2-name-uppercase
        if source == Source::Literal && !field::is_name(name) {
            return Err("invalid field name");
        }
        match Field::of(name) {
            Field::ContentLength => self.note_content_length(value)?,
            // RFC9114-4.2-connection-specific, RFC9114-4.1-transfer-encoding; the exception for `te` is for requests
            // (RFC9114-4.2-te-misplaced).
            Field::ConnectionSpecific | Field::Te => return Err("connection-specific field"),
            Field::Host | Field::Other => {}
        }
        // RFC9114-10.3-response-fields
        field::check_value(value).map_err(|_| "invalid field value")
    }
}

impl ResponseRules {
    /// `:status` is the only one, comes first, and once (RFC 9114 §4.3.2).
    fn note_pseudo_header(&mut self, name: &[u8], value: &[u8], index: usize) -> Result<(), &'static str> {
        // RFC9114-4.3-unknown-in-response, RFC9114-4.3-request-pseudo-in-response
        if name != b":status" {
            return Err("pseudo-header unknown in responses");
        }
        // RFC9114-4.3.2-status-repeated
        if self.status.is_some() {
            return Err("pseudo-header sent twice");
        }
        // RFC9114-4.3-after-field-in-response
        if index != 0 {
            return Err("pseudo-header after a field");
        }
        self.status = Some(parse_status(value)?);
        Ok(())
    }

    /// RFC9110-8.6-unequal-repeats, RFC9110-8.6-equal-list
    fn note_content_length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        // RFC9114-4.1.2-content-length-invalid
        let length = field::parse_content_length(value).ok_or("invalid content-length")?;
        match self.content_length.replace(length) {
            // RFC9114-4.1.2-content-length-differs
            Some(before) if before != length => Err("content-length values differ"),
            _ => Ok(()),
        }
    }
}

/// Three digits (RFC9110-15-status-received). 101 does not exist in HTTP/3 (RFC 9114 §4.5).
fn parse_status(value: &[u8]) -> Result<u16, &'static str> {
    // RFC9114-4.3.2-status-invalid
    let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] = value else {
        return Err("invalid :status");
    };
    let status = value
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    // RFC9114-4.5-status-101
    if status == 101 {
        Err("status 101 in HTTP/3")
    } else {
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn decode(fields: &[(&str, &str)]) -> Result<ResponseHead, DecodeError> {
        let mut encoded = BytesMut::new();
        qpack::write_prefix(&mut encoded);
        for (name, value) in fields {
            qpack::write_field(&mut encoded, name.as_bytes(), value.as_bytes());
        }
        let mut head = ResponseHead::new();
        head.decode(
            &encoded,
            FieldLimits {
                max_bytes: 16_384,
                max_fields: 100,
            },
        )
        .map(|()| head)
    }

    fn malformed(fields: &[(&str, &str)]) -> &'static str {
        match decode(fields) {
            Err(DecodeError::Malformed(reason)) => reason,
            other => panic!("{fields:?} should be malformed, got {other:?}"),
        }
    }

    #[test]
    fn a_response_reads_as_it_was_sent() {
        let head = decode(&[
            (":status", "404"),
            ("content-length", "9"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ])
        .unwrap();
        assert_eq!((head.status(), head.content_length()), (404, Some(9)));
        assert_eq!(head.fields().count(), 3);
        assert_eq!(head.field(b"set-cookie"), Some(&b"a"[..]));
        assert!(!head.is_informational());
        assert!(decode(&[(":status", "103")]).unwrap().is_informational());
        assert_eq!(ResponseHead::new().fields().count(), 0);
    }

    /// RFC9110-15-status-received
    #[test]
    fn a_status_that_is_missing_repeated_late_or_no_number_is_malformed() {
        // RFC9114-4.3.2-status-missing
        assert_eq!(malformed(&[("a", "b")]), "no :status");
        assert_eq!(malformed(&[]), "no :status");
        // RFC9114-4.3.2-status-repeated
        assert_eq!(
            malformed(&[(":status", "200"), (":status", "200")]),
            "pseudo-header sent twice"
        );
        // RFC9114-4.3-after-field-in-response
        assert_eq!(
            malformed(&[("a", "b"), (":status", "200")]),
            "pseudo-header after a field"
        );
        // RFC9114-4.3.2-status-invalid
        for status in ["", "20", "2000", "2x0", "099", " 200", "+20"] {
            assert_eq!(malformed(&[(":status", status)]), "invalid :status", "{status:?}");
        }
    }

    #[test]
    fn a_request_or_unknown_pseudo_header_is_malformed() {
        let unknown = "pseudo-header unknown in responses";
        // RFC9114-4.3-request-pseudo-in-response
        for name in [":method", ":scheme", ":authority", ":path"] {
            assert_eq!(malformed(&[(":status", "200"), (name, "/")]), unknown);
            assert_eq!(malformed(&[(name, "/"), (":status", "200")]), unknown);
        }
        // RFC9114-4.3-unknown-in-response
        for name in [":", ":x", ":Status"] {
            assert_eq!(malformed(&[(":status", "200"), (name, "200")]), unknown);
        }
    }

    /// RFC9114-4.5-status-101
    #[test]
    fn status_101_is_malformed() {
        assert_eq!(malformed(&[(":status", "101")]), "status 101 in HTTP/3");
    }

    #[test]
    fn invalid_and_connection_specific_fields_are_malformed() {
        let with = |name, value| malformed(&[(":status", "200"), (name, value)]);
        // RFC9114-4.2-name-uppercase, RFC9114-10.3-response-fields
        for name in ["Ab", "", "a b", "a\0", "a:"] {
            assert_eq!(with(name, "b"), "invalid field name", "{name:?}");
        }
        for value in ["b\0", "b\r", "b\n", "b\x7f", " b", "b\t"] {
            assert_eq!(with("a", value), "invalid field value", "{value:?}");
            assert_eq!(with("server", value), "invalid field value", "{value:?}");
        }
        // RFC9114-4.2-te-misplaced
        assert_eq!(with("te", "trailers"), "connection-specific field");
        // RFC9114-4.2-connection-specific, RFC9114-4.1-transfer-encoding
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            assert_eq!(with(name, "x"), "connection-specific field", "{name}");
        }
        // RFC9114-4.1.2-content-length-invalid
        for value in ["x", "", "-1", "18446744073709551616"] {
            assert_eq!(with("content-length", value), "invalid content-length");
        }
        // RFC9114-4.1.2-content-length-differs
        let differ = [
            (":status", "200"),
            ("content-length", "1"),
            ("content-length", "2"),
        ];
        assert_eq!(malformed(&differ), "content-length values differ");
    }
}
