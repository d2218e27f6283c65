//! What RFC 9114 asks of a server besides finding fault: what it sends, what it never sends, and what it tolerates.

use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, RecvStream};
use trilane_core::{BodyMode, Limits, Stop};

use crate::client::{quic, quic_offering};
use crate::raw::{
    End, Seen, ask, close_code, code, frame, frames, request, seen, serves, stop_code, take_varint, tell,
};
use crate::support::{Script, Setup, TestServer, answer, next_id, soon, start, start_waiting};

fn server() -> TestServer {
    start(
        Setup::default(),
        Script::new(|_, exchange| answer(exchange, "body")),
    )
}

/// Our control stream: its type, and what has arrived of it since.
struct Control(RecvStream);

impl Control {
    async fn accept(connection: &Connection) -> Self {
        let mut stream = soon("the control stream", connection.accept_uni()).await.unwrap();
        let mut kind = [9];
        soon("a stream type", stream.read_exact(&mut kind)).await.unwrap();
        assert_eq!(
            kind,
            [0],
            "the first unidirectional stream is not the control stream"
        );
        Self(stream)
    }

    async fn frame(&mut self) -> (u64, Vec<u8>) {
        let kind = self.varint().await;
        let mut payload = vec![0; self.varint().await as usize];
        soon("a payload", self.0.read_exact(&mut payload)).await.unwrap();
        (kind, payload)
    }

    async fn varint(&mut self) -> u64 {
        let mut bytes = vec![0; 1];
        soon("a frame", self.0.read_exact(&mut bytes)).await.unwrap();
        bytes.resize(1 << (bytes[0] >> 6), 0);
        soon("a frame", self.0.read_exact(&mut bytes[1..])).await.unwrap();
        take_varint(&mut bytes).unwrap()
    }
}

/// RFC9114-3.2-alpn
#[tokio::test]
async fn a_client_that_does_not_offer_h3_gets_no_connection() {
    let server = server();
    for protocol in [&b"h2"[..], b"h3-29", b"hq-interop"] {
        let (connecting, _endpoint) = quic_offering(&server, protocol);
        let refused = soon("a refusal", connecting).await.unwrap_err();
        let ConnectionError::ConnectionClosed(close) = &refused else {
            panic!("{refused}")
        };
        // no_application_protocol is alert 120 (RFC 7301 §3.2).
        assert_eq!(u64::from(close.error_code), 0x100 + 120, "{refused}");
    }
}

/// RFC9114-7.2.4.2-settings-unasked, RFC9114-6.2.1-own-control-stream, RFC9114-4.2.2-limit-told
#[tokio::test]
async fn settings_are_sent_to_a_client_that_says_nothing() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    let (kind, mut payload) = Control::accept(&connection).await.frame().await;
    assert_eq!(kind, 4);
    let mut settings = Vec::new();
    while let (Some(id), Some(value)) = (take_varint(&mut payload), take_varint(&mut payload)) {
        settings.push((id, value));
    }
    let told = Limits::default().max_header_bytes as u64;
    assert!(settings.contains(&(6, told)), "{settings:?}");
}

/// RFC9114-4.6-never-pushed, RFC9114-6.1-server-stream-opened, RFC9114-7.2.4-settings-sent-once,
/// RFC9114-7.2.7-max-push-id-sent, RFC9114-7.2.8-http2-sent, RFC9114-6.2.1-own-control-kept
#[tokio::test]
async fn only_answers_and_one_control_stream_are_sent_whatever_the_client_allows() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    let _control = tell(&connection, &[0, 4, 0, 0xd, 1, 63], End::Open).await;
    let mut ours = Control::accept(&connection).await;
    assert_eq!(ours.frame().await.0, 4);
    for method in ["GET", "HEAD", "OPTIONS", "GET"] {
        let (_send, mut recv) = ask(&connection, &request(method, &[]), End::Fin).await;
        let bytes = soon("an answer", recv.read_to_end(10_000)).await.unwrap();
        let kinds: Vec<u64> = frames(bytes).into_iter().map(|(kind, _)| kind).collect();
        let expected = if method == "HEAD" { &[1][..] } else { &[1, 0] };
        assert_eq!(kinds, expected, "{method}");
    }
    let quiet = Duration::from_millis(200);
    assert!(
        tokio::time::timeout(quiet, connection.accept_uni())
            .await
            .is_err()
    );
    assert!(tokio::time::timeout(quiet, connection.accept_bi()).await.is_err());
    let mut more = [0; 1];
    assert!(tokio::time::timeout(quiet, ours.0.read(&mut more)).await.is_err());
}

