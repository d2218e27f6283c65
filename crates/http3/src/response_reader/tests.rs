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

fn other(kind: u64) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::write_header(&mut out, kind, 1);
    out.extend_from_slice(&[0]);
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

/// RFC 9114 §4.1, RFC9114-4.1-unknown-frames, RFC9110-15.2-several-informational
#[test]
fn informational_responses_may_precede_the_final_one() {
    let frames = [
        other(0x21),
        head(103, &[("link", "x")]),
        other(0xabcd),
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

/// RFC9110-6.4.1-1xx-content
#[test]
fn data_before_the_final_head_closes_the_connection() {
    // RFC9114-4.1-data-before-head
    assert_eq!(refusal(&[data(b"x")], ResponseTo::Other), UNEXPECTED);
    // RFC9114-4.1-data-after-interim
    assert_eq!(
        refusal(&[head(103, &[]), data(b"x")], ResponseTo::Other),
        UNEXPECTED
    );
}

#[test]
fn data_or_headers_after_trailers_close_the_connection() {
    let whole = [head(200, &[]), data(b"x"), trailers()];
    // RFC9114-4.1-data-after-trailers
    assert_eq!(
        refusal(&[&whole[..], &[data(b"x")]].concat(), ResponseTo::Other),
        UNEXPECTED
    );
    // RFC9114-4.1-headers-after-trailers
    assert_eq!(
        refusal(&[&whole[..], &[trailers()]].concat(), ResponseTo::Other),
        UNEXPECTED
    );
}

/// RFC9114-4.1-second-response, RFC9114-4.1.2-malformed-response
#[test]
fn another_response_after_the_final_one_is_malformed() {
    for status in [100, 200, 404] {
        let frames = [head(200, &[]), data(b"x"), head(status, &[])];
        assert_eq!(refusal(&frames, ResponseTo::Other), MALFORMED);
    }
}

/// RFC9114-7.1-truncated-response
#[test]
fn an_end_inside_a_frame_closes_the_connection() {
    let (head, wire) = (
        head(200, &[]).len(),
        [head(200, &[]), data(b"xy"), trailers()].concat(),
    );
    let ends = [head, head + data(b"xy").len()];
    for cut in (1..wire.len()).filter(|cut| !ends.contains(cut)) {
        let cut_short = refusal(&[wire[..cut].to_vec()], ResponseTo::Other);
        assert_eq!(
            cut_short,
            (Code::H3_FRAME_ERROR, Scope::Connection),
            "cut at {cut}"
        );
    }
}

/// RFC9114-4.1-response-incomplete
#[test]
fn an_end_before_the_final_head_is_malformed() {
    assert_eq!(refusal(&[], ResponseTo::Other), MALFORMED);
    assert_eq!(refusal(&[head(103, &[])], ResponseTo::Other), MALFORMED);
}

#[test]
fn content_must_be_as_long_as_content_length() {
    let head = head(200, &[("content-length", "2")]);
    // RFC9114-4.1.2-content-shorter
    assert_eq!(refusal(&[head.clone(), data(b"1")], ResponseTo::Other), MALFORMED);
    // RFC9114-4.1.2-content-longer
    assert_eq!(refusal(&[head, data(b"123")], ResponseTo::Other), MALFORMED);
}

/// RFC9110-6.4.1-head-content, RFC9110-6.4.1-204-content, RFC9110-6.4.1-304-content
#[test]
fn a_response_that_never_has_content_may_state_a_length_but_send_none() {
    for (status, to) in [
        (200, ResponseTo::Head),
        (204, ResponseTo::Other),
        (304, ResponseTo::Other),
    ] {
        let head = head(status, &[("content-length", "5")]);
        // RFC9114-4.1.2-length-without-content
        assert!(
            read(&[head.clone(), data(b""), trailers()], to).is_ok(),
            "{status}"
        );
        // RFC9114-4.1.2-content-forbidden
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

/// RFC9110-9.3.6-answer-length
#[test]
fn a_connect_opens_a_tunnel_only_with_2xx() {
    let accepted = head(200, &[("content-length", "1")]);
    assert_eq!(
        read(&[accepted.clone(), data(b"tunnel")], ResponseTo::Connect)
            .unwrap()
            .1,
        b"tunnel"
    );
    // RFC9114-4.4-connect-headers
    assert_eq!(
        refusal(&[accepted.clone(), trailers()], ResponseTo::Connect),
        UNEXPECTED
    );
    // RFC9114-4.4-connect-known-frames
    for kind in [0x3, 0x4, 0x7, 0xd] {
        assert_eq!(
            refusal(&[accepted.clone(), other(kind)], ResponseTo::Connect),
            UNEXPECTED
        );
    }
    assert!(read(&[head(403, &[]), data(b"no"), trailers()], ResponseTo::Connect).is_ok());
}

#[test]
fn frames_of_other_streams_and_of_http2_close_the_connection() {
    let kinds = [
        0x3, // RFC9114-7.2.3-cancel-push-on-request
        0x4, // RFC9114-7.2.4-settings-on-request
        0x7, // RFC9114-7.2.6-goaway-on-request
        0xd, // RFC9114-7.2.7-max-push-id-on-request
        0x2, 0x6, 0x8, 0x9, // RFC9114-7.2.8-http2-on-request
    ];
    for kind in kinds {
        assert_eq!(
            refusal(&[other(kind)], ResponseTo::Other),
            UNEXPECTED,
            "{kind:#x}"
        );
        let later = [head(200, &[]), other(kind)];
        assert_eq!(refusal(&later, ResponseTo::Other), UNEXPECTED, "{kind:#x}");
    }
}

/// RFC9114-7.2.5-push-promise-not-allowed
#[test]
fn a_push_promise_closes_the_connection_because_none_was_allowed() {
    let mut promise = BytesMut::new();
    frame::write_header(&mut promise, frame::PUSH_PROMISE, 1);
    promise.extend_from_slice(&[0]);
    let id_error = (Code::H3_ID_ERROR, Scope::Connection);
    assert_eq!(refusal(&[promise.to_vec()], ResponseTo::Other), id_error);
}

/// RFC9114-4.2.2-response-too-large
#[test]
fn a_response_head_above_the_limit_is_too_large() {
    let value = "v".repeat(2000);
    assert_eq!(
        read(&[head(200, &[("x", &value)])], ResponseTo::Other),
        Err(MessageError::HeadTooLarge)
    );
}
