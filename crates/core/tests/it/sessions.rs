//! WebTransport sessions: how they begin, what they carry besides streams, how they end.

use std::time::Duration;

use bytes::Bytes;
use trilane_core::ExchangeError;
use trilane_core::{Limits, SessionEnd, SessionEvent, Stop, StreamError, StreamKind};
use trilane_http3::Capsule;
use trilane_http3::FieldError;

use crate::client::quic;
use crate::session_scene::{SETTINGS, Scene, WT_SESSION_GONE, capsule, head, reset_code, rest, status};
use crate::support::{found, soon};

#[tokio::test]
async fn both_upgrade_tokens_begin_a_session() {
    for token in ["webtransport", "webtransport-h3"] {
        let scene = Scene::new().await;
        let mut connect = scene.connect(token).await;
        let id = scene.asked(0).await;
        scene.accept(id);
        assert_eq!(status(&mut connect.recv).await, 200);
    }
}

#[tokio::test]
async fn a_client_that_closes_is_heard_with_its_code_and_reason_and_its_streams_end() {
    let scene = Scene::new().await;
    let (id, mut connect) = scene.session(0).await;
    let sessions = scene.server.server.sessions();
    let (mut send, mut recv) = scene.client.open_bi().await.unwrap();
    send.write_all(b"\x40\x41\x00x").await.unwrap();
    let (_, name, _) = scene.stream(0).await;
    let half = sessions.read_half(name).unwrap();
    let close = Capsule::CloseSession {
        code: 42,
        reason: Bytes::from_static("vorbei".as_bytes()),
    };
    connect.send.write_all(&capsule(&close)).await.unwrap();
    connect.send.finish().unwrap();
    let end = SessionEnd::Clean {
        code: 42,
        reason: "vorbei".to_owned(),
    };
    assert_eq!(scene.closed().await, end);
    // RFC: "The recipient MUST either close or reset the stream in response."
    assert_eq!(rest(&mut connect.recv).await, b"");
    assert_eq!(half.next().await, Err(StreamError::SessionGone));
    let stopped = soon("a stop", send.stopped()).await.unwrap().unwrap();
    assert_eq!(stopped.into_inner(), WT_SESSION_GONE);
    let error = soon("a reset", recv.read_to_end(10)).await.unwrap_err();
    assert_eq!(reset_code(error), WT_SESSION_GONE);
    assert!(sessions.send_datagram(id, b"late").is_err());
    assert_eq!(
        sessions.clone().open_stream(id, StreamKind::Unidirectional).await,
        Err(StreamError::SessionGone)
    );
    let closes = scene
        .script
        .sessions
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, event)| matches!(event, SessionEvent::Closed(_)))
        .count();
    assert_eq!(closes, 1);
}

#[tokio::test]
async fn a_client_that_closes_is_heard_though_it_stops_our_side_or_leaves_at_once() {
    for leaves in [false, true] {
        let scene = Scene::new().await;
        let (_, mut connect) = scene.session(0).await;
        let close = Capsule::CloseSession {
            code: 42,
            reason: Bytes::from_static(b"bye"),
        };
        connect.send.write_all(&capsule(&close)).await.unwrap();
        connect.recv.stop(0x10c_u32.into()).unwrap();
        connect.send.finish().unwrap();
        if leaves {
            // The capsule is in a packet of its own before the one that closes.
            found("the capsule's packet", || {
                (scene.client.stats().frame_tx.stop_sending > 0).then_some(())
            })
            .await;
            scene.client.close(0x100_u32.into(), b"");
        }
        let end = SessionEnd::Clean {
            code: 42,
            reason: "bye".to_owned(),
        };
        assert_eq!(scene.closed().await, end, "leaves: {leaves}");
        found("the end of the exchange", || {
            (scene.server.server.stats().requests_active == 0).then_some(())
        })
        .await;
        assert_eq!(scene.server.server.stats().requests_aborted, 0);
    }
}

#[tokio::test]
async fn a_clean_end_without_a_capsule_is_code_0() {
    let scene = Scene::new().await;
    let (_, mut connect) = scene.session(0).await;
    connect.send.finish().unwrap();
    let end = SessionEnd::Clean {
        code: 0,
        reason: String::new(),
    };
    assert_eq!(scene.closed().await, end);
    assert_eq!(rest(&mut connect.recv).await, b"");
}

