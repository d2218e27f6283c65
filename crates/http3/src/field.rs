//! Field names and values (RFC 9114 §4.2, RFC 9110 §5): what may be in them, whoever sends them.

/// Bits of [`CLASS`].
const NAME: u8 = 1;
const TOKEN: u8 = 2;
const VALUE: u8 = 4;
const PATH: u8 = 8;
const AUTHORITY: u8 = 16;

/// What each byte may be part of; one look per byte.
static CLASS: [u8; 256] = classes();

/// Why a field cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The name is empty, has an upper-case letter, or is no token (RFC 9110 §5.1, RFC 9114 §4.2).
    #[error("a field name must be a lower-case token")]
    Name,
    /// Names that begin with a colon belong to HTTP/3 itself (RFC 9114 §4.3).
    #[error("a pseudo-header cannot be sent as a field")]
    PseudoHeader,
    /// The value contains a control character other than a tab (RFC 9110 §5.5).
    #[error("a field value must not contain control characters")]
    Value,
    /// The value begins or ends with a space or tab (RFC 9110 §5.5).
    #[error("a field value must not begin or end with a space or tab")]
    ValuePadding,
    /// The field describes content, and capsules are none (RFC 9297 §3.2).
    #[error("content-length and content-type cannot be sent where capsules follow")]
    Content,
    /// The field speaks about a connection of HTTP/1.1 (RFC 9114 §4.2).
    #[error("a connection-specific field cannot be sent in HTTP/3")]
    ConnectionSpecific,
    /// The field means nothing, or something dangerous, behind the content (RFC 9110 §6.5.1).
    #[error("a field that frames, routes, controls or describes a message cannot be a trailer")]
    NotATrailer,
}

/// Checks a field of a request before it is sent.
///
/// # Errors
/// What is wrong with it. `te` passes with the value `trailers` only.
pub fn check_field(name: &[u8], value: &[u8]) -> Result<(), FieldError> {
    // RFC9114-4.3-not-generated
    if name.first() == Some(&b':') {
        return Err(FieldError::PseudoHeader);
    }
    // RFC9114-4.2-name-lowercase-sent, RFC9114-10.3-name-sent
    if !is_name(name) {
        return Err(FieldError::Name);
    }
    match Field::of(name) {
        // RFC9114-4.2-connection-specific-sent, RFC9114-4.1-transfer-encoding-sent
        Field::ConnectionSpecific => return Err(FieldError::ConnectionSpecific),
        Field::Te if value != b"trailers" => return Err(FieldError::ConnectionSpecific),
        _ => {}
    }
    // RFC9114-10.3-value-sent
    check_value(value)
}

/// Checks a field of a response, or of trailers, before it is sent.
///
/// # Errors
/// As [`check_field`]; `te` never passes (RFC 9114 §4.2).
pub fn check_response_field(name: &[u8], value: &[u8]) -> Result<(), FieldError> {
    // RFC9114-4.2-te-sent
    if name == b"te" {
        return Err(FieldError::ConnectionSpecific);
    }
    check_field(name, value)
}

/// The fields that have rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    ContentLength,
    Host,
    Te,
    /// RFC 9114 §4.2, RFC 9110 §7.6.1.
    ConnectionSpecific,
    Other,
}

impl Field {
    /// Which one `name` is.
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"te" => Self::Te,
            b"host" => Self::Host,
            b"content-length" => Self::ContentLength,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                Self::ConnectionSpecific
            }
            _ => Self::Other,
        }
    }
}

/// Whether `name` is a token without upper-case letters.
#[inline]
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && all(name, NAME)
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
#[inline]
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && all(text, TOKEN)
}

/// Whether all bytes may stand in `:path`: visible ASCII without the fragment's `#`. That is more than RFC
/// 3986 allows, and what browsers send.
#[inline]
pub(crate) fn is_path_text(text: &[u8]) -> bool {
    all(text, PATH)
}

/// Whether all bytes may stand in an authority (RFC 3986 §3.2).
#[inline]
pub(crate) fn is_authority_text(text: &[u8]) -> bool {
    all(text, AUTHORITY)
}

/// Control characters and surrounding blanks have no place in a value (RFC 9110 §5.5, RFC 9114 §10.3).
#[inline]
pub(crate) fn check_value(value: &[u8]) -> Result<(), FieldError> {
    if let (Some(first), Some(last)) = (value.first(), value.last())
        && (matches!(first, b' ' | b'\t') || matches!(last, b' ' | b'\t'))
    {
        return Err(FieldError::ValuePadding);
    }
    if all(value, VALUE) {
        Ok(())
    } else {
        Err(FieldError::Value)
    }
}

/// The number in a `content-length` value: digits, or a list of the same number (RFC9110-8.6-equal-list,
/// RFC9110-8.6-unequal-list).
pub(crate) fn parse_content_length(value: &[u8]) -> Option<u64> {
    parse_digits(value).or_else(|| parse_equal_numbers(value))
}

fn parse_equal_numbers(value: &[u8]) -> Option<u64> {
    check_value(value).ok()?;
    let mut agreed = None;
    for part in value.split(|byte| *byte == b',') {
        let length = parse_digits(trim_blanks(part))?;
        if *agreed.get_or_insert(length) != length {
            return None;
        }
    }
    agreed
}

