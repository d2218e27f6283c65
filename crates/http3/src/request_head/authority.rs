//! The authority of a request target (RFC 3986 §3.2).

use crate::field::{is_authority_text, parse_digits};

/// Whether user information may stand in front of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserInfo {
    /// Deprecated for http and https, so malformed there (RFC 9114 §4.3.1).
    Refused,
    /// Other schemes decide themselves.
    Allowed,
}

/// Whether `text` is a host with an optional port. An empty host is refused: http and https have none (RFC
/// 9110 §4.2.1), and CONNECT needs somewhere to connect to.
pub(super) fn is_authority(text: &[u8], user_info: UserInfo) -> bool {
    if !is_authority_text(text) {
        return false;
    }
    let host_and_port = match text.iter().rposition(|byte| *byte == b'@') {
        Some(_) if user_info == UserInfo::Refused => return false,
        Some(at) => &text[at + 1..],
        None => text,
    };
    match host_and_port.strip_prefix(b"[") {
        Some(literal) => is_literal_and_port(literal),
        None => is_name_and_port(host_and_port),
    }
}

/// Whether an authority without user information that [`is_authority`] took names a port that can be connected to: 1
/// to 65,535 (RFC 9110 §9.3.6).
pub(super) fn is_host_and_port(authority: &[u8]) -> bool {
    // The digits of a port have no colon or bracket, and an IP literal without a port ends with its bracket.
    let port = match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) => &authority[colon + 1..],
        None => return false,
    };
    matches!(parse_digits(port), Some(1..=65_535))
}

/// An IP literal behind its opening bracket.
fn is_literal_and_port(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|byte| *byte == b']') else {
        return false;
    };
    let (address, rest) = (&text[..end], &text[end + 1..]);
    let address_ok = !address.is_empty()
        && address
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b".:%-_~".contains(b));
    address_ok && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

/// A registered name or IPv4 address.
fn is_name_and_port(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let host = parts.next().unwrap_or_default();
    !host.is_empty() && !host.iter().any(|byte| b"[]".contains(byte)) && parts.next().is_none_or(is_port)
}

/// RFC 3986 §3.2.3: digits, even none.
fn is_port(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_a_port_are_accepted() {
        for text in [
            "a",
            "example.com",
            "example.com:443",
            "127.0.0.1:8080",
            "[::1]",
            "[fe80::1]:443",
            "a:",
            "a%20b",
        ] {
            assert!(is_authority(text.as_bytes(), UserInfo::Refused), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let texts = [
            "", ":443", "a b", "a/b", "a?b", "a#b", "a\\b", "a:b", "a:1:2", "::1", "[::1", "[]", "[::1]x",
            "[::1]:x", "a]", "a[b", "[a@b]", "\u{e9}",
        ];
        for text in texts {
            assert!(!is_authority(text.as_bytes(), UserInfo::Refused), "{text}");
        }
    }

    #[test]
    fn a_port_to_connect_to_is_a_number_from_1_to_65535() {
        for text in ["a:1", "a:65535", "a:00443", "127.0.0.1:80", "[::1]:443"] {
            assert!(is_host_and_port(text.as_bytes()), "{text}");
        }
        for text in [
            "a",
            "a:",
            "a:0",
            "a:65536",
            "a:99999999999",
            "[::1]",
            "[::1]:",
            "[fe80::1:443]",
        ] {
            assert!(is_authority(text.as_bytes(), UserInfo::Refused), "{text}");
            assert!(!is_host_and_port(text.as_bytes()), "{text}");
        }
    }

    /// RFC 9114 §4.3.1.
    #[test]
    fn user_information_is_for_schemes_other_than_http_only() {
        assert!(!is_authority(b"user:pass@example.com", UserInfo::Refused));
        assert!(is_authority(b"user:pass@example.com:1", UserInfo::Allowed));
        assert!(!is_authority(b"user@", UserInfo::Allowed));
    }
}
