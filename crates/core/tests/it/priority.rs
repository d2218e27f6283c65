//! Which answer goes first (RFC 9218).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use trilane_core::{Limits, Notify};
use trilane_http3::{varint, write_request_head};

use crate::client::tls;
use crate::support::{Script, Setup, TestServer, answer, keeping, soon, start};

/// What the server keeps of answers until it is acknowledged: small, so that the downloads need not be large.
const SEND_WINDOW: u32 = 512 * 1024;

/// Long enough to be under way when the second request is sent: several send windows.
const LENGTH: usize = 16 * SEND_WINDOW as usize;

/// A client that lets one answer fill the server's send window, as browsers do: then it matters who may write next.
async fn quic(server: &TestServer) -> (quinn::Connection, quinn::Endpoint) {
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window((4 * SEND_WINDOW).into());
    let mut config = quinn::ClientConfig::new(Arc::new(tls(server)));
    config.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let connecting = endpoint
        .connect_with(config, server.address, "localhost")
        .unwrap();
    (soon("a handshake", connecting).await.unwrap(), endpoint)
}

/// PRIORITY_UPDATE for a request stream (RFC 9218 §7.2).
fn update(stream: u64, value: &[u8]) -> Bytes {
    let mut payload = BytesMut::new();
    varint::encode(&mut payload, stream);
    payload.extend_from_slice(value);
    let mut frame = BytesMut::new();
    varint::encode(&mut frame, 0xf0700);
    varint::encode(&mut frame, payload.len() as u64);
    frame.extend_from_slice(&payload);
    frame.freeze()
}

/// Our control stream, with empty SETTINGS.
async fn control(connection: &quinn::Connection) -> quinn::SendStream {
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[0, 4, 0]).await.unwrap();
    stream
}

/// A GET with this priority, if any.
async fn get(connection: &quinn::Connection, path: &str, priority: &str) -> quinn::RecvStream {
    let mut out = BytesMut::new();
    let field = (&b"priority"[..], priority.as_bytes());
    let fields = [field].into_iter().filter(|(_, value)| !value.is_empty());
    write_request_head(
        &mut out,
        b"GET",
        b"https",
        b"localhost",
        path.as_bytes(),
        None,
        fields,
    );
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(&out).await.unwrap();
    send.finish().unwrap();
    recv
}

/// Reads two answers at once; how much of the first was here when the second had ended.
async fn first_at_the_end_of_the_second(
    mut first: quinn::RecvStream,
    mut second: quinn::RecvStream,
) -> usize {
    let (mut seen, mut ended) = (0, false);
    let mut first_open = true;
    soon("the end of the second answer", async {
        while !ended {
            tokio::select! {
                chunk = first.read_chunk(usize::MAX, true), if first_open => match chunk.unwrap() {
                    Some(chunk) => seen += chunk.bytes.len(),
                    None => first_open = false,
                },
                chunk = second.read_chunk(usize::MAX, true) => ended = chunk.unwrap().is_none(),
            }
        }
    })
    .await;
    seen
}

fn start_small(handler: Arc<Script>) -> TestServer {
    let limits = Limits {
        send_window: SEND_WINDOW.into(),
        ..Limits::default()
    };
    start(
        Setup {
            limits,
            ..Setup::default()
        },
        handler,
    )
}

fn large() -> Arc<Script> {
    Script::new(|_, exchange| answer(exchange, vec![7; LENGTH]))
}

/// RFC9218-10-urgency
#[tokio::test]
async fn a_more_urgent_download_overtakes_one_that_was_asked_for_first() {
    let server = start_small(large());
    let (connection, _endpoint) = quic(&server).await;
    let mut first = get(&connection, "/", "u=7").await;
    soon("the first bytes", first.read_chunk(1000, true))
        .await
        .unwrap();
    let second = get(&connection, "/", "u=0").await;
    let seen = first_at_the_end_of_the_second(first, second).await;
    // What was in quinn's hands when the second came may still arrive: its send window.
    assert!(
        seen < LENGTH / 2,
        "{seen} bytes of the less urgent one came first"
    );
}

/// RFC9218-10-order
#[tokio::test]
async fn downloads_that_are_no_use_in_part_come_in_the_order_of_their_requests() {
    let server = start_small(large());
    let (connection, _endpoint) = quic(&server).await;
    let first = get(&connection, "/", "u=3").await;
    let second = get(&connection, "/", "u=3").await;
    let seen = first_at_the_end_of_the_second(second, first).await;
    assert!(
        seen < LENGTH / 2,
        "{seen} bytes of the second one were here before the first had ended"
    );
}

/// RFC9218-10-shared, RFC9218-4-defaults
#[tokio::test]
async fn downloads_that_share_come_side_by_side() {
    for priority in ["", "i"] {
        let server = start_small(large());
        let (connection, _endpoint) = quic(&server).await;
        let first = get(&connection, "/", priority).await;
        let second = get(&connection, "/", priority).await;
        let seen = first_at_the_end_of_the_second(first, second).await;
        assert!(
            seen > LENGTH / 2,
            "{seen} bytes of the first one when the second had ended"
        );
    }
}

