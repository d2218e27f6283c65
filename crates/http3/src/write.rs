//! Frames that we send. There is no writer for PUSH_PROMISE, CANCEL_PUSH (RFC9114-4.6-never-pushed), MAX_PUSH_ID
//! (RFC9114-7.2.7-max-push-id-sent) or a frame of HTTP/2 (RFC9114-7.2.8-http2-sent), and field sections use nothing that
//! depends on the peer's settings (RFC9114-7.2.4.2-valid-for-peer).

use bytes::{BufMut, BytesMut};

use crate::settings::Settings;
use crate::{frame, qpack, uni_stream, varint};

/// Appends the beginning of our control stream: its type and the SETTINGS frame (RFC9114-6.2.1-own-control-stream,
/// RFC9114-7.2.4-settings-sent-once).
pub fn write_control_preface(out: &mut BytesMut, settings: &Settings) {
    let mut payload = BytesMut::new();
    settings.encode(&mut payload);
    varint::encode(out, uni_stream::CONTROL);
    frame::write_header(out, frame::SETTINGS, payload.len() as u64);
    out.extend_from_slice(&payload);
}

/// Appends GOAWAY (RFC 9114 §7.2.6). Ids may only shrink; a server's `id` is a request stream.
pub fn write_goaway(out: &mut BytesMut, id: u64) {
    frame::write_header(out, frame::GOAWAY, varint::len(id) as u64);
    varint::encode(out, id);
}

/// Appends the HEADERS frame of a response (RFC9114-4.3.2-status-sent, RFC9114-4.3-sent-first). `status` has three digits; check `fields` with
/// [`check_field`](crate::check_field) first.
#[inline]
pub fn write_response_head<'a>(
    out: &mut BytesMut,
    status: u16,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    let frame = SectionFrame::begin(out);
    qpack::write_status(out, status);
    write_fields(out, fields);
    frame.end(out);
}

/// Appends the HEADERS frame whose field lines `write` appends, by [`write_response_lines`] and [`write_field_line`]: for those
/// who keep some of them. The rules of [`write_response_head`] hold for what it makes.
#[inline]
pub fn write_head_of_lines(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let frame = SectionFrame::begin(out);
    write(out);
    frame.end(out);
}

/// Appends the field lines of a response without the frame around them; see [`write_head_of_lines`].
pub fn write_response_lines<'a>(
    out: &mut BytesMut,
    status: u16,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    qpack::write_status(out, status);
    write_fields(out, fields);
}

/// Appends one field line without the frame around it; see [`write_head_of_lines`].
#[inline]
pub fn write_field_line(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    qpack::write_field(out, name, value);
}

/// Appends the HEADERS frame of a request (RFC9114-4.3.1-pseudo-sent, RFC9114-4.3-sent-first). Empty `scheme`, `authority` and `path` are left out: a plain
/// CONNECT has only
/// `authority` (RFC 9114 §4.4). Check `fields` with [`check_field`](crate::check_field) first.
pub fn write_request_head<'a>(
    out: &mut BytesMut,
    method: &[u8],
    scheme: &[u8],
    authority: &[u8],
    path: &[u8],
    protocol: Option<&[u8]>,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    let frame = SectionFrame::begin(out);
    qpack::write_field(out, b":method", method);
    for (name, value) in [
        (&b":scheme"[..], scheme),
        (b":authority", authority),
        (b":path", path),
    ] {
        if !value.is_empty() {
            qpack::write_field(out, name, value);
        }
    }
    if let Some(protocol) = protocol {
        qpack::write_field(out, b":protocol", protocol);
    }
    write_fields(out, fields);
    frame.end(out);
}

/// Appends the HEADERS frame of trailers. Check `fields` with [`check_field`](crate::check_field) first.
pub fn write_trailers<'a>(out: &mut BytesMut, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let frame = SectionFrame::begin(out);
    write_fields(out, fields);
    frame.end(out);
}

/// Appends the header of a DATA frame; `len` bytes of content must follow.
#[inline]
pub fn write_data_header(out: &mut BytesMut, len: u64) {
    frame::write_header(out, frame::DATA, len);
}

