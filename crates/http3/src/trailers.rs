//! The trailers of a message (RFC 9114 §4.1, RFC 9110 §6.5).

use crate::field::{self, Field, FieldError};
use crate::field_section::{FieldLimits, FieldSection};
use crate::qpack::{self, DecodeError, FieldRules, Source};

/// Replaces `trailers` by those in `encoded`, the payload of a HEADERS frame. They are never merged into the head
/// (RFC9110-6.5.1-not-merged), and keep their order (RFC9110-6.5.2-order).
pub(crate) fn decode(
    encoded: &[u8],
    limits: FieldLimits,
    trailers: &mut FieldSection,
) -> Result<(), DecodeError> {
    qpack::decode(encoded, limits, trailers, &mut TrailerRules)
}

/// Fields that a sender keeps out of trailers, because their place is before the content: framing, routing, request
/// modifiers, authentication, response control, and how the content is to be read (RFC 9110 §6.5.1).
const HEADER_ONLY: [&[u8]; 37] = [
    b"accept-ranges",
    b"age",
    b"allow",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-length",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"host",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"last-modified",
    b"location",
    b"max-forwards",
    b"pragma",
    b"priority",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"strict-transport-security",
    b"te",
    b"trailer",
    b"vary",
    b"via",
    b"warning",
    b"www-authenticate",
];

/// Checks a trailer field before it is sent: [`check_field`](crate::check_field), and that it is none of the fields whose
/// place is before the content.
///
/// # Errors
/// What is wrong with it.
pub fn check_trailer(name: &[u8], value: &[u8]) -> Result<(), FieldError> {
    field::check_field(name, value)?;
    // RFC9110-6.5.1-sent
    if HEADER_ONLY.binary_search(&name).is_ok() {
        return Err(FieldError::NotATrailer);
    }
    Ok(())
}

struct TrailerRules;

impl FieldRules for TrailerRules {
    fn check(&mut self, section: &FieldSection, index: usize, source: Source) -> Result<(), &'static str> {
        let (name, value) = section.field(index);
        // RFC9114-4.3-in-trailers, RFC9114-4.1-second-request, RFC9114-4.1-second-response
        if name.first() == Some(&b':') {
            return Err("pseudo-header in trailers");
        }
        // RFC9114-10.3-trailer-fields, RFC9114-4.2-name-uppercase
        if source == Source::Literal && !field::is_name(name) {
            return Err("invalid field name");
        }
        match Field::of(name) {
            // What frames or routes a message cannot follow it: RFC9110-6.5.1-content-length, RFC9110-6.5.1-host
            Field::ContentLength | Field::Host => return Err("framing or routing field in trailers"),
            // RFC9114-4.2-connection-specific, RFC9114-4.2-te-misplaced, RFC9110-6.5.1-te
            Field::ConnectionSpecific | Field::Te => return Err("connection-specific field"),
            Field::Other => {}
        }
        // RFC9114-10.3-trailer-fields
        field::check_value(value).map_err(|_| "invalid field value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn decode_fields(fields: &[(&str, &str)]) -> Result<FieldSection, DecodeError> {
        let mut encoded = BytesMut::new();
        qpack::write_prefix(&mut encoded);
        for (name, value) in fields {
            qpack::write_field(&mut encoded, name.as_bytes(), value.as_bytes());
        }
        let mut trailers = FieldSection::new();
        decode(
            &encoded,
            FieldLimits {
                max_bytes: 1000,
                max_fields: 10,
            },
            &mut trailers,
        )
        .map(|()| trailers)
    }

    /// RFC9110-6.5.1-sent
    #[test]
    fn fields_whose_place_is_before_the_content_are_not_sent_as_trailers() {
        assert!(HEADER_ONLY.is_sorted());
        for name in [
            "content-length",
            "host",
            "te",
            "set-cookie",
            "www-authenticate",
            "accept-ranges",
        ] {
            let refused = check_trailer(name.as_bytes(), b"trailers");
            assert_eq!(refused, Err(FieldError::NotATrailer), "{name}");
        }
        assert_eq!(check_trailer(b":status", b"200"), Err(FieldError::PseudoHeader));
        assert_eq!(
            check_trailer(b"transfer-encoding", b"x"),
            Err(FieldError::ConnectionSpecific)
        );
        assert_eq!(check_trailer(b"A", b"x"), Err(FieldError::Name));
        for name in ["grpc-status", "etag", "server-timing", "digest"] {
            assert_eq!(check_trailer(name.as_bytes(), b"0"), Ok(()), "{name}");
        }
    }

    /// RFC9110-6.5.2-order
    #[test]
    fn trailers_read_as_they_were_sent() {
        let trailers = decode_fields(&[("grpc-status", "0"), ("etag", "x"), ("grpc-status", "1")]).unwrap();
        assert_eq!(trailers.get(b"grpc-status"), Some(&b"0"[..]));
        let values: Vec<_> = trailers.iter().map(|(_, value)| value).collect();
        assert_eq!(values, [b"0", b"x", b"1"]);
    }

    /// RFC9114-4.3-in-trailers
    #[test]
    fn a_pseudo_header_in_trailers_is_malformed() {
        for name in [":status", ":path", ":x"] {
            let error = decode_fields(&[(name, "200")]).unwrap_err();
            assert_eq!(error, DecodeError::Malformed("pseudo-header in trailers"));
        }
    }

    fn malformed(name: &str, value: &str) -> &'static str {
        match decode_fields(&[(name, value)]) {
            Err(DecodeError::Malformed(reason)) => reason,
            other => panic!("{name:?} should be malformed, got {other:?}"),
        }
    }

    /// RFC9110-6.5.1-content-length, RFC9110-6.5.1-host
    #[test]
    fn framing_and_routing_fields_in_trailers_are_malformed() {
        for name in ["content-length", "host"] {
            assert_eq!(malformed(name, "5"), "framing or routing field in trailers");
        }
    }

    /// RFC9114-4.2-connection-specific, RFC9114-4.1-transfer-encoding, RFC9114-4.2-te-misplaced,
    /// RFC9110-6.5.1-te
    #[test]
    fn connection_specific_fields_in_trailers_are_malformed() {
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            assert_eq!(malformed(name, "x"), "connection-specific field", "{name}");
        }
        assert_eq!(malformed("te", "trailers"), "connection-specific field");
    }

    /// RFC9114-4.2-name-uppercase, RFC9114-10.3-trailer-fields
    #[test]
    fn invalid_names_and_values_in_trailers_are_malformed() {
        for name in ["Ab", "", "a b", "a\0"] {
            assert_eq!(malformed(name, "b"), "invalid field name", "{name:?}");
        }
        for value in ["b\0", "b\r", "b\n", "b\x1f", " b", "b "] {
            assert_eq!(malformed("a", value), "invalid field value", "{value:?}");
            assert_eq!(malformed("etag", value), "invalid field value", "{value:?}");
        }
    }
}
