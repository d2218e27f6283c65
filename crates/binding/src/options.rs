//! What JavaScript hands over once, turned into the core's configuration.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use trilane_core::router::{Methods, Pattern, Route, Router};
use trilane_core::tls::{CertificateStore, KeyLogTarget, Resumption, TlsOptions, server_config};
use trilane_core::{
    AddressValidation, BodyMode, DatagramOptions, Limits, Modes, Observe, Routing, ServerConfig,
    SessionRoutes, StatelessResetKey, UnknownDatagrams,
};

use crate::certificates::{self, NativeHostIdentity, NativeIdentity};
use crate::error::{ErrorCode, Result, error};

/// One route; its number in the list is its id.
#[napi(object)]
pub struct NativeRoute {
    /// Upper-case methods, or `["*"]`.
    pub methods: Vec<String>,
    pub pattern: String,
    /// The `:protocol` of an extended CONNECT.
    pub protocol: Option<String>,
    /// Whether bodies come in pieces.
    pub streaming: bool,
    /// Whether its requests take HTTP datagrams.
    pub datagrams: bool,
    /// Whether its requests begin WebTransport sessions.
    pub session: bool,
}

/// Bounds; an absent one has the core's default.
#[napi(object)]
#[derive(Default)]
pub struct NativeLimits {
    pub max_connections: Option<u32>,
    pub max_connections_per_ip: Option<u32>,
    pub retry_above_handshakes: Option<u32>,
    pub retry_above_handshakes_per_second: Option<u32>,
    pub max_concurrent_streams: Option<u32>,
    pub max_header_bytes: Option<u32>,
    pub max_header_fields: Option<u32>,
    pub max_body_bytes: Option<u32>,
    pub max_unfinished_body_bytes: Option<u32>,
    pub idle_timeout_ms: Option<u32>,
    pub handshake_timeout_ms: Option<u32>,
    pub header_timeout_ms: Option<u32>,
    pub body_timeout_ms: Option<u32>,
    pub stream_receive_window_bytes: Option<u32>,
    pub connection_receive_window_bytes: Option<u32>,
    pub send_window_bytes: Option<u32>,
    pub max_abandoned_streams_per_second: Option<u32>,
    pub max_overhead_frames_per_second: Option<u32>,
    pub max_sessions_per_connection: Option<u32>,
    pub session_receive_window_bytes: Option<u32>,
    pub max_session_streams: Option<u32>,
    pub max_session_uni_streams: Option<u32>,
    pub datagram_receive_buffer_bytes: Option<u32>,
    pub datagram_send_queue_bytes: Option<u32>,
    pub datagram_max_age_ms: Option<u32>,
}

/// Everything a server is made from.
#[napi(object)]
pub struct NativeServerOptions {
    pub hostname: Option<String>,
    pub port: u16,
    /// Absent: a development certificate is made.
    pub identity: Option<NativeIdentity>,
    pub sni: Vec<NativeHostIdentity>,
    pub routes: Vec<NativeRoute>,
    /// Whether requests that match no route come to JavaScript all the same.
    pub has_fallback: bool,
    /// Whether bodies of such requests come in pieces.
    pub streaming_fallback: bool,
    pub limits: Option<NativeLimits>,
    /// Whether every new client must prove its address.
    pub always_validate_addresses: bool,
    /// The secret by which a later process is recognised; at least 32 bytes. Absent: random keys.
    pub stateless_reset_key: Option<Uint8Array>,
    /// Whether raw QUIC datagrams are taken.
    pub quic_datagrams: bool,
    /// Whether datagrams whose request is not there are raw ones.
    pub quic_datagram_fallback: bool,
    /// Protocols besides h3 (ALPN), whose connections have raw datagrams only.
    pub quic_alpn: Vec<String>,
    /// Whether JavaScript hears of connections.
    pub tell_connections: bool,
    /// Whether JavaScript hears how requests ended.
    pub tell_ends: bool,
    /// Whether how long requests take is counted.
    pub count_durations: bool,
    /// Whether the buffers of the socket are told if the kernel gave less than was asked for.
    pub tell_small_buffers: bool,
    /// A file for the secrets of connections (NSS key log format).
    pub key_log: Option<String>,
    /// A folder for one qlog file of each connection.
    pub qlog_dir: Option<String>,
    /// How clients come back. Absent: with tickets.
    #[napi(ts_type = "'off' | 'tickets' | 'early-data'")]
    pub resumption: Option<String>,
    /// Whether clients show certificates. Absent: they are not asked.
    #[napi(ts_type = "'request' | 'require'")]
    pub client_certificates: Option<String>,
    /// Who vouches for the certificates of clients, PEM or DER.
    pub ca: Option<Uint8Array>,
}

