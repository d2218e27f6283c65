//! Our own client, and what it hears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::runtime::Handle;
use trilane_core::client::{
    Client, ClientConfig, ClientTls, DialOptions, OutgoingBody, RequestError, RequestOrder, Target, Trust,
    Tunnel,
};
use trilane_core::{
    ConnectionEvent, ConnectionName, ExchangeEvent, ExchangeId, Handler, MessageBody, Response, SessionEvent,
    StreamEvent, StreamName,
};
use trilane_http3::ResponseHead;

use crate::support::{TestServer, found, soon};

/// A response as it was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    /// `None`: it comes in pieces.
    pub(crate) body: Option<Bytes>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Remembers all that happens to requests.
#[derive(Default)]
pub(crate) struct Ear {
    responses: Mutex<HashMap<ExchangeId, Heard>>,
    failures: Mutex<HashMap<ExchangeId, RequestError>>,
    pub(crate) informational: Mutex<Vec<(ExchangeId, u16)>>,
    pub(crate) events: Mutex<Vec<(ExchangeId, ExchangeEvent)>>,
    pub(crate) connections: Mutex<Vec<(ConnectionName, ConnectionEvent)>>,
    pub(crate) datagrams: Mutex<Vec<Bytes>>,
    pub(crate) sessions: Mutex<Vec<(ExchangeId, SessionEvent)>>,
    pub(crate) streams: Mutex<Vec<(StreamName, StreamEvent)>>,
}

fn texts<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.map(|(name, value)| (text(name), text(value))).collect()
}

impl Handler for Ear {
    fn informational(&self, id: ExchangeId, head: &ResponseHead) {
        self.informational.lock().unwrap().push((id, head.status()));
    }

    fn response(&self, id: ExchangeId, response: Response<'_>) {
        let heard = Heard {
            status: response.head.status(),
            fields: texts(response.head.fields()),
            body: match response.body {
                MessageBody::Whole(bytes) => Some(bytes),
                MessageBody::Streaming => None,
            },
            trailers: response
                .trailers
                .map(|trailers| texts(trailers.iter()))
                .unwrap_or_default(),
        };
        let before = self.responses.lock().unwrap().insert(id, heard);
        assert!(before.is_none(), "one request, two responses");
    }

    fn request_failed(&self, id: ExchangeId, error: RequestError) {
        let before = self.failures.lock().unwrap().insert(id, error);
        assert!(before.is_none(), "one request, two failures");
    }

    fn exchange_event(&self, id: ExchangeId, event: ExchangeEvent) {
        self.events.lock().unwrap().push((id, event));
    }

    fn connection_event(&self, name: ConnectionName, event: ConnectionEvent) {
        self.connections.lock().unwrap().push((name, event));
    }

    fn quic_datagram(&self, _: ConnectionName, payload: Bytes) {
        self.datagrams.lock().unwrap().push(payload);
    }

    fn h3_datagram(&self, _: ExchangeId, payload: Bytes) {
        self.datagrams.lock().unwrap().push(payload);
    }

    fn session_datagram(&self, _: ExchangeId, payload: Bytes) {
        self.datagrams.lock().unwrap().push(payload);
    }

    fn session_event(&self, id: ExchangeId, event: SessionEvent) {
        self.sessions.lock().unwrap().push((id, event));
    }

    fn stream_event(&self, name: StreamName, event: StreamEvent) {
        self.streams.lock().unwrap().push((name, event));
    }
}

/// A client and its handler.
pub(crate) struct Caller {
    pub(crate) client: Client,
    pub(crate) ear: Arc<Ear>,
    pub(crate) target: Target,
}

/// A client that believes `certificate`, and the server at `port` of this machine.
pub(crate) fn caller_of(certificate: &[u8], port: u16, adapt: impl FnOnce(&mut ClientConfig)) -> Caller {
    let mut config = ClientConfig {
        tell_connections: true,
        dial: DialOptions {
            tls: ClientTls {
                trust: Trust::authorities(&[certificate]).unwrap(),
                ..ClientTls::default()
            },
            ..DialOptions::default()
        },
        ..ClientConfig::default()
    };
    adapt(&mut config);
    let ear = Arc::new(Ear::default());
    let client = Client::new(config, ear.clone(), Handle::current()).unwrap();
    Caller {
        client,
        ear,
        target: Target::new("localhost", port)
            .unwrap()
            .at(vec!["127.0.0.1".parse().unwrap()])
            .unwrap(),
    }
}

pub(crate) fn caller(server: &TestServer) -> Caller {
    caller_of(&server.certificate, server.address.port(), |_| {})
}

impl Caller {
    /// A request that a test may still change.
    pub(crate) fn order<'a>(&self, method: &'a str, path: &'a str) -> RequestOrder<'a> {
        RequestOrder {
            target: self.target.clone(),
            method: method.as_bytes(),
            authority: None,
            path: path.as_bytes(),
            protocol: None,
            tunnel: Tunnel::Bytes,
            fields: &[],
            body: OutgoingBody::Empty,
            takes_datagrams: false,
            may_be_early: false,
            dedicated: false,
        }
    }

    /// Sends a request without content.
    pub(crate) fn begin(&self, method: &str, path: &str) -> ExchangeId {
        self.client.request(self.order(method, path)).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Heard {
        self.response(self.begin("GET", path)).await
    }

    /// Waits until the client has no connection.
    pub(crate) async fn without_connections(&self) {
        found("no connection", || {
            (self.client.stats().connections_active == 0).then_some(())
        })
        .await;
    }

    /// The response to a request, or why there is none.
    pub(crate) async fn outcome(&self, id: ExchangeId) -> Result<Heard, RequestError> {
        found("a response or a failure", || {
            if let Some(error) = self.ear.failures.lock().unwrap().get(&id) {
                return Some(Err(error.clone()));
            }
            self.ear.responses.lock().unwrap().get(&id).cloned().map(Ok)
        })
        .await
    }

    /// Whether nothing has become of a request yet.
    pub(crate) fn is_pending(&self, id: ExchangeId) -> bool {
        !self.ear.failures.lock().unwrap().contains_key(&id)
            && !self.ear.responses.lock().unwrap().contains_key(&id)
    }

    /// The response to a request.
    pub(crate) async fn response(&self, id: ExchangeId) -> Heard {
        found("a response", || {
            if let Some(error) = self.ear.failures.lock().unwrap().get(&id) {
                panic!("no response: {error}");
            }
            self.ear.responses.lock().unwrap().get(&id).cloned()
        })
        .await
    }

    /// Why a request got no response.
    pub(crate) async fn failure(&self, id: ExchangeId) -> RequestError {
        found("a failure", || {
            let heard = self.ear.responses.lock().unwrap().get(&id).cloned();
            assert!(heard.is_none(), "a response: {heard:?}");
            self.ear.failures.lock().unwrap().get(&id).cloned()
        })
        .await
    }

    /// The rest of a body that comes in pieces.
    pub(crate) async fn rest(&self, id: ExchangeId) -> Vec<u8> {
        let mut reader = self
            .client
            .exchanges()
            .take_body(id)
            .expect("a body that comes in pieces");
        soon("the end of a body", async {
            let mut all = Vec::new();
            while let Some(piece) = reader.next().await.unwrap() {
                all.extend_from_slice(&piece);
            }
            all
        })
        .await
    }

    /// Status and whole body of a response, however it came.
    pub(crate) async fn body(&self, id: ExchangeId) -> (u16, Vec<u8>) {
        let heard = self.response(id).await;
        match heard.body {
            Some(body) => (heard.status, body.to_vec()),
            None => (heard.status, self.rest(id).await),
        }
    }
}
