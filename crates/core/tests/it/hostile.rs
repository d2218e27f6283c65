//! Bytes and behaviour that no honest client shows; neighbours must not feel them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use trilane_core::Limits;

use crate::client::{connect, quic};
use crate::raw;
use crate::support::{Script, Setup, answer, soon, start};

fn setup() -> Setup {
    let limits = Limits {
        header_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    Setup {
        limits,
        ..Setup::default()
    }
}

/// HEADERS frame with `:method GET`, `:scheme https`, `:path /`, `:authority a`.
const GET: &[u8] = &[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];

async fn read_to_end(mut stream: quinn::RecvStream) -> Result<Vec<u8>, String> {
    soon("an answer", stream.read_to_end(100_000))
        .await
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_head_that_trickles_in_is_served_and_holds_nobody_up() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, recv) = connection.open_bi().await.unwrap();
    for byte in GET {
        send.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let (mut quick, answer) = connection.open_bi().await.unwrap();
        quick.write_all(GET).await.unwrap();
        quick.finish().unwrap();
        assert!(read_to_end(answer).await.unwrap().starts_with(&[1]));
    }
    send.finish().unwrap();
    assert!(read_to_end(recv).await.unwrap().starts_with(&[1]));
}

#[tokio::test]
async fn a_head_that_never_ends_is_answered_408() {
    let server = start(setup(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&GET[..5]).await.unwrap();
    let mut head = [0; 64];
    let length = soon("an answer", recv.read(&mut head)).await.unwrap().unwrap();
    assert!(
        head[..length].windows(3).any(|window| window == b"408"),
        "{:?}",
        &head[..length]
    );
}

/// RFC9114-4.2.2-head-too-large, RFC9114-10.5-header-bytes
#[tokio::test]
async fn a_frame_length_over_the_header_limit_is_answered_431_before_it_is_sent() {
    let server = start(setup(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    // HEADERS of 64 MiB, of which nothing follows.
    send.write_all(&[1, 0x84, 0, 0, 0]).await.unwrap();
    let mut head = [0; 64];
    let length = soon("an answer", recv.read(&mut head)).await.unwrap().unwrap();
    assert!(
        head[..length].windows(3).any(|window| window == b"431"),
        "{:?}",
        &head[..length]
    );
    assert_eq!(connect(&server).await.get("/").await.status, 200);
}

/// RFC 9114 §4.1.2
#[tokio::test]
async fn a_malformed_request_ends_its_stream_and_not_the_connection() {
    let server = start(setup(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, recv) = connection.open_bi().await.unwrap();
    // No :path.
    send.write_all(&[1, 7, 0, 0, 0xd1, 0xd7, 0x50, 1, b'a'])
        .await
        .unwrap();
    send.finish().unwrap();
    let error = read_to_end(recv).await.unwrap_err();
    assert!(error.contains("270"), "{error}");
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(GET).await.unwrap();
    send.finish().unwrap();
    assert!(read_to_end(recv).await.is_ok());
    assert_eq!(server.server.stats().requests_malformed, 1);
}

/// RFC 9114 §7.2.1: DATA before HEADERS
#[tokio::test]
async fn a_misplaced_frame_ends_the_connection_with_its_code() {
    let server = start(setup(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[0, 1, 0]).await.unwrap();
    let closed = soon("the close", connection.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = closed else {
        panic!("{closed}")
    };
    assert_eq!(close.error_code, quinn::VarInt::from_u32(0x105));
}

/// RFC 9114 §6.2.1
#[tokio::test]
async fn a_closed_control_stream_ends_the_connection() {
    let server = start(setup(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&[0, 4, 0]).await.unwrap();
    control.finish().unwrap();
    let closed = soon("the close", connection.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = closed else {
        panic!("{closed}")
    };
    assert_eq!(close.error_code, quinn::VarInt::from_u32(0x104));
}

/// RFC9114-10.5-abandoned-streams
#[tokio::test]
async fn a_flood_of_abandoned_streams_ends_the_connection_with_excessive_load() {
    let limits = Limits {
        max_abandoned_streams_per_second: 100,
        ..Limits::default()
    };
    let server = start(
        Setup {
            limits,
            ..Setup::default()
        },
        Script::new(|_, exchange| answer(exchange, "")),
    );
    let (connection, _endpoint) = quic(&server).await;
    let flood = async {
        while let Ok((mut send, _recv)) = connection.open_bi().await {
            let _ = send.write_all(&[1]).await;
            let _ = send.reset(0x10c_u32.into());
        }
    };
    soon("the close", flood).await;
    let Some(quinn::ConnectionError::ApplicationClosed(close)) = connection.close_reason() else {
        panic!("{:?}", connection.close_reason())
    };
    assert_eq!(close.error_code, quinn::VarInt::from_u32(0x107));
    assert_eq!(connect(&server).await.get("/").await.status, 200);
}

#[tokio::test]
async fn requests_that_a_flooding_client_has_given_up_run_no_handler() {
    const FLOOD: usize = 3_000;
    let calls = Arc::new(AtomicUsize::new(0));
    let called = calls.clone();
    let handler = Script::new(move |_, exchange| {
        called.fetch_add(1, Relaxed);
        answer(exchange, "");
    });
    let server = start(Setup::default(), handler);
    let (connection, _endpoint) = quic(&server).await;
    let bytes = raw::request("GET", &[]);
    let flood = async {
        for _ in 0..FLOOD {
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            send.write_all(&bytes).await.unwrap();
            send.finish().unwrap();
            recv.stop(0x10c_u32.into()).unwrap();
        }
    };
    soon("the flood", flood).await;
    assert!(raw::serves(&connection).await);
    let calls = calls.load(Relaxed);
    assert!(calls < FLOOD / 4, "{calls} handlers ran");
    let stats = server.server.stats();
    assert_eq!((stats.requests_active, stats.protocol_errors), (0, 0));
}

#[tokio::test]
async fn connections_over_the_limit_are_refused() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = start(
        Setup {
            limits,
            ..Setup::default()
        },
        Script::new(|_, exchange| answer(exchange, "")),
    );
    let first = quic(&server).await;
    let second = tokio::spawn({
        let address = server.address;
        let endpoint = first.1.clone();
        async move { endpoint.connect(address, "localhost").unwrap().await.map(drop) }
    });
    assert!(soon("a refusal", second).await.unwrap().is_err());
    assert_eq!(server.server.stats().connections_refused, 1);
}