/// The configuration, and the certificates, which may be changed later.
pub(crate) struct Configured {
    pub(crate) config: ServerConfig,
    pub(crate) certificates: Arc<CertificateStore>,
    pub(crate) tell_small_buffers: bool,
}

/// What a reload puts in the place of the routes that a server has.
pub(crate) fn routing(
    routes: &[NativeRoute],
    has_fallback: bool,
    streaming_fallback: bool,
) -> Result<Routing> {
    Ok(Routing {
        router: router(routes)?,
        modes: modes(routes, streaming_fallback),
        has_fallback,
        sessions: SessionRoutes(routes.iter().map(|route| route.session).collect()),
        datagrams: routes.iter().map(|route| route.datagrams).collect(),
    })
}

fn modes(routes: &[NativeRoute], streaming_fallback: bool) -> Modes {
    Modes {
        routes: routes.iter().map(|route| mode(route.streaming)).collect(),
        fallback: mode(streaming_fallback),
    }
}

pub(crate) fn configure(options: NativeServerOptions) -> Result<Configured> {
    let router = router(&options.routes)?;
    let address = resolve(options.hostname.as_deref(), options.port)?;
    let certificates = certificates::store(
        options.identity.as_ref(),
        &options.sni,
        options.hostname.as_deref(),
    )?;
    let tls_options = TlsOptions {
        key_log: options
            .key_log
            .map_or(KeyLogTarget::None, |path| KeyLogTarget::File(path.into())),
        resumption: match options.resumption.as_deref() {
            Some("off") => Resumption::Off,
            Some("early-data") => Resumption::EarlyData,
            _ => Resumption::Tickets,
        },
        client_auth: certificates::client_auth(options.client_certificates.as_deref(), options.ca.as_ref())?,
    };
    let others = options.quic_alpn.iter().map(|name| name.as_bytes().to_vec());
    let alpn = std::iter::once(b"h3".to_vec()).chain(others).collect();
    let tls = server_config(certificates.clone(), alpn, tls_options)
        .map_err(|e| error(ErrorCode::Certificate, e))?;
    let limits = limits(&options.limits.unwrap_or_default());
    let stateless_reset_key = options
        .stateless_reset_key
        .map(|secret| StatelessResetKey::new(&secret))
        .transpose()
        .map_err(|e| error(ErrorCode::Internal, e))?;
    let modes = modes(&options.routes, options.streaming_fallback);
    let config = ServerConfig {
        address,
        tls,
        limits,
        router,
        modes,
        has_fallback: options.has_fallback,
        datagrams: DatagramOptions {
            raw: options.quic_datagrams,
            routes: options.routes.iter().map(|route| route.datagrams).collect(),
            unknown: if options.quic_datagram_fallback {
                UnknownDatagrams::Raw
            } else {
                UnknownDatagrams::Drop
            },
        },
        sessions: SessionRoutes(options.routes.iter().map(|route| route.session).collect()),
        tell_connections: options.tell_connections,
        observe: Observe {
            ends: options.tell_ends,
            durations: options.count_durations,
        },
        address_validation: if options.always_validate_addresses {
            AddressValidation::Always
        } else {
            AddressValidation::Auto
        },
        stateless_reset_key,
        qlog_dir: options.qlog_dir.map(PathBuf::from),
    };
    Ok(Configured {
        config,
        certificates,
        tell_small_buffers: options.tell_small_buffers,
    })
}

fn mode(streaming: bool) -> BodyMode {
    if streaming {
        BodyMode::Streaming
    } else {
        BodyMode::Buffered
    }
}

