//! The streams of WebTransport sessions.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use trilane_core::{Limits, Notify, StreamError, StreamEvent, StreamKind};
use trilane_http3::webtransport::{to_http3_code, write_bidi_prefix, write_uni_prefix};

use crate::session_scene::{
    Scene, WT_BUFFERED_STREAM_REJECTED, WT_SESSION_GONE, head, reset_code, rest, status,
};
use crate::support::soon;

#[tokio::test]
async fn streams_carry_bytes_in_all_four_directions() {
    let scene = Scene::new().await;
    let (id, _connect) = scene.session(0).await;
    let sessions = scene.server.server.sessions();

    // Bidirectional, from the client.
    let (mut send, mut recv) = scene.client.open_bi().await.unwrap();
    let mut bytes = BytesMut::new();
    write_bidi_prefix(&mut bytes, 0);
    bytes.extend_from_slice(b"ping");
    send.write_all(&bytes).await.unwrap();
    send.finish().unwrap();
    let (of, name, kind) = scene.stream(0).await;
    assert_eq!((of, kind), (id, StreamKind::Bidirectional));
    assert_eq!(scene.read(name).await.unwrap().unwrap(), "ping");
    assert_eq!(scene.read(name).await, Ok(None));
    sessions
        .write(name, Bytes::from_static(b"pong"), Notify::WhenDrained)
        .unwrap();
    scene.told(name, StreamEvent::Drained).await;
    sessions.finish(name).unwrap();
    assert_eq!(rest(&mut recv).await, b"pong");
    scene.told(name, StreamEvent::Finished).await;

    // Unidirectional, from the client.
    let mut send = scene.client.open_uni().await.unwrap();
    let mut bytes = BytesMut::new();
    write_uni_prefix(&mut bytes, 0);
    bytes.extend_from_slice(b"one way");
    send.write_all(&bytes).await.unwrap();
    let (_, name, kind) = scene.stream(1).await;
    assert_eq!(kind, StreamKind::Unidirectional);
    assert_eq!(scene.read(name).await.unwrap().unwrap(), "one way");

    // From the server.
    let name = soon(
        "a stream",
        sessions.clone().open_stream(id, StreamKind::Unidirectional),
    )
    .await
    .unwrap();
    sessions
        .write(name, Bytes::from_static(b"push"), Notify::Never)
        .unwrap();
    sessions.finish(name).unwrap();
    // The first is the server's control stream.
    let _control = soon("a stream", scene.client.accept_uni()).await.unwrap();
    let mut recv = soon("a stream", scene.client.accept_uni()).await.unwrap();
    assert_eq!(rest(&mut recv).await, b"\x40\x54\x00push");
    let name = soon(
        "a stream",
        sessions.clone().open_stream(id, StreamKind::Bidirectional),
    )
    .await
    .unwrap();
    sessions
        .write(name, Bytes::from_static(b"both"), Notify::Never)
        .unwrap();
    sessions.finish(name).unwrap();
    let (mut send, mut recv) = soon("a stream", scene.client.accept_bi()).await.unwrap();
    assert_eq!(rest(&mut recv).await, b"\x40\x41\x00both");
    send.write_all(b"ways").await.unwrap();
    assert_eq!(scene.read(name).await.unwrap().unwrap(), "ways");
}

