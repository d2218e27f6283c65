//! Raw QUIC datagrams and HTTP datagrams, from a client that sends any bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trilane_core::{ConnectionEvent, DatagramOptions, Limits, UnknownDatagrams};

use crate::client::{quic, quic_as};
use crate::support::{Script, Setup, TestServer, answer, found, soon, start};

/// A control stream whose SETTINGS agree to HTTP datagrams (RFC 9297 §2.1.1), or say nothing of them.
const AGREEING: &[u8] = &[0x00, 0x04, 0x02, 0x33, 0x01];
const SILENT: &[u8] = &[0x00, 0x04, 0x00];

/// HEADERS frame with `:method POST`, `:scheme https`, `:path /datagrams`, `:authority a`.
const POST: &[u8] = &[
    1, 19, 0, 0, 0xd4, 0xd7, 0x51, 10, b'/', b'd', b'a', b't', b'a', b'g', b'r', b'a', b'm', b's', 0x50, 1,
    b'a',
];

fn setup(raw: bool, http: bool) -> Setup {
    Setup {
        datagrams: DatagramOptions {
            raw,
            routes: vec![false, http],
            unknown: UnknownDatagrams::Drop,
        },
        alpn: Some(b"echo"),
        ..Setup::default()
    }
}

/// A handler that keeps its exchanges open.
fn keeping() -> (Arc<Script>, Arc<std::sync::Mutex<Vec<trilane_core::ExchangeId>>>) {
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = kept.clone();
    let script = Script::new(move |_, exchange| keep.lock().unwrap().push(exchange.into_id()));
    (script, kept)
}

async fn settings(quic: &quinn::Connection, bytes: &[u8]) -> quinn::SendStream {
    let mut control = quic.open_uni().await.unwrap();
    control.write_all(bytes).await.unwrap();
    control
}

async fn closed_with(quic: &quinn::Connection) -> u64 {
    match soon("a close", quic.closed()).await {
        quinn::ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other}"),
    }
}

async fn begin(quic: &quinn::Connection) -> (quinn::SendStream, quinn::RecvStream) {
    let (mut send, recv) = quic.open_bi().await.unwrap();
    send.write_all(POST).await.unwrap();
    (send, recv)
}

fn payloads(script: &Script) -> Vec<Bytes> {
    let datagrams = script.http_datagrams.lock().unwrap();
    datagrams.iter().map(|(_, payload)| payload.clone()).collect()
}

fn raw_payloads(script: &Script) -> Vec<Bytes> {
    let datagrams = script.raw_datagrams.lock().unwrap();
    datagrams.iter().map(|(_, payload)| payload.clone()).collect()
}

#[tokio::test]
async fn datagrams_of_another_alpn_are_raw_both_ways() {
    let (script, _) = keeping();
    let server = start(setup(true, true), script.clone());
    let (client, _endpoint) = quic_as(&server, b"echo").await;
    client.send_datagram(Bytes::from_static(b"\x00hello")).unwrap();
    let (name, payload) = found("a datagram", || {
        script.raw_datagrams.lock().unwrap().first().cloned()
    })
    .await;
    assert_eq!(payload, "\x00hello");
    server
        .server
        .datagrams()
        .send_quic(name, Bytes::from_static(b"back"))
        .unwrap();
    assert_eq!(soon("a datagram", client.read_datagram()).await.unwrap(), "back");
    let info = server.server.connection(name).unwrap();
    assert_eq!(info.alpn, b"echo");
    assert!(
        info.original_destination_connection_id.len() >= 8,
        "RFC 9000 §7.2"
    );
    let stats = server.server.stats().quic_datagrams;
    assert_eq!((stats.received, stats.sent), (1, 1));
}

