//! What a client may send and open in a WebTransport session, and what becomes of it when it does more
//! (draft-ietf-webtrans-http3-16 §5).

use std::time::Duration;

use trilane_core::{Limits, SessionEnd, StreamError, StreamKind};
use trilane_http3::Capsule;
use trilane_http3::webtransport::to_http3_code;

use crate::session_flow_scene::{
    Capsules, WT_FLOW_CONTROL_ERROR, bidi, granting, others_are_served, read, scene, session, uni,
};
use crate::session_scene::{Scene, WT_BUFFERED_STREAM_REJECTED, head, status};
use crate::support::soon;

/// §5.6.4: as they are read, not as they arrive.
#[tokio::test]
async fn a_client_may_send_more_when_the_program_has_read() {
    let scene = scene([1, 1, 1]).await;
    let (_, _connect, mut capsules) = session(&scene).await;
    let (mut send, _recv) = bidi(&scene, &[1; 1000]).await;
    let (_, name, _) = scene.stream(0).await;
    capsules.none().await;
    read(&scene, name, 1000).await;
    let Capsule::MaxData(limit) = capsules.next().await else {
        panic!()
    };
    assert!((1500..=2000).contains(&limit), "{limit}");
    let more = vec![2; limit as usize - 1000];
    send.write_all(&more).await.unwrap();
    read(&scene, name, more.len()).await;
}

/// §5.6.4.
#[tokio::test]
async fn a_client_that_sends_more_than_it_may_loses_its_session_and_nothing_else() {
    let scene = scene([1, 1, 1]).await;
    let (_, mut connect, mut capsules) = session(&scene).await;
    let (_first, _recv) = bidi(&scene, &[1; 900]).await;
    let (_second, _recv) = bidi(&scene, &[1; 1101]).await;
    let (_, name, _) = scene.stream(1).await;
    assert_eq!(scene.read(name).await, Err(StreamError::SessionGone));
    assert_eq!(capsules.reset().await, WT_FLOW_CONTROL_ERROR);
    assert_eq!(scene.closed().await, SessionEnd::Abrupt);
    let stopped = soon("a stop", connect.stopped()).await.unwrap().unwrap();
    assert_eq!(stopped.into_inner(), WT_FLOW_CONTROL_ERROR);
    let _ = connect.reset(0_u32.into());
    others_are_served(&scene).await;
}

/// §5.6.2.
#[tokio::test]
async fn a_client_that_opens_more_streams_than_it_may_loses_its_session() {
    for kind in [StreamKind::Bidirectional, StreamKind::Unidirectional] {
        let scene = scene([1, 1, 1]).await;
        let (_, _connect, mut capsules) = session(&scene).await;
        let mut kept = Vec::new();
        let allowed = if kind == StreamKind::Bidirectional { 4 } else { 2 };
        for nth in 0..=allowed {
            if nth == allowed {
                scene.stream(allowed - 1).await;
                capsules.none().await;
            }
            match kind {
                StreamKind::Bidirectional => kept.push(bidi(&scene, b"x").await.0),
                StreamKind::Unidirectional => kept.push(uni(&scene, b"x").await),
            }
        }
        assert_eq!(capsules.reset().await, WT_FLOW_CONTROL_ERROR);
        assert_eq!(scene.closed().await, SessionEnd::Abrupt);
        others_are_served(&scene).await;
    }
}

/// §5.6.2: a stream that is done with makes room.
#[tokio::test]
async fn a_client_may_open_more_streams_when_some_are_done() {
    let scene = scene([1, 1, 1]).await;
    let (_, _connect, mut capsules) = session(&scene).await;
    for nth in 0..6 {
        let mut send = uni(&scene, b"x").await;
        send.finish().unwrap();
        let (_, name, _) = scene.stream(nth).await;
        read(&scene, name, 1).await;
        assert_eq!(scene.read(name).await, Ok(None));
        scene.server.server.sessions().forget(name);
        assert_eq!(capsules.next().await, Capsule::MaxStreamsUni(3 + nth as u64));
    }
}

/// §5.2: QUIC does not say how much was sent on a stream that was reset; none of it may be lost to the client.
#[tokio::test]
async fn bytes_of_streams_that_were_reset_are_given_back() {
    for by_us in [false, true] {
        let scene = scene([1, 1, 1]).await;
        let (_, _connect, mut capsules) = session(&scene).await;
        let (mut send, _recv) = bidi(&scene, &[1; 1000]).await;
        let (_, name, _) = scene.stream(0).await;
        if by_us {
            scene.server.server.sessions().read_half(name).unwrap().stop(1);
        } else {
            send.reset(quinn::VarInt::from_u64(to_http3_code(1)).unwrap())
                .unwrap();
            let end = loop {
                match scene.read(name).await {
                    Ok(Some(_)) => {}
                    end => break end,
                }
            };
            assert_eq!(end, Err(StreamError::Peer(Some(1))));
        }
        let limit = loop {
            match capsules.next().await {
                Capsule::MaxData(limit) if limit >= 2000 => break limit,
                Capsule::MaxData(_) => {}
                other => panic!("{other:?}"),
            }
        };
        // All of it can have been on the stream; what was read first may be counted again.
        assert!(limit <= 3000, "{limit}");
    }
}

/// §5.3: without RESET_STREAM_AT its session is not known, but the client counts it.
#[tokio::test]
async fn streams_that_were_reset_before_they_named_their_session_are_given_back() {
    let scene = scene([1, 1, 1]).await;
    let (_, _connect, mut capsules) = session(&scene).await;
    let mut lost = soon("a stream", scene.client.open_uni()).await.unwrap();
    // The first byte of the prefix only: as if the rest was lost.
    lost.write_all(b"\x40").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    lost.reset(1_u32.into()).unwrap();
    let mut seen = [capsules.next().await, capsules.next().await];
    seen.sort_by_key(|capsule| matches!(capsule, Capsule::MaxStreamsUni(_)));
    assert_eq!(seen, [Capsule::MaxData(2000), Capsule::MaxStreamsUni(3)]);
    let (mut lost, _recv) = soon("a stream", scene.client.open_bi()).await.unwrap();
    lost.write_all(b"\x40").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    lost.reset(1_u32.into()).unwrap();
    assert_eq!(capsules.next().await, Capsule::MaxData(4000));
}

/// §4.6: refused streams were opened all the same.
#[tokio::test]
async fn streams_that_were_refused_before_their_session_came_are_given_back() {
    let scene = Scene::with_client(
        Limits {
            max_session_uni_streams: 40,
            ..Limits::default()
        },
        &granting([1, 1, 1]),
    )
    .await;
    let (mut connect, mut answer) = scene.client.open_bi().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(uni(&scene, b"x").await);
    }
    for stream in &mut streams[16..] {
        let stopped = soon("a refusal", stream.stopped()).await.unwrap().unwrap();
        assert_eq!(stopped.into_inner(), WT_BUFFERED_STREAM_REJECTED);
    }
    connect
        .write_all(&head("CONNECT", "/wt", Some("webtransport-h3")))
        .await
        .unwrap();
    scene.accept(scene.asked(0).await);
    assert_eq!(status(&mut answer).await, 200);
    let mut capsules = Capsules::new(answer);
    let limit = loop {
        if let Capsule::MaxStreamsUni(limit) = capsules.next().await {
            break limit;
        }
    };
    // Those that waited are refused by their time or handed over; the rest is back at once.
    assert!(limit >= 40 + 24, "{limit}");
}
