//! What makes the head of a request malformed (RFC 9114 §4.1.2 to §4.4, RFC 9110, RFC 9220).

use super::authority::{UserInfo, is_authority, is_host_and_port};
use crate::capsule_message;
use crate::field::{self, Field};
use crate::field_section::FieldSection;
use crate::qpack::{self, FieldRules, Source};

/// Where the pseudo-headers are, and what was seen of the fields that have rules.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestRules {
    pub(super) method: Option<usize>,
    pub(super) scheme: Option<usize>,
    pub(super) authority: Option<usize>,
    pub(super) path: Option<usize>,
    pub(super) protocol: Option<usize>,
    pub(super) host: Option<usize>,
    pub(super) first_field: Option<usize>,
    pub(super) content_length: Option<u64>,
}

impl FieldRules for RequestRules {
    #[inline]
    fn check(&mut self, section: &FieldSection, index: usize, source: Source) -> Result<(), &'static str> {
        let (name, value) = section.field(index);
        if name.first() == Some(&b':') {
            return self.note_pseudo_header(name, value, index);
        }
        self.first_field.get_or_insert(index);
        match source {
            Source::Indexed(qpack::CONTENT_LENGTH) | Source::StaticName(qpack::CONTENT_LENGTH) => {
                return self.note_content_length(value);
            }
            Source::Indexed(_) => return Ok(()),
            // Of the names with rules of their own, the static table has only content-length.
            Source::StaticName(_) => {}
            Source::Literal => self.check_literal_name(name, value, index)?,
        }
        // RFC9114-10.3-value-nul, RFC9114-10.3-value-cr, RFC9114-10.3-value-lf, RFC9114-10.3-value-control,
        // RFC9114-10.3-value-leading-blank, RFC9114-10.3-value-trailing-blank
        field::check_value(value).map_err(|_| "invalid field value")
    }
}