#[tokio::test]
async fn a_connection_of_another_alpn_is_told_of_and_ends_with_the_server() {
    let (script, _) = keeping();
    let server = start(setup(true, false), script.clone());
    let (client, _endpoint) = quic_as(&server, b"echo").await;
    let (mut send, _recv) = client.open_bi().await.unwrap();
    send.write_all(b"stream").await.unwrap();
    soon("a refusal", send.stopped()).await.unwrap();
    let stop = server
        .server
        .stop(trilane_core::Stop::Graceful(Duration::from_secs(5)));
    soon("the stop", stop).await;
    assert_eq!(closed_with(&client).await, 0);
    let events = script.connections.lock().unwrap().clone();
    let [
        (first, ConnectionEvent::Opened(info)),
        (second, ConnectionEvent::Closed(cause)),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((first, &info.name), (second, first));
    assert_eq!((cause.remote, cause.code), (false, None));
}
#[tokio::test]
async fn datagrams_of_an_h3_connection_that_did_not_agree_are_raw() {
    for http in [false, true] {
        let (script, _) = keeping();
        let server = start(setup(true, http), script.clone());
        let (client, _endpoint) = quic(&server).await;
        let _control = settings(&client, SILENT).await;
        client.send_datagram(Bytes::from_static(b"raw")).unwrap();
        found("a datagram", || (raw_payloads(&script) == ["raw"]).then_some(())).await;
    }
}

#[tokio::test]
async fn datagrams_that_come_before_the_settings_are_raw_after_a_moment() {
    let (script, _) = keeping();
    let server = start(setup(true, true), script.clone());
    let (client, _endpoint) = quic(&server).await;
    client.send_datagram(Bytes::from_static(b"early")).unwrap();
    found("a datagram", || {
        (raw_payloads(&script) == ["early"]).then_some(())
    })
    .await;
    assert!(payloads(&script).is_empty());
}

/// RFC 9297 §2.1
#[tokio::test]
async fn datagrams_reach_the_exchange_of_their_stream_and_go_back_to_it() {
    let (script, kept) = keeping();
    let server = start(setup(true, true), script.clone());
    let (client, _endpoint) = quic(&server).await;
    let _control = settings(&client, AGREEING).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(begin(&client).await);
    }
    found("three requests", || {
        (kept.lock().unwrap().len() == 3).then_some(())
    })
    .await;
    let ids = kept.lock().unwrap().clone();
    for (quarter, byte) in [(2, b'c'), (0, b'a'), (1, b'b')] {
        client.send_datagram(vec![quarter, byte].into()).unwrap();
    }
    found("three datagrams", || (payloads(&script).len() == 3).then_some(())).await;
    assert_eq!(
        *script.http_datagrams.lock().unwrap(),
        [
            (ids[2], Bytes::from_static(b"c")),
            (ids[0], Bytes::from_static(b"a")),
            (ids[1], Bytes::from_static(b"b"))
        ]
    );
    let table = server.server.exchanges();
    server.server.datagrams().send_http(ids[2], b"back").unwrap();
    assert_eq!(
        soon("a datagram", client.read_datagram()).await.unwrap(),
        "\x02back"
    );
    assert_eq!(table.datagram_info(ids[2]).unwrap().0, 8);
}

/// RFC9297-2.1-stream-not-opened, RFC9297-2.1-receive-side-closed, RFC9297-2.1-send-side-open
#[tokio::test]
async fn datagrams_before_their_request_wait_for_it_and_after_its_end_are_dropped() {
    let (script, kept) = keeping();
    let server = start(setup(false, true), script.clone());
    let (client, _endpoint) = quic(&server).await;
    let _control = settings(&client, AGREEING).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.send_datagram(Bytes::from_static(b"\x00before")).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (mut send, _recv) = begin(&client).await;
    found("a datagram", || (payloads(&script) == ["before"]).then_some(())).await;
    send.finish().unwrap();
    let id = kept.lock().unwrap()[0];
    let table = server.server.exchanges();
    table.respond(id, 200, std::iter::empty(), Bytes::new()).unwrap();
    client.send_datagram(Bytes::from_static(b"\x00after")).unwrap();
    found("a drop", || {
        (server.server.stats().h3_datagrams.dropped_incoming == 1).then_some(())
    })
    .await;
    // Nor is it kept for later, once the request is forgotten.
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.send_datagram(Bytes::from_static(b"\x00later")).unwrap();
    found("another drop", || {
        (server.server.stats().h3_datagrams.dropped_incoming == 2).then_some(())
    })
    .await;
    assert_eq!(payloads(&script), ["before"]);
    assert!(server.server.datagrams().send_http(id, b"late").is_err());
}

/// RFC9297-2.1.1-sent-before-both, RFC9297-2.1-send-side-open
#[tokio::test]
async fn no_datagrams_are_sent_before_the_settings_of_the_client_nor_behind_the_end_of_an_answer() {
    let (script, kept) = keeping();
    let server = start(setup(false, true), script);
    let (client, _endpoint) = quic(&server).await;
    let _request = begin(&client).await;
    let id = found("a request", || kept.lock().unwrap().first().copied()).await;
    let (table, datagrams) = (server.server.exchanges(), server.server.datagrams());
    let unsupported = Err(trilane_core::DatagramError::NotSupported);
    assert_eq!(datagrams.send_http(id, b"early"), unsupported);
    let _control = settings(&client, AGREEING).await;
    table.start(id, 200, std::iter::empty()).unwrap();
    found("SETTINGS", || datagrams.send_http(id, b"open").ok()).await;
    // The client does not read, so the answer is not acknowledged to its end yet.
    table.finish(id).unwrap();
    assert!(datagrams.send_http(id, b"ended").is_err());
}

