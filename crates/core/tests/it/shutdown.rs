//! Graceful and forced stop, starting again, and what becomes of what is under way.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use trilane_core::{BindError, Exchange, Stop};

use crate::client::{connect, read};
use crate::holding_relay::HoldingRelay;
use crate::support::{Script, Setup, TestServer, answer, soon, start};

const GET: &[u8] = &[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];

#[tokio::test]
async fn a_graceful_stop_lets_what_is_under_way_finish() {
    let waiting: Arc<Mutex<Vec<Exchange>>> = Arc::default();
    let kept = waiting.clone();
    let server = start(
        Setup::default(),
        Script::new(move |_, exchange| kept.lock().unwrap().push(exchange)),
    );
    let mut client = connect(&server).await;
    let mut stream = client.begin_get().await;
    let exchange = soon("the request", first(&waiting)).await;
    let stopped = tokio::spawn(server.server.stop(Stop::Graceful(Duration::from_secs(5))));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(
        server.server.is_running(),
        "stopped before its request was answered"
    );
    answer(exchange, "late but whole");
    assert_eq!(read(&mut stream).await.body, &b"late but whole"[..]);
    soon("the stop", stopped).await.unwrap();
    let closed = soon("the close", client.quic.closed()).await;
    assert!(
        closed.to_string().contains("256") || closed.to_string().contains("0x100"),
        "{closed}"
    );
}

#[tokio::test]
async fn a_graceful_stop_ends_at_its_deadline() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| {
            exchange.into_id();
        }),
    );
    let mut client = connect(&server).await;
    let _stream = client.begin_get().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    soon(
        "the stop",
        server.server.stop(Stop::Graceful(Duration::from_millis(300))),
    )
    .await;
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_forced_stop_tells_the_client_at_once() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let mut client = connect(&server).await;
    assert_eq!(client.get("/").await.status, 200);
    let began = Instant::now();
    soon("the stop", server.server.stop(Stop::Now)).await;
    soon("the close", client.quic.closed()).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_forced_stop_cuts_a_graceful_one_short() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| {
            exchange.into_id();
        }),
    );
    let mut client = connect(&server).await;
    let _stream = client.begin_get().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let graceful = tokio::spawn(server.server.stop(Stop::Graceful(Duration::from_secs(60))));
    soon("the forced stop", server.server.stop(Stop::Now)).await;
    soon("the graceful stop", graceful).await.unwrap();
}

#[tokio::test]
async fn a_stopped_server_starts_again_and_serves() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    assert!(matches!(server.server.start(), Err(BindError::Running)));
    soon("the stop", server.server.stop(Stop::Now)).await;
    let address = server.server.start().unwrap();
    let again = crate::support::TestServer { address, ..server };
    assert_eq!(connect(&again).await.get("/").await.status, 200);
}

#[tokio::test]
async fn the_port_is_free_again_after_a_stop() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    connect(&server).await.get("/").await;
    assert!(std::net::UdpSocket::bind(server.address).is_err());
    soon("the stop", server.server.stop(Stop::Now)).await;
    std::net::UdpSocket::bind(server.address).unwrap();
}

#[tokio::test]
async fn answers_just_given_are_not_cut_by_a_stop() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| answer(exchange, Bytes::from(vec![7; 3_000_000]))),
    );
    let mut client = connect(&server).await;
    let mut stream = client.begin_get().await;
    soon("the head", stream.recv_response()).await.unwrap();
    // All of it is written, most of it is not acknowledged yet.
    let stopped = tokio::spawn(server.server.stop(Stop::Graceful(Duration::from_secs(10))));
    let mut length = 0;
    while let Some(chunk) = soon("a chunk", stream.recv_data()).await.unwrap() {
        length += bytes::Buf::remaining(&chunk);
    }
    assert_eq!(length, 3_000_000);
    soon("the stop", stopped).await.unwrap();
}