impl RequestRules {
    /// Judges what only the whole head can tell (RFC 9114 §4.3.1).
    pub(super) fn check_whole(&self, section: &FieldSection) -> Result<(), &'static str> {
        let value = |index: Option<usize>| index.map(|index| section.field(index).1);
        // RFC9114-4.3.1-method-missing
        let method = value(self.method).ok_or("no :method")?;
        // RFC9114-4.3.1-host-differs
        if let (Some(authority), Some(host)) = (value(self.authority), value(self.host))
            && !authority.eq_ignore_ascii_case(host)
        {
            return Err("host differs from :authority");
        }
        match (method == b"CONNECT", value(self.protocol)) {
            (true, None) => return self.check_plain_connect(value(self.authority)),
            // RFC9114-4.4-connect-authority-missing, RFC8441-4-authority-missing
            (true, Some(_)) if self.authority.is_none() => return Err("extended CONNECT without :authority"),
            (true, Some(protocol)) => {
                let fields = section.iter_from(self.first_field.unwrap_or(section.len()));
                if capsule_message::uses_capsules(protocol, fields.clone()) {
                    capsule_message::check_fields(fields)?;
                }
            }
            // RFC9114-4.3-protocol-without-connect, RFC8441-4-protocol-without-connect
            (false, Some(_)) => return Err(":protocol without CONNECT"),
            _ => {}
        }
        // RFC9114-4.3.1-scheme-missing, RFC8441-4-scheme-missing
        let scheme = value(self.scheme).ok_or("no :scheme")?;
        // RFC9114-4.3.1-path-missing, RFC8441-4-path-missing
        let path = value(self.path).ok_or("no :path")?;
        check_authority(scheme, value(self.authority.or(self.host)))?;
        check_path(method, path)
    }

    /// RFC 9114 §4.4: only :method and :authority, which names where to connect to.
    fn check_plain_connect(&self, authority: Option<&[u8]>) -> Result<(), &'static str> {
        // RFC9114-4.4-connect-scheme
        if self.scheme.is_some() {
            return Err("CONNECT with :scheme");
        }
        // RFC9114-4.4-connect-path
        if self.path.is_some() {
            return Err("CONNECT with :path");
        }
        // RFC9114-4.4-connect-authority-missing
        let authority = authority.ok_or("CONNECT without :authority")?;
        // RFC9114-4.4-connect-authority-invalid
        if !is_authority(authority, UserInfo::Refused) {
            return Err("invalid :authority");
        }
        // RFC9114-4.4-connect-port
        if !is_host_and_port(authority) {
            return Err("CONNECT without a valid port");
        }
        Ok(())
    }

    /// Each may occur once, in front of all fields, and no other exists in a request (RFC 9114 §4.3).
    fn note_pseudo_header(&mut self, name: &[u8], value: &[u8], index: usize) -> Result<(), &'static str> {
        // RFC9114-4.3-after-field
        if self.first_field.is_some() {
            return Err("pseudo-header after a field");
        }
        let (slot, valid) = match name {
            // RFC9114-4.3.1-method-invalid
            b":method" => (&mut self.method, field::is_token(value)),
            // RFC9114-4.3.1-scheme-invalid
            b":scheme" => (&mut self.scheme, is_scheme(value)),
            b":authority" => (&mut self.authority, true),
            // RFC9114-4.3.1-path-empty, RFC9114-4.3.1-path-characters
            b":path" => (&mut self.path, !value.is_empty() && field::is_path_text(value)),
            b":protocol" => (&mut self.protocol, is_protocol(value)),
            // RFC9114-4.3-unknown-in-request, RFC9114-4.3-status-in-request
            _ => return Err("pseudo-header unknown in requests"),
        };
        // RFC9114-4.3.1-method-repeated, RFC9114-4.3.1-scheme-repeated, RFC9114-4.3.1-authority-repeated,
        // RFC9114-4.3.1-path-repeated, RFC9114-4.3-protocol-repeated, RFC8441-4-protocol-repeated
        if slot.replace(index).is_some() {
            return Err("pseudo-header sent twice");
        }
        if valid {
            Ok(())
        } else {
            Err("invalid pseudo-header value")
        }
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

    fn check_literal_name(&mut self, name: &[u8], value: &[u8], index: usize) -> Result<(), &'static str> {
        // RFC9114-4.2-name-uppercase, RFC9114-10.3-name-empty, RFC9114-10.3-name-characters
        if !field::is_name(name) {
            return Err("invalid field name");
        }
        match Field::of(name) {
            Field::Other => Ok(()),
            Field::ContentLength => self.note_content_length(value),
            Field::Te if value == b"trailers" => Ok(()),
            // RFC9114-4.2-te-value
            Field::Te => Err("te other than trailers"),
            // RFC9114-4.3.1-host-repeated
            Field::Host if self.host.replace(index).is_some() => Err("host sent twice"),
            Field::Host => Ok(()),
            // RFC9114-4.2-connection-specific, RFC9114-4.1-transfer-encoding, RFC8441-5-connection-field
            Field::ConnectionSpecific => Err("connection-specific field"),
        }
    }
}

/// http and https need an authority, with a host and without user information; other schemes may do without one, but
/// none may leave it empty (RFC 9114 §4.3.1).
fn check_authority(scheme: &[u8], authority: Option<&[u8]>) -> Result<(), &'static str> {
    let is_http = scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"http");
    let user_info = if is_http {
        UserInfo::Refused
    } else {
        UserInfo::Allowed
    };
    match authority {
        // RFC9114-4.3.1-authority-missing
        None if is_http => Err("no :authority or host"),
        None => Ok(()),
        // RFC9114-4.3.1-authority-empty
        Some(b"") => Err("empty authority"),
        // RFC9114-4.3.1-authority-userinfo, RFC9114-4.3.1-authority-invalid
        Some(authority) if !is_authority(authority, user_info) => Err("invalid authority"),
        Some(_) => Ok(()),
    }
}

/// A path begins with a slash; OPTIONS may ask about the server as a whole (RFC 9114 §4.3.1).
fn check_path(method: &[u8], path: &[u8]) -> Result<(), &'static str> {
    match path {
        [b'/', ..] => Ok(()),
        // RFC9114-4.3.1-path-asterisk
        b"*" if method == b"OPTIONS" => Ok(()),
        // RFC9114-4.3.1-path-relative
        _ => Err(":path is neither absolute nor * of OPTIONS"),
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// An upgrade token with an optional version (RFC8441-4-protocol-syntax, RFC 9110 §7.8).
fn is_protocol(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b'/');
    parts.next().is_some_and(field::is_token) && parts.next().is_none_or(field::is_token)
}