/// RFC9297-2-request-without-datagrams
#[tokio::test]
async fn a_datagram_for_a_request_that_knows_none_aborts_the_request() {
    let (script, kept) = keeping();
    let server = start(setup(false, true), script.clone());
    let (client, _endpoint) = quic(&server).await;
    let _control = settings(&client, AGREEING).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // The first comes behind its request, the second before it: GET / of the fallback.
    let get = [1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];
    for (quarter, early) in [(0, false), (1, true)] {
        let datagram = Bytes::from(vec![quarter, b'x']);
        if early {
            client.send_datagram(datagram.clone()).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (mut send, mut recv) = client.open_bi().await.unwrap();
        send.write_all(&get).await.unwrap();
        send.finish().unwrap();
        found("a request", || kept.lock().unwrap().pop()).await;
        if !early {
            client.send_datagram(datagram).unwrap();
        }
        let end = soon("a reset", recv.read_to_end(1000)).await;
        let reset = quinn::ReadError::Reset(0x33_u32.into());
        assert_eq!(end, Err(quinn::ReadToEndError::Read(reset)), "early: {early}");
    }
    assert!(payloads(&script).is_empty());
    assert_eq!(client.close_reason(), None);
}

#[tokio::test]
async fn datagrams_that_nobody_ever_asks_for_are_counted_and_bounded() {
    let (script, _) = keeping();
    let server = start(setup(false, true), script.clone());
    let (client, _endpoint) = quic(&server).await;
    let _control = settings(&client, AGREEING).await;
    for _ in 0..200 {
        client
            .send_datagram([&[5][..], &[0; 1000]].concat().into())
            .unwrap();
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    found("drops", || {
        (server.server.stats().h3_datagrams.dropped_incoming >= 130).then_some(())
    })
    .await;
    assert!(payloads(&script).is_empty());
    assert_eq!(client.close_reason(), None);
}

#[tokio::test]
async fn malformed_datagrams_close_the_connection() {
    let cases: [(&str, &[u8], u64); 4] = [
        ("RFC9297-2.1-too-short", &[], 0x33),
        ("RFC9297-2.1-too-short", &[0x40], 0x33),
        (
            "RFC9297-2.1-quarter-id-too-large",
            &[0xd0, 0, 0, 0, 0, 0, 0, 0],
            0x33,
        ),
        ("RFC9297-2.1-stream-beyond-limit", &[0x80, 1, 0, 0], 0x108),
    ];
    for (rule, bytes, code) in cases {
        let (script, _) = keeping();
        let server = start(setup(false, true), script);
        let (client, _endpoint) = quic(&server).await;
        let _control = settings(&client, AGREEING).await;
        client.send_datagram(Bytes::copy_from_slice(bytes)).unwrap();
        assert_eq!(closed_with(&client).await, code, "{rule}");
    }
}

/// RFC9297-2.1.1-received-unoffered, RFC9297-2.1.1-sent-before-both
#[tokio::test]
async fn a_server_without_datagrams_lets_quic_refuse_them() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (client, _endpoint) = quic(&server).await;
    assert_eq!(client.max_datagram_size(), None);
}

/// What was sent, and what was dropped while the path was slower than the sender, add up.
#[tokio::test]
async fn a_full_queue_drops_the_oldest_and_counts_them() {
    let (script, _) = keeping();
    let limits = Limits {
        datagram_send_queue: 100_000,
        ..Limits::default()
    };
    let server: TestServer = start(
        Setup {
            limits,
            ..setup(true, false)
        },
        script.clone(),
    );
    let (client, _endpoint) = quic_as(&server, b"echo").await;
    client.send_datagram(Bytes::from_static(b"x")).unwrap();
    let (name, _) = found("a datagram", || {
        script.raw_datagrams.lock().unwrap().first().cloned()
    })
    .await;
    const COUNT: u32 = 5_000;
    for number in 0..COUNT {
        let payload = [&number.to_be_bytes()[..], &[0; 900]].concat();
        server.server.datagrams().send_quic(name, payload.into()).unwrap();
    }
    let read = async {
        let mut last = 0;
        while last != COUNT - 1 {
            let datagram = client.read_datagram().await.unwrap();
            last = u32::from_be_bytes(datagram[..4].try_into().unwrap());
        }
    };
    soon("the newest datagram", read).await;
    let stats = server.server.stats().quic_datagrams;
    assert_eq!(stats.sent + stats.dropped_outgoing, u64::from(COUNT));
    assert!(stats.dropped_outgoing > 1_000, "{stats:?}");
}

#[tokio::test]
async fn a_datagram_too_large_for_the_path_is_refused() {
    let (script, _) = keeping();
    let server = start(setup(true, false), script.clone());
    let (client, _endpoint) = quic_as(&server, b"echo").await;
    client.send_datagram(Bytes::from_static(b"x")).unwrap();
    let (name, _) = found("a datagram", || {
        script.raw_datagrams.lock().unwrap().first().cloned()
    })
    .await;
    let refused = server.server.datagrams().send_quic(name, vec![0; 70_000].into());
    assert_eq!(refused, Err(trilane_core::DatagramError::TooLarge));
}
