//! A client: requests go in, responses come out at its handler.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Handle;
use trilane_http3::{Code, Role};

use crate::connection_state::{ConnectionState, Handshake, Identity};
use crate::connections::{ConnectionName, Connections};
use crate::datagram_queue::DatagramPolicy;
use crate::datagrams::DatagramOptions;
use crate::endpoint::close_cause;
use crate::exchange::ExchangeId;
use crate::exchange_table::ExchangeTable;
use crate::handler::{ConnectionEvent, Handler};
use crate::limits::Limits;
use crate::outbound::Outbound;
use crate::raw_connection;
use crate::server::ConnectionInfo;
use crate::session_table::SessionTable;
use crate::stats::{Counters, Stats};
use crate::tables::Tables;
use crate::tls::TlsError;
use crate::wire::wire_code;

use super::addresses::Target;
use super::attempt::Dialed;
use super::connection::{self, Confirmation};
use super::dial::{DialOptions, Dialer};
use super::error::DialError;
use super::memory::Memory;
use super::order::{NEWEST_SESSION, Order, OrderError, OutgoingBody, RequestOrder, Tunnel};
use super::pool::Pool;
use super::pooled_connection::PooledConnection;
use super::request_error::RequestError;
use super::state::ClientState;

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How it reaches servers.
    pub dial: DialOptions,
    /// Bounds: header bytes and fields of responses, datagram queues, frames without content. The rest of them is the
    /// server's part.
    pub limits: Limits,
    /// Connections at once to one origin. Default 1: a connection carries as many requests as its server lets it.
    pub max_connections_per_origin: usize,
    /// Time for the head of a response, from when the request goes out. `None`: as long as it takes. Default 300 s.
    pub response_timeout: Option<Duration>,
    /// Whether the handler hears of connections. Default no.
    pub tell_connections: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            dial: DialOptions::default(),
            limits: Limits::default(),
            max_connections_per_origin: 1,
            response_timeout: Some(Duration::from_secs(300)),
            tell_connections: false,
        }
    }
}

/// An HTTP/3 client: connections by origin, made as they are needed. Dropped, it closes them at once.
pub struct Client {
    state: Arc<ClientState>,
    tables: Tables,
    runtime: Handle,
}

/// A request that was checked and has no name yet.
pub struct PreparedRequest {
    order: Box<Order>,
    /// Of a body that is streamed.
    queue: Option<Arc<Outbound>>,
}

/// Of an order that was not submitted.
const UNNAMED: ExchangeId = ExchangeId {
    slot: u32::MAX,
    generation: u32::MAX,
};

impl Client {
    /// Makes a client whose tasks run on `runtime`. Nothing is connected yet.
    ///
    /// # Errors
    /// When the key log cannot be opened.
    pub fn new(config: ClientConfig, handler: Arc<dyn Handler>, runtime: Handle) -> Result<Self, TlsError> {
        let counters = Arc::new(Counters::new());
        let table = Arc::new(ExchangeTable::new(counters.clone(), handler, None));
        let sessions = SessionTable::new(table.clone());
        let connections = Connections::new(counters.clone(), &config.limits);
        let tables = Tables::new(table.clone(), sessions.clone(), connections.clone());
        let without_requests = config.dial.limits.without_requests();
        let state = ClientState {
            without_requests,
            dialer: Dialer::new(config.dial)?,
            connections,
            limits: config.limits,
            sessions,
            table,
            datagrams: DatagramOptions::of_client(),
            counters,
            pool: Pool::new(config.max_connections_per_origin),
            response_timeout: config.response_timeout,
            tell_connections: config.tell_connections,
        };
        Ok(Self {
            state: Arc::new(state),
            tables,
            runtime,
        })
    }

    /// Sends a request, over a connection that there is or that is made for it. Returns its name at once; the handler hears
    /// [`Handler::response`] or [`Handler::request_failed`], unless it is given up before
    /// ([`ExchangeTable::reset`](crate::ExchangeTable::reset)).
    ///
    /// # Errors
    /// When it cannot be sent as it is.
    pub fn request(&self, request: RequestOrder<'_>) -> Result<ExchangeId, OrderError> {
        let PreparedRequest { mut order, queue } = self.prepare(request)?;
        order.id = self.state.table.reserve(queue);
        let id = order.id;
        self.submit(std::iter::once(order));
        Ok(id)
    }

