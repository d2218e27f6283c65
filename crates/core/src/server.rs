//! A server: made once, started and stopped as often as needed.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::Endpoint;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use trilane_http3::Code;

use crate::address_validation::AddressValidation;
use crate::connection_state::{ConnectionState, Handshake};
use crate::connections::{ConnectionName, Connections};
use crate::datagram_counters::{DatagramLayer, DatagramStats};
use crate::datagrams::DatagramOptions;
use crate::durations::{DurationSeries, Durations};
use crate::endpoint::{self, Bound};
use crate::endpoint_keys::StatelessResetKey;
use crate::exchange_table::ExchangeTable;
use crate::handler::Handler;
use crate::inbound::Gate;
use crate::limits::Limits;
use crate::modes::{Modes, SessionRoutes};
use crate::qlog::QlogFolder;
use crate::request_record::{Observe, Observer};
use crate::router::Router;
use crate::routing::{CurrentRouting, LiveRouting, ReloadError, Routing};
use crate::sampler;
use crate::session_table::SessionTable;
use crate::socket_buffers::SocketBuffers;
use crate::stats::{Counters, Stats};
use crate::sync::lock;
use crate::tables::Tables;
use crate::wire::wire_code;

/// How long a closing endpoint may take to tell its peers, before its socket is closed all the same.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a server needs to know.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0: any free port.
    pub address: SocketAddr,
    /// Certificates, ALPN (`h3`) and client authentication; see [`crate::tls::server_config`].
    pub tls: rustls::ServerConfig,
    /// Every bound.
    pub limits: Limits,
    /// Which requests go to which route.
    pub router: Router,
    /// How bodies reach the handler.
    pub modes: Modes,
    /// Whether the handler takes requests that no route matches. If not, they are answered 404, 405 or 501.
    pub has_fallback: bool,
    /// Which routes begin WebTransport sessions; their method is CONNECT and their protocol `webtransport`.
    pub sessions: SessionRoutes,
    /// Who takes datagrams.
    pub datagrams: DatagramOptions,
    /// Whether the handler hears of connections.
    pub tell_connections: bool,
    /// Who wants to know how requests end.
    pub observe: Observe,
    /// Who must prove its address before its handshake.
    pub address_validation: AddressValidation,
    /// Lets a later process with the same key reset the connections of this one. `None`: random keys with each start.
    pub stateless_reset_key: Option<StatelessResetKey>,
    /// Folder for one qlog file of each connection; a tool for debugging, written on the IO thread. `None`: none.
    pub qlog_dir: Option<PathBuf>,
}

impl ServerConfig {
    /// A server at `address` that hands `router`'s routes to its handler, with buffered bodies; everything else has its default:
    /// no fallback, no sessions, no datagrams, no observer.
    pub fn new(address: SocketAddr, tls: rustls::ServerConfig, router: Router) -> Self {
        Self {
            address,
            tls,
            limits: Limits::default(),
            router,
            modes: Modes::default(),
            has_fallback: false,
            sessions: SessionRoutes::default(),
            datagrams: DatagramOptions::default(),
            tell_connections: false,
            observe: Observe::default(),
            address_validation: AddressValidation::Auto,
            stateless_reset_key: None,
            qlog_dir: None,
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has the port.
    #[error("port {} is in use on {}: stop the other program, or choose another port (0 for any free one)", .0.port(), .0.ip())]
    AddressInUse(SocketAddr),
    /// The address is none of this machine's.
    #[error("{} is not an address of this machine: use one that is, or :: for all", .0.ip())]
    AddressNotAvailable(SocketAddr),
    /// Ports below 1024 often need a privilege.
    #[error("no permission to listen on port {}: use a port above 1023, or grant the right to bind it", .0.port())]
    PermissionDenied(SocketAddr),
    /// It runs already.
    #[error("the server is already running")]
    Running,
    /// The TLS configuration lacks TLS_AES_128_GCM_SHA256, which QUIC needs (RFC 9001 §5.2).
    #[error("the TLS configuration lacks the cipher suite that QUIC begins with, TLS_AES_128_GCM_SHA256")]
    NoInitialCipherSuite,
    /// Anything else the system said.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// Where the server was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    pub(crate) fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse(address),
            io::ErrorKind::AddrNotAvailable => Self::AddressNotAvailable(address),
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(address),
            _ => Self::Io { address, source },
        }
    }
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// GOAWAY, let what is under way finish, then close; what is not done after this time is cut.
    Graceful(Duration),
    /// Close every connection now.
    Now,
}