fn router(routes: &[NativeRoute]) -> Result<Router> {
    let parsed = routes
        .iter()
        .map(|route| {
            Ok(Route {
                methods: Methods::parse(&route.methods).map_err(|e| error(ErrorCode::RouteMethod, e))?,
                pattern: Pattern::parse(&route.pattern).map_err(|e| error(ErrorCode::RoutePattern, e))?,
                protocol: route.protocol.clone(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Router::new(parsed).map_err(|e| error(ErrorCode::RouteDuplicate, e))
}

/// The first address of `hostname`; none given: every address of the machine, IPv6 and IPv4 where it has both.
fn resolve(hostname: Option<&str>, port: u16) -> Result<SocketAddr> {
    let Some(hostname) = hostname else {
        let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        let has_ipv6 = std::net::UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0)).is_ok();
        return Ok(if has_ipv6 {
            any
        } else {
            SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port))
        });
    };
    let bare = hostname.trim_start_matches('[').trim_end_matches(']');
    let unknown = |reason: String| {
        error(
            ErrorCode::Bind,
            format!(
                "hostname {hostname:?} has no address ({reason}): use an IP address of this machine, or a name that resolves to one"
            ),
        )
    };
    let mut addresses = (bare, port)
        .to_socket_addrs()
        .map_err(|e| unknown(e.to_string()))?;
    addresses
        .next()
        .ok_or_else(|| unknown("it resolves to none".to_owned()))
}

fn limits(given: &NativeLimits) -> Limits {
    let mut limits = Limits::default();
    let set = |target: &mut usize, value: Option<u32>| {
        if let Some(value) = value {
            *target = value as usize;
        }
    };
    set(&mut limits.max_connections, given.max_connections);
    set(&mut limits.max_connections_per_ip, given.max_connections_per_ip);
    set(&mut limits.retry_above_handshakes, given.retry_above_handshakes);
    set(&mut limits.max_header_bytes, given.max_header_bytes);
    set(&mut limits.max_header_fields, given.max_header_fields);
    set(&mut limits.max_body_bytes, given.max_body_bytes);
    set(
        &mut limits.max_unfinished_body_bytes,
        given.max_unfinished_body_bytes,
    );
    set(
        &mut limits.max_sessions_per_connection,
        given.max_sessions_per_connection,
    );
    set(
        &mut limits.datagram_receive_buffer,
        given.datagram_receive_buffer_bytes,
    );
    set(&mut limits.datagram_send_queue, given.datagram_send_queue_bytes);
    limits.datagram_max_age = given
        .datagram_max_age_ms
        .map(|ms| Duration::from_millis(u64::from(ms)));
    let set = |target: &mut u32, value: Option<u32>| *target = value.unwrap_or(*target);
    set(&mut limits.max_concurrent_streams, given.max_concurrent_streams);
    set(
        &mut limits.session_receive_window,
        given.session_receive_window_bytes,
    );
    set(&mut limits.max_session_streams, given.max_session_streams);
    set(&mut limits.max_session_uni_streams, given.max_session_uni_streams);
    set(
        &mut limits.stream_receive_window,
        given.stream_receive_window_bytes,
    );
    set(
        &mut limits.connection_receive_window,
        given.connection_receive_window_bytes,
    );
    set(
        &mut limits.max_abandoned_streams_per_second,
        given.max_abandoned_streams_per_second,
    );
    set(
        &mut limits.max_overhead_frames_per_second,
        given.max_overhead_frames_per_second,
    );
    set(
        &mut limits.retry_above_handshakes_per_second,
        given.retry_above_handshakes_per_second,
    );
    limits.send_window = given.send_window_bytes.map_or(limits.send_window, u64::from);
    let set = |target: &mut Duration, value: Option<u32>| {
        if let Some(ms) = value {
            *target = Duration::from_millis(u64::from(ms));
        }
    };
    set(&mut limits.idle_timeout, given.idle_timeout_ms);
    set(&mut limits.handshake_timeout, given.handshake_timeout_ms);
    set(&mut limits.header_timeout, given.header_timeout_ms);
    set(&mut limits.body_timeout, given.body_timeout_ms);
    limits
}
