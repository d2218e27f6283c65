//! Sessions that resume, and requests in early data (0-RTT).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use trilane_core::tls::{Resumption, TlsOptions};
use trilane_core::{BodyMode, Limits};

use crate::client::returning_client;
use crate::holding_relay::{HoldingRelay, loopback};
use crate::support::{Script, Setup, TestServer, answer, soon, start};

const GET: &[u8] = &[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];
const HEAD: &[u8] = &[1, 8, 0, 0, 0xd2, 0xd7, 0xc1, 0x50, 1, b'a'];
const POST: &[u8] = &[1, 8, 0, 0, 0xd4, 0xd7, 0xc1, 0x50, 1, b'a'];
const DELETE: &[u8] = &[1, 8, 0, 0, 0xd0, 0xd7, 0xc1, 0x50, 1, b'a'];
const DATA: &[u8] = &[0, 1, b'x'];

/// What the handler was given: the method, and whether it was early.
type Seen = Arc<Mutex<Vec<(String, bool)>>>;

fn early_server(mode: BodyMode, limits: Limits) -> (TestServer, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let setup = Setup {
        mode,
        limits,
        tls: TlsOptions {
            resumption: Resumption::EarlyData,
            ..TlsOptions::default()
        },
        ..Setup::default()
    };
    let handler = Script::new(move |request, exchange| {
        let method = String::from_utf8_lossy(request.head.method()).into_owned();
        kept.lock().unwrap().push((method, request.early_data));
        answer(exchange, "served");
    });
    (start(setup, handler), seen)
}

/// A visit after which the client has a session.
async fn visit(client: &quinn::Endpoint, address: SocketAddr) {
    let quic = soon("a handshake", client.connect(address, "localhost").unwrap())
        .await
        .unwrap();
    assert!(text(ask(&quic, &[GET]).await).contains("served"));
    quic.close(0_u32.into(), b"");
}

/// Comes back with a session: early data leaves with the first packet.
fn come_back(client: &quinn::Endpoint, address: SocketAddr) -> (quinn::Connection, quinn::ZeroRttAccepted) {
    let Ok(early) = client.connect(address, "localhost").unwrap().into_0rtt() else {
        panic!("the client has no session for early data");
    };
    early
}

async fn ask(quic: &quinn::Connection, frames: &[&[u8]]) -> Result<Vec<u8>, quinn::ReadToEndError> {
    let (mut send, mut recv) = soon("a stream", quic.open_bi()).await.unwrap();
    send.write_all(&frames.concat()).await.unwrap();
    send.finish().unwrap();
    soon("an answer", recv.read_to_end(10_000)).await
}

fn text(answer: Result<Vec<u8>, quinn::ReadToEndError>) -> String {
    String::from_utf8_lossy(&answer.unwrap()).into_owned()
}

#[tokio::test]
async fn a_safe_request_in_early_data_is_answered_before_the_handshake_is_complete() {
    let (server, seen) = early_server(BodyMode::Buffered, Limits::default());
    let client = returning_client(&server, Arc::new(rustls::NoKeyLog));
    visit(&client, server.address).await;
    for (nth, request) in [GET, HEAD].into_iter().enumerate() {
        let relay = HoldingRelay::holding(server.address).await;
        let (quic, accepted) = come_back(&client, relay.address);
        assert!(!ask(&quic, &[request]).await.unwrap().is_empty());
        assert!(
            soon("the client's handshake", accepted).await,
            "0-RTT was refused"
        );
        let stats = server.server.stats();
        assert_eq!(
            stats.connections_total,
            nth as u64 + 1,
            "the handshake is not complete"
        );
        relay.release();
        until(&server, |stats| stats.connections_total == nth as u64 + 2).await;
        assert!(text(ask(&quic, &[GET]).await).contains("served"));
        quic.close(0_u32.into(), b"");
    }
    let seen = seen.lock().unwrap().clone();
    let early: Vec<bool> = seen.iter().map(|(_, early)| *early).collect();
    assert_eq!(early, [false, true, false, true, false], "{seen:?}");
}

