//! The client class that `lib/client/native-transport.ts` wraps.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, Uint32Array};
use napi_derive::napi;
use trilane_core::ConnectionName;
use trilane_core::client::{
    Client, DialError, DialErrorKind, OrderError, OutgoingBody, RequestError, RequestOrder, Target, Tunnel,
};

use crate::answers::{Pairs, latin1};
use crate::bridge::Bridge;
use crate::client_options::{NativeClientOptions, configure};
use crate::connection::{NativeConnection, NativeDatagramStats};
use crate::environment::{self, Abandon};
use crate::error::{ErrorCode, Result, error, internal};
use crate::exchanges::{Exchanges, NativeExchanges};
use crate::runtime;
use crate::turn::{NativeHooks, wake_function};
use crate::values::Utf8;

/// Why a request got no response, or a connection was not made.
#[napi(object, object_from_js = false)]
pub struct NativeRequestFailure {
    /// A code of the table of errors.
    pub code: &'static str,
    pub message: String,
    /// The server's error code, if it sent one.
    pub wire_code: Option<f64>,
    /// Whether the server caused it.
    pub remote: bool,
}

/// A server, as its URL names it.
#[napi(object)]
pub struct NativeTarget {
    /// A name in ASCII, or an address.
    pub host: String,
    pub port: u16,
    /// Where it is; absent: the system is asked.
    pub addresses: Option<Vec<String>>,
}

/// One request on its way out.
#[napi(object)]
pub struct NativeRequest {
    pub target: NativeTarget,
    pub method: String,
    /// `:authority`; absent: that of the target.
    pub authority: Option<String>,
    /// With its query.
    pub path: String,
    /// Of an extended CONNECT.
    pub protocol: Option<String>,
    /// What an accepted CONNECT carries.
    #[napi(ts_type = "'bytes' | 'capsules' | 'session'")]
    pub tunnel: String,
    /// "name\0value\0…", one character a byte.
    pub fields: String,
    /// Whether the body is written to the exchange piece by piece.
    pub streaming: bool,
    pub takes_datagrams: bool,
    pub may_be_early: bool,
    /// Whether it has a connection of its own.
    pub dedicated: bool,
}

/// Counters since the client was made.
#[napi(object)]
pub struct NativeClientStats {
    pub connections_total: napi::bindgen_prelude::BigInt,
    pub connections_active: u32,
    pub connect_failures: napi::bindgen_prelude::BigInt,
    pub requests: napi::bindgen_prelude::BigInt,
    pub requests_active: u32,
    pub requests_retried: napi::bindgen_prelude::BigInt,
    pub bytes_sent: napi::bindgen_prelude::BigInt,
    pub bytes_received: napi::bindgen_prelude::BigInt,
    pub quic_datagrams: NativeDatagramStats,
    pub h3_datagrams: NativeDatagramStats,
    pub webtransport_datagrams: NativeDatagramStats,
}

/// An HTTP/3 client of one JavaScript thread.
#[napi]
pub struct NativeClient {
    shared: Arc<Shared>,
    exchanges: Arc<Exchanges>,
    /// Where a request's slot and generation are put.
    name: Uint32Array,
}

struct Shared {
    client: Client,
    bridge: Arc<Bridge>,
}

impl Abandon for Shared {
    fn abandon(&self) {
        self.bridge.set_wake(None);
        drop(self.client.destroy());
    }
}

