//! The order, size and completeness of the frames of a request.

use super::*;
use crate::{Code, Error, Scope, frame, write_data_header, write_request_head, write_trailers};
use bytes::BytesMut;

const LIMITS: FieldLimits = FieldLimits {
    max_bytes: 400,
    max_fields: 8,
};

type Fields<'a> = &'a [(&'a str, &'a str)];

fn bytes_of<'a>(fields: Fields<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

fn head_with(method: &str, fields: Fields<'_>) -> Vec<u8> {
    let mut out = BytesMut::new();
    let (scheme, path) = if method == "CONNECT" {
        ("", "")
    } else {
        ("https", "/")
    };
    write_request_head(
        &mut out,
        method.as_bytes(),
        scheme.as_bytes(),
        b"a:1",
        path.as_bytes(),
        None,
        bytes_of(fields),
    );
    out.to_vec()
}

fn head() -> Vec<u8> {
    head_with("POST", &[])
}

fn data(content: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_data_header(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out.to_vec()
}

fn trailers(fields: Fields<'_>) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_trailers(&mut out, bytes_of(fields));
    out.to_vec()
}

fn other(kind: u64, length: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::write_header(&mut out, kind, length as u64);
    out.resize(out.len() + length, 0);
    out.to_vec()
}

/// What a reader found: heads, the content as one, trailers.
#[derive(Debug, Default, PartialEq)]
struct Message {
    heads: usize,
    content: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of the head, once all is read.
    fields: usize,
}

/// Reads `wire` in pieces of `piece` bytes, then its end.
fn read_in(wire: &[u8], piece: usize) -> Result<Message, MessageError> {
    let mut reader = RequestReader::new(LIMITS);
    let (mut head, mut section) = (RequestHead::new(), FieldSection::new());
    let mut message = Message::default();
    for chunk in wire.chunks(piece) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(part) = reader.read(&mut chunk, &mut head, &mut section)? {
            match part {
                Part::Head => message.heads += 1,
                Part::Data(data) => {
                    assert!(!data.is_empty());
                    message.content.extend_from_slice(&data);
                }
                Part::Trailers => {
                    message.trailers = section.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                }
            }
        }
        assert!(chunk.is_empty());
    }
    message.fields = head.fields().count();
    reader.finish().map(|()| message)
}

fn read(frames: &[Vec<u8>]) -> Result<Message, MessageError> {
    let wire = frames.concat();
    let whole = read_in(&wire, wire.len().max(1));
    assert_eq!(read_in(&wire, 1), whole, "the same byte by byte");
    whole
}

fn refusal(frames: &[Vec<u8>]) -> (Code, Scope) {
    match read(frames) {
        Err(MessageError::Protocol(error)) => (error.code, error.scope),
        other => panic!("expected a broken rule, got {other:?}"),
    }
}

const UNEXPECTED: (Code, Scope) = (Code::H3_FRAME_UNEXPECTED, Scope::Connection);
const MALFORMED: (Code, Scope) = (Code::H3_MESSAGE_ERROR, Scope::Stream);

/// RFC9114-4.1-unknown-frames, RFC9114-7.2.8-reserved-frames
#[test]
fn a_whole_message_is_read_however_it_is_cut() {
    let wire = [
        other(0x21, 3),
        other(0xabcd, 2),
        head(),
        other(0x40, 0),
        data(b"one"),
        data(b""),
        other(0x21, 70),
        data(b"two"),
        trailers(&[("a", "b")]),
        other(0x21, 1),
    ]
    .concat();
    let expected = Message {
        heads: 1,
        content: b"onetwo".to_vec(),
        trailers: vec![(b"a".to_vec(), b"b".to_vec())],
        // RFC9110-6.5.1-not-merged
        fields: 0,
    };
    for piece in 1..=wire.len() {
        assert_eq!(read_in(&wire, piece).unwrap(), expected, "pieces of {piece}");
    }
}