pub(crate) struct ServerState {
    pub(crate) limits: Limits,
    pub(crate) routing: CurrentRouting,
    pub(crate) sessions: Arc<SessionTable>,
    /// As they were when the server was made: what is offered to clients does not change in its life
    /// (RFC9114-7.2.4.2-early-data-settings). Which requests take datagrams, and are sessions, is the routing's to say.
    pub(crate) datagrams: DatagramOptions,
    /// See `datagrams`.
    pub(crate) offers_sessions: bool,
    pub(crate) tell_connections: bool,
    pub(crate) address_validation: AddressValidation,
    pub(crate) stateless_reset_key: Option<StatelessResetKey>,
    /// Whether requests are read before the handshake is complete.
    pub(crate) takes_early_data: bool,
    pub(crate) qlog: Option<QlogFolder>,
    pub(crate) table: Arc<ExchangeTable>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connections: Arc<Connections>,
    draining: AtomicBool,
}

impl ServerState {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate {
            routing: &self.routing,
            limits: &self.limits,
        }
    }
}

/// An HTTP/3 server. Dropped, it closes every connection at once.
pub struct Server {
    state: Arc<ServerState>,
    tables: Tables,
    tls: rustls::ServerConfig,
    address: SocketAddr,
    runtime: Handle,
    running: Mutex<Option<Running>>,
}

struct Running {
    local_address: SocketAddr,
    buffers: SocketBuffers,
    stop: watch::Sender<Option<Stop>>,
    stopped: watch::Receiver<bool>,
}

impl Server {
    /// Makes a server whose tasks run on `runtime`; [`start`](Self::start) lets it listen.
    pub fn new(config: ServerConfig, handler: Arc<dyn Handler>, runtime: Handle) -> Self {
        let counters = Arc::new(Counters::new());
        let table = Arc::new(ExchangeTable::new(
            counters.clone(),
            handler.clone(),
            Observer::new(config.observe, handler.clone()),
        ));
        let mut datagrams = config.datagrams;
        let offers_sessions = config.sessions.any();
        let routing = Routing {
            router: config.router,
            modes: config.modes,
            has_fallback: config.has_fallback,
            datagrams: datagrams.routes.clone(),
            sessions: config.sessions.clone(),
        };
        datagrams.add_sessions(&config.sessions);
        let connections = Connections::new(counters.clone(), &config.limits);
        let sessions = SessionTable::new(table.clone());
        let tables = Tables::new(table.clone(), sessions.clone(), connections.clone());
        let state = ServerState {
            limits: config.limits,
            routing: CurrentRouting::new(LiveRouting::new(0, routing, handler)),
            sessions,
            datagrams,
            offers_sessions,
            tell_connections: config.tell_connections,
            qlog: config.qlog_dir.map(QlogFolder::new),
            takes_early_data: config.tls.max_early_data_size > 0,
            table,
            address_validation: config.address_validation,
            stateless_reset_key: config.stateless_reset_key,
            connections,
            counters,
            draining: AtomicBool::new(false),
        };
        Self {
            state: Arc::new(state),
            tables,
            tls: config.tls,
            address: config.address,
            runtime,
            running: Mutex::default(),
        }
    }