#[napi]
impl NativeClient {
    /// Checks the options; connects to nothing. Responses come to the hooks. The name of each request, slot and generation, is
    /// put into `name`.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        options: NativeClientOptions,
        hooks: NativeHooks,
        name: Uint32Array,
    ) -> Result<Self> {
        let config = configure(&options)?;
        let runtime = runtime::handle().map_err(internal)?;
        let bridge = Bridge::new();
        let client =
            Client::new(config, bridge.clone(), runtime).map_err(|e| error(ErrorCode::Certificate, e))?;
        let exchanges = Exchanges::new(&client, bridge.clone())?;
        let wake = wake_function(&env, bridge.clone(), hooks)?;
        bridge.set_wake(Some(Arc::new(wake)));
        let shared = Arc::new(Shared { client, bridge });
        environment::add(&env, shared.clone())?;
        Ok(Self {
            shared,
            exchanges,
            name,
        })
    }

    /// Its open exchanges, and the sessions and datagrams on them.
    #[napi(getter)]
    pub fn exchanges(&self) -> NativeExchanges {
        self.exchanges.native()
    }

    /// Sends a request; its name is in the shared words when this returns. `body` is copied; absent: there is none, or it
    /// follows. Throws ERR_H3_CLIENT_REQUEST or ERR_H3_HEADER for what cannot be sent.
    #[napi]
    pub fn request(&mut self, request: NativeRequest, body: Option<&[u8]>) -> Result<()> {
        let fields = latin1(Bytes::from(request.fields.into_bytes()));
        let fields: Vec<_> = Pairs::of(&fields).collect();
        let order = RequestOrder {
            target: target(&request.target)?,
            method: request.method.as_bytes(),
            authority: request.authority.as_deref().map(str::as_bytes),
            path: request.path.as_bytes(),
            protocol: request.protocol.as_deref().map(str::as_bytes),
            tunnel: match &*request.tunnel {
                "capsules" => Tunnel::Capsules,
                "session" => Tunnel::Session,
                _ => Tunnel::Bytes,
            },
            fields: &fields,
            body: match body {
                _ if request.streaming => OutgoingBody::Streaming,
                Some(bytes) if !bytes.is_empty() => OutgoingBody::Whole(Bytes::copy_from_slice(bytes)),
                _ => OutgoingBody::Empty,
            },
            takes_datagrams: request.takes_datagrams,
            may_be_early: request.may_be_early,
            dedicated: request.dedicated,
        };
        let id = self.shared.client.request(order).map_err(|e| {
            let code = match e {
                OrderError::Field { .. } => ErrorCode::Header,
                OrderError::Length | OrderError::Closed => ErrorCode::ClientRequest,
            };
            error(code, e)
        })?;
        // SAFETY: JavaScript reads these words behind this call and never during it.
        let name = unsafe { self.name.as_mut() };
        if let Some(words) = name.first_chunk_mut::<2>() {
            *words = [id.slot, id.generation];
        }
        Ok(())
    }

    /// Makes a connection of raw QUIC datagrams. Resolves with what is known of it, or with why there is none.
    #[napi(ts_return_type = "Promise<NativeConnection | NativeRequestFailure>")]
    pub fn connect<'env>(
        &self,
        env: &'env Env,
        to: NativeTarget,
    ) -> Result<PromiseRaw<'env, napi::Either<NativeConnection, NativeRequestFailure>>> {
        let connecting = self.shared.client.connect(target(&to)?);
        env.spawn_future(async move {
            Ok(match connecting.await {
                Ok(info) => napi::Either::A(NativeConnection::from(info)),
                Err(error) => napi::Either::B(RequestError::Dial(error).into()),
            })
        })
        .map_err(internal)
    }

    /// Closes a connection of raw datagrams.
    #[napi]
    pub fn close_connection(
        &self,
        slot: u32,
        generation: u32,
        code: f64,
        #[napi(ts_arg_type = "string")] reason: Utf8,
    ) {
        let name = ConnectionName { slot, generation };
        self.shared.client.close_connection(name, code as u64, &reason.0);
    }

    /// What is known of an open connection; `null` once it is over.
    #[napi]
    pub fn connection(&self, slot: u32, generation: u32) -> Option<NativeConnection> {
        let name = ConnectionName { slot, generation };
        self.shared.client.connection(name).map(NativeConnection::from)
    }

    /// Every open connection.
    #[napi(getter)]
    pub fn connections(&self) -> Vec<NativeConnection> {
        let all = self.shared.client.connections();
        all.into_iter().map(NativeConnection::from).collect()
    }

    /// The counters now.
    #[napi(getter)]
    pub fn stats(&self) -> NativeClientStats {
        let stats = self.shared.client.stats();
        NativeClientStats {
            connections_total: stats.connections_total.into(),
            connections_active: stats.connections_active as u32,
            connect_failures: stats.handshakes_failed.into(),
            requests: stats.requests.into(),
            requests_active: stats.requests_active as u32,
            requests_retried: stats.requests_retried.into(),
            bytes_sent: stats.udp_bytes_sent.into(),
            bytes_received: stats.udp_bytes_received.into(),
            quic_datagrams: stats.quic_datagrams.into(),
            h3_datagrams: stats.h3_datagrams.into(),
            webtransport_datagrams: stats.webtransport_datagrams.into(),
        }
    }

    /// Takes no more requests; resolves when those under way are over and every connection is closed.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> Result<PromiseRaw<'env, ()>> {
        promised(env, self.shared.client.close())
    }

    /// Closes every connection now; resolves when all have said so.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn destroy<'env>(&self, env: &'env Env) -> Result<PromiseRaw<'env, ()>> {
        promised(env, self.shared.client.destroy())
    }
}

