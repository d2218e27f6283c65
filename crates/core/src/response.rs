//! From status, fields and body to the bytes of an answer.

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use trilane_http3::Priority;

use crate::known_heads::{Known, KnownHeads};
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
    /// With 1xx, 204 and 205: neither body nor `content-length`.
    Forbidden,
    /// With 2xx to CONNECT: what follows is the data of a tunnel, which has no `content-length` (RFC 9110 §8.6).
    Tunnel,
}

impl BodyRule {
    /// Whether the answer may have a `content-length`.
    fn has_length(self) -> bool {
        !matches!(self, Self::Forbidden | Self::Tunnel)
    }
}

/// Which rule holds for an answer with `status` to a request with `method`.
pub(crate) fn body_rule(method: Method, status: u16) -> BodyRule {
    match (method, status) {
        // RFC9110-15.3.5-204-answer, RFC9110-15.3.6-205-answer
        (_, 100..=199 | 204 | 205) => BodyRule::Forbidden,
        // RFC9114-4.4-connect-answer
        (Method::Connect, 200..=299) => BodyRule::Tunnel,
        // RFC9110-15.4.5-304-answer, RFC9110-9.3.2-head-answer
        (_, 304) | (Method::Head, _) => BodyRule::LengthOnly,
        _ => BodyRule::Allowed,
    }
}

/// Whether a whole answer with a body of `length` bytes may say that it has `declared`. An answer to HEAD, or a 304, that
/// comes without a body speaks of one that the server does not know (RFC9110-8.6-head-length, RFC9110-8.6-304-length).
pub(crate) fn may_declare(rule: BodyRule, declared: u64, length: usize) -> bool {
    match rule {
        // The field is left out.
        BodyRule::Forbidden | BodyRule::Tunnel => true,
        BodyRule::LengthOnly if length == 0 => true,
        // RFC9110-8.6-contradiction-refused
        BodyRule::LengthOnly | BodyRule::Allowed => declared == length as u64,
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
    known: KnownHeads,
    date_second: u64,
    date: [u8; 29],
    /// The encoded field of that date.
    date_line: BytesMut,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(EncoderState {
                arena: BytesMut::new(),
                known: KnownHeads::default(),
                date_second: 0,
                date: [0; 29],
                date_line: BytesMut::new(),
            }),
        }
    }

    /// What is known of an answer with this status and these fields.
    pub(crate) fn known<'a>(
        &self,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Option<Known> {
        lock(&self.state).known.find(status, fields)
    }

    /// An answer with this status and these fields may be sent: the next of its kind may be known.
    pub(crate) fn learn<'a>(
        &self,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        priority: Priority,
    ) {
        lock(&self.state).known.learn(status, fields, priority);
    }

    /// A whole answer: HEADERS and, if the rules allow a body, DATA. Adds `date` and `content-length`
    /// (RFC9110-8.6-added) where the fields do not have them. Returns the chunks to write; empty chunks are left out by the caller.
    pub(crate) fn whole<'a>(
        &self,
        method: Method,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        known: Option<Known>,
        body: Bytes,
    ) -> [Bytes; 2] {
        let rule = body_rule(method, status);
        let mut digits = [0; 20];
        // RFC9110-8.6-head-length, RFC9110-8.6-304-length: no length is made up where there is no body to count.
        let length = (rule.has_length() && !(rule == BodyRule::LengthOnly && body.is_empty()))
            .then(|| decimal(body.len() as u64, &mut digits));
        let mut state = lock(&self.state);
        let sends_body = matches!(rule, BodyRule::Allowed | BodyRule::Tunnel) && !body.is_empty();
        let inline = sends_body && body.len() <= INLINE_BODY_BYTES;
        let room = if inline { body.len() } else { 0 };
        if !known.is_some_and(|known| state.known_head(known, length, room)) {
            state.head(status, fields, length, rule, room);
        }
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

impl Encoder {
    /// The HEADERS frame of an interim answer: nothing is added to its fields.
    pub(crate) fn interim<'a>(
        &self,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Bytes {
        let mut state = lock(&self.state);
        state.make_room(16 + size(fields.clone()));
        trilane_http3::write_response_head(&mut state.arena, status, fields);
        state.arena.split().freeze()
    }

    /// The HEADERS frame of trailers.
    pub(crate) fn trailers<'a>(&self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Bytes {
        let mut state = lock(&self.state);
        state.make_room(16 + size(fields.clone()));
        trilane_http3::write_trailers(&mut state.arena, fields);
        state.arena.split().freeze()
    }
}

