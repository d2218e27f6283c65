//! WebTransport sessions of clients that mean harm: floods, churn, and ends in every state.

use bytes::Bytes;
use tokio::task::JoinSet;
use trilane_core::{ExchangeId, Notify, SessionEnd, SessionEvent, SessionStats, Stop, StreamError};
use trilane_http3::Capsule;
use trilane_http3::code::WT_BUFFERED_STREAM_REJECTED;

use crate::client::quic;
use crate::session_scene::{SETTINGS, Scene, WT_SESSION_GONE, capsule, head, rest, status};
use crate::support::{found, soon};

fn close_capsule(code: u32) -> Capsule {
    let reason = Bytes::from_static(b"enough");
    Capsule::CloseSession { code, reason }
}

fn clean(code: u32) -> SessionEnd {
    let reason = "enough".to_owned();
    SessionEnd::Clean { code, reason }
}

fn ends(scene: &Scene) -> Vec<(ExchangeId, SessionEnd)> {
    let events = scene.script.sessions.lock().unwrap();
    let ends = events.iter().filter_map(|(id, event)| match event {
        SessionEvent::Closed(end) => Some((*id, end.clone())),
        _ => None,
    });
    ends.collect()
}

fn stats(scene: &Scene) -> SessionStats {
    scene.server.server.stats().sessions
}

/// Somebody else is served, on this connection and on another.
async fn others_are_served(scene: &Scene) {
    let (other, _endpoint) = quic(&scene.server).await;
    let mut control = other.open_uni().await.unwrap();
    control.write_all(SETTINGS).await.unwrap();
    for connection in [&scene.client, &other] {
        let (mut send, mut recv) = soon("a stream", connection.open_bi()).await.unwrap();
        send.write_all(&head("GET", "/", None)).await.unwrap();
        send.finish().unwrap();
        assert_eq!(status(&mut recv).await, 200);
        assert!(rest(&mut recv).await.ends_with(b"http"));
    }
}

#[tokio::test]
async fn a_session_closed_before_it_is_accepted_ends_once_with_its_code() {
    let scene = Scene::new().await;
    let mut connect = scene.connect("webtransport").await;
    connect.send.write_all(&capsule(&close_capsule(7))).await.unwrap();
    connect.send.finish().unwrap();
    let id = scene.asked(0).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    scene.accept(id);
    assert_eq!(scene.closed().await, clean(7));
    assert_eq!(status(&mut connect.recv).await, 200);
    assert_eq!(rest(&mut connect.recv).await, b"");
    assert_eq!(ends(&scene).len(), 1);
    others_are_served(&scene).await;
}

#[tokio::test]
async fn a_second_close_and_what_follows_it_change_nothing() {
    let scene = Scene::new().await;
    let (id, mut connect) = scene.session(0).await;
    let mut twice = capsule(&close_capsule(1));
    twice.extend_from_slice(&capsule(&close_capsule(2)));
    connect.send.write_all(&twice).await.unwrap();
    assert_eq!(scene.closed().await, clean(1));
    scene.server.server.sessions().close(id, 3, Bytes::new());
    scene.server.server.sessions().drain(id);
    let _ = connect.send.reset(0u32.into());
    others_are_served(&scene).await;
    assert_eq!(ends(&scene), [(id, clean(1))]);
}

#[tokio::test]
async fn a_close_behind_a_reset_and_a_reset_behind_a_close_end_once() {
    let scene = Scene::new().await;
    let (first, mut connect) = scene.session(0).await;
    connect.send.reset(0x10c_u32.into()).unwrap();
    assert_eq!(scene.closed().await, SessionEnd::Abrupt);
    scene.server.server.sessions().close(first, 1, Bytes::new());
    let (second, mut connect) = scene.session(1).await;
    scene.server.server.sessions().close(second, 2, Bytes::new());
    connect.send.reset(0x10c_u32.into()).unwrap();
    others_are_served(&scene).await;
    assert_eq!(ends(&scene), [(first, SessionEnd::Abrupt)]);
    found("no open session", || (stats(&scene).active == 0).then_some(())).await;
}

#[tokio::test]
async fn a_session_closed_while_its_streams_open_leaves_none_behind() {
    let scene = Scene::new().await;
    let (_, mut connect) = scene.session(0).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let (mut send, recv) = soon("a stream", scene.client.open_bi()).await.unwrap();
        send.write_all(b"\x40\x41\x00payload").await.unwrap();
        streams.push((send, recv));
    }
    connect.send.write_all(&capsule(&close_capsule(5))).await.unwrap();
    assert_eq!(scene.closed().await, clean(5));
    for (send, _recv) in &mut streams {
        let stopped = soon("a stop", send.stopped()).await.unwrap();
        assert_eq!(stopped.unwrap().into_inner(), WT_SESSION_GONE);
    }
    let table = format!("{:?}", scene.server.server.sessions());
    assert!(table.contains("streams: 0"), "{table}");
    others_are_served(&scene).await;
}

#[tokio::test]
async fn a_client_that_closes_while_the_server_drains_lets_it_stop() {
    let scene = Scene::new().await;
    let (_, mut connect) = scene.session(0).await;
    let stop = scene
        .server
        .server
        .stop(Stop::Graceful(std::time::Duration::from_secs(30)));
    let closing = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let close = capsule(&close_capsule(9));
        connect.send.write_all(&close).await.unwrap();
        connect.send.finish().unwrap();
    };
    soon("the stop", futures_util::future::join(stop, closing)).await;
    assert_eq!(ends(&scene).len(), 1);
    assert_eq!(stats(&scene).active, 0);
}