fn promised(env: &Env, end: impl Future<Output = ()> + Send + 'static) -> Result<PromiseRaw<'_, ()>> {
    env.spawn_future(async move {
        end.await;
        Ok(())
    })
    .map_err(internal)
}

fn target(given: &NativeTarget) -> Result<Target> {
    let wrong = |e: &dyn std::fmt::Display| error(ErrorCode::ClientRequest, e);
    let target = Target::new(&given.host, given.port).map_err(|e| wrong(&e))?;
    let Some(addresses) = &given.addresses else {
        return Ok(target);
    };
    let addresses = addresses
        .iter()
        .map(|text| {
            text.parse::<IpAddr>()
                .map_err(|_| wrong(&format!("{text:?} is no IP address: resolve() must name some")))
        })
        .collect::<Result<Vec<_>>>()?;
    target.at(addresses).map_err(|e| wrong(&e))
}

impl From<RequestError> for NativeRequestFailure {
    fn from(error: RequestError) -> Self {
        let (code, wire_code, remote) = match &error {
            RequestError::Dial(dial) => (dial_code(dial), None, false),
            RequestError::Rejected | RequestError::RejectedStream | RequestError::GoneAway => {
                ("ERR_H3_CLIENT_REJECTED", None, true)
            }
            RequestError::Reset(code) => ("ERR_H3_STREAM_RESET", Some(*code), true),
            RequestError::Malformed(_) | RequestError::ServerBroke(_) => ("ERR_H3_PROTOCOL", None, true),
            RequestError::HeadTooLarge => ("ERR_H3_CLIENT_HEADERS_TOO_LARGE", None, true),
            RequestError::OwnHeadTooLarge { .. } | RequestError::BodyLength => {
                ("ERR_H3_CLIENT_REQUEST", None, false)
            }
            RequestError::TimedOut => ("ERR_H3_CLIENT_HEADERS_TIMEOUT", None, true),
            RequestError::ConnectionLost(loss) if loss.timed_out => {
                ("ERR_H3_CLIENT_CONNECTION_LOST", loss.code, loss.remote)
            }
            RequestError::ConnectionLost(loss) => ("ERR_H3_CONNECTION_CLOSED", loss.code, loss.remote),
            RequestError::NoExtendedConnect | RequestError::NoWebTransport => {
                ("ERR_H3_CLIENT_UNSUPPORTED", None, true)
            }
            RequestError::Closed => ("ERR_H3_CLIENT_CLOSED", None, false),
        };
        Self {
            code,
            message: error.to_string(),
            wire_code: wire_code.map(|code| code as f64),
            remote,
        }
    }
}

fn dial_code(error: &DialError) -> &'static str {
    use DialErrorKind as Kind;
    match error.kind() {
        Kind::Usage => "ERR_H3_CLIENT_REQUEST",
        Kind::NameNotFound => "ERR_H3_CLIENT_NAME_NOT_FOUND",
        Kind::LocalAddressInUse | Kind::LocalAddress | Kind::Socket => "ERR_H3_CLIENT_LOCAL_ADDRESS",
        Kind::Unreachable => "ERR_H3_CLIENT_UNREACHABLE",
        Kind::Refused => "ERR_H3_CLIENT_REFUSED",
        Kind::TimedOut => "ERR_H3_CLIENT_CONNECT_TIMEOUT",
        Kind::UnknownIssuer => "ERR_H3_CLIENT_CERTIFICATE_ISSUER",
        Kind::CertificateExpired | Kind::CertificateNotYetValid => "ERR_H3_CLIENT_CERTIFICATE_EXPIRED",
        Kind::WrongHost => "ERR_H3_CLIENT_CERTIFICATE_HOST",
        Kind::PinMismatch => "ERR_H3_CLIENT_PIN_MISMATCH",
        Kind::PinExpired => "ERR_H3_CLIENT_PIN_EXPIRED",
        Kind::PinUnsuitable => "ERR_H3_CLIENT_PIN_UNSUITABLE",
        Kind::CertificateRevoked | Kind::CertificateInvalid => "ERR_H3_CLIENT_CERTIFICATE_INVALID",
        Kind::ClientCertificate => "ERR_H3_CLIENT_IDENTITY_REFUSED",
        Kind::Alpn => "ERR_H3_CLIENT_ALPN",
        Kind::Tls | Kind::Closed | Kind::Protocol => "ERR_H3_CLIENT_HANDSHAKE",
        Kind::Version => "ERR_H3_CLIENT_VERSION",
        Kind::Cancelled => "ERR_H3_CLIENT_CLOSED",
    }
}
