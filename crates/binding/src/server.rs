//! The server class that `lib/server.ts` wraps.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, Uint8Array, Uint32Array};
use napi_derive::napi;
use trilane_core::tls::CertificateStore;
use trilane_core::{BindError, ConnectionName, DatagramStats, ExchangeId, Server, Stop};

use crate::answers::{ANSWER_WORDS, AnswerBatch};
use crate::bridge::Bridge;
use crate::certificates::{self, NativeTlsUpdate};
use crate::connection::NativeConnection;
use crate::environment::{self, Abandon};
use crate::error::{ErrorCode, Result, error, internal};
use crate::exchanges::{Exchanges, NativeExchanges};
use crate::options::{self, NativeRoute, NativeServerOptions, configure};
use crate::request_end::NativeDurations;
use crate::runtime;
use crate::socket_buffers::{self, NativeSocketBuffers};
use crate::stats::NativeStats;
use crate::turn::{NativeHooks, wake_function};
use crate::values::Utf8;

/// An IP address and a port.
#[napi(object)]
pub struct NativeAddress {
    pub address: String,
    pub port: u16,
    #[napi(ts_type = "'IPv4' | 'IPv6'")]
    pub family: String,
}

/// What came of a reload.
#[napi(object)]
pub struct NativeReloaded {
    /// Of the new routing.
    pub number: u32,
    /// Former routings, of which no request will come any more.
    pub over: Vec<u32>,
}

/// Where a server listens.
#[napi(object)]
pub struct NativeStarted {
    pub address: NativeAddress,
    /// The buffers of the socket, if the kernel gave less than was asked for: once for each process.
    pub small_buffers: Option<NativeSocketBuffers>,
}

/// An HTTP/3 server of one JavaScript thread.
#[napi]
pub struct NativeServer {
    shared: Arc<Shared>,
    pub(crate) exchanges: Arc<Exchanges>,
    outbox: Uint32Array,
    /// Small bodies of answers; as long as `lib/outbox.ts` makes it.
    outbox_bytes: Uint8Array,
    certificates: Arc<CertificateStore>,
    tell_small_buffers: bool,
}

/// What outlives the object: tasks hold it while they need it.
pub(crate) struct Shared {
    server: Server,
    bridge: Arc<Bridge>,
}

impl Abandon for Shared {
    fn abandon(&self) {
        self.bridge.set_wake(None);
        drop(self.server.stop(Stop::Now));
    }
}

impl Shared {
    /// Asks the server to stop; the future ends when it has, and then nothing of this start's JavaScript is held. It owns
    /// what it needs: the object may be freed while it runs.
    fn stop(&self, how: Stop) -> impl Future<Output = ()> + Send + 'static + use<> {
        let (bridge, wake) = (self.bridge.clone(), self.bridge.wake());
        let stopped = self.server.stop(how);
        async move {
            stopped.await;
            bridge.drop_wake(wake);
        }
    }
}

#[napi]
impl NativeServer {
    /// Checks the options and loads certificates; does not listen yet. `outbox` carries the numbers of answers,
    /// `outboxBytes` their small bodies.
    #[napi(constructor)]
    pub fn new(options: NativeServerOptions, outbox: Uint32Array, outbox_bytes: Uint8Array) -> Result<Self> {
        let configured = configure(options)?;
        let runtime = runtime::handle().map_err(internal)?;
        let bridge = Bridge::new();
        let server = Server::new(configured.config, bridge.clone(), runtime);
        let exchanges = Exchanges::new(&server, bridge.clone())?;
        let shared = Arc::new(Shared { server, bridge });
        Ok(Self {
            shared,
            exchanges,
            outbox,
            outbox_bytes,
            certificates: configured.certificates,
            tell_small_buffers: configured.tell_small_buffers,
        })
    }

    /// Its open exchanges, and the sessions and datagrams on them.
    #[napi(getter)]
    pub fn exchanges(&self) -> NativeExchanges {
        self.exchanges.native()
    }

    /// Binds the port and begins to serve; requests come to the hooks.
    #[napi]
    pub fn start(&self, env: Env, hooks: NativeHooks) -> Result<NativeStarted> {
        environment::add(&env, self.shared.clone())?;
        let wake = wake_function(&env, self.shared.bridge.clone(), hooks)?;
        let address = self.shared.server.start().map_err(bind_error)?;
        self.shared.bridge.set_wake(Some(Arc::new(wake)));
        Ok(NativeStarted {
            address: native_address(address),
            small_buffers: self
                .tell_small_buffers
                .then(|| socket_buffers::told(self.shared.server.socket_buffers()))
                .flatten(),
        })
    }