#[tokio::test]
async fn resets_and_stops_carry_application_codes_both_ways() {
    let scene = Scene::new().await;
    let (_, _connect) = scene.session(0).await;
    let sessions = scene.server.server.sessions();
    let (mut send, mut recv) = scene.client.open_bi().await.unwrap();
    send.write_all(b"\x40\x41\x00x").await.unwrap();
    let (_, name, _) = scene.stream(0).await;
    assert_eq!(scene.read(name).await.unwrap().unwrap(), "x");
    send.reset(quinn::VarInt::from_u64(to_http3_code(7)).unwrap())
        .unwrap();
    assert_eq!(scene.read(name).await, Err(StreamError::Peer(Some(7))));
    recv.stop(quinn::VarInt::from_u64(to_http3_code(u32::MAX)).unwrap())
        .unwrap();
    scene
        .told(name, StreamEvent::Failed(StreamError::Peer(Some(u32::MAX))))
        .await;
    assert_eq!(
        sessions.write(name, Bytes::new(), Notify::Never),
        Err(StreamError::Peer(Some(u32::MAX)))
    );

    let (mut send, mut recv) = scene.client.open_bi().await.unwrap();
    send.write_all(b"\x40\x41\x00y").await.unwrap();
    let (_, name, _) = scene.stream(1).await;
    sessions.read_half(name).unwrap().stop(30);
    let stopped = soon("a stop", send.stopped()).await.unwrap().unwrap();
    assert_eq!(stopped.into_inner(), to_http3_code(30));
    sessions.reset(name, 31).unwrap();
    let error = soon("a reset", recv.read_to_end(10)).await.unwrap_err();
    assert_eq!(reset_code(error), to_http3_code(31));
}

#[tokio::test]
async fn streams_that_come_before_their_session_wait_for_it() {
    let scene = Scene::new().await;
    // Reserve stream 0 for the CONNECT, send stream 4 first.
    let (mut connect, mut answer) = scene.client.open_bi().await.unwrap();
    let (mut send, _recv) = scene.client.open_bi().await.unwrap();
    send.write_all(b"\x40\x41\x00before").await.unwrap();
    let mut uni = scene.client.open_uni().await.unwrap();
    uni.write_all(b"\x40\x54\x00also").await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    connect
        .write_all(&head("CONNECT", "/wt", Some("webtransport")))
        .await
        .unwrap();
    let id = scene.asked(0).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(scene.script.sessions.lock().unwrap().is_empty());
    scene.accept(id);
    assert_eq!(status(&mut answer).await, 200);
    let (_, first, _) = scene.stream(0).await;
    let (_, second, _) = scene.stream(1).await;
    let mut seen = [
        scene.read(first).await.unwrap().unwrap(),
        scene.read(second).await.unwrap().unwrap(),
    ];
    seen.sort();
    assert_eq!(seen, ["also", "before"]);
}

#[tokio::test]
async fn too_many_early_streams_are_refused_and_those_of_no_session_are_after_a_moment() {
    let scene = Scene::new().await;
    let (_connect, _answer) = scene.client.open_bi().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut send = scene.client.open_uni().await.unwrap();
        send.write_all(b"\x40\x54\x00x").await.unwrap();
        streams.push(send);
    }
    for stream in &mut streams {
        let stopped = soon("a refusal", stream.stopped()).await.unwrap().unwrap();
        assert_eq!(stopped.into_inner(), WT_BUFFERED_STREAM_REJECTED);
    }
    assert_eq!(scene.client.close_reason(), None);
}

#[tokio::test]
async fn streams_of_a_session_that_is_over_are_refused() {
    let scene = Scene::new().await;
    let (id, mut connect) = scene.session(0).await;
    scene.server.server.sessions().close(id, 0, Bytes::new());
    rest(&mut connect.recv).await;
    let mut send = scene.client.open_uni().await.unwrap();
    send.write_all(b"\x40\x54\x00x").await.unwrap();
    let stopped = soon("a refusal", send.stopped()).await.unwrap().unwrap();
    assert_eq!(stopped.into_inner(), WT_SESSION_GONE);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_held_back_by_flow_control() {
    let scene = Scene::with(Limits {
        stream_receive_window: 50_000,
        ..Limits::default()
    })
    .await;
    let (_, _connect) = scene.session(0).await;
    let mut send = scene.client.open_uni().await.unwrap();
    send.write_all(b"\x40\x54\x00").await.unwrap();
    let chunk = [7; 10_000];
    let mut written = 0;
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(100), send.write_all(&chunk)).await {
        written += chunk.len();
        assert!(written < 200_000);
    }
    let (_, name, _) = scene.stream(0).await;
    let mut read = 0;
    while read < 40_000 {
        let mut piece = scene.read(name).await.unwrap().unwrap();
        read += piece.remaining();
        piece.advance(piece.remaining());
    }
}