#[test]
fn content_is_a_view_of_the_chunk() {
    let wire = Bytes::from([head(), data(b"content")].concat());
    let content_at = wire[wire.len() - 7..].as_ptr();
    let mut reader = RequestReader::new(LIMITS);
    let (mut head, mut section, mut chunk) = (RequestHead::new(), FieldSection::new(), wire.clone());
    assert_eq!(
        reader.read(&mut chunk, &mut head, &mut section),
        Ok(Some(Part::Head))
    );
    let Ok(Some(Part::Data(data))) = reader.read(&mut chunk, &mut head, &mut section) else {
        panic!("no data")
    };
    assert_eq!(data.as_ptr(), content_at);
}

/// RFC9114-4.1-frame-order, RFC9114-4.1-data-before-head
#[test]
fn data_before_the_head_closes_the_connection() {
    for content in [&b"x"[..], b""] {
        assert_eq!(refusal(&[data(content), head()]), UNEXPECTED);
        assert_eq!(refusal(&[other(0x21, 0), data(content), head()]), UNEXPECTED);
    }
}

/// RFC9114-4.1-frame-order
#[test]
fn data_or_headers_after_trailers_close_the_connection() {
    // RFC9114-4.1-data-after-trailers
    assert_eq!(refusal(&[head(), trailers(&[]), data(b"x")]), UNEXPECTED);
    assert_eq!(refusal(&[head(), trailers(&[]), data(b"")]), UNEXPECTED);
    // RFC9114-4.1-headers-after-trailers
    assert_eq!(refusal(&[head(), trailers(&[]), trailers(&[])]), UNEXPECTED);
    assert_eq!(refusal(&[head(), data(b"x"), trailers(&[]), head()]), UNEXPECTED);
}

/// RFC9114-4.1-second-request
#[test]
fn a_second_request_on_a_stream_is_malformed() {
    assert_eq!(refusal(&[head(), head()]), MALFORMED);
    assert_eq!(refusal(&[head(), data(b"x"), head()]), MALFORMED);
}

#[test]
fn frames_of_other_streams_and_of_http2_close_the_connection() {
    let kinds = [
        0x3, // RFC9114-7.2.3-cancel-push-on-request
        0x4, // RFC9114-7.2.4-settings-on-request
        0x5, // RFC9114-7.2.5-push-promise-to-server
        0x7, // RFC9114-7.2.6-goaway-on-request
        0xd, // RFC9114-7.2.7-max-push-id-on-request
        0x2, 0x6, 0x8, 0x9, // RFC9114-7.2.8-http2-on-request
        0xf0700, 0xf0701, // RFC 9218 §7.2
    ];
    for kind in kinds {
        assert_eq!(refusal(&[other(kind, 1), head()]), UNEXPECTED, "{kind:#x} first");
        assert_eq!(
            refusal(&[head(), other(kind, 0)]),
            UNEXPECTED,
            "{kind:#x} after the head"
        );
    }
}

/// draft-ietf-webtrans-http3-16 §4.3.
#[test]
fn a_webtransport_signal_inside_a_request_closes_the_connection() {
    assert_eq!(
        refusal(&[head(), other(0x41, 0)]),
        (Code::H3_FRAME_ERROR, Scope::Connection)
    );
}

/// RFC9114-4.1-request-incomplete
#[test]
fn an_end_before_the_head_is_an_incomplete_request() {
    assert_eq!(refusal(&[]), (Code::H3_REQUEST_INCOMPLETE, Scope::Stream));
    assert_eq!(
        refusal(&[other(0x21, 2)]),
        (Code::H3_REQUEST_INCOMPLETE, Scope::Stream)
    );
}

/// RFC9114-7.1-truncated-frame
#[test]
fn an_end_inside_a_frame_closes_the_connection() {
    let ends = [head().len(), head().len() + data(b"xy").len()];
    let wire = [head(), data(b"xy"), other(0x21, 3)].concat();
    for cut in (1..wire.len()).filter(|cut| !ends.contains(cut)) {
        assert_eq!(
            refusal(&[wire[..cut].to_vec()]),
            (Code::H3_FRAME_ERROR, Scope::Connection),
            "cut at {cut}"
        );
    }
}