/// RFC 8470 §5.2, RFC9114-10.9-early-data-replay.
#[tokio::test]
async fn anything_else_is_answered_425_until_the_handshake_is_complete() {
    for mode in [BodyMode::Buffered, BodyMode::Streaming] {
        let (server, seen) = early_server(mode, Limits::default());
        let client = returning_client(&server, Arc::new(rustls::NoKeyLog));
        visit(&client, server.address).await;
        let relay = HoldingRelay::holding(server.address).await;
        let (quic, accepted) = come_back(&client, relay.address);
        // All at once: what leaves after the client's own handshake is no early data.
        let unsafe_requests = [&[POST][..], &[DELETE], &[POST, DATA], &[GET, DATA]];
        for answer in join_all(unsafe_requests.map(|frames| ask(&quic, frames))).await {
            let answer = text(answer);
            assert!(answer.contains("Too Early"), "{answer:?}");
        }
        assert!(
            soon("the client's handshake", accepted).await,
            "0-RTT was refused"
        );
        assert_eq!(
            seen.lock().unwrap().len(),
            1,
            "only the first visit came to the handler"
        );
        relay.release();
        until(&server, |stats| stats.connections_total == 2).await;
        for frames in unsafe_requests {
            assert!(text(ask(&quic, frames).await).contains("served"), "{frames:?}");
        }
        assert!(seen.lock().unwrap().iter().all(|(_, early)| !early));
    }
}

/// RFC 8446 §8: a session serves once, so what was recorded is of no use.
#[tokio::test]
async fn early_data_that_is_sent_again_is_not_served_again() {
    let (server, seen) = early_server(BodyMode::Buffered, Limits::default());
    let client = returning_client(&server, Arc::new(rustls::NoKeyLog));
    visit(&client, server.address).await;
    let relay = HoldingRelay::holding(server.address).await;
    let (quic, _accepted) = come_back(&client, relay.address);
    assert!(text(ask(&quic, &[GET]).await).contains("served"));
    let recorded = relay.first_flight();
    relay.release();
    assert_eq!(seen.lock().unwrap().len(), 2);
    // While the connection lives or drains, its packets are duplicates; afterwards they begin another one.
    quic.close(0_u32.into(), b"");
    until(&server, |stats| stats.connections_active == 0).await;
    let attacker = loopback().await;
    let replay = async {
        let mut answer = [0; 2000];
        loop {
            for datagram in &recorded {
                attacker.send_to(datagram, server.address).await.unwrap();
            }
            let answered = attacker.recv_from(&mut answer);
            if tokio::time::timeout(Duration::from_millis(50), answered)
                .await
                .is_ok()
            {
                return;
            }
        }
    };
    soon("an answer to the replay", replay).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(seen.lock().unwrap().len(), 2, "the replay was served");
}

#[tokio::test]
async fn a_handshake_that_is_never_completed_ends_and_counts_as_failed() {
    let limits = Limits {
        handshake_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let (server, seen) = early_server(BodyMode::Buffered, limits);
    let client = returning_client(&server, Arc::new(rustls::NoKeyLog));
    visit(&client, server.address).await;
    let relay = HoldingRelay::holding(server.address).await;
    let (quic, _accepted) = come_back(&client, relay.address);
    assert!(text(ask(&quic, &[GET]).await).contains("served"));
    until(&server, |stats| stats.handshakes_failed == 1).await;
    until(&server, |stats| stats.connections_active == 0).await;
    assert_eq!(server.server.stats().connections_total, 1);
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_take_early_data_never_sees_any() {
    for resumption in [Resumption::Off, Resumption::Tickets] {
        let setup = Setup {
            tls: TlsOptions {
                resumption,
                ..TlsOptions::default()
            },
            ..Setup::default()
        };
        let server = start(
            setup,
            Script::new(|request, exchange| {
                assert!(!request.early_data);
                answer(exchange, "served");
            }),
        );
        let client = returning_client(&server, Arc::new(rustls::NoKeyLog));
        visit(&client, server.address).await;
        let connecting = client.connect(server.address, "localhost").unwrap();
        assert!(connecting.into_0rtt().is_err(), "{resumption:?}");
    }
}

async fn until(server: &TestServer, holds: impl Fn(&trilane_core::Stats) -> bool) {
    soon("the counters to change", async {
        while !holds(&server.server.stats()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
