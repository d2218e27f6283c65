//! From status, fields and body to the bytes of an answer.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};

use crate::sync::lock;

/// Bodies up to this length are copied behind their header block, so that an answer is one buffer; longer ones
/// travel as they are. The copy costs less than a second chunk in quinn's send buffer up to about here.
const INLINE_BODY_BYTES: usize = 4096;

/// Header blocks are cut from one buffer of this size, made anew when it is used up.
const ARENA_BYTES: usize = 64 * 1024;

/// What the rules of HTTP say of the body of an answer (RFC 9110 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// The body is sent.
    Allowed,
    /// To HEAD, or with 304: no body, but `content-length` tells what it would have been.
    LengthOnly,
    /// With 1xx and 204: neither body nor `content-length`.
    Forbidden,
    /// With 2xx to CONNECT: what follows is the data of a tunnel, which has no `content-length` (RFC 9110 §8.6).
    Tunnel,
}

impl BodyRule {
    fn has_length(self) -> bool {
        !matches!(self, Self::Forbidden | Self::Tunnel)
    }
}

/// Which rule holds for an answer with `status` to a request with `method`.
pub(crate) fn body_rule(method: Method, status: u16) -> BodyRule {
    match (method, status) {
        (_, 100..=199 | 204) => BodyRule::Forbidden,
        (Method::Connect, 200..=299) => BodyRule::Tunnel,
        (_, 304) | (Method::Head, _) => BodyRule::LengthOnly,
        _ => BodyRule::Allowed,
    }
}

/// The methods whose answers differ in shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Head,
    Connect,
    Other,
}

impl Method {
    pub(crate) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Makes the bytes of answers. One for each server, used on the IO thread; the lock is never waited for there.
#[derive(Debug)]
pub(crate) struct Encoder {
    state: Mutex<EncoderState>,
}

#[derive(Debug)]
struct EncoderState {
    arena: BytesMut,
    date_second: u64,
    date: [u8; 29],
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(EncoderState {
                arena: BytesMut::new(),
                date_second: 0,
                date: [0; 29],
            }),
        }
    }

    /// A whole answer: HEADERS and, if the rules allow a body, DATA. Adds `date` and `content-length` where the
    /// fields do not have them. Returns the chunks to write; empty chunks are left out by the caller.
    pub(crate) fn whole<'a>(
        &self,
        method: Method,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        body: Bytes,
    ) -> [Bytes; 2] {
        let rule = body_rule(method, status);
        let mut digits = [0; 20];
        let length = (rule.has_length() && !(rule == BodyRule::LengthOnly && body.is_empty()))
            .then(|| decimal(body.len() as u64, &mut digits));
        let mut state = lock(&self.state);
        let sends_body = matches!(rule, BodyRule::Allowed | BodyRule::Tunnel) && !body.is_empty();
        let inline = sends_body && body.len() <= INLINE_BODY_BYTES;
        state.head(status, fields, length, rule, if inline { body.len() } else { 0 });
        if sends_body {
            trilane_http3::write_data_header(&mut state.arena, body.len() as u64);
        }
        if inline {
            state.arena.extend_from_slice(&body);
        }
        let head = state.arena.split().freeze();
        [head, if sends_body && !inline { body } else { Bytes::new() }]
    }

    /// The HEADERS frame of an answer whose body is still to be written.
    pub(crate) fn head<'a>(
        &self,
        method: Method,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Bytes {
        let mut state = lock(&self.state);
        state.head(status, fields, None, body_rule(method, status), 0);
        state.arena.split().freeze()
    }
}

impl EncoderState {
    fn make_room(&mut self, bytes: usize) {
        if self.arena.capacity() - self.arena.len() < bytes {
            self.arena = BytesMut::with_capacity(ARENA_BYTES.max(bytes));
        }
    }

    fn head<'a>(
        &mut self,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        content_length: Option<&[u8]>,
        rule: BodyRule,
        inline: usize,
    ) {
        let (mut bytes, mut has_date, mut has_length) = (128 + inline, false, false);
        for (name, value) in fields.clone() {
            bytes += name.len() + value.len() + 16;
            has_date |= name == b"date";
            has_length |= name == b"content-length";
        }
        self.make_room(bytes);
        let date = (!has_date).then(|| self.date());
        let added_date = date.as_ref().map(|value| (&b"date"[..], &value[..]));
        let added_length = content_length
            .filter(|_| !has_length)
            .map(|value| (&b"content-length"[..], value));
        // RFC 9110 §8.6: no content-length with 1xx, 204 or a 2xx answer to CONNECT.
        let kept = fields
            .filter(|(name, _)| rule.has_length() || *name != b"content-length")
            .map(|(name, value)| -> (&[u8], &[u8]) { (name, value) });
        trilane_http3::write_response_head(
            &mut self.arena,
            status,
            kept.chain(added_length).chain(added_date),
        );
    }

    /// The Date field's value, made anew each second.
    fn date(&mut self) -> [u8; 29] {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        if now != self.date_second {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
            if let Ok(bytes) = <[u8; 29]>::try_from(text.as_bytes()) {
                self.date = bytes;
            }
            self.date_second = now;
        }
        self.date
    }
}

/// `value` in decimal digits, written to the end of `buffer`.
fn decimal(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_writes_every_magnitude() {
        for value in [0, 9, 10, 12_345, u64::MAX] {
            assert_eq!(decimal(value, &mut [0; 20]), value.to_string().as_bytes());
        }
    }

    /// RFC 9110 §6.4.1, §9.3.2, §15.3.5, §15.4.5
    #[test]
    fn only_answers_that_may_have_a_body_have_one() {
        assert_eq!(body_rule(Method::Other, 200), BodyRule::Allowed);
        assert_eq!(body_rule(Method::Head, 200), BodyRule::LengthOnly);
        assert_eq!(body_rule(Method::Other, 304), BodyRule::LengthOnly);
        assert_eq!(body_rule(Method::Other, 204), BodyRule::Forbidden);
        assert_eq!(body_rule(Method::Head, 204), BodyRule::Forbidden);
        assert_eq!(body_rule(Method::Connect, 200), BodyRule::Tunnel);
        assert_eq!(body_rule(Method::Connect, 501), BodyRule::Allowed);
    }

    #[test]
    fn a_long_body_is_not_copied() {
        let body = Bytes::from(vec![7; INLINE_BODY_BYTES + 1]);
        let [_, sent] = Encoder::new().whole(Method::Other, 200, std::iter::empty(), body.clone());
        assert_eq!(sent.as_ptr(), body.as_ptr());
    }
}
