//! The head of a request: pseudo-headers and fields, judged while they are decoded.

mod authority;
mod rules;

use rules::RequestRules;

use crate::field_section::{FieldLimits, FieldSection};
use crate::qpack::{self, DecodeError};

/// The longest encoded head that is remembered: most of those of browsers, cookies included.
const REMEMBERED_BYTES: usize = 1024;

/// The head of a request. Reuse it: the next one keeps the memory. One that is the same, byte by byte, as the one before is not
/// decoded again: with the static table alone the same bytes mean the same fields.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    section: FieldSection,
    rules: RequestRules,
    /// What the head was decoded from, and with which limits; empty if there is no valid one, or it was long.
    encoded: Vec<u8>,
    limits: Option<FieldLimits>,
}

impl RequestHead {
    /// An empty head, to be filled by a [`RequestReader`](crate::RequestReader); allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// `:method`.
    pub fn method(&self) -> &[u8] {
        self.value(self.rules.method)
    }

    /// `:scheme`; empty for a plain CONNECT.
    pub fn scheme(&self) -> &[u8] {
        self.value(self.rules.scheme)
    }

    /// `:authority`, or else the `host` field; empty if a scheme other than http and https needs neither.
    pub fn authority(&self) -> &[u8] {
        self.value(self.rules.authority.or(self.rules.host))
    }

    /// `:path` with its query; empty for a plain CONNECT.
    pub fn path(&self) -> &[u8] {
        self.value(self.rules.path)
    }

    /// `:protocol` of an extended CONNECT (RFC 9220).
    pub fn protocol(&self) -> Option<&[u8]> {
        self.rules.protocol.map(|index| self.section.field(index).1)
    }

    /// The fields in the order received, without pseudo-headers. A `host` field is kept as sent.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.section
            .iter_from(self.rules.first_field.unwrap_or(self.section.len()))
    }

    /// The first value of the field `name` (lower case).
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The values of all fields `name` (lower case), in the order received.
    pub fn values(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.fields()
            .filter(move |(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// `content-length`. Always `None` for CONNECT, whose content it does not describe (RFC9110-9.3.6-request-length).
    pub fn content_length(&self) -> Option<u64> {
        if self.is_connect() {
            None
        } else {
            self.rules.content_length
        }
    }

    /// Whether the method is CONNECT, plain or extended.
    pub fn is_connect(&self) -> bool {
        self.method() == b"CONNECT"
    }

    /// Replaces the head by the one in `encoded`, the payload of a HEADERS frame.
    pub(crate) fn decode(&mut self, encoded: &[u8], limits: FieldLimits) -> Result<(), DecodeError> {
        if !encoded.is_empty() && self.encoded == encoded && self.limits == Some(limits) {
            return Ok(());
        }
        self.encoded.clear();
        self.rules = RequestRules::default();
        qpack::decode(encoded, limits, &mut self.section, &mut self.rules)?;
        self.rules
            .check_whole(&self.section)
            .map_err(DecodeError::Malformed)?;
        if encoded.len() <= REMEMBERED_BYTES {
            self.encoded.extend_from_slice(encoded);
            self.limits = Some(limits);
        }
        Ok(())
    }

    fn value(&self, index: Option<usize>) -> &[u8] {
        index.map_or(b"", |index| self.section.field(index).1)
    }
}

#[cfg(test)]
mod tests;