/// RFC9114-7.2.4.2-before-settings, RFC9114-7.2.4.2-valid-for-peer
#[tokio::test]
async fn requests_are_served_before_the_settings_of_the_client_and_without_them() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    assert!(serves(&connection).await);
    let mut control = tell(&connection, &[0], End::Open).await;
    assert!(serves(&connection).await);
    // No field section, no dynamic table and no blocked streams are allowed.
    control.write_all(&[4, 6, 6, 0, 1, 0, 7, 0]).await.unwrap();
    assert!(serves(&connection).await);
}

#[tokio::test]
async fn unidirectional_streams_that_mean_nothing_are_tolerated() {
    let cases: [(&str, &[u8], End); 9] = [
        ("RFC9114-6.2-ended-before-type", &[], End::Fin),
        ("RFC9114-6.2-ended-before-type", &[0x40], End::Fin),
        ("RFC9114-6.2-reset-before-type", &[], End::Reset(0x105)),
        ("RFC9114-6.2-reset-before-type", &[0x40], End::Reset(0x100)),
        ("RFC9114-6.2-unknown-type", &[0x3f, 0, 4], End::Fin),
        ("RFC9114-6.2-unknown-type", &[0x7f, 0xff, 1, 2], End::Reset(0x105)),
        ("RFC9114-6.2.3-reserved-types", &[0x21], End::Fin),
        ("RFC9114-6.2.3-reserved-types", &[0x40, 0x40, 0], End::Fin),
        (
            "RFC9114-6.2.3-reserved-types",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 4],
            End::Fin,
        ),
    ];
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    for (rule, bytes, end) in cases {
        for _ in 0..3 {
            let _stream = tell(&connection, bytes, end).await;
        }
        assert!(serves(&connection).await, "{rule}");
    }
    // RFC9114-6.2-unknown-type
    let open = tell(&connection, &[0x21, 0], End::Open).await;
    assert_eq!(stop_code(&open).await, Some(0x103));
    assert!(serves(&connection).await);
    assert_eq!(server.server.stats().protocol_errors, 0);
}

/// RFC9114-6.2-type-awaited, RFC9114-6.2.1-control-not-stopped
#[tokio::test]
async fn a_control_stream_whose_type_comes_late_is_read() {
    let limits = Limits {
        header_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let mut control = tell(&connection, &[0x40], End::Open).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    control.write_all(&[0, 4, 0]).await.unwrap();
    assert!(serves(&connection).await);
    let stop = tokio::time::timeout(Duration::from_millis(100), control.stopped()).await;
    assert!(stop.is_err(), "the control stream was stopped: {stop:?}");
    // It is read: a second SETTINGS is found.
    control.write_all(&[4, 0]).await.unwrap();
    assert_eq!(close_code(&connection).await, 0x105);
}

/// RFC9114-6.2-three-streams, RFC9114-6.2-stream-credit
#[tokio::test]
async fn three_unidirectional_streams_of_1024_bytes_are_allowed_whatever_the_limits() {
    let limits = Limits {
        max_uni_streams: 0,
        stream_receive_window: 1,
        connection_receive_window: 1,
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        mode: BodyMode::Streaming,
        ..Setup::default()
    };
    let server = start(
        setup,
        Script::new(|_, exchange| {
            exchange.into_id();
        }),
    );
    let (connection, _endpoint) = quic(&server).await;
    let mut critical = Vec::new();
    for kind in [0, 2, 3] {
        critical.push(tell(&connection, &[kind], End::Open).await);
    }
    // Flow control is the same for all streams; that of a body which nobody reads is not renewed.
    let head = request("POST", &[]);
    let body = vec![0; 1024 - head.len() - 3];
    let bytes = [head, frame(0, &body)].concat();
    let written = soon("1,024 bytes", ask(&connection, &bytes, End::Open)).await;
    drop(written);
}

/// RFC9114-6.1-streams-permitted
#[tokio::test]
async fn a_hundred_requests_may_be_open_at_once_by_default() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(ask(&connection, &request("GET", &[]), End::Fin).await);
    }
    for _ in 0..100 {
        next_id(&ids).await;
    }
}