    /// Binds the port and begins to serve. Returns the address, its port chosen if 0 was asked for.
    pub fn start(&self) -> Result<SocketAddr, BindError> {
        let mut running = lock(&self.running);
        if running.as_ref().is_some_and(|running| !*running.stopped.borrow()) {
            return Err(BindError::Running);
        }
        let _inside = self.runtime.enter();
        let Bound {
            endpoint,
            config,
            buffers,
            intake,
        } = endpoint::bind(self.address, self.tls.clone(), &self.state)?;
        let local_address = endpoint
            .local_addr()
            .map_err(|error| BindError::new(self.address, error))?;
        self.state.draining.store(false, SeqCst);
        let (stop, stop_asked) = watch::channel(None);
        let (stopped_sender, stopped) = watch::channel(false);
        self.runtime
            .spawn(endpoint::accept(endpoint.clone(), config, self.state.clone()));
        let sampler = self
            .runtime
            .spawn(sampler::run(self.state.connections.clone(), intake));
        self.runtime.spawn(stop_when_asked(
            endpoint,
            sampler.abort_handle(),
            self.state.clone(),
            stop_asked,
            stopped_sender,
        ));
        *running = Some(Running {
            local_address,
            buffers,
            stop,
            stopped,
        });
        Ok(local_address)
    }

    /// Has `routing` take the place of what the server was made with, for every request whose head arrives from now on; those
    /// that came before keep theirs to their end. Returns its number, which [`Request::routing`](crate::Request::routing)
    /// tells; [`Handler::routing_over`] says when a former one is no longer needed.
    ///
    /// # Errors
    /// When a route needs what the server has not offered its clients. Nothing is changed then.
    pub fn reload(&self, routing: Routing) -> Result<u32, ReloadError> {
        let state = &self.state;
        if routing.sessions.any() && !state.offers_sessions {
            return Err(ReloadError::SessionsNotOffered);
        }
        if routing.datagrams.contains(&true) && !state.datagrams.http() {
            return Err(ReloadError::DatagramsNotOffered);
        }
        Ok(state.routing.replace(routing, state.table.handler_arc()))
    }

    /// Where the server listens; `None` before the first start. Stays what it was after a stop.
    pub fn local_address(&self) -> Option<SocketAddr> {
        lock(&self.running).as_ref().map(|running| running.local_address)
    }

    /// What the kernel gave the socket; `None` before the first start.
    pub fn socket_buffers(&self) -> Option<SocketBuffers> {
        lock(&self.running).as_ref().map(|running| running.buffers)
    }

    /// Whether the server is started and not yet fully stopped.
    pub fn is_running(&self) -> bool {
        lock(&self.running)
            .as_ref()
            .is_some_and(|running| !*running.stopped.borrow())
    }

    /// Asks the server to stop. The returned future ends when the socket is closed; it owns all it needs, and
    /// dropping it changes nothing. Calls may overlap; `Now` cuts a graceful stop short.
    pub fn stop(&self, how: Stop) -> impl Future<Output = ()> + Send + 'static + use<> {
        let stopped = lock(&self.running).as_ref().map(|running| {
            running.stop.send_if_modified(|asked| match (*asked, how) {
                (None, _) | (Some(Stop::Graceful(_)), Stop::Now) => {
                    *asked = Some(how);
                    true
                }
                _ => false,
            });
            running.stopped.clone()
        });
        async move {
            if let Some(mut stopped) = stopped {
                // An error means that the task is gone with its runtime: stopped all the same.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            }
        }
    }

    /// How long requests took, by route, method and class of status; empty unless [`Observe::durations`] is set. Counts from when
    /// the server was made.
    pub fn durations(&self) -> Vec<DurationSeries> {
        let observer = self.state.table.observer();
        observer
            .and_then(|observer| observer.durations())
            .map(Durations::snapshot)
            .unwrap_or_default()
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        self.state.counters.snapshot()
    }
}

