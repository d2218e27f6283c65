//! WebTransport sessions, from a client that sends any bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use trilane_core::{
    ExchangeId, Limits, Notify, SessionEnd, SessionEvent, Stop, StreamError, StreamEvent, StreamKind,
    StreamName,
};
use trilane_http3::webtransport::{to_http3_code, write_bidi_prefix, write_uni_prefix};
use trilane_http3::{Capsule, write_capsule, write_data_header, write_request_head};

use crate::client::quic;
use crate::support::{Script, Setup, TestServer, answer, found, soon, start};

const SETTINGS: &[u8] = &[0x00, 0x04, 0x02, 0x33, 0x01];
const WT_SESSION_GONE: u64 = 0x170d_7b68;
const WT_BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;

/// A server whose sessions wait in `asked`, and a client.
struct Scene {
    server: TestServer,
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<ExchangeId>>>,
    client: quinn::Connection,
    _endpoint: quinn::Endpoint,
    _control: quinn::SendStream,
}

/// The CONNECT stream of a session on the client's side.
struct Connect {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let asking = asked.clone();
        let script = Script::new(move |request, exchange| {
            if request.head.protocol().is_some() {
                asking.lock().unwrap().push(exchange.into_id());
            } else {
                answer(exchange, "http");
            }
        });
        let setup = Setup {
            sessions: true,
            limits,
            ..Setup::default()
        };
        let server = start(setup, script.clone());
        let (client, endpoint) = quic(&server).await;
        let mut control = client.open_uni().await.unwrap();
        control.write_all(SETTINGS).await.unwrap();
        Self {
            server,
            script,
            asked,
            client,
            _endpoint: endpoint,
            _control: control,
        }
    }

    async fn connect(&self, protocol: &str) -> Connect {
        let (mut send, recv) = self.client.open_bi().await.unwrap();
        send.write_all(&head("CONNECT", "/wt", Some(protocol)))
            .await
            .unwrap();
        Connect { send, recv }
    }

    /// A session that was asked for and accepted, the `nth` of this server.
    async fn session(&self, nth: usize) -> (ExchangeId, Connect) {
        let mut connect = self.connect("webtransport").await;
        let id = self.asked(nth).await;
        self.accept(id);
        assert_eq!(status(&mut connect.recv).await, 200);
        (id, connect)
    }

    async fn asked(&self, nth: usize) -> ExchangeId {
        found("a session", || self.asked.lock().unwrap().get(nth).copied()).await
    }

    fn accept(&self, id: ExchangeId) {
        self.server
            .server
            .sessions()
            .accept(id, std::iter::empty())
            .unwrap();
    }

    async fn stream(&self, nth: usize) -> (ExchangeId, StreamName, StreamKind) {
        found("a stream", || {
            let events = self.script.sessions.lock().unwrap();
            let mut streams = events.iter().filter_map(|(id, event)| match event {
                SessionEvent::Stream(name, kind) => Some((*id, *name, *kind)),
                _ => None,
            });
            streams.nth(nth)
        })
        .await
    }

    async fn closed(&self) -> SessionEnd {
        found("the end of a session", || {
            let events = self.script.sessions.lock().unwrap();
            events.iter().find_map(|(_, event)| match event {
                SessionEvent::Closed(end) => Some(end.clone()),
                _ => None,
            })
        })
        .await
    }

    async fn read(&self, name: StreamName) -> Result<Option<Bytes>, StreamError> {
        let half = self.server.server.sessions().read_half(name).unwrap();
        soon("bytes", half.next()).await
    }

    async fn told(&self, name: StreamName, event: StreamEvent) {
        found("an event of a stream", || {
            let events = self.script.streams.lock().unwrap();
            events.contains(&(name, event)).then_some(())
        })
        .await;
    }
}

fn head(method: &str, path: &str, protocol: Option<&str>) -> BytesMut {
    let mut out = BytesMut::new();
    let protocol = protocol.map(str::as_bytes);
    write_request_head(
        &mut out,
        method.as_bytes(),
        b"https",
        b"localhost",
        path.as_bytes(),
        protocol,
        std::iter::empty(),
    );
    out
}

fn capsule(capsule: &Capsule) -> BytesMut {
    let mut payload = BytesMut::new();
    write_capsule(&mut payload, capsule);
    let mut out = BytesMut::new();
    write_data_header(&mut out, payload.len() as u64);
    out.extend_from_slice(&payload);
    out
}

/// The status of an answer whose first frame is HEADERS with `:status` from the static table.
async fn status(recv: &mut quinn::RecvStream) -> u16 {
    let mut header = [0; 3];
    soon("an answer", recv.read_exact(&mut header)).await.unwrap();
    // The writer's frame lengths take two bytes.
    assert_eq!((header[0], header[1] & 0xc0), (1, 0x40));
    let length = usize::from(header[1] & 0x3f) << 8 | usize::from(header[2]);
    let mut block = vec![0; length];
    soon("an answer", recv.read_exact(&mut block)).await.unwrap();
    match block[2] {
        0xd9 => 200,
        0xdb => 404,
        other => panic!("status byte {other:#x}"),
    }
}

async fn rest(recv: &mut quinn::RecvStream) -> Vec<u8> {
    soon("the end of a stream", recv.read_to_end(100_000))
        .await
        .unwrap()
}

fn reset_code(error: quinn::ReadToEndError) -> u64 {
    match error {
        quinn::ReadToEndError::Read(quinn::ReadError::Reset(code)) => code.into_inner(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn both_upgrade_tokens_begin_a_session() {
    let scene = Scene::new().await;
    for (nth, token) in ["webtransport", "webtransport-h3"].into_iter().enumerate() {
        let mut connect = scene.connect(token).await;
        let id = scene.asked(nth).await;
        scene.accept(id);
        assert_eq!(status(&mut connect.recv).await, 200);
    }
}

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

/// RFC 9297 §3.3 and draft-ietf-webtrans-http3-16 §6.
#[tokio::test]
async fn malformed_capsules_end_the_session_with_h3_message_error() {
    let cases: [&[u8]; 3] = [
        // A close reason that is no UTF-8; a length that does not fit; bytes behind the close.
        &[0, 8, 0x68, 0x43, 5, 0, 0, 0, 0, 0xff],
        &[0, 4, 0x68, 0x43, 1, 0],
        &[0, 6, 0x80, 0, 0x78, 0xae, 1, 0],
    ];
    for bytes in cases {
        let scene = Scene::new().await;
        let (_, mut connect) = scene.session(0).await;
        connect.send.write_all(bytes).await.unwrap();
        let error = soon("a reset", connect.recv.read_to_end(10)).await.unwrap_err();
        assert_eq!(reset_code(error), 0x10e, "{bytes:?}");
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

/// A reader that waits holds the client back.
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