    /// Sends several requests, as [`request`](Self::request) sends one: their connection is woken once. Returns their names.
    pub fn send(&self, requests: Vec<PreparedRequest>) -> Vec<ExchangeId> {
        let queues = requests.iter().map(|request| request.queue.clone());
        let ids = self.state.table.reserve_all(queues);
        let orders = requests.into_iter().zip(&ids).map(|(request, id)| {
            let mut order = request.order;
            order.id = *id;
            order
        });
        self.submit(orders);
        ids
    }

    fn submit(&self, orders: impl Iterator<Item = Box<Order>>) {
        let _inside = self.runtime.enter();
        self.state.submit_all(orders);
    }

    /// Checks a request and encodes its head; nothing is sent yet.
    ///
    /// # Errors
    /// When it cannot be sent as it is.
    pub fn prepare(&self, request: RequestOrder<'_>) -> Result<PreparedRequest, OrderError> {
        let head = request.head()?;
        let queue = match &request.body {
            OutgoingBody::Streaming => Some(Arc::new(Outbound::new(bytes::Bytes::new(), head.declared))),
            OutgoingBody::Empty | OutgoingBody::Whole(_) => None,
        };
        if let OutgoingBody::Whole(body) = &request.body {
            self.state
                .counters
                .body_bytes_sent
                .fetch_add(body.len() as u64, Relaxed);
        }
        let newest = match request.tunnel {
            Tunnel::Session => {
                let protocol = Some(NEWEST_SESSION);
                Some(
                    RequestOrder {
                        protocol,
                        ..request.clone()
                    }
                    .head()?
                    .frame,
                )
            }
            Tunnel::Bytes | Tunnel::Capsules => None,
        };
        let order = Box::new(Order {
            id: UNNAMED,
            head: head.frame,
            newest_head: newest,
            section_size: head.section_size,
            to: request.response_to(),
            tunnel: request.tunnel,
            has_protocol: request.protocol.is_some(),
            takes_datagrams: request.takes_datagrams,
            may_be_early: request.may_be_early,
            dedicated: request.dedicated,
            is_idempotent: request.is_idempotent(),
            attempts: 0,
            target: request.target,
            body: request.body,
        });
        Ok(PreparedRequest { order, queue })
    }

    /// Makes a connection of raw QUIC datagrams, of which one of the ALPN tokens of [`DialOptions`] other than h3 was agreed on.
    /// Ends when it is open; its end is told to the handler. The future owns what it needs; dropped, nothing is left.
    pub fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<ConnectionInfo, Arc<DialError>>> + Send + use<> {
        let (client, runtime) = (self.state.clone(), self.runtime.clone());
        async move {
            let dialed = client.dialer.dial(&target).await.map_err(Arc::new)?;
            let (state, registration) = client.register(&dialed);
            let info = ConnectionInfo::of(&state);
            runtime.spawn(async move {
                let (table, quic) = (client.table.clone(), state.quic.clone());
                raw_connection::run(state, table, true, || false).await;
                let cause = close_cause(quic.close_reason());
                client.ended(&quic);
                client
                    .table
                    .handler()
                    .connection_event(registration.name(), ConnectionEvent::Closed(cause));
                drop(registration);
            });
            Ok(info)
        }
    }

    /// Closes a connection with an application error code (RFC 9000 §10.2).
    pub fn close_connection(&self, name: ConnectionName, code: u64, reason: &[u8]) {
        if let Some(state) = self.state.connections.get(name) {
            state.close(crate::wire::code(code), reason);
        }
    }

    /// The counters now: of requests sent, where a server's are of requests received.
    pub fn stats(&self) -> Stats {
        let mut stats = self.state.counters.snapshot();
        for state in self.state.connections.all() {
            let quic = state.quic.stats();
            stats.udp_bytes_received += quic.udp_rx.bytes;
            stats.udp_bytes_sent += quic.udp_tx.bytes;
        }
        stats
    }

