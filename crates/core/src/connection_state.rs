//! What the rest of the server may know of a connection while its task runs.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use quinn::{SendStream, VarInt};
use trilane_http3::{PeerStreams, Role, Settings};

use crate::client::RequestError;
use crate::congestion;
use crate::connection::Outcome;
use crate::connections::ConnectionName;
use crate::datagram_counters::{DatagramCounters, DatagramLayer, DatagramStats};
use crate::datagram_queue::{DatagramPolicy, DatagramQueue};
use crate::file::FileMemory;
use crate::peer_streams::Goaway;
use crate::portion::Portion;
use crate::priority::Priorities;
use crate::session::Session;
use crate::session_event::StreamKind;
use crate::stats::Counters;
use crate::sync::lock;

/// Work of one stream that could not be done at once; polled inside the connection's task, each with a waker of
/// its own, so that a slow stream holds nobody up.
pub(crate) type StreamWork = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a connection's task is to poll from now on.
#[derive(Default)]
pub(crate) struct Adopted {
    /// What a graceful stop waits for.
    pub(crate) work: Vec<StreamWork>,
    /// What only looks whether something comes that may never come.
    pub(crate) watches: Vec<StreamWork>,
}

/// What names a connection to the outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// Random, our own: QUIC's ids change, and the one that the client chose is not unique.
    pub(crate) id: [u8; 16],
    /// What the client chose for its first packet (RFC 9000 §7.2).
    pub(crate) original_destination: quinn::ConnectionId,
}

/// How a client's connection came about.
#[derive(Clone, Copy, Debug)]
pub struct Handshake {
    /// How long it took, the looking up of the name included.
    pub duration: Duration,
    /// Whether it resumed an earlier session.
    pub is_resumed: bool,
}

pub(crate) struct ConnectionState {
    pub(crate) quic: quinn::Connection,
    pub(crate) identity: Identity,
    /// Says in each traced line which connection it is about.
    pub(crate) span: tracing::Span,
    name: ConnectionName,
    /// Of a connection of a client: how it came about.
    pub(crate) handshake: Option<Handshake>,
    /// Datagrams on their way out.
    pub(crate) datagrams: DatagramQueue,
    /// Its WebTransport sessions, by the id of their CONNECT stream.
    pub(crate) sessions: Mutex<HashMap<u64, Arc<Session>>>,
    counters: DatagramCounters,
    server_counters: Arc<Counters>,
    /// Exchanges that wait for an answer or whose streaming answer goes on.
    pub(crate) exchanges: AtomicUsize,
    /// Which side of it we are.
    pub(crate) role: Role,
    /// Which critical streams the peer has opened (RFC 9114 §6.2).
    pub(crate) peer_streams: Mutex<PeerStreams>,
    /// The peer's SETTINGS, once they are here. Nothing waits for them (RFC9114-7.2.4.2-before-settings).
    pub(crate) peer_settings: Mutex<Option<Settings>>,
    /// Tells those who wait for them.
    pub(crate) settings_came: tokio::sync::Notify,
    /// Of a client: why its requests find the connection ended, where QUIC knows only that we closed it.
    pub(crate) ended_by: OnceLock<RequestError>,
    pub(crate) goaway: Goaway,
    /// The id of the last GOAWAY of a server: requests with it and above are not processed (RFC 9114 §5.2).
    pub(crate) peer_goaway: AtomicU64,
    pub(crate) priorities: Priorities,
    /// Complete requests that the client gave up, not yet counted by the task.
    cancelled: AtomicUsize,
    /// HTTP/3 frames without content, not yet counted by the task.
    overhead: AtomicU32,
    /// Request streams accepted so far; only the task writes it.
    requests: AtomicU64,
    waker: AtomicWaker,
    adopted: Mutex<Adopted>,
    /// Answers written and finished, kept until the peer has acknowledged them: a graceful stop waits for them.
    finished: Mutex<Vec<SendStream>>,
    pub(crate) file_memory: Arc<FileMemory>,
    /// Requests handed over since the handler last took some.
    pub(crate) portion: Portion,
}

impl ConnectionState {
    pub(crate) fn new(
        role: Role,
        quic: quinn::Connection,
        identity: Identity,
        name: ConnectionName,
        policy: DatagramPolicy,
        server_counters: Arc<Counters>,
        max_concurrent_streams: u32,
    ) -> Self {
        Self {
            quic,
            span: tracing::debug_span!("connection", id = %Hex(&identity.id)),
            identity,
            name,
            handshake: None,
            datagrams: DatagramQueue::new(policy),
            sessions: Mutex::default(),
            counters: DatagramCounters::default(),
            server_counters,
            exchanges: AtomicUsize::new(0),
            role,
            peer_streams: Mutex::new(PeerStreams::new(role)),
            peer_settings: Mutex::default(),
            settings_came: tokio::sync::Notify::new(),
            ended_by: OnceLock::new(),
            goaway: Goaway::new(),
            peer_goaway: AtomicU64::new(u64::MAX),
            priorities: Priorities::new(max_concurrent_streams),
            cancelled: AtomicUsize::new(0),
            overhead: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            adopted: Mutex::default(),
            finished: Mutex::default(),
            file_memory: Arc::default(),
            portion: Portion::default(),
        }
    }

