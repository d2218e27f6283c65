//! One WebTransport session (draft-ietf-webtrans-http3-16): its CONNECT stream, its streams, its end.
//!
//! A session is an exchange that stays open: the head of its answer accepts it, the content of its answer are our capsules,
//! the content of its request the peer's.

mod datagrams;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use quinn::SendStream;
use tokio::sync::Notify;
use trilane_http3::code::WT_SESSION_GONE;
use trilane_http3::webtransport::SessionFlow;
use trilane_http3::{Capsule, Code, Error};

use crate::arrived_stream::Arrived;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::content::{ContentError, ContentReader};
use crate::datagram_counters::DatagramLayer;
use crate::early_streams::Refused;
use crate::exchange::ExchangeId;
use crate::priority::WriteTurn;
use crate::send_order::{self, SendOrders, SendPlace};
use crate::session_capsules::{self, Broken, CAPSULE_BYTES, SessionCapsules};
use crate::session_event::{SessionEnd, SessionEvent, StreamKind, StreamName};
use crate::session_flow::FlowControl;
use crate::session_stream::{self, ReadHalf, Sharing, StreamEvent, WriteHalf};
use crate::session_table::{SessionTable, Stream};
use crate::sync::lock;
use crate::wire::wire_code;

/// Streams that may wait for their session to be accepted; more are refused.
pub(crate) const MAX_EARLY_STREAMS: usize = 16;

/// How long a refused client may go on before it is told to stop.
const DISCARD_FOR: Duration = Duration::from_secs(1);

pub(crate) struct Session {
    pub(crate) id: ExchangeId,
    /// The id of its CONNECT stream.
    pub(crate) stream: u64,
    connection: Arc<ConnectionState>,
    table: Weak<SessionTable>,
    state: Mutex<State>,
    /// From its acceptance to the end of its CONNECT stream.
    capsules: Mutex<Option<SessionCapsules>>,
    /// `None`: not agreed on.
    pub(crate) flow: Option<Arc<FlowControl>>,
    /// How long its datagrams wait to be sent, in milliseconds; 0: as the limits say.
    datagram_age_ms: AtomicU32,
    expired_datagrams: Arc<AtomicU64>,
    /// Told when datagrams no longer wait for the answer.
    released: Notify,
    orders: Arc<SendOrders>,
}

/// What a session comes from.
pub(crate) struct Beginning {
    pub(crate) id: ExchangeId,
    /// The id of its CONNECT stream.
    pub(crate) stream: u64,
    pub(crate) content: ContentReader,
    /// `None`: there is no flow control but that of QUIC.
    pub(crate) flow: Option<SessionFlow>,
    /// QUIC's flow control of one stream, in bytes.
    pub(crate) stream_window: u32,
}

struct State {
    phase: Phase,
    /// Of the CONNECT stream, until the session is accepted.
    content: Option<ContentReader>,
    early: Vec<Arrived>,
    streams: HashMap<StreamName, Opener>,
    /// Datagrams that wait for the answer to leave; `None`: it has left.
    held: Option<VecDeque<Bytes>>,
    held_bytes: usize,
}

/// Who opened a stream.
#[derive(Clone, Copy)]
pub(crate) enum Opener {
    Us,
    Peer(StreamKind),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Open,
    Over,
}

impl Session {
    pub(crate) fn new(
        begin: Beginning,
        connection: Arc<ConnectionState>,
        table: &Arc<SessionTable>,
    ) -> Arc<Self> {
        let state = State {
            phase: Phase::Waiting,
            content: Some(begin.content),
            early: Vec::new(),
            streams: HashMap::new(),
            held: Some(VecDeque::new()),
            held_bytes: 0,
        };
        let (window, table) = (u64::from(begin.stream_window), Arc::downgrade(table));
        Arc::new_cyclic(|this| Self {
            id: begin.id,
            stream: begin.stream,
            connection,
            table,
            state: Mutex::new(state),
            capsules: Mutex::new(None),
            datagram_age_ms: AtomicU32::new(0),
            expired_datagrams: Arc::default(),
            released: Notify::new(),
            orders: Arc::default(),
            flow: (begin.flow).map(|flow| Arc::new(FlowControl::new(flow, this.clone(), window))),
        })
    }

