//! A server on a free port of the loopback, with the handler and the limits of a test.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use trilane_core::certificate::DevCertificate;
use trilane_core::router::{Methods, Pattern, Route, Router};
use trilane_core::tls::{CertificateStore, Identity, TlsOptions, server_config};
use trilane_core::{
    AddressValidation, BodyMode, ConnectionEvent, ConnectionName, DatagramOptions, Exchange, ExchangeEvent,
    ExchangeId, FileError, Handler, Limits, MessageBody, Modes, Observe, Request, RequestEnd, Server,
    ServerConfig, SessionEvent, SessionRoutes, StatelessResetKey, StreamEvent, StreamName,
};

/// What a test waits for at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for `future`, which must not take longer than [`PATIENCE`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

type OnRequest = dyn Fn(&Request<'_>, Exchange) + Send + Sync;

/// Waits until `look` finds something.
pub(crate) async fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// A handler made of a closure; remembers the events of its exchanges.
pub(crate) struct Script {
    on_request: Box<OnRequest>,
    pub(crate) events: Mutex<Vec<(ExchangeId, ExchangeEvent)>>,
    pub(crate) raw_datagrams: Mutex<Vec<(ConnectionName, Bytes)>>,
    pub(crate) http_datagrams: Mutex<Vec<(ExchangeId, Bytes)>>,
    pub(crate) connections: Mutex<Vec<(ConnectionName, ConnectionEvent)>>,
    pub(crate) sessions: Mutex<Vec<(ExchangeId, SessionEvent)>>,
    pub(crate) streams: Mutex<Vec<(StreamName, StreamEvent)>>,
    /// What became of files, "refused" or "broken" and why.
    pub(crate) file_errors: Mutex<Vec<(&'static str, FileError)>>,
    /// Requests that are over.
    pub(crate) ended: Mutex<Vec<RequestEnd>>,
    /// Routings that are over.
    pub(crate) routings_over: Mutex<Vec<u32>>,
}

impl Script {
    pub(crate) fn new(on_request: impl Fn(&Request<'_>, Exchange) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            on_request: Box::new(on_request),
            events: Mutex::default(),
            raw_datagrams: Mutex::default(),
            http_datagrams: Mutex::default(),
            connections: Mutex::default(),
            sessions: Mutex::default(),
            streams: Mutex::default(),
            file_errors: Mutex::default(),
            ended: Mutex::default(),
            routings_over: Mutex::default(),
        })
    }

    /// Waits until an exchange was aborted, and returns the client's code.
    pub(crate) async fn aborted(&self) -> Option<u64> {
        soon("an abort", async {
            loop {
                let events = self.events.lock().unwrap().clone();
                for (_, event) in events {
                    if let ExchangeEvent::Aborted { code } = event {
                        return code;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

impl Handler for Script {
    fn request_ended(&self, end: RequestEnd) {
        self.ended.lock().unwrap().push(end);
    }

    fn routing_over(&self, routing: u32) {
        self.routings_over.lock().unwrap().push(routing);
    }

    fn request(&self, request: Request<'_>, exchange: Exchange) {
        (self.on_request)(&request, exchange);
    }

    fn exchange_event(&self, id: ExchangeId, event: ExchangeEvent) {
        self.events.lock().unwrap().push((id, event));
    }

    fn quic_datagram(&self, connection: ConnectionName, payload: Bytes) {
        self.raw_datagrams.lock().unwrap().push((connection, payload));
    }

    fn h3_datagram(&self, id: ExchangeId, payload: Bytes) {
        self.http_datagrams.lock().unwrap().push((id, payload));
    }

    fn session_datagram(&self, id: ExchangeId, payload: Bytes) {
        self.http_datagrams.lock().unwrap().push((id, payload));
    }

    fn session_event(&self, id: ExchangeId, event: SessionEvent) {
        self.sessions.lock().unwrap().push((id, event));
    }

    fn stream_event(&self, stream: StreamName, event: StreamEvent) {
        self.streams.lock().unwrap().push((stream, event));
    }

    fn connection_event(&self, connection: ConnectionName, event: ConnectionEvent) {
        self.connections.lock().unwrap().push((connection, event));
    }

    fn file_refused(&self, _: ExchangeId, error: FileError) {
        self.file_errors.lock().unwrap().push(("refused", error));
    }

    fn file_broken(&self, _: ExchangeId, error: FileError) {
        self.file_errors.lock().unwrap().push(("broken", error));
    }
}

/// Routes of every server, with the `:protocol` of an extended CONNECT.
const FIXED_ROUTES: [(&str, &str, Option<&str>); 3] = [
    ("POST", "/only/:name", None),
    ("POST", "/datagrams", None),
    ("CONNECT", "/wt", Some("webtransport")),
];

/// A server with [`FIXED_ROUTES`] and those of its setup, and a fallback.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Vec<u8>,
}

impl TestServer {
    /// Answers an open exchange 200 with `body` and nothing else.
    pub(crate) fn answer(&self, id: ExchangeId, body: impl Into<Bytes>) {
        let exchanges = self.server.exchanges();
        exchanges
            .respond(id, 200, std::iter::empty(), body.into())
            .unwrap();
    }
}

pub(crate) struct Setup {
    pub(crate) limits: Limits,
    /// Method and pattern of routes besides those that every server has.
    pub(crate) more_routes: Vec<(&'static str, &'static str)>,
    pub(crate) has_fallback: bool,
    /// How the fallback takes bodies.
    pub(crate) mode: BodyMode,
    pub(crate) datagrams: DatagramOptions,
    pub(crate) observe: Observe,
    /// Whether CONNECT to `/wt` begins WebTransport sessions.
    pub(crate) sessions: bool,
    /// Offered besides h3.
    pub(crate) alpn: Option<&'static [u8]>,
    pub(crate) address: SocketAddr,
    pub(crate) address_validation: AddressValidation,
    pub(crate) stateless_reset_key: Option<StatelessResetKey>,
    /// Copies of the certificate in the chain: more make a longer first flight.
    pub(crate) chain: usize,
    pub(crate) tls: TlsOptions,
    pub(crate) qlog_dir: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            more_routes: Vec::new(),
            has_fallback: true,
            mode: BodyMode::Buffered,
            datagrams: DatagramOptions::default(),
            observe: Observe::default(),
            sessions: false,
            alpn: None,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            address_validation: AddressValidation::Auto,
            stateless_reset_key: None,
            chain: 1,
            tls: TlsOptions::default(),
            qlog_dir: None,
        }
    }
}

pub(crate) fn start(setup: Setup, handler: Arc<dyn Handler>) -> TestServer {
    let made = DevCertificate::generate(&[]).unwrap();
    let chain = vec![made.cert_der.clone().into(); setup.chain];
    let key = made.key_der.clone().try_into().unwrap();
    let identity = Identity::from_der(chain, key).unwrap();
    let store = Arc::new(CertificateStore::new(identity, []).unwrap());
    let alpn = [b"h3".to_vec()]
        .into_iter()
        .chain(setup.alpn.map(<[u8]>::to_vec))
        .collect();
    let config = ServerConfig {
        address: setup.address,
        tls: server_config(store, alpn, setup.tls).unwrap(),
        limits: setup.limits,
        router: Router::new(
            FIXED_ROUTES
                .into_iter()
                .chain(
                    setup
                        .more_routes
                        .iter()
                        .map(|(method, pattern)| (*method, *pattern, None)),
                )
                .map(route)
                .collect(),
        )
        .unwrap(),
        sessions: SessionRoutes(vec![false, false, setup.sessions]),
        modes: Modes {
            routes: vec![BodyMode::Buffered, BodyMode::Streaming],
            fallback: setup.mode,
        },
        has_fallback: setup.has_fallback,
        datagrams: setup.datagrams,
        tell_connections: true,
        observe: setup.observe,
        address_validation: setup.address_validation,
        stateless_reset_key: setup.stateless_reset_key,
        qlog_dir: setup.qlog_dir,
    };
    let server = Server::new(config, handler, Handle::current());
    let address = server.start().unwrap();
    TestServer {
        server,
        address,
        certificate: made.cert_der,
    }
}

fn route((method, pattern, protocol): (&str, &str, Option<&str>)) -> Route {
    Route {
        methods: Methods::parse(&[method]).unwrap(),
        pattern: Pattern::parse(pattern).unwrap(),
        protocol: protocol.map(str::to_owned),
    }
}

/// A server whose exchanges stay open, and their ids.
pub(crate) fn start_waiting(mode: BodyMode) -> (TestServer, Arc<Mutex<Vec<ExchangeId>>>) {
    let ids: Arc<Mutex<Vec<ExchangeId>>> = Arc::default();
    let kept = ids.clone();
    let setup = Setup {
        mode,
        ..Setup::default()
    };
    let server = start(
        setup,
        Script::new(move |_, exchange| kept.lock().unwrap().push(exchange.into_id())),
    );
    (server, ids)
}

/// The exchange of a request that has come, or comes soon.
pub(crate) async fn next_id(ids: &Mutex<Vec<ExchangeId>>) -> ExchangeId {
    soon("a request", async {
        loop {
            if let Some(id) = ids.lock().unwrap().pop() {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// Answers 200 with `body` and nothing else.
pub(crate) fn answer(exchange: Exchange, body: impl Into<Bytes>) {
    exchange.respond(200, std::iter::empty(), body.into()).unwrap();
}

/// The body of a buffered request.
pub(crate) fn whole(request: &Request<'_>) -> Bytes {
    match &request.body {
        MessageBody::Whole(bytes) => bytes.clone(),
        MessageBody::Streaming => panic!("the body of a buffered route is not whole"),
    }
}

/// An exchange that a test answers itself.
pub(crate) type Kept = Arc<Mutex<Option<ExchangeId>>>;

/// A handler that leaves its last request open, and the id of that.
pub(crate) fn keeping() -> (Kept, Arc<Script>) {
    let kept = Kept::default();
    let keep = kept.clone();
    let handler = Script::new(move |_, exchange| *keep.lock().unwrap() = Some(exchange.into_id()));
    (kept, handler)
}

/// The id that a handler kept, once there is one.
pub(crate) async fn kept_id(kept: &Kept) -> ExchangeId {
    soon("a request", async {
        loop {
            if let Some(id) = *kept.lock().unwrap() {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}