/// RFC9114-5.1-not-kept-alive
#[tokio::test]
async fn a_connection_on_which_nothing_happens_is_left_to_time_out() {
    let limits = Limits {
        idle_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    assert!(serves(&connection).await);
    assert_eq!(
        soon("the end", connection.closed()).await,
        ConnectionError::TimedOut
    );
}

/// RFC9114-5.2-goaway-announced, RFC9114-7.2.6-goaway-id-sent, RFC9114-5.2-goaway-never-grows
#[tokio::test]
async fn a_graceful_stop_serves_requests_below_its_goaway_and_rejects_those_above() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let mut control = Control::accept(&connection).await;
    assert_eq!(control.frame().await.0, 4);
    let (_first, mut served) = ask(&connection, &request("GET", &[]), End::Fin).await;
    let first = next_id(&ids).await;
    let stopped = tokio::spawn(server.server.stop(Stop::Graceful(Duration::from_secs(8))));
    let goaway = |id: u64| (7, crate::raw::varint(id));
    assert_eq!(control.frame().await, goaway((1 << 62) - 4));
    // RFC9114-5.2-goaway-served
    let (_second, mut served_too) = ask(&connection, &request("GET", &[]), End::Fin).await;
    let second = next_id(&ids).await;
    assert_eq!(control.frame().await, goaway(8));
    // RFC9114-5.2-goaway-rejected, RFC9114-4.1.1-rejected-unprocessed
    for _ in 0..2 {
        let (send, mut rejected) = ask(&connection, &request("GET", &[]), End::Open).await;
        assert_eq!(seen(&mut rejected).await, Seen::Reset(0x10b));
        assert_eq!(stop_code(&send).await, Some(0x10b));
    }
    assert_eq!(server.server.stats().requests, 2);
    for (id, recv) in [(first, &mut served), (second, &mut served_too)] {
        let exchanges = server.server.exchanges();
        exchanges
            .respond(id, 200, std::iter::empty(), Bytes::new())
            .unwrap();
        assert_eq!(seen(recv).await, Seen::Answer(200));
    }
    // RFC9114-5.2-graceful-code
    assert_eq!(close_code(&connection).await, 0x100);
    soon("the stop", stopped).await.unwrap();
}

/// RFC9114-7.1-long-encodings
#[tokio::test]
async fn types_and_lengths_in_longer_encodings_than_needed_are_read() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    let eight = |value: u64| (value | 0xc000_0000_0000_0000).to_be_bytes();
    let head = request("GET", &[]);
    let section = &head[2..];
    let long = [
        &eight(1)[..],
        &eight(section.len() as u64),
        section,
        &[0x40, 0, 0x40, 0],
    ]
    .concat();
    let (_send, mut recv) = ask(&connection, &long, End::Fin).await;
    assert_eq!(seen(&mut recv).await, Seen::Answer(200));
    let settings = [&eight(0)[..], &eight(4), &eight(0)].concat();
    let mut control = tell(&connection, &settings, End::Open).await;
    assert!(serves(&connection).await);
    // It was taken for what it is: a second SETTINGS is found.
    control.write_all(&[0x40, 4, 0x40, 0]).await.unwrap();
    assert_eq!(close_code(&connection).await, 0x105);
}

/// RFC9114-4.1-early-response, RFC9114-4.1-response-ended
#[tokio::test]
async fn the_rest_of_a_request_is_declined_and_its_answer_is_whole() {
    let setup = Setup {
        has_fallback: false,
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let part = [request("POST", &[]), frame(0, b"part")].concat();
    let (send, mut recv) = ask(&connection, &part, End::Open).await;
    assert_eq!(seen(&mut recv).await, Seen::Answer(404));
    assert_eq!(stop_code(&send).await, Some(0x100));
}

/// RFC9114-7.2.8-reserved-frames
#[tokio::test]
async fn reserved_frames_on_the_control_stream_are_skipped() {
    let server = server();
    let (connection, _endpoint) = quic(&server).await;
    let mut control = tell(&connection, &[0, 4, 0], End::Open).await;
    for kind in [0x21, 0x21 + 0x1f, 0x21 + 0x1f * 1000, 0xabcd] {
        control.write_all(&frame(kind, b"grease")).await.unwrap();
    }
    assert!(serves(&connection).await);
    // Read on behind them: a GOAWAY that grows is found.
    control.write_all(&[7, 1, 4, 7, 1, 8]).await.unwrap();
    assert_eq!(close_code(&connection).await, 0x108);
}

/// RFC9114-8-unknown-code
#[tokio::test]
async fn the_code_with_which_a_client_gives_an_answer_up_changes_nothing() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    for with in [0x100, 0x105, 0x21, (1 << 62) - 1] {
        let (_send, mut recv) = ask(&connection, &request("GET", &[]), End::Fin).await;
        let id = next_id(&ids).await;
        recv.stop(code(with)).unwrap();
        soon("the abort", async {
            while server.server.exchanges().remote_address(id).is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    let _one_more = ask(&connection, &request("GET", &[]), End::Fin).await;
    next_id(&ids).await;
    assert_eq!(server.server.stats().protocol_errors, 0);
}
