//! Every breach of RFC 9114 that a client can commit, as far as it reaches: what the client then sees, and that others
//! are served. The rules themselves are tested in `crates/http3`.

use trilane_core::{BodyMode, Limits};

use crate::client::quic;
use crate::raw::{
    End, Seen, ask, close_code, code, frame, headers, pseudo, request, seen, serves, stop_code, tell, varint,
};
use crate::support::{Script, Setup, TestServer, answer, start};

const FRAME_UNEXPECTED: u64 = 0x105;
const FRAME_ERROR: u64 = 0x106;
const EXCESSIVE_LOAD: u64 = 0x107;
const ID_ERROR: u64 = 0x108;
const SETTINGS_ERROR: u64 = 0x109;
const MISSING_SETTINGS: u64 = 0x10a;
const CLOSED_CRITICAL_STREAM: u64 = 0x104;
const STREAM_CREATION_ERROR: u64 = 0x103;
const REQUEST_INCOMPLETE: u64 = 0x10d;
const MESSAGE_ERROR: u64 = 0x10e;

fn server() -> TestServer {
    start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")))
}

/// A server that reads each body to its end, and answers nothing.
fn server_that_reads(mode: BodyMode) -> TestServer {
    let (ids, mut delivered) = tokio::sync::mpsc::unbounded_channel();
    let handler = Script::new(move |_, exchange| ids.send(exchange.into_id()).unwrap());
    let setup = Setup {
        mode,
        ..Setup::default()
    };
    let server = start(setup, handler);
    let table = server.server.exchanges().clone();
    tokio::spawn(async move {
        while let Some(id) = delivered.recv().await {
            let Some(mut body) = table.take_body(id) else {
                continue;
            };
            while let Ok(Some(_)) = body.next().await {}
        }
    });
    server
}

/// The pseudo-headers of a GET with one of them replaced, or removed by `None`.
fn altered(name: &'static str, value: Option<&'static str>) -> Vec<u8> {
    let fields: Vec<_> = pseudo("GET")
        .into_iter()
        .filter_map(|(n, v)| {
            if n == name {
                value.map(|value| (n, value))
            } else {
                Some((n, v))
            }
        })
        .collect();
    headers(&fields)
}

fn get(fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    request("GET", fields)
}

fn post(length: &'static str) -> Vec<u8> {
    request("POST", &[("content-length", length)])
}

fn connect(fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    headers(&[&[(":method", "CONNECT")], fields].concat())
}