    /// Of a connection that a client made.
    pub(crate) fn with_handshake(mut self, handshake: Handshake) -> Self {
        self.handshake = Some(handshake);
        self
    }

    pub(crate) fn name(&self) -> ConnectionName {
        self.name
    }

    /// Closes the connection: everything that should end it comes here, so that the close is not held back.
    pub(crate) fn close(&self, code: VarInt, reason: &[u8]) {
        congestion::make_way(&self.quic);
        self.quic.close(code, reason);
    }

    /// Whether the peer's SETTINGS allow HTTP datagrams; ours do wherever this is asked (RFC 9297 §2.1.1).
    pub(crate) fn agreed_on_datagrams(&self) -> bool {
        lock(&self.peer_settings)
            .as_ref()
            .is_some_and(|settings| settings.h3_datagram)
    }

    /// Datagrams were handed to the handler.
    pub(crate) fn received(&self, layer: DatagramLayer, count: u64) {
        self.counters.received(layer, count);
        self.server_counters.datagrams.received(layer, count);
    }

    /// Datagrams that were handed to the handler reached nobody.
    pub(crate) fn unread(&self, layer: DatagramLayer, count: u64) {
        self.counters.unread(layer, count);
        self.server_counters.datagrams.unread(layer, count);
    }

    /// Datagrams were handed to QUIC.
    pub(crate) fn sent(&self, layer: DatagramLayer, count: u64) {
        if count > 0 {
            self.counters.sent(layer, count);
            self.server_counters.datagrams.sent(layer, count);
        }
    }

    /// Datagrams came and nobody got them.
    pub(crate) fn dropped_incoming(&self, layer: DatagramLayer, count: u64) {
        if count > 0 {
            self.counters.dropped_incoming(layer, count);
            self.server_counters.datagrams.dropped_incoming(layer, count);
        }
    }

    /// A datagram will not be sent.
    pub(crate) fn dropped_outgoing(&self, layer: DatagramLayer) {
        self.counters.dropped_outgoing(layer);
        self.server_counters.datagrams.dropped_outgoing(layer);
    }

    /// Counters of the server.
    pub(crate) fn count<Part>(&self, part: impl FnOnce(&Counters) -> &Part) -> &Part {
        part(&self.server_counters)
    }

    /// What became of this connection's datagrams.
    pub(crate) fn datagram_stats(&self, layer: DatagramLayer) -> DatagramStats {
        self.counters.snapshot(layer)
    }

    /// A stream was reset before it said whose it is: its peer counts it for one of the sessions, so each allows one more
    /// (draft-ietf-webtrans-http3-16 §5.3).
    pub(crate) fn unnamed_stream_lost(&self, kind: StreamKind) {
        let sessions: Vec<_> = lock(&self.sessions).values().cloned().collect();
        for session in sessions {
            // It may cost a capsule each.
            self.count_overhead(u32::from(session.flow.is_some()));
            session.stream_lost(kind);
        }
    }

    /// Has the connection's task poll `work` from now on.
    pub(crate) fn adopt(&self, work: impl Future<Output = Outcome> + Send + 'static) {
        lock(&self.adopted).work.push(Box::pin(work));
        self.waker.wake();
    }

    /// Has the connection's task poll `watch` from now on; no graceful stop waits for its end.
    pub(crate) fn adopt_watch(&self, watch: impl Future<Output = Outcome> + Send + 'static) {
        lock(&self.adopted).watches.push(Box::pin(watch));
        self.waker.wake();
    }

    /// Counts a request that the client gave up.
    pub(crate) fn count_cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
        self.waker.wake();
    }

    /// Requests given up since the last call.
    pub(crate) fn take_cancelled(&self) -> usize {
        self.cancelled.swap(0, Relaxed)
    }

    /// Counts frames that brought nothing, read outside the task's own turn; none is no work.
    #[inline]
    pub(crate) fn count_overhead(&self, frames: u32) {
        if frames > 0 {
            self.overhead.fetch_add(frames, Relaxed);
            self.waker.wake();
        }
    }

    /// Frames without content since the last call.
    #[inline]
    pub(crate) fn take_overhead(&self) -> u32 {
        match self.overhead.load(Relaxed) {
            0 => 0,
            _ => self.overhead.swap(0, Relaxed),
        }
    }

    /// A request stream was accepted, the task's `count`th.
    #[inline]
    pub(crate) fn accepted(&self, count: u64) {
        self.requests.store(count, Relaxed);
    }

    /// Request streams accepted so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Keeps a finished stream until it is acknowledged.
    pub(crate) fn finished(&self, stream: SendStream) {
        lock(&self.finished).push(stream);
    }

    /// Wakes the task: its last exchange is over, or the server's state has changed.
    pub(crate) fn idle(&self) {
        self.waker.wake();
    }

    pub(crate) fn finished_len(&self) -> usize {
        lock(&self.finished).len()
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn take_adopted(&self, into: &mut Adopted) {
        let mut adopted = lock(&self.adopted);
        into.work.append(&mut adopted.work);
        into.watches.append(&mut adopted.watches);
    }

    pub(crate) fn take_finished(&self) -> Vec<SendStream> {
        std::mem::take(&mut lock(&self.finished))
    }
}

/// Bytes as lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
