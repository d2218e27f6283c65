//! The flow control of WebTransport sessions: who has it, its limits and their floods, against a client that says and breaks
//! everything by hand (draft-ietf-webtrans-http3-16 §5).

use std::time::Duration;

use bytes::Bytes;
use trilane_core::{Limits, Notify, SessionEnd, StreamKind};
use trilane_http3::{Capsule, Settings, WebTransportSettings, varint};

use crate::client::quic;
use crate::session_flow_scene::{
    H3_REQUEST_REJECTED, WT_FLOW_CONTROL_ERROR, bidi, granting, open, others_are_served, preface, read,
    scene, session, small, uni,
};
use crate::session_scene::{SETTINGS, Scene, capsule, head, reset_code, status};
use crate::support::soon;

/// §5.5, and draft-ietf-webtrans-http3-14 §5.2.
#[tokio::test]
async fn every_dialect_is_told_of_several_sessions_and_of_the_first_limits() {
    let scene = scene([0; 3]).await;
    let mut control = soon("a control stream", scene.client.accept_uni()).await.unwrap();
    let mut bytes = [0; 512];
    let length = soon("SETTINGS", control.read(&mut bytes)).await.unwrap().unwrap();
    // The type of the stream, then type and length of the frame, each of one byte or two.
    let (kind, first) = varint::decode(&bytes[1..length]).unwrap();
    let (size, second) = varint::decode(&bytes[1 + first..length]).unwrap();
    let start = 1 + first + second;
    let settings = Settings::decode(&bytes[start..start + size as usize]).unwrap();
    assert_eq!((bytes[0], kind), (0, 4));
    let expected = WebTransportSettings {
        enabled: 1,
        enabled_draft02: 1,
        max_sessions_draft02: 0,
        max_sessions_draft07: 32,
        max_sessions_draft13: 32,
        h3_datagram_draft04: 1,
        initial_max_data: 1000,
        initial_max_streams_bidi: 4,
        initial_max_streams_uni: 2,
    };
    assert_eq!(settings.webtransport, expected);
}

/// §5.6.2 to §5.6.4, and §5.4.
#[tokio::test]
async fn limits_that_can_not_be_end_the_session() {
    const MOST: u64 = 1 << 60;
    let cases = [
        vec![Capsule::MaxData(9)],
        vec![Capsule::MaxData(20), Capsule::MaxData(20)],
        vec![Capsule::MaxStreamsBidi(9)],
        vec![Capsule::MaxStreamsUni(9)],
        vec![Capsule::MaxStreamsBidi(MOST + 1)],
        vec![Capsule::MaxStreamsUni(MOST + 1)],
        vec![Capsule::StreamsBlockedBidi(MOST + 1)],
        vec![Capsule::StreamsBlockedUni(MOST + 1)],
    ];
    for case in cases {
        let scene = scene([10, 10, 10]).await;
        let (_, mut connect, mut capsules) = session(&scene).await;
        for each in &case {
            connect.write_all(&capsule(each)).await.unwrap();
        }
        assert_eq!(capsules.reset().await, WT_FLOW_CONTROL_ERROR, "{case:?}");
        assert_eq!(scene.closed().await, SessionEnd::Abrupt);
        others_are_served(&scene).await;
    }
}

/// §5.1.
#[tokio::test]
async fn without_flow_control_its_capsules_and_limits_mean_nothing() {
    let scene = Scene::with_client(small(), SETTINGS).await;
    let (id, mut connect, mut capsules) = session(&scene).await;
    for each in [
        Capsule::MaxData(9),
        Capsule::MaxData(1),
        Capsule::MaxStreamsUni(u64::MAX >> 2),
    ] {
        connect.write_all(&capsule(&each)).await.unwrap();
    }
    let mut kept = Vec::new();
    for nth in 0..8 {
        kept.push(bidi(&scene, &[1; 2000]).await);
        let (_, name, _) = scene.stream(nth).await;
        read(&scene, name, 2000).await;
    }
    open(&scene, id, StreamKind::Unidirectional).await.unwrap();
    capsules.none().await;
}

/// §5.1.
#[tokio::test]
async fn a_client_of_the_newest_dialect_has_one_session_at_a_time_without_flow_control_and_several_with() {
    let new = WebTransportSettings {
        enabled: 1,
        ..WebTransportSettings::default()
    };
    let thirteen = WebTransportSettings {
        max_sessions_draft13: 1,
        ..WebTransportSettings::default()
    };
    let flow = WebTransportSettings {
        initial_max_data: 1,
        ..new.clone()
    };
    let counted = WebTransportSettings {
        max_sessions_draft13: 8,
        ..WebTransportSettings::default()
    };
    let old = WebTransportSettings {
        enabled_draft02: 1,
        ..WebTransportSettings::default()
    };
    let none = WebTransportSettings::default();
    let cases = [
        (new, "webtransport-h3", false),
        (thirteen, "webtransport", false),
        (none.clone(), "webtransport-h3", false),
        (flow, "webtransport-h3", true),
        (counted, "webtransport", true),
        (old, "webtransport", true),
        (none, "webtransport", true),
    ];
    for (said, protocol, several) in cases {
        let scene = Scene::with_client(Limits::default(), &preface(said.clone())).await;
        let first = scene.connect(protocol).await;
        scene.accept(scene.asked(0).await);
        let mut second = scene.connect(protocol).await;
        if several {
            scene.accept(scene.asked(1).await);
            assert_eq!(status(&mut second.recv).await, 200, "{said:?}");
            continue;
        }
        let error = soon("a refusal", second.recv.read_to_end(10)).await.unwrap_err();
        assert_eq!(reset_code(error), H3_REQUEST_REJECTED, "{said:?}");
        drop(first);
        scene.closed().await;
        let mut third = scene.connect(protocol).await;
        scene.accept(scene.asked(1).await);
        assert_eq!(status(&mut third.recv).await, 200, "{said:?}");
    }
}