/// RFC9114-4.1.2-malformed-request, RFC9114-4.1.1-both-directions
#[tokio::test]
async fn a_malformed_request_is_reset_both_ways_and_its_connection_goes_on() {
    let trailers = |fields| [request("POST", &[]), headers(fields)].concat();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("RFC9114-4.3.1-method-missing", altered(":method", None)),
        ("RFC9114-4.3.1-scheme-missing", altered(":scheme", None)),
        ("RFC9114-4.3.1-path-missing", altered(":path", None)),
        ("RFC9114-4.3.1-authority-missing", altered(":authority", None)),
        ("RFC9114-4.3.1-method-repeated", get(&[(":method", "GET")])),
        ("RFC9114-4.3.1-scheme-repeated", get(&[(":scheme", "https")])),
        ("RFC9114-4.3.1-path-repeated", get(&[(":path", "/")])),
        ("RFC9114-4.3.1-authority-repeated", get(&[(":authority", "a")])),
        ("RFC9114-4.3.1-method-invalid", altered(":method", Some("GE T"))),
        ("RFC9114-4.3.1-scheme-invalid", altered(":scheme", Some("1"))),
        ("RFC9114-4.3.1-path-empty", altered(":path", Some(""))),
        ("RFC9114-4.3.1-path-relative", altered(":path", Some("a"))),
        ("RFC9114-4.3.1-path-asterisk", altered(":path", Some("*"))),
        ("RFC9114-4.3.1-path-characters", altered(":path", Some("/a b"))),
        ("RFC9114-4.3.1-authority-empty", altered(":authority", Some(""))),
        ("RFC9114-4.3.1-authority-userinfo", altered(":authority", Some("u:p@a"))),
        ("RFC9114-4.3.1-authority-invalid", altered(":authority", Some("a/b"))),
        ("RFC9114-4.3.1-host-differs", get(&[("host", "b")])),
        ("RFC9114-4.3.1-host-repeated", get(&[("host", "a"), ("host", "a")])),
        ("RFC9114-4.3-after-field", headers(&[&[("accept", "*/*")], &pseudo("GET")[..]].concat())),
        ("RFC9114-4.3-unknown-in-request", get(&[(":unknown", "x")])),
        ("RFC9114-4.3-status-in-request", get(&[(":status", "200")])),
        ("RFC9114-4.3-protocol-without-connect", get(&[(":protocol", "webtransport")])),
        ("RFC9114-4.3-in-trailers", trailers(&[(":path", "/")])),
        ("RFC9114-4.1-second-request", [get(&[]), get(&[])].concat()),
        ("RFC9114-4.1-transfer-encoding", get(&[("transfer-encoding", "chunked")])),
        ("RFC9114-4.2-connection-specific", get(&[("connection", "close")])),
        ("RFC9114-4.2-te-value", get(&[("te", "gzip")])),
        ("RFC9114-4.2-te-misplaced", trailers(&[("te", "trailers")])),
        ("RFC9114-4.2-name-uppercase", get(&[("Accept", "*/*")])),
        ("RFC9114-10.3-name-empty", get(&[("", "x")])),
        ("RFC9114-10.3-name-characters", get(&[("a b", "x")])),
        ("RFC9114-10.3-value-nul", get(&[("a", "b\0")])),
        ("RFC9114-10.3-value-cr", get(&[("a", "b\rc")])),
        ("RFC9114-10.3-value-lf", get(&[("a", "b\nc")])),
        ("RFC9114-10.3-value-control", get(&[("a", "b\x7f")])),
        ("RFC9114-10.3-value-leading-blank", get(&[("a", " b")])),
        ("RFC9114-10.3-value-trailing-blank", get(&[("a", "b ")])),
        ("RFC9114-10.3-trailer-fields", trailers(&[("A", "b")])),
        ("RFC9114-4.1.2-content-length-invalid", post("x")),
        ("RFC9114-4.1.2-content-length-differs", request("POST", &[("content-length", "1"), ("content-length", "2")])),
        ("RFC9114-4.1.2-content-longer", [post("1"), frame(0, b"ab")].concat()),
        ("RFC9114-4.4-connect-scheme", connect(&[(":scheme", "https"), (":authority", "a:1")])),
        ("RFC9114-4.4-connect-path", connect(&[(":authority", "a:1"), (":path", "/")])),
        ("RFC9114-4.4-connect-authority-missing", connect(&[])),
        ("RFC9114-4.4-connect-authority-invalid", connect(&[(":authority", ":1")])),
        ("RFC9114-4.4-connect-port", connect(&[(":authority", "a")])),
    ];
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    for (rule, bytes) in &cases {
        let (send, mut recv) = ask(&connection, bytes, End::Open).await;
        assert_eq!(seen(&mut recv).await, Seen::Reset(MESSAGE_ERROR), "{rule}");
        assert_eq!(stop_code(&send).await, Some(MESSAGE_ERROR), "{rule}");
        assert!(serves(&connection).await, "{rule}");
    }
    assert_eq!(server.server.stats().requests_malformed, cases.len() as u64);
    assert_eq!(server.server.stats().protocol_errors, 0);
}

#[tokio::test]
async fn a_request_that_ends_too_early_is_reset_and_its_connection_goes_on() {
    let cut = get(&[])[..20].to_vec();
    let cases = [
        (
            "RFC9114-4.1-request-incomplete",
            vec![],
            End::Fin,
            REQUEST_INCOMPLETE,
        ),
        (
            "RFC9114-4.1-request-incomplete",
            frame(0x21, b"x"),
            End::Fin,
            REQUEST_INCOMPLETE,
        ),
        (
            "RFC9114-4.1.2-content-shorter",
            [post("2"), frame(0, b"a")].concat(),
            End::Fin,
            MESSAGE_ERROR,
        ),
        (
            "RFC9114-4.1-request-reset",
            post("2"),
            End::Reset(0x10c),
            REQUEST_INCOMPLETE,
        ),
        (
            "RFC9114-7.1-reset-in-frame",
            cut.clone(),
            End::Reset(0x10c),
            REQUEST_INCOMPLETE,
        ),
        (
            "RFC9114-8-unknown-code",
            cut.clone(),
            End::Reset(0x21),
            REQUEST_INCOMPLETE,
        ),
        (
            "RFC9114-8-unknown-code",
            cut.clone(),
            End::Reset(0x105),
            REQUEST_INCOMPLETE,
        ),
        (
            "RFC9114-8-unknown-code",
            cut,
            End::Reset((1 << 62) - 1),
            REQUEST_INCOMPLETE,
        ),
    ];
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    for (rule, bytes, end, expected) in cases {
        let (_send, mut recv) = ask(&connection, &bytes, end).await;
        assert_eq!(seen(&mut recv).await, Seen::Reset(expected), "{rule}");
        assert!(serves(&connection).await, "{rule}");
    }
}