    /// Stops: gracefully within `graceMs`, or at once without it. Resolves when the port is free again.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn stop<'env>(&self, env: &'env Env, grace_ms: Option<u32>) -> Result<PromiseRaw<'env, ()>> {
        let how = match grace_ms {
            Some(ms) => Stop::Graceful(Duration::from_millis(u64::from(ms))),
            None => Stop::Now,
        };
        let stopped = self.shared.stop(how);
        env.spawn_future(async move {
            stopped.await;
            Ok(())
        })
        .map_err(internal)
    }

    /// Drops every connection now, without waiting for anything; once that is done, nothing of JavaScript is held.
    #[napi]
    pub fn close(&self) {
        // Without a runtime the process is ending, and all of it goes.
        if let Ok(runtime) = runtime::handle() {
            runtime.spawn(self.shared.stop(Stop::Now));
        } else {
            drop(self.shared.server.stop(Stop::Now));
        }
    }

    /// Whether the port is bound.
    #[napi(getter)]
    pub fn running(&self) -> bool {
        self.shared.server.is_running()
    }

    /// SHA-256 of the default certificate (DER): the one that the next handshake is shown.
    #[napi(getter)]
    pub fn certificate_hash(&self) -> Uint8Array {
        Uint8Array::with_data_copied(self.certificates.default_identity().leaf_sha256())
    }

    /// The default certificate (DER): the one that the next handshake is shown, without its chain.
    #[napi(getter)]
    pub fn certificate(&self) -> Uint8Array {
        Uint8Array::with_data_copied(self.certificates.default_identity().certificate())
    }

    /// Puts certificates in the place of others, for handshakes that begin from now on; if one is wrong, nothing changes.
    #[napi]
    pub fn update_tls(&self, update: NativeTlsUpdate) -> Result<()> {
        certificates::update(&self.certificates, &update)
    }

    /// Has these routes take the place of the others, for requests that begin from now on; if one is wrong, nothing changes.
    /// Returns the number of this routing, which the request hook tells, and those that are over.
    #[napi]
    pub fn reload(
        &self,
        routes: Vec<NativeRoute>,
        has_fallback: bool,
        streaming_fallback: bool,
    ) -> Result<NativeReloaded> {
        let routing = options::routing(&routes, has_fallback, streaming_fallback)?;
        let number = self
            .shared
            .server
            .reload(routing)
            .map_err(|e| error(ErrorCode::Reload, e))?;
        let over = self.shared.bridge.take_over_routings();
        Ok(NativeReloaded { number, over })
    }

    /// How long requests took, by route, method and class of status; empty unless it is counted.
    #[napi(getter)]
    pub fn durations(&self) -> Vec<NativeDurations> {
        let all = self.shared.server.durations();
        all.into_iter().map(NativeDurations::from).collect()
    }

    /// The counters now.
    #[napi(getter)]
    pub fn stats(&self) -> NativeStats {
        let mut stats = self.shared.server.stats();
        let dropped = &self.shared.bridge.dropped;
        take_back(&mut stats.quic_datagrams, dropped.quic.load(Relaxed));
        take_back(&mut stats.h3_datagrams, dropped.h3.load(Relaxed));
        take_back(&mut stats.webtransport_datagrams, dropped.session.load(Relaxed));
        stats.into()
    }

    /// Sends `count` answers: their numbers in the outbox, their text joined in `text`, small binary bodies in the first
    /// `bytesUsed` bytes of the outbox's, larger ones apart.
    #[napi]
    pub fn answer(
        &self,
        count: u32,
        #[napi(ts_arg_type = "string")] text: Utf8,
        bytes_used: u32,
        bodies: Vec<&[u8]>,
    ) -> Result<()> {
        let shared = self.outbox_bytes.get(..bytes_used as usize).ok_or_else(|| {
            error(
                ErrorCode::Internal,
                format!("{bytes_used} bytes are more than the outbox holds"),
            )
        })?;
        let shared = Bytes::copy_from_slice(shared);
        let words = self.outbox.get(..count as usize * ANSWER_WORDS).ok_or_else(|| {
            error(
                ErrorCode::Internal,
                format!("{count} answers are more than the outbox holds"),
            )
        })?;
        let words = words.to_vec();
        let bodies = bodies.into_iter().map(Bytes::copy_from_slice).collect();
        let batch = AnswerBatch {
            words,
            text: text.0,
            shared,
            bodies,
        };
        self.exchanges.answer(batch);
        Ok(())
    }

    /// What is known of an open connection; `null` once it is over.
    #[napi]
    pub fn connection(&self, slot: u32, generation: u32) -> Option<NativeConnection> {
        let name = ConnectionName { slot, generation };
        self.shared.server.connection(name).map(NativeConnection::from)
    }

    /// Every open connection.
    #[napi(getter)]
    pub fn connections(&self) -> Vec<NativeConnection> {
        let all = self.shared.server.connections();
        all.into_iter().map(NativeConnection::from).collect()
    }

    /// The certificate (DER) that the client of an open exchange showed; `null` if it showed none, or when it is over.
    #[napi]
    pub fn peer_certificate(&self, slot: u32, generation: u32) -> Option<Uint8Array> {
        self.shared
            .server
            .exchanges()
            .peer_certificate(ExchangeId { slot, generation })
            .map(Uint8Array::from)
    }

    /// Where the client of an open exchange is; `null` when it is over.
    #[napi]
    pub fn remote_address(&self, slot: u32, generation: u32) -> Option<NativeAddress> {
        self.shared
            .server
            .exchanges()
            .remote_address(ExchangeId { slot, generation })
            .map(native_address)
    }
}

/// Datagrams that the bridge dropped were handed over by the core, but no handler saw them.
fn take_back(stats: &mut DatagramStats, dropped: u64) {
    stats.received = stats.received.saturating_sub(dropped);
    stats.dropped_incoming += dropped;
}

pub(crate) fn native_address(address: std::net::SocketAddr) -> NativeAddress {
    let ip = address.ip().to_canonical();
    NativeAddress {
        address: ip.to_string(),
        port: address.port(),
        family: if ip.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned(),
    }
}

fn bind_error(source: BindError) -> napi::Error<ErrorCode> {
    let code = match source {
        BindError::AddressInUse(_) => ErrorCode::AddressInUse,
        BindError::AddressNotAvailable(_) | BindError::PermissionDenied(_) | BindError::Io { .. } => {
            ErrorCode::Bind
        }
        BindError::Running => ErrorCode::Running,
        BindError::NoInitialCipherSuite => ErrorCode::Certificate,
    };
    error(code, source)
}
