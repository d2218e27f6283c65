//! The server class that `lib/server.ts` wraps.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use napi::Env;
use napi::bindgen_prelude::{BigInt, PromiseRaw, Uint8Array, Uint32Array};
use napi_derive::napi;
use trilane_core::tls::CertificateStore;
use trilane_core::{
    BindError, ConnectionName, DatagramLayer, DatagramStats, ExchangeId, Server, Stop, StreamKind, StreamName,
};
use trilane_http3::Code;

use crate::answers::{ANSWER_WORDS, AnswerBatch, Command, Commands, StreamCommand, carry_out};
use crate::body::NativeBody;
use crate::bridge::Bridge;
use crate::certificates::{self, NativeTlsUpdate};
use crate::connection::{NativeConnection, NativeDatagramStats};
use crate::datagrams::{DATAGRAM_WORDS, OutgoingDatagrams};
use crate::environment;
use crate::error::{ErrorCode, Result, error, internal};
use crate::options::{NativeServerOptions, configure};
use crate::runtime;
use crate::session::NativeReadHalf;
use crate::turn::{NativeServerHooks, wake_function};
use crate::values::Utf8;

/// An IP address and a port.
#[napi(object)]
pub struct NativeAddress {
    pub address: String,
    pub port: u16,
    #[napi(ts_type = "'IPv4' | 'IPv6'")]
    pub family: String,
}

/// Counters since the server was made.
#[napi(object)]
pub struct NativeStats {
    /// Connections whose handshake was completed.
    pub connections_total: BigInt,
    /// Connections open now.
    pub connections_active: u32,
    /// Connection attempts refused by a limit.
    pub connections_refused: BigInt,
    /// Handshakes that failed or timed out.
    pub handshakes_failed: BigInt,
    /// Requests whose header section was accepted.
    pub requests: BigInt,
    /// Requests that wait for an answer, or whose answer is being sent.
    pub requests_active: u32,
    /// Requests that ended without a whole answer: the client reset or vanished, or the handler gave up.
    pub requests_aborted: BigInt,
    /// Requests refused as malformed (RFC 9114 §4.1.2).
    pub requests_malformed: BigInt,
    /// Connections closed because the client broke the protocol.
    pub protocol_errors: BigInt,
    /// Connections closed because the client did too much that is no progress (H3_EXCESSIVE_LOAD, RFC 9114 §10.5).
    pub excessive_load: BigInt,
    /// Clients asked to prove their address with a Retry packet (RFC 9000 §8.1.2).
    pub retries_sent: BigInt,
    /// Bytes of request bodies handed to handlers.
    pub body_bytes_received: BigInt,
    /// Bytes of answer bodies that QUIC took.
    pub body_bytes_sent: BigInt,
    /// Raw QUIC datagrams.
    pub quic_datagrams: NativeDatagramStats,
    /// HTTP datagrams of requests.
    pub h3_datagrams: NativeDatagramStats,
    /// Datagrams of WebTransport sessions.
    pub webtransport_datagrams: NativeDatagramStats,
    /// Sessions that were accepted.
    pub webtransport_sessions_total: BigInt,
    /// Sessions that are open.
    pub webtransport_sessions_active: u32,
    /// Streams opened in sessions, by either side.
    pub webtransport_streams: BigInt,
    /// Time since the server was made, in milliseconds.
    pub uptime_ms: f64,
}

/// An HTTP/3 server of one JavaScript thread.
#[napi]
pub struct NativeServer {
    shared: Arc<Shared>,
    pub(crate) commands: Arc<Commands>,
    outbox: Uint32Array,
    /// Small bodies of answers; as long as `lib/outbox.ts` makes it.
    outbox_bytes: Uint8Array,
    certificates: Arc<CertificateStore>,
}

/// What outlives the object: tasks hold it while they need it.
pub(crate) struct Shared {
    server: Server,
    bridge: Arc<Bridge>,
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

    /// Ends with its environment: no port stays bound, and nobody calls a thread that is gone.
    pub(crate) fn abandon(&self) {
        self.bridge.set_wake(None);
        drop(self.server.stop(Stop::Now));
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
        let server = Server::new(configured.config, bridge.clone(), runtime.clone());
        let commands = Arc::new(Commands::default());
        runtime.spawn(carry_out(
            commands.clone(),
            server.exchanges().clone(),
            server.datagrams(),
            server.sessions().clone(),
            bridge.clone(),
        ));
        let shared = Arc::new(Shared { server, bridge });
        Ok(Self {
            shared,
            commands,
            outbox,
            outbox_bytes,
            certificates: configured.certificates,
        })
    }

