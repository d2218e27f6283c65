//! Messages whose data is made of capsules: what they must not say of themselves (RFC 9297 §3.2).

use crate::field::FieldError;

/// Protocols that are defined with capsules. Of others a request says so itself, with `capsule-protocol`.
const PROTOCOLS: [&[u8]; 4] = [b"webtransport", b"webtransport-h3", b"connect-udp", b"connect-ip"];

/// Whether an extended CONNECT for `protocol` with these fields is about capsules.
pub(crate) fn uses_capsules<'a>(protocol: &[u8], fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
    if PROTOCOLS.iter().any(|known| protocol.eq_ignore_ascii_case(known)) {
        return true;
    }
    // A Boolean of RFC 8941, its parameters ignored; twice it is a list, which counts as absent (RFC 9297 §3.4).
    let mut values = fields
        .filter(|(name, _)| *name == b"capsule-protocol")
        .map(|(_, value)| value);
    matches!(
        (values.next(), values.next()),
        (Some([b'?', b'1'] | [b'?', b'1', b';', ..]), None)
    )
}

/// Capsules are no content, so nothing describes them as such (RFC9297-3.2-content-fields). That there is no
/// `transfer-encoding` is a rule of every message.
pub(crate) fn check_fields<'a>(
    mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), &'static str> {
    match fields.find(|(name, _)| matches!(*name, b"content-length" | b"content-type")) {
        Some(_) => Err("content-length or content-type on a message with capsules"),
        None => Ok(()),
    }
}

/// Checks a field of a message with capsules before it is sent, besides what [`check_field`](crate::check_field) checks
/// (RFC9297-3.2-content-fields-sent).
///
/// # Errors
/// [`FieldError::Content`]: it describes content.
pub fn check_capsule_field(name: &[u8]) -> Result<(), FieldError> {
    match name {
        b"content-length" | b"content-type" => Err(FieldError::Content),
        _ => Ok(()),
    }
}

/// RFC9297-3.2-content-statuses
pub(crate) fn check_status(status: u16) -> Result<(), &'static str> {
    match status {
        204..=206 => Err("status about content on a message with capsules"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &'static [u8]) -> (&'static [u8], &'static [u8]) {
        (b"capsule-protocol", value)
    }

    #[test]
    fn a_protocol_or_a_field_tells_that_capsules_are_used() {
        for protocol in ["webtransport", "WebTransport", "connect-udp"] {
            assert!(
                uses_capsules(protocol.as_bytes(), std::iter::empty()),
                "{protocol}"
            );
        }
        assert!(!uses_capsules(b"websocket", std::iter::empty()));
        for value in [&b"?1"[..], b"?1;a=b"] {
            assert!(uses_capsules(b"own", [with(value)].into_iter()), "{value:?}");
        }
    }

    /// RFC 9297 §3.4
    #[test]
    fn a_capsule_protocol_field_that_is_not_true_means_nothing() {
        for value in [&b"?0"[..], b"1", b"true", b"?1, ?1", b""] {
            assert!(!uses_capsules(b"own", [with(value)].into_iter()), "{value:?}");
        }
        assert!(!uses_capsules(b"own", [with(b"?1"), with(b"?1")].into_iter()));
    }
}