    pub(crate) fn quic(&self) -> &quinn::Connection {
        &self.connection.quic
    }

    fn sent_stream_frames(&self) -> u64 {
        self.quic().stats().frame_tx.stream
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.state).phase == Phase::Open
    }

    /// The answer that accepts it was written: what came before is handed over, capsules are read.
    pub(crate) fn accepted(self: &Arc<Self>) {
        let (content, early) = {
            let mut state = lock(&self.state);
            if state.phase != Phase::Waiting {
                return;
            }
            state.phase = Phase::Open;
            self.connection.count(|counters| &counters.sessions).opened();
            (state.content.take(), std::mem::take(&mut state.early))
        };
        for arrived in early {
            self.hand_over(arrived);
        }
        if let Some(flow) = &self.flow {
            flow.tell_peer();
        }
        if let Some(content) = content {
            *lock(&self.capsules) = Some(SessionCapsules::new(content));
            // While the session is open its exchange holds up a stop; afterwards only a client that does not answer would.
            self.connection.adopt_watch(session_capsules::read(self.clone()));
        }
        // Read at once: the answer is queued, and on the IO thread its connection has not run since.
        let before = self.sent_stream_frames();
        self.connection
            .adopt(datagrams::release_datagrams(self.clone(), before));
    }

    /// A stream of it is done with.
    pub(crate) fn forget(&self, name: StreamName) {
        let opener = lock(&self.state).streams.remove(&name);
        if let (Some(Opener::Peer(kind)), Some(flow)) = (opener, &self.flow) {
            flow.stream_done(kind);
        }
    }

    /// Streams of it came before it, and were refused.
    pub(crate) fn streams_refused(&self, refused: Refused) {
        for _ in 0..refused.bidirectional {
            self.stream_lost(StreamKind::Bidirectional);
        }
        for _ in 0..refused.unidirectional {
            self.stream_lost(StreamKind::Unidirectional);
        }
    }

    /// The peer opened a stream that may have been one of this session: it was refused or reset before that was known.
    pub(crate) fn stream_lost(&self, kind: StreamKind) {
        if let Some(flow) = &self.flow {
            flow.stream_lost(kind);
        }
    }

    fn table(&self) -> Option<Arc<SessionTable>> {
        self.table.upgrade()
    }

    /// A stream of this session has come: handed over, kept until the session is accepted, or refused.
    pub(crate) fn arrived(self: &Arc<Self>, arrived: Arrived) {
        let kind = arrived.kind();
        if let Some(flow) = &self.flow
            && let Err(error) = flow.stream_came(kind)
        {
            self.break_off(error.code);
            return arrived.refuse(WT_SESSION_GONE);
        }
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Open => {
                drop(state);
                self.hand_over(arrived);
            }
            Phase::Waiting if state.early.len() < MAX_EARLY_STREAMS => state.early.push(arrived),
            Phase::Waiting => {
                drop(state);
                arrived.refuse(trilane_http3::code::WT_BUFFERED_STREAM_REJECTED);
                self.stream_lost(kind);
            }
            Phase::Over => {
                drop(state);
                arrived.refuse(WT_SESSION_GONE);
            }
        }
    }

    fn hand_over(self: &Arc<Self>, arrived: Arrived) {
        let Some(table) = self.table() else { return };
        let kind = arrived.kind();
        let read = ReadHalf::new(arrived.recv, arrived.first, self.flow.clone());
        let send = arrived.send.map(|send| (send, Bytes::new()));
        let name = self.register(&table, Opener::Peer(kind), Some(read), send);
        self.tell(SessionEvent::Stream(name, kind));
    }

    /// Names the stream and lets its written half run in the connection's task.
    pub(crate) fn register(
        self: &Arc<Self>,
        table: &Arc<SessionTable>,
        opener: Opener,
        read: Option<Arc<ReadHalf>>,
        send: Option<(SendStream, Bytes)>,
    ) -> StreamName {
        let write = send.is_some().then(WriteHalf::new);
        let stream = Stream {
            read,
            write: write.clone(),
        };
        let name = table.insert(stream.clone(), self);
        self.connection.count(|counters| &counters.sessions).stream();
        let mut state = lock(&self.state);
        if state.phase == Phase::Over {
            drop(state);
            table.take(name);
            stream.session_gone();
        } else {
            state.streams.insert(name, opener);
        }
        if let (Some((send, prefix)), Some(write)) = (send, write) {
            self.orders.add(name, write.clone());
            let sharing = Sharing {
                flow: self.flow.clone(),
                orders: self.orders.clone(),
                turn: WriteTurn::new(self.connection.clone()),
            };
            let (exchanges, orders) = (table.exchanges.clone(), self.orders.clone());
            let written = session_stream::write(send, prefix, write, sharing, move |event| {
                if event != StreamEvent::Drained {
                    orders.remove(name);
                }
                exchanges.handler().stream_event(name, event);
            });
            self.connection.adopt(written.map(|()| Outcome::Done));
        }
        name
    }

    /// Gives a written stream its place among those of the session.
    pub(crate) fn place(&self, name: StreamName, place: SendPlace) {
        if self.orders.put(name, place) {
            let (orders, connection) = (self.orders.clone(), self.connection.clone());
            self.connection.adopt_watch(send_order::keep(orders, connection));
        }
    }

    /// The peer's connection goes away.
    pub(crate) fn goes_away(&self) {
        if self.is_open() {
            self.tell(SessionEvent::Draining);
        }
    }

    fn tell(&self, event: SessionEvent) {
        if let Some(table) = self.table() {
            table.exchanges.handler().session_event(self.id, event);
        }
    }

    /// The session is over: its streams are reset, and nothing more is sent. `false`: it was already.
    pub(crate) fn end(&self) -> bool {
        let (was, held, content, early, streams) = {
            let mut state = lock(&self.state);
            if state.phase == Phase::Over {
                return false;
            }
            (
                std::mem::replace(&mut state.phase, Phase::Over),
                state.held.take(),
                state.content.take(),
                std::mem::take(&mut state.early),
                std::mem::take(&mut state.streams),
            )
        };
        self.released.notify_waiters();
        for _ in held.into_iter().flatten() {
            self.connection.dropped_outgoing(DatagramLayer::WebTransport);
        }
        if was == Phase::Open {
            self.connection.count(|counters| &counters.sessions).closed();
        }
        if let Some(content) = content {
            self.connection.adopt(discard(content, self.connection.clone()));
        }
        lock(&self.connection.sessions).remove(&self.stream);
        self.orders.close();
        if let Some(flow) = &self.flow {
            flow.session_gone();
        }
        for arrived in early {
            arrived.refuse(WT_SESSION_GONE);
        }
        if let Some(table) = self.table() {
            for name in streams.into_keys() {
                if let Some(stream) = table.take(name) {
                    stream.session_gone();
                }
            }
        }
        true
    }

    /// Its exchange is over: refused by this side, broken off by the client, or ended in order before. Says whether the
    /// session ended in order.
    pub(crate) fn exchange_over(&self) -> bool {
        if lock(&self.state).phase == Phase::Over {
            return true;
        }
        // A client that closes may stop our side, or close the connection, right behind its capsule.
        let last_word = self.last_word();
        let in_order = last_word.is_some();
        if self.end() {
            self.tell(SessionEvent::Closed(last_word.unwrap_or(SessionEnd::Abrupt)));
        }
        in_order
    }

    fn last_word(&self) -> Option<SessionEnd> {
        if !self.is_open() {
            return None;
        }
        let mut capsules = self.capsules.try_lock().ok()?;
        capsules.as_mut()?.last_word(&self.connection)
    }

    /// The client ended it.
    pub(crate) fn closed_by_client(&self, end: SessionEnd) {
        if !self.end() {
            return;
        }
        self.tell(SessionEvent::Closed(end));
        if let Some(table) = self.table() {
            let _ = table.exchanges.finish(self.id);
        }
    }

    /// Its CONNECT stream was reset by the client, or broke the protocol.
    pub(crate) fn broke_off(&self, code: Code) {
        if !self.end() {
            return;
        }
        self.tell(SessionEvent::Closed(SessionEnd::Abrupt));
        if let Some(table) = self.table() {
            let _ = table.exchanges.reset(self.id, code);
        }
    }

    /// Its client broke a rule: the session is over, and nothing more of its CONNECT stream is read.
    pub(crate) fn break_off(&self, code: Code) {
        if let Some(capsules) = self.take_capsules() {
            capsules.stop(code);
        }
        self.broke_off(code);
    }

    /// Sends a capsule of an accepted session. One that finds the queue full is not sent: a client that lets that many pile
    /// up unread waits for none of them.
    pub(crate) fn send_capsule(&self, capsule: &Capsule) {
        if let Some(table) = self.table() {
            let _ = table.send_capsule(self.id, capsule);
        }
    }

    /// The next capsule; `None` at the orderly end of the CONNECT stream.
    pub(crate) fn poll_capsule(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Capsule>, Broken>> {
        match &mut *lock(&self.capsules) {
            Some(capsules) => capsules.poll_next(cx, &self.connection),
            None => Poll::Ready(Ok(None)),
        }
    }

    /// No more capsules are read.
    pub(crate) fn take_capsules(&self) -> Option<SessionCapsules> {
        lock(&self.capsules).take()
    }

    /// An error ends the session.
    pub(crate) fn take_capsule(&self, capsule: Capsule) -> Result<(), Error> {
        match capsule {
            Capsule::CloseSession { code, reason } => {
                self.closed_by_client(SessionEnd::closed(code, &reason));
            }
            // Closed by this side: nobody listens any more.
            _ if !self.is_open() => {}
            Capsule::DrainSession => self.tell(SessionEvent::Draining),
            Capsule::Datagram(payload) => {
                if let Some(table) = self.table() {
                    self.connection.received(DatagramLayer::WebTransport, 1);
                    table.exchanges.handler().session_datagram(self.id, payload);
                }
            }
            Capsule::MaxData(_)
            | Capsule::MaxStreamsBidi(_)
            | Capsule::MaxStreamsUni(_)
            | Capsule::DataBlocked(_)
            | Capsule::StreamsBlockedBidi(_)
            | Capsule::StreamsBlockedUni(_) => {
                // Not agreed on, they are ignored (draft-ietf-webtrans-http3-16 §5.1).
                if let Some(flow) = &self.flow
                    && flow.apply(&capsule)?
                {
                    self.wake_writers();
                }
            }
        }
        Ok(())
    }

    fn wake_writers(&self) {
        let Some(table) = self.table() else { return };
        let names: Vec<_> = lock(&self.state).streams.keys().copied().collect();
        for name in names {
            table.wake_writer(name);
        }
    }
}

/// Refused: what the client had begun to send is read and forgotten. Stopping it right behind the answer would make browsers
/// report a broken connection in place of the answer.
async fn discard(mut content: ContentReader, connection: Arc<ConnectionState>) -> Outcome {
    let reading = async {
        while let Ok(Some(_)) = read_content(&mut content, &connection).await {
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(DISCARD_FOR, reading).await;
    let _ = content.recv().stop(wire_code(Code::H3_NO_ERROR));
    Outcome::Done
}

/// The next piece of a CONNECT stream; tells the connection's task of frames that brought nothing.
async fn read_content(
    content: &mut ContentReader,
    connection: &ConnectionState,
) -> Result<Option<Bytes>, ContentError> {
    poll_fn(|cx| {
        let read = content.poll_content(cx, CAPSULE_BYTES);
        connection.count_overhead(content.take_overhead());
        read
    })
    .await
}
