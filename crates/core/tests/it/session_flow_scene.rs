//! A client that speaks the flow control of WebTransport sessions byte by byte (draft-ietf-webtrans-http3-16 §5).

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use trilane_core::{ExchangeId, Limits, StreamError, StreamKind, StreamName};
use trilane_http3::webtransport::{write_bidi_prefix, write_uni_prefix};
use trilane_http3::{Capsule, CapsuleReader, Settings, WebTransportSettings, varint, write_control_preface};

use crate::session_scene::{Connect, Scene, head, reset_code, status};
use crate::support::soon;

pub(crate) const WT_FLOW_CONTROL_ERROR: u64 = 0x045d_4487;
pub(crate) const H3_REQUEST_REJECTED: u64 = 0x10b;

/// Long enough for what must not happen.
pub(crate) const A_WHILE: Duration = Duration::from_millis(60);

/// Small windows: 1,000 bytes, 4 bidirectional and 2 unidirectional streams.
pub(crate) fn small() -> Limits {
    Limits {
        session_receive_window: 1000,
        max_session_streams: 4,
        max_session_uni_streams: 2,
        ..Limits::default()
    }
}

/// The control stream of a client that grants so much at first.
pub(crate) fn granting([data, bidi, uni]: [u64; 3]) -> BytesMut {
    preface(WebTransportSettings {
        enabled: 1,
        initial_max_data: data,
        initial_max_streams_bidi: bidi,
        initial_max_streams_uni: uni,
        ..WebTransportSettings::default()
    })
}

pub(crate) fn preface(webtransport: WebTransportSettings) -> BytesMut {
    let mut out = BytesMut::new();
    let settings = Settings {
        h3_datagram: true,
        webtransport,
        ..Settings::default()
    };
    write_control_preface(&mut out, &settings);
    out
}

pub(crate) async fn scene(grants: [u64; 3]) -> Scene {
    Scene::with_client(small(), &granting(grants)).await
}

/// The capsules on the server's side of a CONNECT stream.
pub(crate) struct Capsules {
    pub(crate) recv: quinn::RecvStream,
    bytes: BytesMut,
    reader: CapsuleReader,
    payload: Bytes,
}

impl Capsules {
    pub(crate) fn new(recv: quinn::RecvStream) -> Self {
        Self {
            recv,
            bytes: BytesMut::new(),
            reader: CapsuleReader::new(65_536),
            payload: Bytes::new(),
        }
    }

    pub(crate) async fn next(&mut self) -> Capsule {
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

    pub(crate) async fn none(&mut self) {
        let next = tokio::time::timeout(A_WHILE, self.next()).await;
        assert!(next.is_err(), "{next:?}");
    }

    /// The code with which the server resets the session.
    pub(crate) async fn reset(&mut self) -> u64 {
        reset_code(soon("a reset", self.recv.read_to_end(1000)).await.unwrap_err())
    }
}

/// The first session of a scene.
pub(crate) async fn session(scene: &Scene) -> (ExchangeId, quinn::SendStream, Capsules) {
    let (id, Connect { send, recv }) = scene.session(0).await;
    (id, send, Capsules::new(recv))
}

/// A stream of session 0 that carries `payload`.
pub(crate) async fn bidi(scene: &Scene, payload: &[u8]) -> (quinn::SendStream, quinn::RecvStream) {
    let mut bytes = BytesMut::new();
    write_bidi_prefix(&mut bytes, 0);
    bytes.extend_from_slice(payload);
    let (mut send, recv) = soon("a stream", scene.client.open_bi()).await.unwrap();
    soon("credit", send.write_all(&bytes)).await.unwrap();
    (send, recv)
}

pub(crate) async fn uni(scene: &Scene, payload: &[u8]) -> quinn::SendStream {
    let mut bytes = BytesMut::new();
    write_uni_prefix(&mut bytes, 0);
    bytes.extend_from_slice(payload);
    let mut send = soon("a stream", scene.client.open_uni()).await.unwrap();
    soon("credit", send.write_all(&bytes)).await.unwrap();
    send
}

pub(crate) async fn read(scene: &Scene, name: StreamName, mut bytes: usize) {
    while bytes > 0 {
        bytes -= scene.read(name).await.unwrap().unwrap().len();
    }
}

pub(crate) async fn open(scene: &Scene, id: ExchangeId, kind: StreamKind) -> Result<StreamName, StreamError> {
    let sessions = scene.server.server.sessions().clone();
    soon("a stream", sessions.open_stream(id, kind)).await
}

/// A stream of the server, its prefix read.
pub(crate) async fn accept(scene: &Scene) -> (quinn::SendStream, quinn::RecvStream) {
    let (send, mut recv) = soon("a stream", scene.client.accept_bi()).await.unwrap();
    let mut prefix = [0; 3];
    soon("a prefix", recv.read_exact(&mut prefix)).await.unwrap();
    assert_eq!(&prefix, b"\x40\x41\x00");
    (send, recv)
}

pub(crate) async fn others_are_served(scene: &Scene) {
    let (mut send, mut recv) = soon("a stream", scene.client.open_bi()).await.unwrap();
    send.write_all(&head("GET", "/", None)).await.unwrap();
    send.finish().unwrap();
    assert_eq!(status(&mut recv).await, 200);
}