#[tokio::test]
async fn a_client_that_vanished_does_not_hold_up_a_graceful_stop() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| answer(exchange, "unheard")),
    );
    let server = Arc::new(server);
    let target = server.clone();
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (quic, endpoint) = crate::client::quic(&target).await;
            let (mut send, recv) = quic.open_bi().await.unwrap();
            send.write_all(&[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'])
                .await
                .unwrap();
            send.finish().unwrap();
            // One turn, in which the request leaves.
            tokio::time::sleep(Duration::from_micros(10)).await;
            std::mem::forget((quic, endpoint, recv));
        });
        // Gone without a word: neither an acknowledgement nor a close is sent.
        runtime.shutdown_background();
    });
    while server.server.stats().requests == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.join().unwrap();
    let began = Instant::now();
    soon(
        "the stop",
        server.server.stop(Stop::Graceful(Duration::from_secs(9))),
    )
    .await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

/// RFC 9114 §5.2: what a client sent in vain it may send again only if it is told so.
#[tokio::test]
async fn the_last_goaway_leaves_before_the_close_and_names_the_first_request_that_was_not_served() {
    for requests in [0, 3] {
        let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
        let (quic, _endpoint) = crate::client::quic(&server).await;
        for _ in 0..requests {
            let (mut send, mut recv) = soon("a stream", quic.open_bi()).await.unwrap();
            send.write_all(GET).await.unwrap();
            send.finish().unwrap();
            assert!(
                !soon("an answer", recv.read_to_end(1000))
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
        let mut control = soon("the control stream", quic.accept_uni()).await.unwrap();
        soon(
            "the stop",
            server.server.stop(Stop::Graceful(Duration::from_secs(5))),
        )
        .await;
        let mut frames = Vec::new();
        while let Ok(Some(chunk)) = soon("the end of control", control.read_chunk(1000, true)).await {
            frames.extend_from_slice(&chunk.bytes);
        }
        let end = [
            &[7, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfc],
            &[7, 1, 4 * requests][..],
        ]
        .concat();
        assert!(frames.ends_with(&end), "{frames:x?}");
        let quinn::ConnectionError::ApplicationClosed(close) = soon("the close", quic.closed()).await else {
            panic!("closed otherwise");
        };
        assert_eq!(close.error_code.into_inner(), 0x100);
    }
}

/// The congestion window is full and much is still to be sent: the close goes out all the same.
#[tokio::test]
async fn a_forced_stop_reaches_a_client_in_the_middle_of_a_download() {
    for how in [Stop::Now, Stop::Graceful(Duration::from_millis(100))] {
        let waiting: Arc<Mutex<Vec<Exchange>>> = Arc::default();
        let kept = waiting.clone();
        let server = start(
            Setup::default(),
            Script::new(move |_, exchange| kept.lock().unwrap().push(exchange)),
        );
        let relay = HoldingRelay::open(server.address).await;
        let server = TestServer {
            address: relay.address,
            ..server
        };
        let (quic, _endpoint) = crate::client::quic(&server).await;
        let (mut send, _recv) = soon("a stream", quic.open_bi()).await.unwrap();
        send.write_all(GET).await.unwrap();
        send.finish().unwrap();
        let exchange = soon("the request", first(&waiting)).await;
        // Without acknowledgements the window stays full.
        relay.hold();
        answer(exchange, vec![7; 3_000_000]);
        tokio::time::sleep(Duration::from_millis(50)).await;
        soon("the stop", server.server.stop(how)).await;
        let closed = tokio::time::timeout(Duration::from_secs(1), quic.closed()).await;
        let Ok(quinn::ConnectionError::ApplicationClosed(close)) = closed else {
            panic!("{how:?}: {closed:?}");
        };
        assert_eq!(close.error_code.into_inner(), 0x100);
    }
}

/// The first exchange that is there.
async fn first(waiting: &Mutex<Vec<Exchange>>) -> Exchange {
    loop {
        if let Some(exchange) = waiting.lock().unwrap().pop() {
            return exchange;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