/// RFC9204-2.1-order-sent
#[inline]
fn write_fields<'a>(out: &mut BytesMut, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    for (name, value) in fields {
        qpack::write_field(out, name, value);
    }
}

/// A HEADERS frame whose length is not known yet: two bytes are kept for it, more are made room for at the
/// end.
struct SectionFrame {
    /// Where the length is.
    length_at: usize,
}

impl SectionFrame {
    const KEPT: usize = 2;

    #[inline]
    fn begin(out: &mut BytesMut) -> Self {
        out.reserve(64);
        out.put_u8(frame::HEADERS as u8);
        let length_at = out.len();
        out.put_u16(0);
        qpack::write_prefix(out);
        Self { length_at }
    }

    #[inline]
    fn end(self, out: &mut BytesMut) {
        let payload_at = self.length_at + Self::KEPT;
        let length = out.len() - payload_at;
        match u16::try_from(length) {
            Ok(short) if short < 0x4000 => {
                out[self.length_at..payload_at].copy_from_slice(&(short | 0x4000).to_be_bytes());
            }
            _ => self.widen(out, length),
        }
    }

    /// Moves the payload back to make room for a longer length.
    #[cold]
    fn widen(self, out: &mut BytesMut, length: usize) {
        let mut encoded = BytesMut::new();
        varint::encode(&mut encoded, length as u64);
        let payload_at = self.length_at + Self::KEPT;
        let payload_end = out.len();
        out.put_bytes(0, encoded.len() - Self::KEPT);
        out.copy_within(payload_at..payload_end, self.length_at + encoded.len());
        out[self.length_at..self.length_at + encoded.len()].copy_from_slice(&encoded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ControlFrame, ControlReader, FieldLimits, FieldSection, Part, RequestHead, RequestReader,
        ResponseHead, ResponseReader, ResponseTo, Role, UniKind, classify_uni,
    };

    const LIMITS: FieldLimits = FieldLimits {
        max_bytes: 1 << 20,
        max_fields: 100,
    };

    type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

    fn read_response(out: BytesMut) -> ResponseHead {
        let (mut head, mut trailers) = (ResponseHead::new(), FieldSection::new());
        let mut chunk = out.freeze();
        let mut reader = ResponseReader::new(LIMITS, ResponseTo::Other);
        assert_eq!(
            reader.read(&mut chunk, &mut head, &mut trailers),
            Ok(Some(Part::Head))
        );
        assert!(chunk.is_empty(), "the frame is as long as it says");
        head
    }

    /// RFC9114-4.3.2-status-sent, RFC9114-4.3-sent-first
    #[test]
    fn a_response_head_of_any_size_reads_back() {
        // 16,361 makes a payload of 2^14 bytes, whose length no longer fits two bytes.
        for size in [0, 1, 100, 16_359, 16_360, 16_361, 16_362, 20_000, 300_000] {
            let value = vec![b'v'; size];
            let fields: Fields<'_> = &[
                (b"server", b"t"),
                (b"x-long", &value),
                (b"set-cookie", b"a"),
                (b"set-cookie", b"b"),
            ];
            let mut out = BytesMut::new();
            write_response_head(&mut out, 200, fields.iter().copied());
            let head = read_response(out);
            assert_eq!(head.status(), 200);
            assert!(head.fields().eq(fields.iter().copied()), "{size}");
        }
    }

    #[test]
    fn a_head_of_kept_lines_is_that_of_its_fields() {
        let fields: Fields<'_> = &[(b"server", b"t"), (b"x-a", b"b"), (b"content-length", b"12")];
        let (mut whole, mut of_lines, mut lines) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        write_response_head(&mut whole, 404, fields.iter().copied());
        write_response_lines(&mut lines, 404, fields[..2].iter().copied());
        write_head_of_lines(&mut of_lines, |out| {
            out.extend_from_slice(&lines);
            write_field_line(out, b"content-length", b"12");
        });
        assert_eq!(of_lines, whole);
    }

