//! Field sections: any payload of a HEADERS frame, and any fields that somebody wants to send.

use bytes::{Bytes, BytesMut};
use trilane_http3::{
    FieldLimits, FieldSection, MessageError, Part, RequestHead, RequestReader, ResponseHead, ResponseReader,
    ResponseTo, check_field, frame, varint, write_request_head, write_response_head, write_trailers,
};

use crate::messages::{Fields, borrowed, owned};

/// More than any input here can reach, so that only the rules refuse.
const WIDE: FieldLimits = FieldLimits {
    max_bytes: 1 << 20,
    max_fields: 1 << 16,
};

/// A HEADERS frame of a plain GET: what trailers need before them.
const GET: &[u8] = &[0x01, 0x08, 0, 0, 0xd1, 0xd7, 0x50, 1, b'a', 0xc1];

/// The input as the encoded section of a request, of trailers and of a response (RFC 9204 §4.5): whatever is accepted
/// is accepted again when we write it, and reads as the same.
pub(crate) fn section(input: &[u8]) {
    let frame = headers_frame(input);
    if let Ok(head) = read_request(&frame) {
        let fields = owned(head.fields());
        assert!(is_bounded(&fields, input));
        let mut out = BytesMut::new();
        write_request_head(
            &mut out,
            head.method(),
            head.scheme(),
            head.authority(),
            head.path(),
            head.protocol(),
            borrowed(&fields),
        );
        let again = read_request(&out).expect("what was accepted is accepted again");
        assert_eq!(request_line(&again), request_line(&head));
        assert_eq!(owned(again.fields()), fields);
    }
    if let Ok(trailers) = read_trailers(&frame) {
        assert!(is_bounded(&trailers, input));
        assert!(
            trailers
                .iter()
                .all(|(name, value)| check_field(name, value).is_ok())
        );
        let mut out = BytesMut::new();
        write_trailers(&mut out, borrowed(&trailers));
        assert_eq!(read_trailers(&out), Ok(trailers));
    }
    if let Ok(head) = read_response(&frame) {
        let fields = owned(head.fields());
        assert!((100..1000).contains(&head.status()) && head.status() != 101);
        assert!(is_bounded(&fields, input));
        let mut out = BytesMut::new();
        write_response_head(&mut out, head.status(), borrowed(&fields));
        let again = read_response(&out).expect("what was accepted is accepted again");
        assert_eq!((again.status(), owned(again.fields())), (head.status(), fields));
    }
}

/// The input as names and values, each behind its length: what `check_field` lets us send is what a reader takes, and what it
/// refuses no reader takes (RFC 9114 §4.2).
pub(crate) fn fields(input: &[u8]) {
    let fields = split(input);
    let sendable = fields
        .iter()
        .all(|(name, value)| check_field(name, value).is_ok());
    let mut out = BytesMut::new();
    write_request_head(&mut out, b"GET", b"https", b"a", b"/", None, borrowed(&fields));
    let read = read_request(&out);
    if !sendable {
        // A pseudo-header is one more of the head; behind the fields of its own it is misplaced or a second one, unless it is
        // the one of an extended CONNECT, and this is none.
        assert!(
            read.is_err(),
            "a receiver takes what must not be sent: {fields:?}"
        );
        return;
    }
    match read {
        Ok(head) => assert_eq!(owned(head.fields()), fields),
        // Two fields have a format of their own.
        Err(error) => assert!(
            fields
                .iter()
                .any(|(name, _)| matches!(&name[..], b"content-length" | b"host")),
            "{error:?} for {fields:?}"
        ),
    }
}

/// Names and values, each behind a byte with its length; the last may be shorter than it says.
fn split(mut input: &[u8]) -> Fields {
    let mut next = || {
        let (length, rest) = input.split_first()?;
        let (text, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        Some(text.to_vec())
    };
    std::iter::from_fn(|| Some((next()?, next().unwrap_or_default()))).collect()
}

fn headers_frame(section: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    varint::encode(&mut out, frame::HEADERS);
    varint::encode(&mut out, section.len() as u64);
    out.extend_from_slice(section);
    out
}

/// A byte of the input stands for at most an entry of the static table (under 80 bytes), or eight fifths of a byte.
fn is_bounded(fields: &Fields, input: &[u8]) -> bool {
    let text: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    text <= input.len() * 80
}

fn request_line(head: &RequestHead) -> [Option<&[u8]>; 5] {
    [
        Some(head.method()),
        Some(head.scheme()),
        Some(head.authority()),
        Some(head.path()),
        head.protocol(),
    ]
}

fn read_request(wire: &[u8]) -> Result<RequestHead, MessageError> {
    let (mut head, mut trailers) = (RequestHead::new(), FieldSection::new());
    let mut chunk = Bytes::copy_from_slice(wire);
    let part = RequestReader::new(WIDE).read(&mut chunk, &mut head, &mut trailers)?;
    assert_eq!(part, Some(Part::Head));
    Ok(head)
}

fn read_response(wire: &[u8]) -> Result<ResponseHead, MessageError> {
    let (mut head, mut trailers) = (ResponseHead::new(), FieldSection::new());
    let mut chunk = Bytes::copy_from_slice(wire);
    let mut reader = ResponseReader::new(WIDE, ResponseTo::Other);
    let part = reader.read(&mut chunk, &mut head, &mut trailers)?;
    assert_eq!(part, Some(Part::Head));
    Ok(head)
}

fn read_trailers(wire: &[u8]) -> Result<Fields, MessageError> {
    let (mut head, mut trailers) = (RequestHead::new(), FieldSection::new());
    let mut reader = RequestReader::new(WIDE);
    reader.read(&mut Bytes::from_static(GET), &mut head, &mut trailers)?;
    let part = reader.read(&mut Bytes::copy_from_slice(wire), &mut head, &mut trailers)?;
    assert_eq!(part, Some(Part::Trailers));
    Ok(owned(trailers.iter()))
}