/// One connection at one moment.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Its name in this server.
    pub name: ConnectionName,
    /// 16 random bytes, the same for its whole life.
    pub id: [u8; 16],
    /// The connection id that the client chose for its first packet (RFC 9000 §7.2); not unique.
    pub original_destination_connection_id: Vec<u8>,
    /// Where the client is now; connections migrate (RFC 9000 §9).
    pub remote_address: SocketAddr,
    /// The protocol that both sides agreed on (ALPN).
    pub alpn: Vec<u8>,
    /// Of a connection of a client: how it came about.
    pub handshake: Option<Handshake>,
    /// Estimated round-trip time.
    pub round_trip: Duration,
    /// Congestion window, in bytes.
    pub congestion_window: u64,
    /// Largest packet that the path carries, in bytes.
    pub mtu: u16,
    /// Packets sent, and those of them that were lost.
    pub sent_packets: u64,
    /// See `sent_packets`.
    pub lost_packets: u64,
    /// Bytes of the packets that were lost.
    pub lost_bytes: u64,
    /// UDP payloads received: a packet each, but for some of the handshake.
    pub received_packets: u64,
    /// Bytes of UDP payload received and sent.
    pub bytes_received: u64,
    /// See `bytes_received`.
    pub bytes_sent: u64,
    /// The largest datagram that can be sent now; `None`: the peer takes none.
    pub max_datagram_size: Option<usize>,
    /// Its raw datagrams.
    pub quic_datagrams: DatagramStats,
    /// Its HTTP datagrams.
    pub h3_datagrams: DatagramStats,
    /// The datagrams of its WebTransport sessions.
    pub webtransport_datagrams: DatagramStats,
    /// WebTransport sessions that were asked for and are not over.
    pub webtransport_sessions: usize,
}

impl ConnectionInfo {
    pub(crate) fn of(state: &ConnectionState) -> Self {
        let stats = state.quic.stats();
        Self {
            name: state.name(),
            id: state.identity.id,
            original_destination_connection_id: state.identity.original_destination.to_vec(),
            remote_address: state.quic.remote_address(),
            alpn: endpoint::alpn(&state.quic),
            handshake: state.handshake,
            round_trip: stats.path.rtt,
            congestion_window: stats.path.cwnd,
            mtu: stats.path.current_mtu,
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            lost_bytes: stats.path.lost_bytes,
            received_packets: stats.udp_rx.datagrams,
            bytes_received: stats.udp_rx.bytes,
            bytes_sent: stats.udp_tx.bytes,
            max_datagram_size: state.quic.max_datagram_size(),
            quic_datagrams: state.datagram_stats(DatagramLayer::Quic),
            h3_datagrams: state.datagram_stats(DatagramLayer::Http),
            webtransport_datagrams: state.datagram_stats(DatagramLayer::WebTransport),
            webtransport_sessions: crate::sync::lock(&state.sessions).len(),
        }
    }
}

impl Deref for Server {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.tables
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.local_address())
            .finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop(Stop::Now));
    }
}

/// Waits for a stop, carries it out, and says when the socket is closed.
async fn stop_when_asked(
    endpoint: Endpoint,
    sampler: AbortHandle,
    state: Arc<ServerState>,
    mut asked: watch::Receiver<Option<Stop>>,
    stopped: watch::Sender<bool>,
) {
    let how = match asked.wait_for(Option::is_some).await {
        Ok(how) => how.unwrap_or(Stop::Now),
        Err(_) => Stop::Now,
    };
    state.draining.store(true, SeqCst);
    // New connections are refused from here on, those in their handshake are let in and told to go.
    endpoint.set_server_config(None);
    state.connections.wake_all();
    if let Stop::Graceful(deadline) = how {
        let cut = async {
            if asked.wait_for(|how| *how == Some(Stop::Now)).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let drained = tokio::time::timeout(deadline, state.connections.none_left());
        futures_util::future::select(Box::pin(cut), Box::pin(drained)).await;
    }
    state.connections.make_way();
    endpoint.close(wire_code(Code::H3_NO_ERROR), b"");
    let _ = tokio::time::timeout(LAST_WORDS, async {
        state.connections.none_left().await;
        endpoint.wait_idle().await;
    })
    .await;
    drop(endpoint);
    sampler.abort();
    // The endpoint's driver lets go of the socket in its next turn.
    tokio::task::yield_now().await;
    stopped.send_replace(true);
}