    #[test]
    fn what_is_in_the_buffer_already_stays() {
        let mut out = BytesMut::from(&b"before"[..]);
        let value = vec![b'v'; 20_000];
        write_response_head(&mut out, 204, [(&b"x"[..], &value[..])].into_iter());
        assert_eq!(&out.split_to(6)[..], b"before");
        assert_eq!(read_response(out).status(), 204);
    }

    /// RFC9114-4.3.1-pseudo-sent, RFC9114-4.3-sent-first
    #[test]
    fn a_request_head_reads_back() {
        let fields: Fields<'_> = &[(b"user-agent", b"t"), (b"x-a", b"b")];
        let mut out = BytesMut::new();
        write_request_head(
            &mut out,
            b"CONNECT",
            b"https",
            b"a:1",
            b"/p?q",
            Some(b"webtransport"),
            fields.iter().copied(),
        );
        write_data_header(&mut out, 3);
        out.extend_from_slice(b"abc");
        let (mut head, mut trailers) = (RequestHead::new(), FieldSection::new());
        let (mut chunk, mut reader) = (out.freeze(), RequestReader::new(LIMITS));
        assert_eq!(
            reader.read(&mut chunk, &mut head, &mut trailers),
            Ok(Some(Part::Head))
        );
        assert_eq!((head.method(), head.scheme()), (&b"CONNECT"[..], &b"https"[..]));
        assert_eq!((head.authority(), head.path()), (&b"a:1"[..], &b"/p?q"[..]));
        assert_eq!(head.protocol(), Some(&b"webtransport"[..]));
        assert!(head.fields().eq(fields.iter().copied()));
        let data = reader.read(&mut chunk, &mut head, &mut trailers);
        assert_eq!(data, Ok(Some(Part::Data(bytes::Bytes::from_static(b"abc")))));
    }

    /// RFC 9114 §4.4.
    #[test]
    fn a_plain_connect_has_no_scheme_and_path() {
        let mut out = BytesMut::new();
        write_request_head(&mut out, b"CONNECT", b"", b"a:1", b"", None, std::iter::empty());
        let (mut head, mut trailers) = (RequestHead::new(), FieldSection::new());
        let read = RequestReader::new(LIMITS).read(&mut out.freeze(), &mut head, &mut trailers);
        assert_eq!(read, Ok(Some(Part::Head)));
        assert!(head.is_connect());
    }

    #[test]
    fn trailers_read_back() {
        let mut out = BytesMut::new();
        write_response_head(&mut out, 200, std::iter::empty());
        write_trailers(&mut out, [(&b"grpc-status"[..], &b"0"[..])].into_iter());
        let (mut head, mut trailers) = (ResponseHead::new(), FieldSection::new());
        let (mut chunk, mut reader) = (out.freeze(), ResponseReader::new(LIMITS, ResponseTo::Other));
        assert_eq!(
            reader.read(&mut chunk, &mut head, &mut trailers),
            Ok(Some(Part::Head))
        );
        assert_eq!(
            reader.read(&mut chunk, &mut head, &mut trailers),
            Ok(Some(Part::Trailers))
        );
        assert_eq!(trailers.get(b"grpc-status"), Some(&b"0"[..]));
    }

    #[test]
    fn our_control_stream_reads_back() {
        let settings = Settings {
            enable_connect_protocol: true,
            h3_datagram: true,
            ..Settings::default()
        };
        let mut out = BytesMut::new();
        write_control_preface(&mut out, &settings);
        write_goaway(&mut out, 400);
        let mut chunk = out.freeze();
        let (kind, prefix) = classify_uni(&chunk).unwrap().unwrap();
        assert_eq!(kind, UniKind::Control);
        let mut chunk = chunk.split_off(prefix);
        let mut reader = ControlReader::new(Role::Client);
        assert_eq!(
            reader.read(&mut chunk),
            Ok(Some(ControlFrame::Settings(settings)))
        );
        assert_eq!(reader.read(&mut chunk), Ok(Some(ControlFrame::Goaway(400))));
        assert_eq!(reader.read(&mut chunk), Ok(None));
    }
}
