//! Floods of what is allowed and no progress (RFC 9114 §10.5) end with H3_EXCESSIVE_LOAD, and only for who sends them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::ConnectionError;
use trilane_core::{BodyMode, Limits};

use crate::client::{connect, endpoint, quic, tls};
use crate::forger::Forger;
use crate::relay::Relay;
use crate::support::{Script, Setup, TestServer, answer, soon, start};

const EXCESSIVE_LOAD: u32 = 0x107;

/// HEADERS frame with `:method GET`, `:scheme https`, `:path /`, `:authority a`.
const GET: &[u8] = &[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];

/// A control stream that begins with empty SETTINGS.
const CONTROL: &[u8] = &[0, 4, 0];

fn tiny() -> Limits {
    Limits {
        max_overhead_frames_per_second: 100,
        ..Limits::default()
    }
}

fn server(mode: BodyMode) -> TestServer {
    let setup = Setup {
        limits: tiny(),
        mode,
        ..Setup::default()
    };
    let (exchanges, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let server = start(
        setup,
        Script::new(move |_, exchange| drop(exchanges.send(exchange))),
    );
    let table = server.server.exchanges().clone();
    tokio::spawn(async move {
        while let Some(exchange) = asked.recv().await {
            let body = table.take_body(exchange.id());
            tokio::spawn(async move {
                if let Some(mut body) = body {
                    while let Ok(Some(_)) = body.next().await {}
                }
                // The client may have given up.
                let _ = exchange.respond(200, std::iter::empty(), Bytes::new());
            });
        }
    });
    server
}

/// The code and the reason with which the server closed the connection.
async fn close_of(connection: &quinn::Connection) -> (u64, String) {
    match soon("the close", connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => (
            close.error_code.into_inner(),
            String::from_utf8(close.reason.to_vec()).unwrap(),
        ),
        other => panic!("{other}"),
    }
}

/// Sends `first` and then `again` for ever, on a bidirectional stream; the server must close with H3_EXCESSIVE_LOAD while
/// its other client is served.
async fn flood_request(mode: BodyMode, first: &[u8], again: &[u8]) {
    let server = server(mode);
    let mut neighbour = connect(&server).await;
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(first).await.unwrap();
    let burst = again.repeat(1_000);
    soon("the end of the flood", async {
        while send.write_all(&burst).await.is_ok() {}
    })
    .await;
    assert_closed(&server, &connection, "frames without content").await;
    assert_eq!(neighbour.get("/").await.status, 200);
}

async fn flood_uni(first: &[u8], again: &[u8]) {
    let server = server(BodyMode::Buffered);
    let mut neighbour = connect(&server).await;
    let (connection, _endpoint) = quic(&server).await;
    let mut send = connection.open_uni().await.unwrap();
    send.write_all(first).await.unwrap();
    let burst = again.repeat(1_000);
    soon("the end of the flood", async {
        while send.write_all(&burst).await.is_ok() {}
    })
    .await;
    assert_closed(&server, &connection, "frames without content").await;
    assert_eq!(neighbour.get("/").await.status, 200);
}

async fn assert_closed(server: &TestServer, connection: &quinn::Connection, what: &str) {
    let (code, reason) = close_of(connection).await;
    assert_eq!(code, u64::from(EXCESSIVE_LOAD), "{reason}");
    assert!(reason.contains(what) && reason.len() < 64, "{reason}");
    let stats = server.server.stats();
    assert_eq!((stats.excessive_load, stats.protocol_errors), (1, 0));
}

#[tokio::test]
async fn empty_data_frames_in_a_buffered_body_end_the_connection() {
    flood_request(BodyMode::Buffered, GET, &[0, 0]).await;
}

#[tokio::test]
async fn empty_data_frames_in_a_streamed_body_end_the_connection() {
    flood_request(BodyMode::Streaming, GET, &[0, 0]).await;
}

#[tokio::test]
async fn one_byte_data_frames_in_a_streamed_body_end_the_connection() {
    flood_request(BodyMode::Streaming, GET, &[0, 1, b'x']).await;
}

/// RFC 9114 §7.2.8, RFC9114-10.5-overhead
#[tokio::test]
async fn reserved_frames_before_a_head_end_the_connection() {
    flood_request(BodyMode::Buffered, &[0x21, 0], &[0x21, 0]).await;
}

#[tokio::test]
async fn reserved_frames_in_a_streamed_body_end_the_connection() {
    flood_request(BodyMode::Streaming, GET, &[0x21, 1, 0]).await;
}

#[tokio::test]
async fn reserved_frames_on_the_control_stream_end_the_connection() {
    flood_uni(CONTROL, &[0x21, 0]).await;
}

/// RFC 9218 §7
#[tokio::test]
async fn priority_updates_end_the_connection() {
    flood_uni(CONTROL, &[0x80, 0x0f, 0x07, 0x00, 4, 0, b'u', b'=', b'1']).await;
}

/// RFC 9114 §7.2.7
#[tokio::test]
async fn repeated_max_push_ids_end_the_connection() {
    flood_uni(CONTROL, &[0x0d, 1, 7]).await;
}

/// RFC 9114 §5.2
#[tokio::test]
async fn repeated_goaways_end_the_connection() {
    flood_uni(CONTROL, &[0x07, 1, 0]).await;
}

/// RFC 9204 §4.3.1
#[tokio::test]
async fn table_capacity_instructions_end_the_connection() {
    flood_uni(&[2], &[0x20]).await;
}

/// RFC 9204 §4.4.2
#[tokio::test]
async fn stream_cancellation_instructions_end_the_connection() {
    flood_uni(&[3], &[0x44]).await;
}

/// RFC 9114 §6.2.3, RFC9114-10.5-overhead
#[tokio::test]
async fn streams_of_reserved_types_end_the_connection() {
    let limits = Limits {
        max_abandoned_streams_per_second: 100,
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    soon("the end of the flood", async {
        while let Ok(mut send) = connection.open_uni().await {
            let _ = send.write_all(&[0x21]).await;
            let _ = send.finish();
        }
    })
    .await;
    assert_closed(&server, &connection, "streams").await;
}

/// RFC 9114 §7.2.8: grease exercises this rule, and must not be punished.
#[tokio::test]
async fn a_fast_client_that_greases_every_request_is_served() {
    let server = server(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(CONTROL).await.unwrap();
    for _ in 0..1_000 {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&[&[0x21, 1, 0], GET, &[0x21, 0, 0, 2, b'{', b'}', 0, 0]].concat())
            .await
            .unwrap();
        send.finish().unwrap();
        // PRIORITY_UPDATE
        let id = u64::from(send.id().index() as u32 * 4);
        let [high, low] = (0x4000 | id as u16).to_be_bytes();
        control
            .write_all(&[0x80, 0x0f, 0x07, 0x00, 5, high, low, b'u', b'=', b'1'])
            .await
            .unwrap();
        let bytes = soon("an answer", recv.read_to_end(1_000)).await.unwrap();
        assert_eq!(bytes[0], 1);
    }
    assert_eq!(server.server.stats().excessive_load, 0);
}

/// A flood that lasts less than the limit allows is no reason to close.
#[tokio::test]
async fn a_burst_within_the_limit_is_forgiven() {
    let server = server(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&[GET, &[0x21, 0].repeat(190)].concat())
        .await
        .unwrap();
    send.finish().unwrap();
    assert!(soon("an answer", recv.read_to_end(1_000)).await.is_ok());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(connection.close_reason().is_none());
}

/// What quinn says to an acknowledgement of a packet that it never sent.
const SKIPPED: &[u8] = b"unsent packet acked";

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Closed,
    /// The frame acknowledged a packet number that the server skips, as a trap for who acknowledges what he has not
    /// received (RFC 9000 §21.4).
    Skipped,
}

/// Sends packets full of `frame`; the server must close with H3_EXCESSIVE_LOAD while its other client is served.
async fn flood_quic(frame: &[u8]) -> Outcome {
    let server = server(BodyMode::Streaming);
    let mut neighbour = connect(&server).await;
    let forger = Forger::new(frame);
    let endpoint = endpoint("127.0.0.1:0", forger.client(tls(&server)));
    let connecting = endpoint.connect(server.address, "localhost").unwrap();
    let connection = soon("a handshake", connecting).await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(GET).await.unwrap();
    let (mut other, mut answer) = connection.open_bi().await.unwrap();
    other.write_all(GET).await.unwrap();
    other.finish().unwrap();
    soon("an answer", answer.read_to_end(1_000)).await.unwrap();
    forger.arm();
    soon("the end of the flood", async {
        while send.write_all(&[0; 10_000]).await.is_ok() {}
    })
    .await;
    // Flooded itself, the client may miss the close, and meets a stateless reset when it goes on (RFC 9000 §10.3).
    match soon("the close", connection.closed()).await {
        ConnectionError::ConnectionClosed(close) if close.reason == SKIPPED => return Outcome::Skipped,
        ConnectionError::Reset => assert_eq!(server.server.stats().excessive_load, 1),
        _ => assert_closed(&server, &connection, "QUIC frames").await,
    }
    assert_eq!(neighbour.get("/").await.status, 200);
    Outcome::Closed
}

/// RFC 9000 §21.9
#[tokio::test]
async fn pings_end_the_connection() {
    assert_eq!(flood_quic(&[0x01]).await, Outcome::Closed);
}

#[tokio::test]
async fn path_challenges_end_the_connection() {
    assert_eq!(flood_quic(&[0x1a, 1, 2, 3, 4, 5, 6, 7, 8]).await, Outcome::Closed);
}

#[tokio::test]
async fn window_updates_for_nothing_end_the_connection() {
    // MAX_DATA, MAX_STREAM_DATA of stream 0, MAX_STREAMS
    assert_eq!(
        flood_quic(&[0x10, 9, 0x11, 0, 9, 0x12, 9, 0x13, 9]).await,
        Outcome::Closed
    );
}

#[tokio::test]
async fn blocked_frames_end_the_connection() {
    // DATA_BLOCKED, STREAM_DATA_BLOCKED of stream 0, STREAMS_BLOCKED
    assert_eq!(
        flood_quic(&[0x14, 9, 0x15, 0, 9, 0x16, 9, 0x17, 9]).await,
        Outcome::Closed
    );
}

#[tokio::test]
async fn stop_sending_again_and_again_ends_the_connection() {
    // Of stream 4, which is answered.
    assert_eq!(flood_quic(&[0x05, 4, 0x41, 0x0c]).await, Outcome::Closed);
}

#[tokio::test]
async fn empty_stream_frames_end_the_connection() {
    // Stream 0, at offset 0, of no length.
    assert_eq!(flood_quic(&[0x0a, 0, 0]).await, Outcome::Closed);
}

#[tokio::test]
async fn many_acknowledgements_of_one_packet_end_the_connection() {
    while flood_quic(&[0x02, 0, 0, 0, 0]).await == Outcome::Skipped {}
}

#[tokio::test]
async fn empty_crypto_frames_end_the_connection() {
    assert_eq!(flood_quic(&[0x06, 0, 0]).await, Outcome::Closed);
}

/// RFC 9221 §3: DATAGRAM frames are not negotiated.
#[tokio::test]
async fn a_datagram_that_was_not_negotiated_is_a_protocol_violation() {
    let server = server(BodyMode::Streaming);
    let forger = Forger::new(&[0x31, 1, 0]);
    let endpoint = endpoint("127.0.0.1:0", forger.client(tls(&server)));
    let connecting = endpoint.connect(server.address, "localhost").unwrap();
    let connection = soon("a handshake", connecting).await.unwrap();
    forger.arm();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[0; 10_000]).await.unwrap();
    let ConnectionError::ConnectionClosed(close) = soon("the close", connection.closed()).await else {
        panic!("{:?}", connection.close_reason())
    };
    assert_eq!(close.error_code, quinn::TransportErrorCode::PROTOCOL_VIOLATION);
    assert_eq!(connect(&server).await.get("/").await.status, 200);
}

