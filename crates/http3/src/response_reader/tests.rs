//! What a client accepts as a response. The rules shared with requests are tested there.

use super::*;
use crate::{Code, Scope, frame, write_data_header, write_response_head, write_trailers};
use bytes::BytesMut;

const LIMITS: FieldLimits = FieldLimits {
    max_bytes: 1000,
    max_fields: 10,
};

fn head(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_response_head(
        &mut out,
        status,
        fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())),
    );
    out.to_vec()
}

fn data(content: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_data_header(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out.to_vec()
}

fn trailers() -> Vec<u8> {
    let mut out = BytesMut::new();
    write_trailers(&mut out, [(&b"a"[..], &b"b"[..])].into_iter());
    out.to_vec()
}

/// Statuses and content of the response in `frames`, and its end.
fn read_in(wire: &[u8], to: ResponseTo, piece: usize) -> Result<(Vec<u16>, Vec<u8>), MessageError> {
    let mut reader = ResponseReader::new(LIMITS, to);
    let (mut head, mut section) = (ResponseHead::new(), FieldSection::new());
    let (mut statuses, mut content) = (Vec::new(), Vec::new());
    for chunk in wire.chunks(piece) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(part) = reader.read(&mut chunk, &mut head, &mut section)? {
            match part {
                Part::Head => statuses.push(head.status()),
                Part::Data(data) => content.extend_from_slice(&data),
                Part::Trailers => assert_eq!(section.get(b"a"), Some(&b"b"[..])),
            }
        }
    }
    reader.finish().map(|()| (statuses, content))
}

fn read(frames: &[Vec<u8>], to: ResponseTo) -> Result<(Vec<u16>, Vec<u8>), MessageError> {
    let wire = frames.concat();
    let whole = read_in(&wire, to, wire.len().max(1));
    assert_eq!(read_in(&wire, to, 1), whole, "the same byte by byte");
    whole
}

fn refusal(frames: &[Vec<u8>], to: ResponseTo) -> (Code, Scope) {
    match read(frames, to) {
        Err(MessageError::Protocol(error)) => (error.code, error.scope),
        other => panic!("expected a broken rule, got {other:?}"),
    }
}

const UNEXPECTED: (Code, Scope) = (Code::H3_FRAME_UNEXPECTED, Scope::Connection);
const MALFORMED: (Code, Scope) = (Code::H3_MESSAGE_ERROR, Scope::Stream);

/// RFC 9114 §4.1, RFC9110-15.2-several-informational
#[test]
fn informational_responses_may_precede_the_final_one() {
    let frames = [
        head(103, &[("link", "x")]),
        head(100, &[]),
        head(200, &[("content-length", "2")]),
        data(b"ok"),
        trailers(),
    ];
    assert_eq!(
        read(&frames, ResponseTo::Other).unwrap(),
        (vec![103, 100, 200], b"ok".to_vec())
    );
}

/// RFC 9114 §4.1, RFC9110-6.4.1-1xx-content
#[test]
fn data_before_the_final_head_closes_the_connection() {
    assert_eq!(refusal(&[data(b"x")], ResponseTo::Other), UNEXPECTED);
    assert_eq!(
        refusal(&[head(103, &[]), data(b"x")], ResponseTo::Other),
        UNEXPECTED
    );
}

/// RFC 9114 §4.1.2.
#[test]
fn an_end_before_the_final_head_is_malformed() {
    assert_eq!(refusal(&[], ResponseTo::Other), MALFORMED);
    assert_eq!(refusal(&[head(103, &[])], ResponseTo::Other), MALFORMED);
}

/// RFC 9114 §4.1.2.
#[test]
fn content_must_be_as_long_as_content_length() {
    let head = head(200, &[("content-length", "2")]);
    assert_eq!(refusal(&[head.clone(), data(b"1")], ResponseTo::Other), MALFORMED);
    assert_eq!(refusal(&[head, data(b"123")], ResponseTo::Other), MALFORMED);
}

/// RFC9110-6.4.1-head-content, RFC9110-6.4.1-204-content, RFC9110-6.4.1-304-content, RFC 9114 §4.1.2
#[test]
fn a_response_that_never_has_content_may_state_a_length_but_send_none() {
    for (status, to) in [
        (200, ResponseTo::Head),
        (204, ResponseTo::Other),
        (304, ResponseTo::Other),
    ] {
        let head = head(status, &[("content-length", "5")]);
        assert!(
            read(&[head.clone(), data(b""), trailers()], to).is_ok(),
            "{status}"
        );
        assert_eq!(refusal(&[head, data(b"12345")], to), MALFORMED, "{status}");
    }
}

#[test]
fn capsules_are_no_content() {
    let fields: [&[(&str, &str)]; 2] = [&[("content-length", "0")], &[("content-type", "text/plain")]];
    for fields in fields {
        let rule = "RFC9297-3.2-content-fields";
        assert_eq!(
            refusal(&[head(200, fields)], ResponseTo::Capsules),
            MALFORMED,
            "{rule}"
        );
    }
    for status in [204, 205, 206] {
        let rule = "RFC9297-3.2-content-statuses";
        assert_eq!(
            refusal(&[head(status, &[])], ResponseTo::Capsules),
            MALFORMED,
            "{rule}"
        );
    }
    let accepted = [head(200, &[("capsule-protocol", "?1")]), data(b"\0\0")];
    assert_eq!(read(&accepted, ResponseTo::Capsules).unwrap().1, b"\0\0");
    let refused = [head(404, &[("content-length", "2")]), data(b"no"), trailers()];
    assert!(
        read(&refused, ResponseTo::Capsules).is_ok(),
        "a refusal has content"
    );
}

/// RFC 9114 §4.4, RFC9110-9.3.6-answer-length
#[test]
fn a_connect_opens_a_tunnel_only_with_2xx() {
    let accepted = head(200, &[("content-length", "1")]);
    assert_eq!(
        read(&[accepted.clone(), data(b"tunnel")], ResponseTo::Connect)
            .unwrap()
            .1,
        b"tunnel"
    );
    assert_eq!(refusal(&[accepted, trailers()], ResponseTo::Connect), UNEXPECTED);
    assert!(read(&[head(403, &[]), data(b"no"), trailers()], ResponseTo::Connect).is_ok());
}

/// RFC 9114 §7.2.5.
#[test]
fn a_push_promise_closes_the_connection_because_none_was_allowed() {
    let mut promise = BytesMut::new();
    frame::write_header(&mut promise, frame::PUSH_PROMISE, 1);
    promise.extend_from_slice(&[0]);
    let id_error = (Code::H3_ID_ERROR, Scope::Connection);
    assert_eq!(refusal(&[promise.to_vec()], ResponseTo::Other), id_error);
}

#[test]
fn a_response_head_above_the_limit_is_too_large() {
    let value = "v".repeat(2000);
    assert_eq!(
        read(&[head(200, &[("x", &value)])], ResponseTo::Other),
        Err(MessageError::HeadTooLarge)
    );
}