/// Without the optional whitespace of RFC 9110 §5.6.3.
fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// A decimal number (RFC9110-8.6-not-digits) of one digit or more (RFC9110-8.6-empty) that fits 64 bits
/// (RFC9110-8.6-too-large).
pub(crate) fn parse_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[inline]
fn all(text: &[u8], class: u8) -> bool {
    text.iter().all(|byte| CLASS[usize::from(*byte)] & class != 0)
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let tchar = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        let authority = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'$'..=b'.' | b':' | b';' | b'=' | b'@' | b'[' | b']' | b'_' | b'~'
            );
        table[index] = flag(tchar && !byte.is_ascii_uppercase(), NAME)
            | flag(tchar, TOKEN)
            | flag(byte == b'\t' || byte >= b' ' && byte != 0x7f, VALUE)
            | flag(byte.is_ascii_graphic() && byte != b'#', PATH)
            | flag(authority, AUTHORITY);
        index += 1;
    }
    table
}

const fn flag(condition: bool, bit: u8) -> u8 {
    if condition { bit } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_field_may_be_sent() {
        for (name, value) in [
            ("content-type", "text/plain"),
            ("x-a", ""),
            ("x", "a\tb \u{e9}"),
            ("te", "trailers"),
        ] {
            assert_eq!(check_field(name.as_bytes(), value.as_bytes()), Ok(()), "{name}");
        }
    }

    /// RFC 9110 §5.6.2, RFC 9114 §4.2.
    #[test]
    fn a_name_with_any_byte_outside_a_lower_case_token_is_refused() {
        let allowed = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
        for byte in 0..=255u8 {
            assert_eq!(is_name(&[b'a', byte]), allowed.contains(&byte), "{byte:#x}");
            assert_eq!(
                is_token(&[byte]),
                allowed.contains(&byte) || byte.is_ascii_uppercase(),
                "{byte:#x}"
            );
        }
        // RFC9114-4.2-name-lowercase-sent, RFC9114-10.3-name-sent
        for name in [&b"A"[..], b"", b"a b", b"a\0", b"a\xe9", b"a:"] {
            assert_eq!(check_field(name, b""), Err(FieldError::Name));
        }
    }

    /// RFC9114-4.3-not-generated
    #[test]
    fn a_field_whose_name_begins_with_a_colon_is_refused() {
        for name in [&b":status"[..], b":path", b":", b":x"] {
            assert_eq!(check_field(name, b"200"), Err(FieldError::PseudoHeader));
        }
    }

    /// RFC 9110 §5.5.
    #[test]
    fn a_value_with_a_control_character_is_refused() {
        for byte in 0..=255u8 {
            let refused = byte < 0x20 && byte != b'\t' || byte == 0x7f;
            assert_eq!(check_value(&[b'a', byte, b'b']).is_err(), refused, "{byte:#x}");
        }
        // RFC9114-10.3-value-sent
        assert_eq!(check_field(b"a", b"b\r\nc"), Err(FieldError::Value));
    }

    /// RFC 9110 §5.5.
    #[test]
    fn a_value_that_begins_or_ends_blank_is_refused() {
        for value in [&b" a"[..], b"a ", b"\ta", b"a\t", b" "] {
            assert_eq!(check_field(b"a", value), Err(FieldError::ValuePadding));
        }
    }

    /// RFC9114-4.2-connection-specific-sent, RFC9114-4.1-transfer-encoding-sent
    #[test]
    fn a_connection_specific_field_is_refused() {
        for name in [
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ] {
            assert_eq!(
                check_field(name.as_bytes(), b"x"),
                Err(FieldError::ConnectionSpecific)
            );
        }
        assert_eq!(check_field(b"te", b"gzip"), Err(FieldError::ConnectionSpecific));
    }

    /// RFC9114-4.2-te-sent
    #[test]
    fn te_is_refused_in_a_response_whatever_its_value() {
        assert_eq!(
            check_response_field(b"te", b"trailers"),
            Err(FieldError::ConnectionSpecific)
        );
        assert_eq!(check_response_field(b"etag", b"\"a\""), Ok(()));
        assert_eq!(check_response_field(b"A", b"b"), Err(FieldError::Name));
    }

    /// RFC 9110 §8.6.
    #[test]
    fn a_content_length_is_digits_or_a_list_of_the_same_number() {
        assert_eq!(parse_content_length(b"0"), Some(0));
        assert_eq!(parse_content_length(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_content_length(b"42, 42,42"), Some(42));
        for value in [
            "",
            "-1",
            "+1",
            "1.0",
            "0x1",
            "1 2",
            "1,",
            ",",
            "1,2",
            "18446744073709551616",
            "a",
        ] {
            assert_eq!(parse_content_length(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn paths_and_authorities_hold_no_blank_or_control_character() {
        for byte in (0..=0x20u8).chain(0x7f..=0xff) {
            assert!(!is_path_text(&[byte]) && !is_authority_text(&[byte]), "{byte:#x}");
        }
        assert!(is_path_text(b"/a?b=\"{}|^\\%20"));
        assert!(!is_path_text(b"/a#b"));
        for byte in b"/?#\\<>\"^`{|}" {
            assert!(!is_authority_text(&[*byte]), "{byte:#x}");
        }
        assert!(is_authority_text(b"aZ09-._~!$&'()*+,;=:[]@%"));
    }
}
