//! The UDP socket and the front door: who may begin a handshake, and what becomes of it.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    Connecting, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, Incoming, TransportConfig, VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use ring::rand::{SecureRandom, SystemRandom};
use socket2::{Domain, Protocol, Socket, Type};
use tracing::Instrument;

use trilane_http3::Role;

use crate::address_validation;
use crate::congestion::Congestion;
use crate::connection;
use crate::connection_state::{ConnectionState, Identity};
use crate::connections::{Place, Verdict};
use crate::datagram_queue::DatagramPolicy;
use crate::datagrams::DatagramOptions;
use crate::driver::Drivers;
use crate::early_data::Unconfirmed;
use crate::endpoint_keys::StatelessResetKey;
use crate::handler::{CloseCause, ConnectionEvent};
use crate::initial_gate::InitialGate;
use crate::intake::Intake;
use crate::limits::Limits;
use crate::raw_connection;
use crate::server::{BindError, ConnectionInfo, ServerState};
use crate::socket_buffers::SocketBuffers;
use crate::stream_credit::StreamCredit;
use crate::udp_socket::UdpSocket;

/// Datagrams that QUIC itself keeps for sending: a few packets' worth. The rest waits in our queue, which knows their age.
pub(crate) const QUIC_DATAGRAM_BUFFER: usize = 64 * 1024;

/// Connection attempts that wait to be judged, within a turn: each holds its first packet, and more are dropped without a
/// word, as if the network had lost them.
const MAX_INCOMING: usize = 1_024;

/// Bytes kept of what follows the first packet of an attempt until it is judged: a long ClientHello, some early data.
const INCOMING_BUFFER_BYTES: u64 = 64 * 1024;

/// Such bytes of all attempts.
const INCOMING_BUFFERS_BYTES: u64 = 4 * 1024 * 1024;

/// The version that is spoken (RFC 9000 §15). Others are answered with it (§6.1).
pub(crate) const QUIC_V1: u32 = 1;

/// Time between two stateless resets. Only packets with a connection id of ours get one, it is shorter than the packet
/// (RFC 9000 §10.3.3), and after a restart many clients wait for theirs.
const RESET_INTERVAL: Duration = Duration::from_millis(1);

/// An endpoint that is bound.
pub(crate) struct Bound {
    pub(crate) endpoint: Endpoint,
    /// What connections are accepted with.
    pub(crate) config: quinn::ServerConfig,
    /// What the socket got.
    pub(crate) buffers: SocketBuffers,
    /// What it takes in.
    pub(crate) intake: Arc<Intake>,
}

/// Binds `address`. Must be called inside the tokio runtime that is to drive the endpoint.
pub(crate) fn bind(
    address: SocketAddr,
    tls: rustls::ServerConfig,
    server: &ServerState,
) -> Result<Bound, BindError> {
    let (socket, buffers) = bind_socket(address).map_err(|error| BindError::new(address, error))?;
    let config = server_config(tls, server)?;
    let key = server.stateless_reset_key.as_ref();
    let socket = UdpSocket::new(socket).map_err(|error| BindError::new(address, error))?;
    let intake = socket.intake();
    let endpoint = Endpoint::new_with_abstract_socket(
        endpoint_config(key),
        Some(config.clone()),
        Arc::new(socket),
        Arc::new(Drivers::new()),
    )
    .map_err(|error| BindError::new(address, error))?;
    Ok(Bound {
        endpoint,
        config,
        buffers,
        intake,
    })
}

fn bind_socket(address: SocketAddr) -> io::Result<(std::net::UdpSocket, SocketBuffers)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // "::" means every address, IPv4 included, as in Node, Bun and Deno.
        socket.set_only_v6(false)?;
    }
    let buffers = SocketBuffers::ask(&socket);
    socket.bind(&address.into())?;
    Ok((socket.into(), buffers))
}

fn endpoint_config(key: Option<&StatelessResetKey>) -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config
        .supported_versions(vec![QUIC_V1])
        .min_reset_interval(RESET_INTERVAL);
    if let Some(key) = key {
        let id_key = key.connection_id_key();
        config
            .reset_key(key.reset_key())
            .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
    }
    config
}

/// The unidirectional streams that a peer must be allowed: control, QPACK encoder, QPACK decoder
/// (RFC9114-6.2-three-streams).
pub(crate) const CRITICAL_STREAMS: u32 = 3;