#[tokio::test]
async fn a_session_that_breaks_off_is_abrupt() {
    // By a reset of its CONNECT stream, by a stop of it, by its connection.
    for how in 0..3 {
        let scene = Scene::new().await;
        let (_, mut connect) = scene.session(0).await;
        match how {
            0 => connect.send.reset(0x10c_u32.into()).unwrap(),
            1 => connect.recv.stop(0x10c_u32.into()).unwrap(),
            _ => scene.client.close(0x100_u32.into(), b""),
        }
        assert_eq!(scene.closed().await, SessionEnd::Abrupt, "{how}");
    }
}

#[tokio::test]
async fn to_close_is_a_capsule_and_the_end_of_the_stream_and_nothing_else() {
    let scene = Scene::new().await;
    let (id, mut connect) = scene.session(0).await;
    let sessions = scene.server.server.sessions();
    sessions.drain(id);
    sessions.close(id, 5, Bytes::from_static(b"done"));
    sessions.close(id, 6, Bytes::from_static(b"again"));
    let expected = [
        capsule(&Capsule::DrainSession),
        capsule(&Capsule::CloseSession {
            code: 5,
            reason: Bytes::from_static(b"done"),
        }),
    ]
    .concat();
    assert_eq!(rest(&mut connect.recv).await, expected);
    // Not stopped: the client may still send what it had begun.
    connect
        .send
        .write_all(&capsule(&Capsule::DrainSession))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    connect.send.finish().unwrap();
    assert_eq!(
        soon("an acknowledgement", connect.send.stopped()).await.unwrap(),
        None
    );
    assert!(scene.script.sessions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn datagrams_go_both_ways_and_not_before_the_answer() {
    let scene = Scene::new().await;
    let mut connect = scene.connect("webtransport").await;
    let id = scene.asked(0).await;
    let sessions = scene.server.server.sessions();
    sessions.send_datagram(id, b"early").unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(scene.server.server.stats().webtransport_datagrams.sent, 0);
    scene.accept(id);
    assert_eq!(status(&mut connect.recv).await, 200);
    assert_eq!(
        soon("a datagram", scene.client.read_datagram()).await.unwrap(),
        "\0early"
    );
    scene
        .client
        .send_datagram(Bytes::from_static(b"\0hello"))
        .unwrap();
    let (of, payload) = found("a datagram", || {
        scene.script.http_datagrams.lock().unwrap().first().cloned()
    })
    .await;
    assert_eq!((of, payload), (id, Bytes::from_static(b"hello")));
    connect
        .send
        .write_all(&capsule(&Capsule::Datagram(Bytes::from_static(b"by capsule"))))
        .await
        .unwrap();
    found("a datagram", || {
        let datagrams = scene.script.http_datagrams.lock().unwrap();
        (datagrams.len() == 2 && datagrams[1].1 == "by capsule").then_some(())
    })
    .await;
}

#[tokio::test]
async fn several_sessions_and_requests_share_a_connection() {
    let scene = Scene::new().await;
    let (first, _c1) = scene.session(0).await;
    let (second, _c2) = scene.session(1).await;
    for (quarter, id) in [(1, second), (0, first)] {
        scene.client.send_datagram(vec![quarter, b'd'].into()).unwrap();
        found("a datagram", || {
            let datagrams = scene.script.http_datagrams.lock().unwrap();
            datagrams.iter().any(|(of, _)| *of == id).then_some(())
        })
        .await;
    }
    let (mut send, mut recv) = scene.client.open_bi().await.unwrap();
    send.write_all(&head("GET", "/", None)).await.unwrap();
    send.finish().unwrap();
    assert_eq!(status(&mut recv).await, 200);
    let mut uni = scene.client.open_uni().await.unwrap();
    uni.write_all(b"\x40\x54\x04to the second").await.unwrap();
    let (of, _, _) = scene.stream(0).await;
    assert_eq!(of, second);
}

#[tokio::test]
async fn sessions_over_the_limit_are_rejected_so_that_the_client_may_retry() {
    let scene = Scene::with(Limits {
        max_sessions_per_connection: 1,
        ..Limits::default()
    })
    .await;
    let (_, _first) = scene.session(0).await;
    let mut second = scene.connect("webtransport").await;
    let error = soon("a reset", second.recv.read_to_end(10)).await.unwrap_err();
    assert_eq!(reset_code(error), 0x10b);
}

#[tokio::test]
async fn a_session_asked_for_before_the_settings_waits_for_them() {
    let scene = Scene::new().await;
    let (client, _endpoint) = quic(&scene.server).await;
    let (mut send, mut recv) = client.open_bi().await.unwrap();
    send.write_all(&head("CONNECT", "/wt", Some("webtransport")))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(scene.asked.lock().unwrap().is_empty());
    let mut control = client.open_uni().await.unwrap();
    control.write_all(SETTINGS).await.unwrap();
    let id = scene.asked(0).await;
    scene.accept(id);
    assert_eq!(status(&mut recv).await, 200);
}

/// RFC9297-3.2-unknown-capsule
#[tokio::test]
async fn capsules_of_unknown_type_are_skipped() {
    let scene = Scene::new().await;
    let (_, mut connect) = scene.session(0).await;
    // A capsule of type 0x17, then a clean close.
    let capsules = [0, 12, 0x17, 3, 1, 2, 3, 0x68, 0x43, 4, 0, 0, 0, 7];
    connect.send.write_all(&capsules).await.unwrap();
    connect.send.finish().unwrap();
    let reason = String::new();
    assert_eq!(scene.closed().await, SessionEnd::Clean { code: 7, reason });
}

/// RFC9297-3.2-content-fields-sent
#[tokio::test]
async fn a_session_is_not_accepted_with_fields_about_content() {
    let scene = Scene::new().await;
    let _connect = scene.connect("webtransport").await;
    let id = scene.asked(0).await;
    let sessions = scene.server.server.sessions();
    for name in [&b"content-length"[..], b"content-type"] {
        let refused = sessions.accept(id, [(name, &b"0"[..])].into_iter());
        assert_eq!(refused, Err(ExchangeError::Field(FieldError::Content)));
    }
    scene.accept(id);
}

#[tokio::test]
async fn a_refused_session_refuses_its_streams() {
    let scene = Scene::new().await;
    let mut connect = scene.connect("webtransport").await;
    let id = scene.asked(0).await;
    let mut uni = scene.client.open_uni().await.unwrap();
    uni.write_all(b"\x40\x54\x00x").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let exchanges = scene.server.server.exchanges();
    exchanges
        .respond(id, 404, std::iter::empty(), Bytes::new())
        .unwrap();
    assert_eq!(status(&mut connect.recv).await, 404);
    let stopped = soon("a refusal", uni.stopped()).await.unwrap().unwrap();
    assert_eq!(stopped.into_inner(), WT_SESSION_GONE);
}

#[tokio::test]
async fn malformed_capsules_end_the_session_with_h3_message_error() {
    let cases: [(&str, &[u8], bool); 5] = [
        // A close reason that is no UTF-8.
        (
            "draft-ietf-webtrans-http3-16 §6",
            &[0, 8, 0x68, 0x43, 5, 0, 0, 0, 0, 0xff],
            false,
        ),
        ("RFC9297-3.3-payload-too-short", &[0, 4, 0x68, 0x43, 1, 0], false),
        (
            "RFC9297-3.3-payload-too-long",
            &[0, 6, 0x80, 0, 0x78, 0xae, 1, 0],
            false,
        ),
        ("RFC9297-3.3-truncated", &[0, 3, 0, 5, b'x'], true),
        ("RFC9297-3.3-truncated", &[0, 1, 0], true),
    ];
    for (rule, bytes, ends) in cases {
        let scene = Scene::new().await;
        let (_, mut connect) = scene.session(0).await;
        connect.send.write_all(bytes).await.unwrap();
        if ends {
            connect.send.finish().unwrap();
        }
        let error = soon("a reset", connect.recv.read_to_end(10)).await.unwrap_err();
        assert_eq!(reset_code(error), 0x10e, "{rule}");
        assert_eq!(scene.closed().await, SessionEnd::Abrupt);
        assert_eq!(scene.client.close_reason(), None);
    }
}

#[tokio::test]
async fn a_graceful_stop_drains_sessions_and_waits_for_them() {
    let scene = Scene::new().await;
    let (_, mut connect) = scene.session(0).await;
    let stop = scene.server.server.stop(Stop::Graceful(Duration::from_secs(5)));
    let mut drained = vec![0; capsule(&Capsule::DrainSession).len()];
    soon("a capsule", connect.recv.read_exact(&mut drained))
        .await
        .unwrap();
    assert_eq!(drained, capsule(&Capsule::DrainSession));
    connect.send.finish().unwrap();
    soon("the stop", stop).await;
}