/// RFC9218-7-replaces
#[tokio::test]
async fn an_update_moves_a_download_that_is_under_way() {
    let server = start_small(large());
    let (connection, _endpoint) = quic(&server).await;
    let mut control = control(&connection).await;
    let mut first = get(&connection, "/", "u=1").await;
    soon("the first bytes", first.read_chunk(1000, true))
        .await
        .unwrap();
    control.write_all(&update(0, b"u=6")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = get(&connection, "/", "u=3").await;
    let seen = first_at_the_end_of_the_second(first, second).await;
    assert!(seen < LENGTH / 2, "{seen} bytes of the one put off came first");
}

/// RFC9218-7-replaces: it may overtake the request that it is about.
#[tokio::test]
async fn an_update_counts_for_a_request_that_is_still_to_come() {
    let server = start_small(large());
    let (connection, _endpoint) = quic(&server).await;
    let mut control = control(&connection).await;
    control.write_all(&update(4, b"u=0")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut first = get(&connection, "/", "u=1").await;
    soon("the first bytes", first.read_chunk(1000, true))
        .await
        .unwrap();
    let second = get(&connection, "/", "u=7").await;
    let seen = first_at_the_end_of_the_second(first, second).await;
    assert!(
        seen < LENGTH / 2,
        "{seen} bytes of the less urgent one came first"
    );
}

/// RFC9218-8-merged: the handler knows what the client cannot.
#[tokio::test]
async fn the_priority_field_of_an_answer_overrides_that_of_its_request() {
    let handler = Script::new(|request, exchange| {
        let urgency = if request.head.path() == b"/urgent" {
            &b"u=0"[..]
        } else {
            b"u=5"
        };
        let fields = [(&b"priority"[..], urgency)].into_iter();
        exchange.respond(200, fields, vec![7; LENGTH].into()).unwrap();
    });
    let server = start_small(handler);
    let (connection, _endpoint) = quic(&server).await;
    let mut first = get(&connection, "/", "u=1").await;
    soon("the first bytes", first.read_chunk(1000, true))
        .await
        .unwrap();
    let second = get(&connection, "/urgent", "u=7").await;
    let seen = first_at_the_end_of_the_second(first, second).await;
    assert!(
        seen < LENGTH / 2,
        "{seen} bytes of the less urgent one came first"
    );
}

/// The less urgent is not starved by one that is urgent and not read.
#[tokio::test]
async fn an_urgent_answer_that_nobody_reads_holds_no_other_up() {
    let server = start_small(large());
    let (connection, _endpoint) = quic(&server).await;
    let _unread = get(&connection, "/", "u=0").await;
    let mut second = get(&connection, "/", "u=7").await;
    let body = soon("the less urgent answer", second.read_to_end(2 * LENGTH))
        .await
        .unwrap();
    assert!(body.len() > LENGTH);
}

/// The same for answers that are written piece by piece.
#[tokio::test]
async fn a_more_urgent_stream_overtakes_one_that_was_asked_for_first() {
    let (kept, handler) = keeping();
    let server = start_small(handler);
    let (connection, _endpoint) = quic(&server).await;
    let table = server.server.exchanges().clone();
    let mut streams = vec![];
    for priority in ["u=7", "u=0"] {
        *kept.lock().unwrap() = None;
        let mut recv = get(&connection, "/", priority).await;
        let id = crate::support::kept_id(&kept).await;
        table.start(id, 200, std::iter::empty()).unwrap();
        let writer = table.clone();
        tokio::spawn(async move {
            let mut left = LENGTH;
            while left > 0 {
                match writer.write(id, Bytes::from_static(&[7; 65_536]), Notify::Never) {
                    Ok(()) => left -= 65_536,
                    // Never idle: an urgent writer with nothing to say lets others go first.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
            writer.finish(id).unwrap();
        });
        soon("the first bytes", recv.read_chunk(1, true)).await.unwrap();
        streams.push(recv);
    }
    let second = streams.pop().unwrap();
    let first = streams.pop().unwrap();
    let seen = first_at_the_end_of_the_second(first, second).await;
    assert!(
        seen < LENGTH / 2,
        "{seen} bytes of the less urgent one came first"
    );
}

/// RFC9218-7.2-stream-limit
#[tokio::test]
async fn an_update_beyond_the_stream_limit_closes_the_connection() {
    let server = start_small(large());
    let (connection, _endpoint) = quic(&server).await;
    let mut control = control(&connection).await;
    control.write_all(&update(4 * 10_000, b"u=0")).await.unwrap();
    let closed = soon("the end of the connection", connection.closed()).await;
    assert!(
        matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code.into_inner() == 0x108),
        "{closed}"
    );
    assert_eq!(server.server.stats().protocol_errors, 1);
}