/// Each session has its own credit: one that is not read holds nobody up.
#[tokio::test]
async fn a_session_that_is_not_read_takes_nothing_from_another() {
    let scene = scene([1, 1, 1]).await;
    let (_first, _connect, mut capsules) = session(&scene).await;
    let (_second, _other) = scene.session(1).await;
    let _unread = bidi(&scene, &[1; 1000]).await;
    let (mut send, _recv) = scene.client.open_bi().await.unwrap();
    send.write_all(b"\x40\x41\x04").await.unwrap();
    let (_, name, _) = scene.stream(1).await;
    for _ in 0..20 {
        send.write_all(&[2; 500]).await.unwrap();
        read(&scene, name, 500).await;
    }
    capsules.none().await;
}

/// The limits hold from the first packet, and a client that comes back is told the same ones.
#[tokio::test]
async fn streams_that_came_before_their_session_count() {
    let scene = scene([1, 1, 1]).await;
    let (client, _endpoint) = quic(&scene.server).await;
    let mut control = client.open_uni().await.unwrap();
    control.write_all(&granting([1, 1, 1])).await.unwrap();
    let (mut connect, mut answer) = client.open_bi().await.unwrap();
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut send = client.open_uni().await.unwrap();
        send.write_all(b"\x40\x54\x00x").await.unwrap();
        kept.push(send);
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    connect
        .write_all(&head("CONNECT", "/wt", Some("webtransport-h3")))
        .await
        .unwrap();
    let error = soon("a reset", answer.read_to_end(10)).await.unwrap_err();
    assert_eq!(reset_code(error), WT_FLOW_CONTROL_ERROR);
}

/// A writer waits for each byte that the client allows: many such capsules are a load like any other (RFC 9114 §10.5).
#[tokio::test]
async fn a_flood_of_limits_that_grow_by_one_ends_the_connection() {
    let limits = Limits {
        max_overhead_frames_per_second: 500,
        ..small()
    };
    let scene = Scene::with_client(limits, &granting([0, 1, 1])).await;
    let (id, mut connect, _capsules) = session(&scene).await;
    let name = open(&scene, id, StreamKind::Bidirectional).await.unwrap();
    let sessions = scene.server.server.sessions();
    let chunk = Bytes::from(vec![7; 100_000]);
    sessions.write(name, chunk, Notify::Never).unwrap();
    for limit in 1..100_000 {
        let sent = soon("credit", connect.write_all(&capsule(&Capsule::MaxData(limit)))).await;
        if sent.is_err() {
            break;
        }
    }
    let closed = soon("the end of the connection", scene.client.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = closed else {
        panic!("{closed}")
    };
    assert_eq!(close.error_code.into_inner(), 0x107);
}

/// Each stream that was reset before it named its session costs a capsule in each session: it counts as much.
#[tokio::test]
async fn a_flood_of_streams_that_name_no_session_ends_the_connection() {
    let limits = Limits {
        max_overhead_frames_per_second: 500,
        max_abandoned_streams_per_second: 1_000_000,
        ..Limits::default()
    };
    let scene = Scene::with_client(limits, &granting([1, 1, 1])).await;
    let mut kept = Vec::new();
    for nth in 0..32 {
        kept.push(scene.session(nth).await);
    }
    // Few enough for every other measure of a flood.
    for _ in 0..100 {
        let Ok(mut stream) = soon("a stream", scene.client.open_uni()).await else {
            break;
        };
        let _ = stream.write_all(b"\x40").await;
        let _ = stream.reset(0_u32.into());
    }
    let closed = soon("the end of the connection", scene.client.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = closed else {
        panic!("{closed}")
    };
    assert_eq!(close.error_code.into_inner(), 0x107);
}

/// Nothing waits for capsules that nobody takes.
#[tokio::test]
async fn a_client_that_never_reads_its_capsules_is_served_on() {
    let scene = Scene::with_client(
        Limits {
            max_session_uni_streams: 1,
            ..Limits::default()
        },
        &granting([1, 1, 1]),
    )
    .await;
    let (_, _connect, _unread) = session(&scene).await;
    for nth in 0..500 {
        let mut send = uni(&scene, b"x").await;
        send.finish().unwrap();
        let (_, name, _) = scene.stream(nth).await;
        read(&scene, name, 1).await;
        scene.server.server.sessions().forget(name);
    }
    others_are_served(&scene).await;
}