/// A download whose client gives credit as often as it can.
#[tokio::test]
async fn a_fast_download_with_tiny_windows_is_no_flood() {
    let setup = Setup {
        limits: tiny(),
        ..Setup::default()
    };
    const BYTES: usize = 4 * 1024 * 1024;
    let server = start(setup, Script::new(|_, exchange| answer(exchange, vec![0; BYTES])));
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(tls(&server)));
    let mut transport = quinn::TransportConfig::default();
    transport
        .stream_receive_window(8_192u32.into())
        .receive_window(16_384u32.into());
    config.transport_config(Arc::new(transport));
    endpoint.set_default_client_config(config);
    let connecting = endpoint.connect(server.address, "localhost").unwrap();
    let connection = soon("a handshake", connecting).await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(GET).await.unwrap();
    send.finish().unwrap();
    let read = soon("the download", recv.read_to_end(2 * BYTES)).await.unwrap();
    assert!(read.len() > BYTES);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let sent = connection.stats().frame_tx;
    assert!(sent.max_data + sent.max_stream_data > 1_000, "{sent:?}");
    assert!(connection.close_reason().is_none());
}

/// RFC 9000 §10.2.1: an endpoint that has closed answers at a bounded rate. After that it knows the connection no more, and
/// resets are bounded too (§10.3).
#[tokio::test]
async fn a_flooder_that_goes_on_after_the_close_gets_little_for_it() {
    let server = server(BodyMode::Streaming);
    let forger = Forger::new(&[0x01]);
    let endpoint = endpoint("127.0.0.1:0", forger.client(tls(&server)));
    // All at once: the client hears nothing from now on, and would wait for acknowledgements.
    let mut config = quinn::ClientConfig::new(Arc::new(forger.client(tls(&server))));
    let mut transport = quinn::TransportConfig::default();
    let mut window = quinn::congestion::NewRenoConfig::default();
    window.initial_window(8 * 1024 * 1024);
    transport.congestion_controller_factory(Arc::new(window));
    config.transport_config(Arc::new(transport));
    let relay = Relay::start(server.address, |_, _| true).await;
    let connecting = endpoint.connect_with(config, relay.address, "localhost").unwrap();
    let connection = soon("a handshake", connecting).await.unwrap();
    forger.arm();
    relay.hold();
    for _ in 0..3 {
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        tokio::spawn(async move {
            // No faster than the relay reads.
            while send.write_all(&[0; 20_000]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    soon("a supply of packets", async {
        while relay.held() < 1_500 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    relay.release(100).await;
    soon("the close", async {
        while server.server.stats().excessive_load == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let back = &relay.shared.from_server;
    let (datagrams, bytes) = (back.datagrams(), back.bytes());
    let mut sent = 0;
    for _ in 0..14 {
        sent += relay.release(100).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (datagrams, bytes) = (back.datagrams() - datagrams, back.bytes() - bytes);
    println!("{sent} packets after the close were answered with {datagrams}, {bytes} bytes");
    assert!(datagrams <= sent / 4, "{datagrams} for {sent}");
    assert!(bytes <= sent * 1_200 / 10, "{bytes} for {sent} packets");
    assert_eq!(connect(&server).await.get("/").await.status, 200);
}