/// The bytes that a peer must be allowed to send on each of them (RFC9114-6.2-stream-credit).
pub(crate) const STREAM_CREDIT: u32 = 1024;

fn server_config(tls: rustls::ServerConfig, server: &ServerState) -> Result<quinn::ServerConfig, BindError> {
    let (limits, datagrams) = (&server.limits, &server.datagrams);
    let crypto = QuicServerConfig::try_from(tls).map_err(|_| BindError::NoInitialCipherSuite)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(InitialGate::new(crypto)));
    config
        .transport_config(Arc::new(transport(limits, datagrams)))
        .validation_token_config(address_validation::tokens())
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES);
    if let Some(key) = &server.stateless_reset_key {
        config.token_key(key.token_key());
    }
    Ok(config)
}

/// No keep-alive is set (RFC9114-5.1-not-kept-alive), and no limit goes below what HTTP/3 needs.
fn transport(limits: &Limits, datagrams: &DatagramOptions) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let credit = StreamCredit::new(limits);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(credit.first_requests()))
        .max_concurrent_uni_streams(VarInt::from_u32(credit.first_uni()))
        .stream_receive_window(VarInt::from_u32(limits.stream_receive_window.max(STREAM_CREDIT)))
        .receive_window(VarInt::from_u32(
            limits
                .connection_receive_window
                .max(CRITICAL_STREAMS * STREAM_CREDIT),
        ))
        .send_window(limits.send_window)
        // RFC9297-2.1.1-received-unoffered: without a buffer a DATAGRAM frame is an error of QUIC.
        .datagram_receive_buffer_size(datagrams.any().then_some(limits.datagram_receive_buffer))
        .datagram_send_buffer_size(QUIC_DATAGRAM_BUFFER)
        .congestion_controller_factory(Arc::new(Congestion::default()))
        .max_idle_timeout(IdleTimeout::try_from(limits.idle_timeout).ok());
    transport
}

/// Lets connections in until the endpoint is closed.
pub(crate) async fn accept(endpoint: Endpoint, config: quinn::ServerConfig, server: Arc<ServerState>) {
    while let Some(incoming) = endpoint.accept().await {
        let ip = incoming.remote_address().ip();
        if server.is_draining() {
            incoming.refuse();
            continue;
        }
        let validated = incoming.remote_address_validated();
        let verdict = server
            .connections
            .judge(ip, validated, server.address_validation, &server.limits);
        match verdict {
            Verdict::Accept => {
                let place = server.connections.enter(ip);
                let config = logged(&incoming, &config, &server);
                tokio::spawn(handshake(incoming, config, place, server.clone()));
            }
            // A client that cannot be asked has been validated already.
            Verdict::Validate if incoming.may_retry() => {
                server.counters.retries_sent.fetch_add(1, Relaxed);
                drop(incoming.retry());
            }
            Verdict::Validate | Verdict::Refuse => {
                server.counters.connections_refused.fetch_add(1, Relaxed);
                incoming.refuse();
            }
            Verdict::Ignore => {
                server.counters.connections_refused.fetch_add(1, Relaxed);
                incoming.ignore();
            }
        }
    }
}

/// The configuration of a connection that has a qlog file of its own.
fn logged(
    incoming: &Incoming,
    config: &quinn::ServerConfig,
    server: &ServerState,
) -> Option<Arc<quinn::ServerConfig>> {
    let folder = server.qlog.as_ref()?;
    let stream = folder.begin(incoming.orig_dst_cid(), incoming.remote_address())?;
    let mut transport = transport(&server.limits, &server.datagrams);
    transport.qlog_stream(Some(stream));
    let mut config = config.clone();
    config.transport_config(Arc::new(transport));
    Some(Arc::new(config))
}

async fn handshake(
    incoming: Incoming,
    config: Option<Arc<quinn::ServerConfig>>,
    mut place: Place,
    server: Arc<ServerState>,
) {
    let original_destination = incoming.orig_dst_cid();
    let accepted = match config {
        Some(config) => incoming.accept_with(config),
        None => incoming.accept(),
    };
    let connected = match accepted {
        Ok(connecting) => {
            tokio::time::timeout(server.limits.handshake_timeout, connect(connecting, &server)).await
        }
        Err(error) => Ok(Err(error)),
    };
    match connected {
        Ok(Ok((quic, unconfirmed))) => {
            Box::pin(run(quic, original_destination, server, &mut place, unconfirmed)).await;
        }
        Ok(Err(error)) => {
            server.counters.handshakes_failed.fetch_add(1, Relaxed);
            tracing::debug!(%error, "handshake failed");
        }
        Err(_) => {
            server.counters.handshakes_failed.fetch_add(1, Relaxed);
            tracing::debug!("handshake timed out");
        }
    }
}