#[tokio::test]
async fn a_misplaced_or_broken_frame_of_a_request_closes_the_connection() {
    let head = get(&[]);
    let (trailers, tunnel) = (headers(&[]), connect(&[(":authority", "a:1")]));
    let behind = |first: &[u8], kind| [first, &frame(kind, &[0])].concat();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, End, u64)> = vec![
        ("RFC9114-4.1-data-before-head", frame(0, b"x"), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-4.1-data-after-trailers", [&head, &trailers, &frame(0, b"x")[..]].concat(), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-4.1-headers-after-trailers", [&head, &trailers, &trailers[..]].concat(), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-4.4-connect-headers", [&tunnel, &trailers[..]].concat(), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-4.4-connect-known-frames", behind(&tunnel, 0x7), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.3-cancel-push-on-request", behind(&head, 0x3), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.4-settings-on-request", frame(0x4, &[]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.4-settings-on-request", behind(&head, 0x4), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.5-push-promise-to-server", behind(&head, 0x5), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.6-goaway-on-request", frame(0x7, &[0]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.7-max-push-id-on-request", behind(&head, 0xd), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-request", behind(&head, 0x2), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-request", behind(&head, 0x6), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-request", behind(&head, 0x8), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-request", behind(&head, 0x9), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.1-truncated-frame", vec![1], End::Fin, FRAME_ERROR),
        ("RFC9114-7.1-truncated-frame", head[..20].to_vec(), End::Fin, FRAME_ERROR),
        ("RFC9114-7.1-truncated-frame", [&head, &varint(0x21)[..], &[5, 0]].concat(), End::Fin, FRAME_ERROR),
        ("RFC9114-7.1-truncated-frame", [&head, &[0, 5, b'a'][..]].concat(), End::Fin, FRAME_ERROR),
    ];
    for mode in [BodyMode::Buffered, BodyMode::Streaming] {
        let server = server_that_reads(mode);
        for (rule, bytes, end, expected) in &cases {
            let (connection, _endpoint) = quic(&server).await;
            let (_send, mut recv) = ask(&connection, bytes, *end).await;
            assert_eq!(close_code(&connection).await, *expected, "{rule}");
            assert_eq!(seen(&mut recv).await, Seen::Closed(*expected), "{rule}");
        }
        assert_eq!(server.server.stats().protocol_errors, cases.len() as u64);
    }
}

#[tokio::test]
async fn a_breach_on_the_control_stream_closes_the_connection() {
    let behind = |kind, payload: &[u8]| [&[0, 4, 0], &frame(kind, payload)[..]].concat();
    let two = |kind, first, second| [&behind(kind, &[first]), &frame(kind, &[second])[..]].concat();
    let settings = |payload: &[u8]| [&[0], &frame(4, payload)[..]].concat();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, End, u64)> = vec![
        ("RFC9114-6.2.1-first-frame", [&[0][..], &frame(0x7, &[0])].concat(), End::Open, MISSING_SETTINGS),
        ("RFC9114-6.2.1-first-frame", [&[0][..], &frame(0x0, &[0])].concat(), End::Open, MISSING_SETTINGS),
        ("RFC9114-9-unknown-first-frame", [&[0][..], &frame(0x21, &[])].concat(), End::Open, MISSING_SETTINGS),
        ("RFC9114-7.2.4-settings-repeated", behind(0x4, &[]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.1-data-on-control", behind(0x0, b"x"), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.2-headers-on-control", behind(0x1, &[0, 0]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.5-push-promise-on-control", behind(0x5, &[0, 0, 0]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-control", behind(0x2, &[]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-control", behind(0x6, &[0; 8]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-control", behind(0x8, &[0; 4]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.8-http2-on-control", behind(0x9, &[]), End::Open, FRAME_UNEXPECTED),
        ("RFC9114-7.2.3-cancel-push-unpromised", behind(0x3, &[0]), End::Open, ID_ERROR),
        ("RFC9114-5.2-goaway-grows", two(0x7, 4, 8), End::Open, ID_ERROR),
        ("RFC9114-7.2.7-max-push-id-shrinks", two(0xd, 5, 4), End::Open, ID_ERROR),
        ("RFC9114-7.2.4-setting-repeated", settings(&[6, 9, 6, 9]), End::Open, SETTINGS_ERROR),
        ("RFC9114-7.2.4.1-reserved-setting", settings(&[0, 0]), End::Open, SETTINGS_ERROR),
        ("RFC9114-7.2.4.1-reserved-setting", settings(&[2, 0]), End::Open, SETTINGS_ERROR),
        ("RFC9114-7.2.4.1-reserved-setting", settings(&[3, 1]), End::Open, SETTINGS_ERROR),
        ("RFC9114-7.2.4.1-reserved-setting", settings(&[4, 1]), End::Open, SETTINGS_ERROR),
        ("RFC9114-7.2.4.1-reserved-setting", settings(&[5, 1]), End::Open, SETTINGS_ERROR),
        ("RFC9114-7.1-settings-cut", settings(&[6]), End::Open, FRAME_ERROR),
        ("RFC9114-7.1-settings-cut", settings(&[0x40]), End::Open, FRAME_ERROR),
        ("RFC9114-7.1-settings-cut", settings(&[6, 0x40]), End::Open, FRAME_ERROR),
        ("RFC9114-7.1-extra-bytes", behind(0x7, &[0, 0]), End::Open, FRAME_ERROR),
        ("RFC9114-7.1-extra-bytes", behind(0xd, &[0; 9]), End::Open, FRAME_ERROR),
        ("RFC9114-7.1-short-payload", behind(0x7, &[]), End::Open, FRAME_ERROR),
        ("RFC9114-7.1-short-payload", behind(0x3, &[0x40]), End::Open, FRAME_ERROR),
        ("RFC9114-10.5-settings-length", [&[0, 4][..], &varint(4097)].concat(), End::Open, EXCESSIVE_LOAD),
        ("RFC9114-6.2.1-control-finished", vec![0], End::Fin, CLOSED_CRITICAL_STREAM),
        ("RFC9114-6.2.1-control-finished", vec![0, 4, 0], End::Fin, CLOSED_CRITICAL_STREAM),
        ("RFC9114-6.2.1-control-finished", vec![0, 4, 0, 7, 8], End::Fin, CLOSED_CRITICAL_STREAM),
        ("RFC9114-6.2.2-push-from-client", vec![1, 0], End::Open, STREAM_CREATION_ERROR),
    ];
    let server = server();
    for (rule, bytes, end, expected) in &cases {
        let (connection, _endpoint) = quic(&server).await;
        let _control = tell(&connection, bytes, *end).await;
        assert_eq!(close_code(&connection).await, *expected, "{rule}");
    }
    let excessive = cases.iter().filter(|case| case.3 == EXCESSIVE_LOAD).count();
    let stats = server.server.stats();
    assert_eq!(stats.excessive_load, excessive as u64);
    assert_eq!(stats.protocol_errors, (cases.len() - excessive) as u64);
    assert!(serves(&quic(&server).await.0).await);
}

/// RFC9114-6.2.1-control-reset
#[tokio::test]
async fn a_control_stream_that_is_reset_closes_the_connection() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    let mut control = tell(&connection, &[0, 4, 0], End::Open).await;
    // What is reset before it arrives is no control stream yet.
    assert!(serves(&connection).await);
    control.reset(code(0x100)).unwrap();
    assert_eq!(close_code(&connection).await, CLOSED_CRITICAL_STREAM);
}

/// RFC9114-6.2.1-control-stopped
#[tokio::test]
async fn a_stop_of_our_control_stream_closes_the_connection() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    let mut control = crate::support::soon("the control stream", connection.accept_uni())
        .await
        .unwrap();
    assert!(serves(&connection).await);
    control.stop(code(0x100)).unwrap();
    assert_eq!(close_code(&connection).await, CLOSED_CRITICAL_STREAM);
    assert_eq!(server.server.stats().protocol_errors, 1);
}

/// RFC9114-6.2.1-second-control-stream
#[tokio::test]
async fn a_second_control_stream_closes_the_connection() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    let _first = tell(&connection, &[0, 4, 0], End::Open).await;
    let _second = tell(&connection, &[0, 4, 0], End::Open).await;
    assert_eq!(close_code(&connection).await, STREAM_CREATION_ERROR);
}

#[tokio::test]
async fn a_field_section_above_the_limit_is_answered_431_and_its_connection_goes_on() {
    let limits = Limits {
        max_header_bytes: 512,
        max_header_fields: 6,
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let long: &'static str = "v".repeat(300).leak();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("RFC9114-4.2.2-head-too-large", get(&[("a", long), ("b", long)])),
        ("RFC9114-4.2.2-head-too-large", get(&[("a", ""), ("b", ""), ("c", "")])),
        ("RFC9114-10.5-header-bytes", [&[1][..], &varint((1 << 62) - 1)].concat()),
        ("RFC9114-4.2.2-trailers-too-large", [request("POST", &[]), headers(&[("a", long), ("b", long)])].concat()),
    ];
    for (rule, bytes) in cases {
        let (send, mut recv) = ask(&connection, &bytes, End::Open).await;
        assert_eq!(seen(&mut recv).await, Seen::Answer(431), "{rule}");
        assert_eq!(stop_code(&send).await, Some(0x100), "{rule}");
        assert!(serves(&connection).await, "{rule}");
    }
}