#[test]
fn content_must_be_as_long_as_content_length() {
    let head = head_with("POST", &[("content-length", "5")]);
    assert!(read(&[head.clone(), data(b"12"), data(b"345"), trailers(&[])]).is_ok());
    // RFC9114-4.1.2-content-shorter
    assert_eq!(refusal(&[head.clone(), data(b"12"), data(b"34")]), MALFORMED);
    assert_eq!(refusal(&[head.clone(), data(b"12"), trailers(&[])]), MALFORMED);
    assert_eq!(refusal(std::slice::from_ref(&head)), MALFORMED);
    // RFC9114-4.1.2-content-longer
    assert_eq!(refusal(&[head.clone(), data(b"12"), data(b"3456")]), MALFORMED);
    assert_eq!(refusal(&[head, data(b"12345"), data(b"6")]), MALFORMED);
    assert_eq!(
        refusal(&[head_with("POST", &[("content-length", "0")]), data(b"1")]),
        MALFORMED
    );
}

/// RFC9114-4.1.2-content-longer
#[test]
fn content_that_is_too_long_is_refused_before_any_of_it_is_read() {
    let mut wire = BytesMut::from(&head_with("POST", &[("content-length", "5")])[..]);
    write_data_header(&mut wire, 6);
    let mut reader = RequestReader::new(LIMITS);
    let (mut head, mut section, mut chunk) = (RequestHead::new(), FieldSection::new(), wire.freeze());
    assert_eq!(
        reader.read(&mut chunk, &mut head, &mut section),
        Ok(Some(Part::Head))
    );
    assert!(reader.read(&mut chunk, &mut head, &mut section).is_err());
}

#[test]
fn after_a_connect_only_data_follows() {
    let connect = head_with("CONNECT", &[("content-length", "1")]);
    assert_eq!(
        read(&[connect.clone(), data(b"any length"), other(0x21, 1)])
            .unwrap()
            .content,
        b"any length"
    );
    // RFC9114-4.4-connect-headers
    assert_eq!(refusal(&[connect.clone(), trailers(&[])]), UNEXPECTED);
    assert_eq!(refusal(&[connect.clone(), data(b"x"), head()]), UNEXPECTED);
    // RFC9114-4.4-connect-known-frames
    for kind in [0x3, 0x4, 0x5, 0x7, 0xd] {
        assert_eq!(
            refusal(&[connect.clone(), other(kind, 1)]),
            UNEXPECTED,
            "{kind:#x}"
        );
    }
}

/// RFC9114-4.1.2-malformed-request
#[test]
fn a_malformed_head_or_malformed_trailers_are_errors_of_the_stream() {
    assert_eq!(refusal(&[head_with("GE T", &[])]), MALFORMED);
    assert_eq!(refusal(&[head(), trailers(&[("A", "b")])]), MALFORMED);
}

/// RFC9204-7.4-integer-too-large
#[test]
fn an_integer_too_large_for_qpack_ends_the_stream() {
    let mut frame = vec![0x01, 0x0d, 0x00, 0x00];
    frame.extend_from_slice(&[0xff; 11]);
    let failed = (Code::QPACK_DECOMPRESSION_FAILED, Scope::Stream);
    assert_eq!(refusal(std::slice::from_ref(&frame)), failed);
    assert_eq!(refusal(&[head(), frame]), failed);
}

/// RFC9204-6-field-section
#[test]
fn broken_qpack_closes_the_connection() {
    let broken = [
        vec![0x01, 0x03, 0x00, 0x00, 0x80],
        vec![0x01, 0x02, 0x01, 0x00],
        vec![0x01, 0x04, 0x00, 0x00, 0x51, 0x01],
        vec![0x01, 0x00],
    ];
    for frame in broken {
        let failed = (Code::QPACK_DECOMPRESSION_FAILED, Scope::Connection);
        assert_eq!(refusal(std::slice::from_ref(&frame)), failed);
        assert_eq!(refusal(&[head(), frame]), failed);
    }
}

/// RFC9114-10.5-header-bytes
#[test]
fn a_frame_above_the_limit_is_refused_by_its_length_alone() {
    let header = |length| {
        let mut out = BytesMut::new();
        frame::write_header(&mut out, frame::HEADERS, length);
        out.to_vec()
    };
    for length in [401, 1 << 30, crate::varint::MAX] {
        // RFC9114-4.2.2-head-too-large
        assert_eq!(read_in(&header(length), 1), Err(MessageError::HeadTooLarge));
        // RFC9114-4.2.2-trailers-too-large
        assert_eq!(
            read(&[head(), header(length)]),
            Err(MessageError::TrailersTooLarge)
        );
    }
    assert!(
        matches!(read(&[header(400)]), Err(MessageError::Protocol(_))),
        "only incomplete"
    );
}

