//! The client class that `lib/client/native-transport.ts` wraps.

use std::future::Future;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, Uint32Array};
use napi_derive::napi;
use trilane_core::ConnectionName;
use trilane_core::client::{Client, DialError, DialErrorKind, RequestError};

use crate::bridge::Bridge;
use crate::client_options::{NativeClientOptions, configure};
use crate::connection::{NativeConnection, NativeDatagramStats};
use crate::environment::{self, Abandon};
use crate::error::{ErrorCode, Result, error, internal};
use crate::exchanges::{Exchanges, NativeExchanges};
use crate::orders::{ORDER_WORDS, OrderBatch, Refused};
use crate::runtime;
use crate::target::NativeTarget;
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

/// A request that cannot be sent.
#[napi(object, object_from_js = false)]
pub struct NativeRefusedRequest {
    /// Which of its batch, from 0.
    pub index: u32,
    /// A code of the table of errors.
    pub code: &'static str,
    pub message: String,
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
    /// Numbers of requests, shared with JavaScript.
    orders: Uint32Array,
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
    /// Checks the options; connects to nothing. Responses come to the hooks. The numbers of requests are taken from `orders`.
    #[napi(constructor)]
    pub fn new(
        env: Env,
        options: NativeClientOptions,
        hooks: NativeHooks,
        orders: Uint32Array,
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
            orders,
        })
    }

    /// Its open exchanges, and the sessions and datagrams on them.
    #[napi(getter)]
    pub fn exchanges(&self) -> NativeExchanges {
        self.exchanges.native()
    }

    /// Sends `count` requests: their numbers in the shared words, their text joined in `text`, small bodies one behind the
    /// other in `shared`, larger ones apart; all are copied. The name of each is put into its first two words. Returns those
    /// that cannot be sent, which have no name; `null`: all are on their way.
    #[napi]
    pub fn request(
        &mut self,
        count: u32,
        #[napi(ts_arg_type = "string")] text: Utf8,
        shared: Option<&[u8]>,
        bodies: Vec<&[u8]>,
    ) -> Result<Option<Vec<NativeRefusedRequest>>> {
        // SAFETY: JavaScript writes these words before this call, reads them behind it, and never during it.
        let words = unsafe { self.orders.as_mut() };
        let words = words.get_mut(..count as usize * ORDER_WORDS).ok_or_else(|| {
            error(
                ErrorCode::Internal,
                format!("{count} requests are more than the words hold"),
            )
        })?;
        let batch = OrderBatch {
            words,
            text: text.0,
            shared: shared.unwrap_or_default(),
            bodies: &bodies,
        };
        let refused = batch.send(&self.shared.client);
        let native = |Refused { index, code, reason }| NativeRefusedRequest {
            index: index as u32,
            code: code.as_str(),
            message: reason,
        };
        Ok((!refused.is_empty()).then(|| refused.into_iter().map(native).collect()))
    }

    /// Makes a connection of raw QUIC datagrams. Resolves with what is known of it, or with why there is none.
    #[napi(ts_return_type = "Promise<NativeConnection | NativeRequestFailure>")]
    pub fn connect<'env>(
        &self,
        env: &'env Env,
        to: NativeTarget,
    ) -> Result<PromiseRaw<'env, napi::Either<NativeConnection, NativeRequestFailure>>> {
        let connecting = self.shared.client.connect(to.read()?);
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
