//! The flow control of WebTransport sessions, against a client that says and breaks everything by hand
//! (draft-ietf-webtrans-http3-16 §5).

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use trilane_core::{
    ExchangeId, Limits, Notify, SessionEnd, StreamError, StreamEvent, StreamKind, StreamName,
};
use trilane_http3::webtransport::{to_http3_code, write_bidi_prefix, write_uni_prefix};
use trilane_http3::{Capsule, CapsuleReader, Settings, WebTransportSettings, varint, write_control_preface};

use crate::client::quic;
use crate::session_scene::{
    Connect, SETTINGS, Scene, WT_BUFFERED_STREAM_REJECTED, capsule, head, reset_code, rest, status,
};
use crate::support::soon;

const WT_FLOW_CONTROL_ERROR: u64 = 0x045d_4487;
const H3_REQUEST_REJECTED: u64 = 0x10b;

/// Long enough for what must not happen.
const A_WHILE: Duration = Duration::from_millis(60);

/// Small windows: 1,000 bytes, 4 bidirectional and 2 unidirectional streams.
fn small() -> Limits {
    Limits {
        session_receive_window: 1000,
        max_session_streams: 4,
        max_session_uni_streams: 2,
        ..Limits::default()
    }
}

/// The control stream of a client that grants so much at first.
fn granting([data, bidi, uni]: [u64; 3]) -> BytesMut {
    preface(WebTransportSettings {
        enabled: 1,
        initial_max_data: data,
        initial_max_streams_bidi: bidi,
        initial_max_streams_uni: uni,
        ..WebTransportSettings::default()
    })
}

fn preface(webtransport: WebTransportSettings) -> BytesMut {
    let mut out = BytesMut::new();
    let settings = Settings {
        h3_datagram: true,
        webtransport,
        ..Settings::default()
    };
    write_control_preface(&mut out, &settings);
    out
}

async fn scene(grants: [u64; 3]) -> Scene {
    Scene::with_client(small(), &granting(grants)).await
}

/// The capsules on the server's side of a CONNECT stream.
struct Capsules {
    recv: quinn::RecvStream,
    bytes: BytesMut,
    reader: CapsuleReader,
    payload: Bytes,
}

impl Capsules {
    fn new(recv: quinn::RecvStream) -> Self {
        Self {
            recv,
            bytes: BytesMut::new(),
            reader: CapsuleReader::new(65_536),
            payload: Bytes::new(),
        }
    }

    async fn next(&mut self) -> Capsule {
        loop {
            if let Some(capsule) = self.reader.read(&mut self.payload).unwrap() {
                return capsule;
            }
            self.payload = self.data_frame().await;
        }
    }

    async fn data_frame(&mut self) -> Bytes {
        loop {
            if let Some((kind, first)) = varint::decode(&self.bytes)
                && let Some((length, second)) = varint::decode(&self.bytes[first..])
                && self.bytes.len() >= first + second + length as usize
            {
                assert_eq!(kind, 0);
                self.bytes.advance(first + second);
                return self.bytes.split_to(length as usize).freeze();
            }
            let chunk = soon("a capsule", self.recv.read_chunk(65_536, true)).await;
            self.bytes.extend_from_slice(&chunk.unwrap().unwrap().bytes);
        }
    }

    async fn none(&mut self) {
        let next = tokio::time::timeout(A_WHILE, self.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// The code with which the server resets the session.
    async fn reset(&mut self) -> u64 {
        reset_code(soon("a reset", self.recv.read_to_end(1000)).await.unwrap_err())
    }
}

/// The first session of a scene.
async fn session(scene: &Scene) -> (ExchangeId, quinn::SendStream, Capsules) {
    let (id, Connect { send, recv }) = scene.session(0).await;
    (id, send, Capsules::new(recv))
}

/// A stream of session 0 that carries `payload`.
async fn bidi(scene: &Scene, payload: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
    let mut bytes = BytesMut::new();
    write_bidi_prefix(&mut bytes, 0);
    bytes.extend_from_slice(payload);
    let (mut send, recv) = soon("a stream", scene.client.open_bi()).await.unwrap();
    soon("credit", send.write_all(&bytes)).await.unwrap();
    (send, recv)
}

async fn uni(scene: &Scene, payload: &[u8]) -> quinn::SendStream {
    let mut bytes = BytesMut::new();
    write_uni_prefix(&mut bytes, 0);
    bytes.extend_from_slice(payload);
    let mut send = soon("a stream", scene.client.open_uni()).await.unwrap();
    soon("credit", send.write_all(&bytes)).await.unwrap();
    send
}

async fn read(scene: &Scene, name: StreamName, mut bytes: usize) {
    while bytes > 0 {
        bytes -= scene.read(name).await.unwrap().unwrap().len();
    }
}

async fn open(scene: &Scene, id: ExchangeId, kind: StreamKind) -> Result<StreamName, StreamError> {
    let sessions = scene.server.server.sessions().clone();
    soon("a stream", sessions.open_stream(id, kind)).await
}

/// A stream of the server, its prefix read.
async fn accept(scene: &Scene) -> (quinn::SendStream, quinn::RecvStream) {
    let (send, mut recv) = soon("a stream", scene.client.accept_bi()).await.unwrap();
    let mut prefix = [0; 3];
    soon("a prefix", recv.read_exact(&mut prefix)).await.unwrap();
    assert_eq!(&prefix, b"\x40\x41\x00");
    (send, recv)
}

async fn others_are_served(scene: &Scene) {
    let (mut send, mut recv) = soon("a stream", scene.client.open_bi()).await.unwrap();
    send.write_all(&head("GET", "/", None)).await.unwrap();
    send.finish().unwrap();
    assert_eq!(status(&mut recv).await, 200);
}

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