/// RFC9114-4.2.2-head-too-large, RFC9114-4.2.2-trailers-too-large, RFC9114-4.2.2-field-size
#[test]
fn a_section_above_the_limits_once_decoded_is_too_large() {
    // Each field costs one byte on the wire, and 38 by the rule.
    let fields = [("cookie", ""); 9];
    assert!(head_with("POST", &fields).len() < 100);
    assert_eq!(
        read(&[head_with("POST", &fields)]),
        Err(MessageError::HeadTooLarge)
    );
    assert_eq!(
        read(&[head(), trailers(&fields)]),
        Err(MessageError::TrailersTooLarge)
    );
    assert!(read(&[head(), trailers(&fields[..8])]).is_ok());
    let value = "v".repeat(380);
    assert_eq!(
        read(&[head(), trailers(&[("x", &value)])]),
        Err(MessageError::TrailersTooLarge)
    );
    assert!(read(&[head(), trailers(&[("x", &value[..367])])]).is_ok());
}

/// RFC 9114 §10.5.
#[test]
fn frames_without_content_are_counted_and_content_is_not() {
    let mut reader = RequestReader::new(LIMITS);
    let (mut head_out, mut section) = (RequestHead::new(), FieldSection::new());
    let mut wire = vec![0x21, 2, 0, 0];
    wire.extend(head());
    wire.extend(
        [
            data(b""),
            data(b"12345678"),
            data(b"1234567"),
            vec![0x40, 0x5f, 0],
        ]
        .concat(),
    );
    let mut wire = Bytes::from(wire);
    while reader
        .read(&mut wire, &mut head_out, &mut section)
        .unwrap()
        .is_some()
    {}
    assert_eq!(reader.take_overhead(), 4);
    assert_eq!(reader.take_overhead(), 0);
}

/// RFC9114-7.1-huge-length
#[test]
fn a_frame_of_any_length_is_taken_as_it_comes_and_never_held() {
    for kind in [frame::DATA, 0x21] {
        let mut wire = BytesMut::from(&head()[..]);
        frame::write_header(&mut wire, kind, crate::varint::MAX);
        let mut reader = RequestReader::new(LIMITS);
        let (mut head, mut section, mut chunk) = (RequestHead::new(), FieldSection::new(), wire.freeze());
        let mut read = |chunk: &mut Bytes| reader.read(chunk, &mut head, &mut section);
        assert_eq!(read(&mut chunk), Ok(Some(Part::Head)));
        assert_eq!(read(&mut chunk), Ok(None));
        for _ in 0..100 {
            let sent = Bytes::from(vec![7; 1000]);
            let mut chunk = sent.clone();
            let passed_on = (kind == frame::DATA).then(|| Part::Data(sent));
            assert_eq!(read(&mut chunk), Ok(passed_on));
            assert!(chunk.is_empty());
        }
        let cut = (Code::H3_FRAME_ERROR, Scope::Connection);
        let Err(MessageError::Protocol(error)) = reader.finish() else {
            panic!("taken for whole")
        };
        assert_eq!((error.code, error.scope), cut);
    }
}

#[test]
fn a_failed_reader_stays_failed() {
    let mut reader = RequestReader::new(LIMITS);
    let (mut head_out, mut section) = (RequestHead::new(), FieldSection::new());
    let mut broken = Bytes::from(data(b"x"));
    let error = reader.read(&mut broken, &mut head_out, &mut section).unwrap_err();
    let mut valid = Bytes::from(head());
    assert_eq!(reader.read(&mut valid, &mut head_out, &mut section), Err(error));
    assert_eq!(reader.finish(), Err(error));
    let MessageError::Protocol(Error { reason, .. }) = error else {
        panic!("{error}")
    };
    assert!(!reason.is_empty());
}

#[test]
fn a_reader_is_small_enough_to_have_one_per_stream() {
    assert!(
        size_of::<RequestReader>() <= 176,
        "{}",
        size_of::<RequestReader>()
    );
}
