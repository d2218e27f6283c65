//! What the server sends and opens in a WebTransport session waits for the client to allow it
//! (draft-ietf-webtrans-http3-16 §5).

use std::time::Duration;

use bytes::Bytes;
use trilane_core::{Notify, StreamError, StreamEvent, StreamKind};
use trilane_http3::Capsule;
use trilane_http3::webtransport::to_http3_code;

use crate::session_flow_scene::{A_WHILE, accept, open, scene, session};
use crate::session_scene::{capsule, reset_code, rest};
use crate::support::soon;

/// §5.6.4 and §5.6.5.
#[tokio::test]
async fn a_writer_waits_for_the_client_to_allow_more_data() {
    let scene = scene([10, 1, 1]).await;
    let (id, mut connect, mut capsules) = session(&scene).await;
    let sessions = scene.server.server.sessions();
    let name = open(&scene, id, StreamKind::Bidirectional).await.unwrap();
    let chunk = Bytes::from_static(b"0123456789abcdefghij");
    sessions.write(name, chunk, Notify::WhenDrained).unwrap();
    sessions.finish(name).unwrap();
    let (_send, mut recv) = accept(&scene).await;
    let mut bytes = [0; 10];
    soon("bytes", recv.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"0123456789");
    assert_eq!(capsules.next().await, Capsule::DataBlocked(10));
    let more = tokio::time::timeout(A_WHILE, recv.read_chunk(10, true)).await;
    assert!(more.is_err());
    assert!(scene.script.streams.lock().unwrap().is_empty());
    connect.write_all(&capsule(&Capsule::MaxData(15))).await.unwrap();
    assert_eq!(capsules.next().await, Capsule::DataBlocked(15));
    connect.write_all(&capsule(&Capsule::MaxData(100))).await.unwrap();
    let rest = soon("the rest", recv.read_to_end(100)).await.unwrap();
    assert_eq!(rest, b"abcdefghij");
    scene.told(name, StreamEvent::Finished).await;
    capsules.none().await;
}

#[tokio::test]
async fn writers_of_one_session_share_its_credit_and_all_go_on() {
    let scene = scene([30, 3, 0]).await;
    let (id, mut connect, _capsules) = session(&scene).await;
    let sessions = scene.server.server.sessions();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let name = open(&scene, id, StreamKind::Bidirectional).await.unwrap();
        let chunk = Bytes::from(vec![7; 50]);
        sessions.write(name, chunk, Notify::Never).unwrap();
        sessions.finish(name).unwrap();
        streams.push(accept(&scene).await);
    }
    let mut limit = 30;
    while limit < 150 {
        limit += 17;
        connect
            .write_all(&capsule(&Capsule::MaxData(limit)))
            .await
            .unwrap();
    }
    for (_send, recv) in &mut streams {
        assert_eq!(soon("its bytes", recv.read_to_end(100)).await.unwrap().len(), 50);
    }
}

/// A stream ends while its writer has no credit, whoever ends it.
#[tokio::test]
async fn a_writer_without_credit_hears_of_the_end() {
    let scene = scene([0, 4, 1]).await;
    let (id, connect, _capsules) = session(&scene).await;
    let sessions = scene.server.server.sessions();
    let mut names = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..4 {
        let name = open(&scene, id, StreamKind::Bidirectional).await.unwrap();
        sessions
            .write(name, Bytes::from_static(b"x"), Notify::Never)
            .unwrap();
        names.push(name);
        streams.push(accept(&scene).await);
    }
    // The client stops it.
    let stop = quinn::VarInt::from_u64(to_http3_code(3)).unwrap();
    streams[0].1.stop(stop).unwrap();
    scene
        .told(names[0], StreamEvent::Failed(StreamError::Peer(Some(3))))
        .await;
    // This side resets it.
    sessions.reset(names[1], 4).unwrap();
    let error = soon("a reset", streams[1].1.read_to_end(10)).await.unwrap_err();
    assert_eq!(reset_code(error), to_http3_code(4));
    // The session ends.
    drop(connect);
    scene
        .told(names[2], StreamEvent::Failed(StreamError::SessionGone))
        .await;
}

#[tokio::test]
async fn a_writer_without_credit_hears_that_the_client_is_gone() {
    let scene = scene([0, 1, 1]).await;
    let (id, _connect, mut capsules) = session(&scene).await;
    let name = open(&scene, id, StreamKind::Bidirectional).await.unwrap();
    let sessions = scene.server.server.sessions();
    sessions
        .write(name, Bytes::from_static(b"x"), Notify::Never)
        .unwrap();
    assert_eq!(capsules.next().await, Capsule::DataBlocked(0));
    scene.client.close(0_u32.into(), b"");
    soon("the end of the session", async {
        while sessions.write(name, Bytes::new(), Notify::Never).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// §5.6.2 and §5.6.3.
#[tokio::test]
async fn a_stream_is_opened_when_the_client_allows_one_more() {
    let scene = scene([1, 1, 0]).await;
    let (id, mut connect, mut capsules) = session(&scene).await;
    open(&scene, id, StreamKind::Bidirectional).await.unwrap();
    let grants = [
        (
            StreamKind::Bidirectional,
            Capsule::StreamsBlockedBidi(1),
            Capsule::MaxStreamsBidi(2),
        ),
        (
            StreamKind::Unidirectional,
            Capsule::StreamsBlockedUni(0),
            Capsule::MaxStreamsUni(1),
        ),
    ];
    for (kind, blocked, grant) in grants {
        let sessions = scene.server.server.sessions().clone();
        let waiting = tokio::spawn(sessions.clone().open_stream(id, kind));
        assert_eq!(capsules.next().await, blocked);
        assert!(!waiting.is_finished());
        // One that gave up takes nothing away.
        let given_up = sessions.clone().open_stream(id, kind);
        assert!(tokio::time::timeout(A_WHILE, given_up).await.is_err());
        connect.write_all(&capsule(&grant)).await.unwrap();
        soon("a stream", waiting).await.unwrap().unwrap();
    }
    let waiting =
        tokio::spawn((scene.server.server.sessions().clone()).open_stream(id, StreamKind::Unidirectional));
    assert_eq!(capsules.next().await, Capsule::StreamsBlockedUni(1));
    drop(connect);
    let ended = soon("the end of a wait", waiting).await.unwrap();
    assert_eq!(ended, Err(StreamError::SessionGone));
}

/// Its credit was counted before QUIC had one for it.
#[tokio::test]
async fn a_stream_that_was_given_up_while_it_waited_for_quic_is_not_counted() {
    // What quinn's client allows a server, and one more.
    const STREAMS: u64 = 101;
    let scene = scene([1, STREAMS, 0]).await;
    let (id, _connect, mut capsules) = session(&scene).await;
    let sessions = scene.server.server.sessions();
    let mut names = Vec::new();
    for _ in 1..STREAMS {
        names.push(open(&scene, id, StreamKind::Bidirectional).await.unwrap());
    }
    let waiting = sessions.clone().open_stream(id, StreamKind::Bidirectional);
    assert!(tokio::time::timeout(A_WHILE, waiting).await.is_err());
    // QUIC allows more when some are over.
    for name in names.drain(..50) {
        sessions.finish(name).unwrap();
        let (mut send, mut recv) = accept(&scene).await;
        send.finish().unwrap();
        rest(&mut recv).await;
        assert_eq!(scene.read(name).await, Ok(None));
        sessions.forget(name);
    }
    open(&scene, id, StreamKind::Bidirectional).await.unwrap();
    capsules.none().await;
}