    /// Takes no more requests. Those that have a connection go on, and it is closed with its last one; those that wait for one
    /// fail: who wants to wait for them closes when all have their response. The future ends when all connections are closed;
    /// dropping it changes nothing.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        let client = self.state.clone();
        let (connections, waiting) = client.pool.close();
        for order in waiting {
            client.fail(order.id, RequestError::Closed);
        }
        for connection in connections {
            connection.seal();
            connection.state.idle();
        }
        async move { client.connections.none_registered().await }
    }

    /// Closes every connection now; requests under way fail. The future ends when all are closed and have said so
    /// (CONNECTION_CLOSE, RFC 9000 §10.2).
    pub fn destroy(&self) -> impl Future<Output = ()> + Send + use<> {
        let closed = self.close();
        for state in self.state.connections.all() {
            state.close(wire_code(Code::H3_NO_ERROR), b"");
        }
        async move {
            closed.await;
            // quinn's drivers were woken in the same turn, and send in theirs.
            tokio::task::yield_now().await;
        }
    }
}

impl Deref for Client {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.tables
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.destroy());
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PreparedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedRequest").finish_non_exhaustive()
    }
}

impl ClientState {
    /// Makes a connection for requests.
    pub(super) async fn connect(
        self: &Arc<Self>,
        target: &Target,
    ) -> Result<(Arc<PooledConnection>, Opening), Arc<DialError>> {
        let mut dialed = self.dialer.dial(target).await.map_err(|error| {
            self.counters.handshakes_failed.fetch_add(1, Relaxed);
            Arc::new(error)
        })?;
        self.counters.connections_total.fetch_add(1, Relaxed);
        let early = dialed.early.take();
        let (state, registration) = self.register(&dialed);
        let opening = Opening {
            early: early.map(|early| early.accepted().boxed()),
            memory: dialed.memory.clone(),
            registration,
        };
        Ok((PooledConnection::new(state), opening))
    }

    fn register(&self, dialed: &Dialed) -> (Arc<ConnectionState>, crate::connections::Registration) {
        let mut id = [0; 16];
        // Without randomness there is no TLS either: this never fails here.
        let _ = SystemRandom::new().fill(&mut id);
        let identity = Identity {
            id,
            original_destination: quinn::ConnectionId::new(&[]),
        };
        let policy = DatagramPolicy {
            max_bytes: self.limits.datagram_send_queue,
            max_age: self.limits.datagram_max_age,
        };
        let (quic, counters) = (dialed.quic.clone(), self.counters.clone());
        let handshake = Handshake {
            duration: dialed.handshake,
            is_resumed: dialed.is_resumed,
        };
        self.connections.register(|name| {
            ConnectionState::new(Role::Client, quic, identity, name, policy, counters, u32::MAX)
                .with_handshake(handshake)
        })
    }

    /// A connection is over: its bytes still count.
    fn ended(&self, quic: &quinn::Connection) {
        let stats = quic.stats();
        let counters = &self.counters;
        counters.udp_bytes_received.fetch_add(stats.udp_rx.bytes, Relaxed);
        counters.udp_bytes_sent.fetch_add(stats.udp_tx.bytes, Relaxed);
    }

    /// Runs a connection to its end.
    pub(super) async fn run(self: &Arc<Self>, connection: Arc<PooledConnection>, opening: Opening) {
        let Opening {
            early,
            memory,
            registration,
        } = opening;
        let (state, quic) = (connection.state.clone(), connection.state.quic.clone());
        let tell = |event| {
            if self.tell_connections {
                self.table.handler().connection_event(registration.name(), event);
            }
        };
        tell(ConnectionEvent::Opened(Box::new(ConnectionInfo::of(&state))));
        connection::run(self.clone(), connection, early, memory).await;
        self.ended(&quic);
        tell(ConnectionEvent::Closed(close_cause(quic.close_reason())));
        drop(registration);
    }
}

/// A connection that was made and does not run yet.
pub(super) struct Opening {
    early: Option<Confirmation>,
    memory: Memory,
    registration: crate::connections::Registration,
}