    /// Binds the port and begins to serve; requests come to the hooks.
    #[napi]
    pub fn start(&self, env: Env, hooks: NativeServerHooks) -> Result<NativeAddress> {
        environment::add(&env, &self.shared)?;
        let wake = wake_function(&env, self.shared.bridge.clone(), hooks)?;
        let address = self.shared.server.start().map_err(bind_error)?;
        self.shared.bridge.set_wake(Some(Arc::new(wake)));
        Ok(native_address(address))
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

    /// Puts certificates in the place of others, for handshakes that begin from now on; if one is wrong, nothing changes.
    #[napi]
    pub fn update_tls(&self, update: NativeTlsUpdate) -> Result<()> {
        certificates::update(&self.certificates, &update)
    }

    /// The counters now.
    #[napi(getter)]
    pub fn stats(&self) -> NativeStats {
        let mut stats = self.shared.server.stats();
        let dropped = &self.shared.bridge.dropped;
        take_back(&mut stats.quic_datagrams, dropped.quic.load(Relaxed));
        take_back(&mut stats.h3_datagrams, dropped.h3.load(Relaxed));
        take_back(&mut stats.webtransport_datagrams, dropped.session.load(Relaxed));
        NativeStats {
            connections_total: stats.connections_total.into(),
            connections_active: stats.connections_active as u32,
            connections_refused: stats.connections_refused.into(),
            handshakes_failed: stats.handshakes_failed.into(),
            requests: stats.requests.into(),
            requests_active: stats.requests_active as u32,
            requests_aborted: stats.requests_aborted.into(),
            requests_malformed: stats.requests_malformed.into(),
            protocol_errors: stats.protocol_errors.into(),
            excessive_load: stats.excessive_load.into(),
            retries_sent: stats.retries_sent.into(),
            body_bytes_received: stats.body_bytes_received.into(),
            body_bytes_sent: stats.body_bytes_sent.into(),
            quic_datagrams: stats.quic_datagrams.into(),
            h3_datagrams: stats.h3_datagrams.into(),
            webtransport_datagrams: stats.webtransport_datagrams.into(),
            webtransport_sessions_total: stats.sessions.total.into(),
            webtransport_sessions_active: stats.sessions.active as u32,
            webtransport_streams: stats.sessions.streams.into(),
            uptime_ms: stats.uptime.as_secs_f64() * 1000.0,
        }
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
        self.commands.push(Command::Answer(AnswerBatch {
            words,
            text: text.0,
            shared,
            bodies,
        }));
        Ok(())
    }

    /// Sends `count` datagrams, raw ones or those of exchanges: slot, generation and length of each in `words`, their bytes
    /// one behind the other. All are copied before this returns.
    #[napi]
    pub fn send_datagrams(
        &self,
        #[napi(ts_arg_type = "'quic' | 'h3' | 'webtransport'")] layer: String,
        count: u32,
        words: &[u32],
        bytes: &[u8],
    ) -> Result<()> {
        let words = words.get(..count as usize * DATAGRAM_WORDS).ok_or_else(|| {
            error(
                ErrorCode::Internal,
                format!("{count} datagrams are more than the numbers say"),
            )
        })?;
        self.commands.push(Command::Datagrams(OutgoingDatagrams {
            layer: match &*layer {
                "quic" => DatagramLayer::Quic,
                "webtransport" => DatagramLayer::WebTransport,
                _ => DatagramLayer::Http,
            },
            words: words.to_vec(),
            bytes: Bytes::copy_from_slice(bytes),
        }));
        Ok(())
    }

    /// Accepts a WebTransport session, named by its exchange; `fields` are "name\0value\0…", or empty.
    #[napi]
    pub fn accept_session(&self, slot: u32, generation: u32, #[napi(ts_arg_type = "string")] fields: Utf8) {
        let id = ExchangeId { slot, generation };
        self.commands.push(Command::Accept(id, fields.0));
    }

    /// Ends a session with a code and a reason of at most 1,024 bytes.
    #[napi]
    pub fn close_session(
        &self,
        slot: u32,
        generation: u32,
        code: u32,
        #[napi(ts_arg_type = "string")] reason: Utf8,
    ) {
        let id = ExchangeId { slot, generation };
        self.commands.push(Command::Close(id, code, reason.0));
    }

    /// Asks the client to wind a session up.
    #[napi]
    pub fn drain_session(&self, slot: u32, generation: u32) {
        self.commands
            .push(Command::Drain(ExchangeId { slot, generation }));
    }

    /// Opens a stream in a session. Resolves with its slot and generation once the client allows one more; with `null` if
    /// the session is over.
    #[napi(ts_return_type = "Promise<[number, number] | null>")]
    pub fn open_stream<'env>(
        &self,
        env: &'env Env,
        slot: u32,
        generation: u32,
        bidirectional: bool,
    ) -> Result<PromiseRaw<'env, Option<(u32, u32)>>> {
        let kind = if bidirectional {
            StreamKind::Bidirectional
        } else {
            StreamKind::Unidirectional
        };
        let sessions = self.shared.server.sessions().clone();
        let opened = sessions.open_stream(ExchangeId { slot, generation }, kind);
        env.spawn_future(async move {
            let opened = opened.await;
            Ok(opened.ok().map(|name| (name.slot, name.generation)))
        })
        .map_err(internal)
    }

    /// The half of a stream that is read; `null` if it has none, or is gone.
    #[napi]
    pub fn read_half(&self, slot: u32, generation: u32) -> Option<NativeReadHalf> {
        let half = self
            .shared
            .server
            .sessions()
            .read_half(StreamName { slot, generation });
        half.map(NativeReadHalf::new)
    }

    /// Writes a chunk to a stream of a session; copied before this returns. With `notify`, the stream hook hears "drained"
    /// once all that was written is sent.
    #[napi]
    pub fn write_stream(&self, slot: u32, generation: u32, chunk: &[u8], notify: bool) {
        let chunk = Bytes::copy_from_slice(chunk);
        self.stream(slot, generation, StreamCommand::Write { chunk, notify });
    }

    /// Ends the written half of a stream; the hook hears "finished" once all of it is acknowledged.
    #[napi]
    pub fn finish_stream(&self, slot: u32, generation: u32) {
        self.stream(slot, generation, StreamCommand::Finish);
    }

    /// RESET_STREAM with the application's code.
    #[napi]
    pub fn reset_stream(&self, slot: u32, generation: u32, code: u32) {
        self.stream(slot, generation, StreamCommand::Reset(code));
    }

    /// Both halves are done with.
    #[napi]
    pub fn forget_stream(&self, slot: u32, generation: u32) {
        self.stream(slot, generation, StreamCommand::Forget);
    }

    fn stream(&self, slot: u32, generation: u32, command: StreamCommand) {
        let name = StreamName { slot, generation };
        self.commands.push(Command::Stream(name, command));
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

    /// The stream of an open exchange, and the largest HTTP datagram it can send now (0: none); `null` once it is over.
    #[napi(ts_return_type = "[bigint, number] | null")]
    pub fn exchange_stream(&self, slot: u32, generation: u32) -> Option<(BigInt, u32)> {
        let id = ExchangeId { slot, generation };
        let (stream, most) = self.shared.server.exchanges().datagram_info(id)?;
        Some((stream.into(), most.unwrap_or(0) as u32))
    }

    /// Writes a piece of a streaming answer's body; copied before this returns. With `notify`, the exchange hook
    /// hears "drained" once all that was written is sent.
    #[napi]
    pub fn write(&self, slot: u32, generation: u32, chunk: &[u8], notify: bool) {
        let (id, chunk) = (ExchangeId { slot, generation }, Bytes::copy_from_slice(chunk));
        self.commands.push(Command::Write { id, chunk, notify });
    }

    /// Ends a streaming answer's body.
    #[napi]
    pub fn finish(&self, slot: u32, generation: u32) {
        self.commands
            .push(Command::Finish(ExchangeId { slot, generation }));
    }

    /// Gives an exchange up with an HTTP/3 error code.
    #[napi]
    pub fn reset(&self, slot: u32, generation: u32, code: u32) {
        let code = Code::from(u64::from(code));
        self.commands
            .push(Command::Reset(ExchangeId { slot, generation }, code));
    }

    /// The body of a streaming request: once, while its exchange is open. Left alone, it is declined with the answer.
    #[napi]
    pub fn body(&self, slot: u32, generation: u32) -> Option<NativeBody> {
        self.shared
            .server
            .exchanges()
            .take_body(ExchangeId { slot, generation })
            .map(NativeBody::new)
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

impl Drop for NativeServer {
    fn drop(&mut self) {
        self.commands.close();
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