/// Waits for the handshake; of an h3 connection to a server that takes early data, only until its protocol is known.
async fn connect(
    mut connecting: Connecting,
    server: &ServerState,
) -> Result<(quinn::Connection, Option<Unconfirmed>), ConnectionError> {
    if server.takes_early_data && protocol(connecting.handshake_data().await?) == b"h3" {
        match connecting.into_0rtt() {
            Ok((quic, over)) => {
                let unconfirmed = Unconfirmed::new(over, server.limits.handshake_timeout);
                return Ok((quic, Some(unconfirmed)));
            }
            // Only clients come here.
            Err(still) => connecting = still,
        }
    }
    Ok((connecting.await?, None))
}

/// Runs a connection, in the way of its protocol.
async fn run(
    quic: quinn::Connection,
    original_destination: quinn::ConnectionId,
    server: Arc<ServerState>,
    place: &mut Place,
    unconfirmed: Option<Unconfirmed>,
) {
    if unconfirmed.is_none() {
        place.established();
        server.counters.connections_total.fetch_add(1, Relaxed);
    }
    let mut identity = Identity {
        id: [0; 16],
        original_destination,
    };
    if SystemRandom::new().fill(&mut identity.id).is_err() {
        // Without randomness there is no TLS either: this is never seen.
        return;
    }
    let policy = DatagramPolicy {
        max_bytes: server.limits.datagram_send_queue,
        max_age: server.limits.datagram_max_age,
    };
    let is_http3 = alpn(&quic) == b"h3";
    let counters = server.counters.clone();
    let streams = StreamCredit::new(&server.limits).first_requests();
    let (state, registration) = server
        .connections
        .register(|name| ConnectionState::new(Role::Server, quic, identity, name, policy, counters, streams));
    let tell = |event| {
        if server.tell_connections {
            server
                .table
                .handler()
                .connection_event(registration.name(), event);
        }
    };
    if server.tell_connections {
        tell(ConnectionEvent::Opened(Box::new(ConnectionInfo::of(&state))));
    }
    let (quic, span) = (state.quic.clone(), state.span.clone());
    span.in_scope(|| {
        tracing::debug!(
            remote = %quic.remote_address(),
            protocol = %alpn(&quic).escape_ascii(),
            "connection opened"
        );
    });
    if is_http3 {
        let running = connection::run(state, server.clone(), place, unconfirmed);
        running.instrument(span.clone()).await;
    } else {
        let (table, raw) = (server.table.clone(), server.datagrams.raw);
        let is_draining = || server.is_draining();
        let running = raw_connection::run(state, table, raw, is_draining);
        running.instrument(span.clone()).await;
    }
    span.in_scope(|| match quic.close_reason() {
        Some(reason) => tracing::debug!(%reason, "connection closed"),
        None => tracing::debug!("connection closed"),
    });
    tell(ConnectionEvent::Closed(close_cause(quic.close_reason())));
    drop(registration);
}

/// The protocol that the handshake agreed on.
pub(crate) fn alpn(quic: &quinn::Connection) -> Vec<u8> {
    quic.handshake_data().map(protocol).unwrap_or_default()
}

pub(crate) fn protocol(handshake: Box<dyn Any>) -> Vec<u8> {
    handshake
        .downcast::<HandshakeData>()
        .ok()
        .and_then(|data| data.protocol)
        .unwrap_or_default()
}

pub(crate) fn close_cause(reason: Option<ConnectionError>) -> CloseCause {
    let (remote, code) = match reason {
        Some(ConnectionError::ApplicationClosed(close)) => (true, Some(close.error_code.into_inner())),
        Some(ConnectionError::ConnectionClosed(close)) => (true, Some(u64::from(close.error_code))),
        Some(ConnectionError::Reset) => (true, None),
        _ => (false, None),
    };
    CloseCause { remote, code }
}
