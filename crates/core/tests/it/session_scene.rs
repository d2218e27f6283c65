//! A server with WebTransport sessions and a client that sends any bytes.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use trilane_core::{
    ExchangeId, Limits, SessionEnd, SessionEvent, StreamError, StreamEvent, StreamKind, StreamName,
};
use trilane_http3::{Capsule, write_capsule, write_data_header, write_request_head};

use crate::client::quic;
use crate::relay::Relay;
use crate::support::{Script, Setup, TestServer, answer, found, soon, start};

pub(crate) const SETTINGS: &[u8] = &[0x00, 0x04, 0x02, 0x33, 0x01];
pub(crate) const WT_SESSION_GONE: u64 = 0x170d_7b68;
pub(crate) const WT_BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;

/// Sessions that were asked for.
pub(crate) type Asked = Arc<Mutex<Vec<ExchangeId>>>;

/// A server whose sessions wait in `asked`, and a client.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) script: Arc<Script>,
    pub(crate) asked: Asked,
    pub(crate) client: quinn::Connection,
    pub(crate) _endpoint: quinn::Endpoint,
    pub(crate) _control: quinn::SendStream,
}

/// The CONNECT stream of a session on the client's side.
pub(crate) struct Connect {
    pub(crate) send: quinn::SendStream,
    pub(crate) recv: quinn::RecvStream,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::with_client(limits, SETTINGS).await
    }

    /// With a client whose control stream begins with `preface`.
    pub(crate) async fn with_client(limits: Limits, preface: &[u8]) -> Self {
        let (server, script, asked) = Self::serve(limits);
        Self::dial(server, script, asked, preface).await
    }

    /// With a relay between client and server.
    pub(crate) async fn through_relay() -> (Self, Relay) {
        let (server, script, asked) = Self::serve(Limits::default());
        let relay = Relay::start(server.address, |_, _| true).await;
        let server = TestServer {
            address: relay.address,
            ..server
        };
        (Self::dial(server, script, asked, SETTINGS).await, relay)
    }

    fn serve(limits: Limits) -> (TestServer, Arc<Script>, Asked) {
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
        (start(setup, script.clone()), script, asked)
    }

    async fn dial(server: TestServer, script: Arc<Script>, asked: Asked, preface: &[u8]) -> Self {
        let (client, endpoint) = quic(&server).await;
        let mut control = client.open_uni().await.unwrap();
        control.write_all(preface).await.unwrap();
        Self {
            server,
            script,
            asked,
            client,
            _endpoint: endpoint,
            _control: control,
        }
    }

    pub(crate) async fn connect(&self, protocol: &str) -> Connect {
        let (mut send, recv) = self.client.open_bi().await.unwrap();
        send.write_all(&head("CONNECT", "/wt", Some(protocol)))
            .await
            .unwrap();
        Connect { send, recv }
    }

    /// A session that was asked for and accepted, the `nth` of this server.
    pub(crate) async fn session(&self, nth: usize) -> (ExchangeId, Connect) {
        let mut connect = self.connect("webtransport").await;
        let id = self.asked(nth).await;
        self.accept(id);
        assert_eq!(status(&mut connect.recv).await, 200);
        (id, connect)
    }

    pub(crate) async fn asked(&self, nth: usize) -> ExchangeId {
        found("a session", || self.asked.lock().unwrap().get(nth).copied()).await
    }

    pub(crate) fn accept(&self, id: ExchangeId) {
        self.server
            .server
            .sessions()
            .accept(id, std::iter::empty())
            .unwrap();
    }

    pub(crate) async fn stream(&self, nth: usize) -> (ExchangeId, StreamName, StreamKind) {
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

    pub(crate) async fn closed(&self) -> SessionEnd {
        found("the end of a session", || {
            let events = self.script.sessions.lock().unwrap();
            events.iter().find_map(|(_, event)| match event {
                SessionEvent::Closed(end) => Some(end.clone()),
                _ => None,
            })
        })
        .await
    }

    pub(crate) async fn read(&self, name: StreamName) -> Result<Option<Bytes>, StreamError> {
        let half = self.server.server.sessions().read_half(name).unwrap();
        soon("bytes", half.next()).await
    }

    pub(crate) async fn told(&self, name: StreamName, event: StreamEvent) {
        found("an event of a stream", || {
            let events = self.script.streams.lock().unwrap();
            events.contains(&(name, event)).then_some(())
        })
        .await;
    }
}

pub(crate) fn head(method: &str, path: &str, protocol: Option<&str>) -> BytesMut {
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

pub(crate) fn capsule(capsule: &Capsule) -> BytesMut {
    let mut payload = BytesMut::new();
    write_capsule(&mut payload, capsule);
    let mut out = BytesMut::new();
    write_data_header(&mut out, payload.len() as u64);
    out.extend_from_slice(&payload);
    out
}

/// The status of an answer whose first frame is HEADERS with `:status` from the static table.
pub(crate) async fn status(recv: &mut quinn::RecvStream) -> u16 {
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

pub(crate) async fn rest(recv: &mut quinn::RecvStream) -> Vec<u8> {
    soon("the end of a stream", recv.read_to_end(100_000))
        .await
        .unwrap()
}

pub(crate) fn reset_code(error: quinn::ReadToEndError) -> u64 {
    match error {
        quinn::ReadToEndError::Read(quinn::ReadError::Reset(code)) => code.into_inner(),
        other => panic!("{other}"),
    }
}