#[tokio::test]
async fn sessions_that_come_and_go_are_counted_and_leave_nothing() {
    const SESSIONS: u64 = 1000;
    let scene = Scene::new().await;
    for nth in 0..SESSIONS as usize {
        let (id, mut connect) = scene.session(nth).await;
        if nth % 2 == 0 {
            connect.send.write_all(&capsule(&close_capsule(1))).await.unwrap();
            connect.send.finish().unwrap();
        } else {
            scene.server.server.sessions().close(id, 1, Bytes::new());
        }
        let _ = rest(&mut connect.recv).await;
    }
    found("no open session", || (stats(&scene).active == 0).then_some(())).await;
    assert_eq!(stats(&scene).total, SESSIONS);
    assert_eq!(scene.server.server.connections()[0].webtransport_sessions, 0);
    others_are_served(&scene).await;
    found("no open request", || {
        (scene.server.server.stats().requests_active == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_streams_of_a_session_that_never_comes_are_refused() {
    const STREAMS: usize = 10_000;
    let scene = Scene::new().await;
    let mut refusals = JoinSet::new();
    for _ in 0..STREAMS {
        let mut send = soon("a stream", scene.client.open_uni()).await.unwrap();
        // The session on stream 400, which may still come. A write that fails is one that was refused already.
        let _ = send.write_all(b"\x40\x54\x41\x90x").await;
        refusals.spawn(async move {
            let code = soon("a refusal", send.stopped()).await.unwrap();
            let _ = send.reset(0_u32.into());
            code.map(quinn::VarInt::into_inner)
        });
    }
    let codes = refusals.join_all().await;
    assert_eq!(codes.len(), STREAMS);
    assert!(
        codes
            .iter()
            .all(|code| *code == Some(WT_BUFFERED_STREAM_REJECTED))
    );
    others_are_served(&scene).await;
    assert_eq!(stats(&scene).streams, 0);
    let table = format!("{:?}", scene.server.server.sessions());
    assert!(table.contains("streams: 0"), "{table}");
}

#[tokio::test]
async fn a_flood_of_datagrams_reaches_its_session_or_is_dropped_and_harms_nobody() {
    const FLOOD: u64 = 100_000;
    let scene = Scene::new().await;
    let (_, _connect) = scene.session(0).await;
    // Not so small that they count as frames without content: those end the connection.
    let payload = Bytes::from_static(&[0; 64]);
    for _ in 0..FLOOD {
        let sent = scene.client.send_datagram_wait(payload.clone());
        soon("room for a datagram", sent).await.unwrap();
    }
    others_are_served(&scene).await;
    let datagrams = scene.server.server.stats().webtransport_datagrams;
    assert!(
        datagrams.received > FLOOD / 2 && datagrams.received <= FLOOD,
        "{datagrams:?}"
    );
    // None of them is counted anywhere else, and the connection's own figures say the same.
    let of_connection = scene.server.server.connections()[0].webtransport_datagrams;
    assert!(
        datagrams.received + datagrams.dropped_incoming <= FLOOD,
        "{datagrams:?}"
    );
    assert_eq!(of_connection, datagrams);
}

#[tokio::test]
async fn a_capsule_of_the_largest_length_is_skipped_and_not_held() {
    let scene = Scene::new().await;
    let (id, mut connect) = scene.session(0).await;
    // A DATA frame without end, in it a DATAGRAM capsule of 2⁶² − 1 bytes.
    connect
        .send
        .write_all(b"\x00\xc0\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff")
        .await
        .unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..16 {
        soon("credit", connect.send.write_all(&piece)).await.unwrap();
    }
    assert!(scene.script.http_datagrams.lock().unwrap().is_empty());
    scene
        .server
        .server
        .sessions()
        .send_datagram(id, b"alive")
        .unwrap();
    soon("a datagram", scene.client.read_datagram()).await.unwrap();
    others_are_served(&scene).await;
}

#[tokio::test]
async fn a_client_that_reads_none_of_its_streams_holds_up_only_those() {
    let scene = Scene::new().await;
    let (_, _connect) = scene.session(0).await;
    let sessions = scene.server.server.sessions().clone();
    let mut kept = Vec::new();
    for nth in 0..50 {
        let (mut send, recv) = soon("a stream", scene.client.open_bi()).await.unwrap();
        send.write_all(b"\x40\x41\x00").await.unwrap();
        kept.push((send, recv));
        let (_, name, _) = scene.stream(nth).await;
        let mut written = 0;
        // The queue of each stream is bounded, and so is what QUIC keeps for all of them.
        while sessions
            .write(name, Bytes::from(vec![0; 65_536]), Notify::Never)
            .is_ok()
        {
            written += 1;
            assert!(written < 1000, "nothing bounds the queue");
            tokio::task::yield_now().await;
        }
        assert_eq!(
            sessions.write(name, Bytes::from_static(b"x"), Notify::Never),
            Err(StreamError::Full)
        );
    }
    assert_eq!(stats(&scene).streams, 50);
    others_are_served(&scene).await;
}