/// Bytes that suffice for `fields`, encoded.
fn size<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
    fields.map(|(name, value)| name.len() + value.len() + 16).sum()
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
        // RFC9110-6.6.1-date
        let date = (!has_date).then(|| self.date());
        let added_date = date.as_ref().map(|value| (&b"date"[..], &value[..]));
        let added_length = content_length
            .filter(|_| !has_length)
            .map(|value| (&b"content-length"[..], value));
        // RFC9110-8.6-204-length, RFC9110-8.6-1xx-length, RFC9110-8.6-connect-length, RFC9114-4.4-connect-answer
        let kept = fields
            .filter(|(name, _)| rule.has_length() || *name != b"content-length")
            .map(|(name, value)| -> (&[u8], &[u8]) { (name, value) });
        trilane_http3::write_response_head(
            &mut self.arena,
            status,
            kept.chain(added_length).chain(added_date),
        );
    }

    /// The head of an answer that is known; false: it is forgotten by now.
    fn known_head(&mut self, known: Known, content_length: Option<&[u8]>, inline: usize) -> bool {
        // RFC9110-6.6.1-date
        self.date();
        let Some(lines) = self.known.lines(known).map(<[u8]>::len) else {
            return false;
        };
        self.make_room(128 + inline + lines);
        let Self {
            arena,
            known: heads,
            date_line,
            ..
        } = self;
        let Some(lines) = heads.lines(known) else {
            return false;
        };
        trilane_http3::write_head_of_lines(arena, |out| {
            out.extend_from_slice(lines);
            if let Some(length) = content_length {
                trilane_http3::write_field_line(out, b"content-length", length);
            }
            out.extend_from_slice(date_line);
        });
        true
    }

    /// The Date field's value, made anew each second (RFC9110-6.6.1-date-format).
    fn date(&mut self) -> [u8; 29] {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_secs();
        if now != self.date_second {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
            if let Ok(bytes) = <[u8; 29]>::try_from(text.as_bytes()) {
                self.date = bytes;
                self.date_line.clear();
                trilane_http3::write_field_line(&mut self.date_line, b"date", &bytes);
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

    /// RFC9110-9.3.2-head-answer, RFC9110-15.3.5-204-answer, RFC9110-15.3.6-205-answer, RFC9110-15.4.5-304-answer
    #[test]
    fn only_answers_that_may_have_a_body_have_one() {
        assert_eq!(body_rule(Method::Other, 200), BodyRule::Allowed);
        assert_eq!(body_rule(Method::Head, 200), BodyRule::LengthOnly);
        assert_eq!(body_rule(Method::Other, 304), BodyRule::LengthOnly);
        assert_eq!(body_rule(Method::Other, 204), BodyRule::Forbidden);
        assert_eq!(body_rule(Method::Head, 204), BodyRule::Forbidden);
        assert_eq!(body_rule(Method::Other, 205), BodyRule::Forbidden);
        assert_eq!(body_rule(Method::Other, 103), BodyRule::Forbidden);
        assert_eq!(body_rule(Method::Connect, 200), BodyRule::Tunnel);
        assert_eq!(body_rule(Method::Connect, 501), BodyRule::Allowed);
    }

    /// RFC9110-6.6.1-date-format
    #[test]
    fn the_date_is_that_of_now_and_in_its_fixed_form() {
        let encoder = Encoder::new();
        let date = lock(&encoder.state).date();
        let text = std::str::from_utf8(&date).unwrap();
        let (day, rest) = text.split_once(", ").unwrap();
        assert_eq!((day.len(), rest.len(), &rest[20..]), (3, 24, " GMT"), "{text}");
        let age = SystemTime::now()
            .duration_since(httpdate::parse_http_date(text).unwrap())
            .unwrap();
        assert!(age < Duration::from_secs(5), "{age:?}");
    }

    /// The field `name` of a head.
    fn field_of(head: &Bytes, name: &[u8]) -> Option<Vec<u8>> {
        let limits = trilane_http3::FieldLimits {
            max_bytes: 10_000,
            max_fields: 10,
        };
        let mut read = trilane_http3::ResponseHead::new();
        trilane_http3::ResponseReader::new(limits, trilane_http3::ResponseTo::Other)
            .read(
                &mut head.clone(),
                &mut read,
                &mut trilane_http3::FieldSection::new(),
            )
            .unwrap();
        read.field(name).map(<[u8]>::to_vec)
    }

    #[test]
    fn only_answers_that_have_a_length_tell_it() {
        let own = [(&b"content-length"[..], &b"4"[..])];
        let cases = [
            ("RFC9110-8.6-added", Method::Other, 200, true),
            ("RFC9110-8.6-head-length", Method::Head, 200, true),
            ("RFC9110-8.6-304-length", Method::Other, 304, true),
            ("RFC9110-8.6-204-length", Method::Other, 204, false),
            ("RFC9110-8.6-1xx-length", Method::Other, 103, false),
            ("RFC9110-8.6-connect-length", Method::Connect, 200, false),
        ];
        for (rule, method, status, told) in cases {
            let expected = told.then(|| b"4".to_vec());
            let body = Bytes::from_static(b"body");
            let [added, _] = Encoder::new().whole(method, status, std::iter::empty(), None, body.clone());
            assert_eq!(field_of(&added, b"content-length"), expected, "{rule}");
            let [given, _] = Encoder::new().whole(method, status, own.into_iter(), None, body);
            assert_eq!(field_of(&given, b"content-length"), expected, "{rule}");
            let begun = Encoder::new().head(method, status, own.into_iter());
            assert_eq!(field_of(&begun, b"content-length"), expected, "{rule}");
        }
    }

    #[test]
    fn no_length_is_made_up_where_there_is_no_body_to_count() {
        let cases = [
            ("RFC9110-8.6-head-length", Method::Head, 200, None),
            ("RFC9110-8.6-304-length", Method::Other, 304, None),
            ("RFC9110-8.6-added", Method::Other, 200, Some(b"0".to_vec())),
        ];
        for (rule, method, status, expected) in cases {
            let [head, _] = Encoder::new().whole(method, status, std::iter::empty(), None, Bytes::new());
            assert_eq!(field_of(&head, b"content-length"), expected, "{rule}");
        }
    }

    #[test]
    fn an_answer_that_is_known_has_the_same_bytes() {
        let fields = [(&b"content-type"[..], &b"text/plain"[..]), (b"x-a", b"b")];
        let cases = [
            (Method::Other, 200, "a body"),
            (Method::Other, 200, ""),
            (Method::Head, 200, "a body"),
            (Method::Head, 200, ""),
            (Method::Other, 204, ""),
            (Method::Other, 304, ""),
            (Method::Connect, 200, "a body"),
        ];
        for (method, status, text) in cases {
            let (encoder, body) = (Encoder::new(), Bytes::from(text));
            encoder.learn(status, fields.into_iter(), Priority::default());
            let known = encoder.known(status, fields.into_iter());
            assert!(known.is_some());
            let [made, _] = encoder.whole(method, status, fields.into_iter(), None, body.clone());
            let [kept, _] = encoder.whole(method, status, fields.into_iter(), known, body);
            let name = format!("{method:?} {status} {text:?}");
            for field in [&b"content-type"[..], b"x-a", b"content-length"] {
                assert_eq!(field_of(&kept, field), field_of(&made, field), "{name}");
            }
            assert!(field_of(&kept, b"date").is_some(), "{name}");
            assert_eq!(kept.len(), made.len(), "{name}");
        }
    }

    #[test]
    fn a_long_body_is_not_copied() {
        let body = Bytes::from(vec![7; INLINE_BODY_BYTES + 1]);
        let [_, sent] = Encoder::new().whole(Method::Other, 200, std::iter::empty(), None, body.clone());
        assert_eq!(sent.as_ptr(), body.as_ptr());
    }
}
