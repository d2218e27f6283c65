//! The task that owns one connection of a client: it opens requests, has their responses read, and watches the server.

mod idle;
mod incoming;
mod outgoing;
mod remembered;
pub(super) mod settings;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use quinn::ConnectionError;
use tokio::time::{Instant, Sleep, sleep_until};
use trilane_http3::{Code, Error};

use crate::connection::Outcome;
use crate::connection_state::{Adopted, ConnectionState, StreamWork};
use crate::datagrams::{Datagrams, Read};
use crate::early_streams::EarlyStreams;
use crate::load_guard::LoadGuard;
use crate::open_exchanges::OpenExchanges;
use crate::peer_streams;
use crate::sync::lock;
use crate::wire::wire_code;

use self::idle::Idle;
use self::remembered::Remembered;
use super::error::{DialError, DialErrorKind};
use super::memory::Memory;
use super::pooled_connection::PooledConnection;
use super::request_error::RequestError;
use super::state::ClientState;

/// Streams accepted or opened, and outcomes taken, before the other parts of the connection get their turn.
const STREAMS_PER_TURN: usize = 64;

/// How often open requests are looked at, so that those that are over are forgotten.
const SWEEP: Duration = Duration::from_millis(20);

/// Runs `connection` until it is closed by either side. With `early`, its handshake is still under way.
pub(super) async fn run(
    client: Arc<ClientState>,
    connection: Arc<PooledConnection>,
    early: Option<Confirmation>,
    memory: Memory,
) {
    let quic = connection.state.quic.clone();
    let mut accept_bi = pin!(quic.accept_bi());
    let mut accept_uni = pin!(quic.accept_uni());
    let mut open_bi = pin!(quic.open_bi());
    let mut read_datagram = pin!(quic.read_datagram());
    let mut task = Task::new(client.clone(), connection, early, memory);
    poll_fn(|cx| {
        task.state.register(cx.waker());
        let mut more = false;
        task.poll_handshake(cx);
        task.adopt();
        task.count_overhead();
        task.heed_goaway();
        more |= task.open_requests(cx, &quic, open_bi.as_mut());
        more |= task.accept(cx, accept_uni.as_mut(), || quic.accept_uni(), peer_streams::read);
        more |= task.accept(
            cx,
            accept_bi.as_mut(),
            || quic.accept_bi(),
            peer_streams::read_bidirectional,
        );
        more |= task.poll_outcomes(cx);
        task.compare_settings();
        more |= task.poll_datagrams(cx, &quic, read_datagram.as_mut());
        task.poll_sweep(cx);
        task.poll_idle(cx);
        task.close_if_done();
        client.table.handler().after_poll();
        if task.over {
            return Poll::Ready(());
        }
        if more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    task.wind_up();
}

/// A handshake under way: whether the server took what was sent meanwhile.
pub(super) type Confirmation = Pin<Box<dyn Future<Output = Result<bool, DialError>> + Send>>;

type ControlWork = Pin<Box<dyn Future<Output = Error> + Send>>;

fn our_control(client: &ClientState, state: &Arc<ConnectionState>) -> ControlWork {
    Box::pin(peer_streams::our_control(
        state.clone(),
        settings::ours(&client.limits),
    ))
}

struct Task {
    client: Arc<ClientState>,
    connection: Arc<PooledConnection>,
    state: Arc<ConnectionState>,
    streams: FuturesUnordered<StreamWork>,
    /// The streams that the server opened, as far as it takes to know what they are; of critical ones, to their end.
    peers: FuturesUnordered<StreamWork>,
    /// Our control stream.
    control: ControlWork,
    adopted: Adopted,
    early_streams: EarlyStreams,
    datagrams: Datagrams,
    open: OpenExchanges,
    sweep: Pin<Box<Sleep>>,
    sweeping: bool,
    guard: LoadGuard,
    /// The id after the last request stream that was opened.
    next_stream: u64,
    /// The handshake is under way: only what may be processed twice is sent.
    early: Option<Confirmation>,
    remembered: Remembered,
    goaway: Option<u64>,
    idle: Idle,
    over: bool,
}

impl Task {
    fn new(
        client: Arc<ClientState>,
        connection: Arc<PooledConnection>,
        early: Option<Confirmation>,
        memory: Memory,
    ) -> Self {
        let state = connection.state.clone();
        let control = our_control(&client, &state);
        Self {
            streams: FuturesUnordered::new(),
            peers: FuturesUnordered::new(),
            control,
            adopted: Adopted::default(),
            early_streams: EarlyStreams::default(),
            datagrams: Datagrams::new(client.table.clone(), &client.datagrams, u32::MAX, state.clone()),
            open: OpenExchanges::new(client.table.clone(), state.clone()),
            sweep: Box::pin(sleep_until(Instant::now())),
            sweeping: false,
            guard: LoadGuard::new(&client.limits),
            next_stream: 0,
            remembered: Remembered::new(memory, early.is_some()),
            early,
            goaway: None,
            idle: Idle::new(),
            over: false,
            client,
            connection,
            state,
        }
    }

    fn adopt(&mut self) {
        self.state.take_adopted(&mut self.adopted);
        self.streams.extend(self.adopted.work.drain(..));
        self.streams.extend(self.adopted.watches.drain(..));
    }

    /// Looks whether the handshake is over. If the server did not take early data, nothing of it was processed: QUIC has
    /// ended its streams, and the work that reads each sends its request again.
    fn poll_handshake(&mut self, cx: &mut Context<'_>) {
        let Some(accepted) = &mut self.early else { return };
        if let Poll::Ready(was_accepted) = accepted.as_mut().poll(cx) {
            self.early = None;
            match was_accepted {
                Ok(true) => {}
                Ok(false) => {
                    self.remembered.drop_settings();
                    self.control = our_control(&self.client, &self.state);
                }
                Err(error) => self.handshake_failed(error),
            }
        }
    }

    /// The connection is closed. A server that is elsewhere now is found without early data, but nobody waits twice for one
    /// that is silent.
    fn handshake_failed(&mut self, error: DialError) {
        let is_timeout = error.kind() == DialErrorKind::TimedOut;
        let error = RequestError::Dial(Arc::new(error));
        if is_timeout {
            for order in self.client.retire(&self.connection) {
                self.client.fail(order.id, error.clone());
            }
        }
        let _ = self.state.ended_by.set(error);
    }

    /// A server that sends much that is no progress is left (RFC 9114 §10.5).
    fn count_overhead(&mut self) {
        let _ = self.state.take_cancelled();
        if let Err(error) = self.guard.overhead(self.state.take_overhead()) {
            self.fail(&error);
        }
    }

    /// RFC9114-5.2-goaway-received: nothing new goes out here; what the server does not process is sent elsewhere.
    fn heed_goaway(&mut self) {
        let id = self.state.peer_goaway.load(SeqCst);
        if id == u64::MAX || self.goaway == Some(id) {
            return;
        }
        self.goaway = Some(id);
        for order in self.client.retire(&self.connection) {
            self.client.again(order);
        }
        self.client.table.wake_responses(&self.state);
        // draft-ietf-webtrans-http3-16 §4.7: it asks for the sessions of the connection to be wound up, too.
        let sessions: Vec<_> = lock(&self.state.sessions).values().cloned().collect();
        for session in sessions {
            session.goes_away();
        }
    }

    /// Opens a stream for each request that waits, as the server allows.
    fn open_requests<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        mut open: Pin<&mut quinn::OpenBi<'q>>,
    ) -> bool {
        for _ in 0..STREAMS_PER_TURN {
            if self.over || !self.has_next() {
                return false;
            }
            match open.as_mut().poll(cx) {
                Poll::Pending => {
                    // Of an early connection the limit is one that is remembered: the server's own comes at once.
                    if self.early.is_none() && self.connection.set_full(true) {
                        self.client.spread(&self.connection);
                    }
                    return false;
                }
                Poll::Ready(Ok((send, recv))) => {
                    open.set(quic.open_bi());
                    self.connection.set_full(false);
                    self.next_stream = u64::from(send.id()) + 4;
                    self.begin_next(send, recv);
                }
                Poll::Ready(Err(error)) => {
                    self.closed(&error);
                    return false;
                }
            }
        }
        true
    }

    /// Whether a request waits that may go out now.
    fn has_next(&self) -> bool {
        let orders = &mut self.connection.orders();
        // Given up while it waited.
        while orders
            .front()
            .is_some_and(|order| !self.client.table.is_reserved(order.id))
        {
            orders.pop_front();
        }
        let settings_are_here = lock(&self.state.peer_settings).is_some();
        let ready = orders.iter().position(|order| {
            (self.early.is_none() || order.may_be_early)
                // RFC8441-3-setting-awaited
                && (!order.has_protocol || settings_are_here)
        });
        match ready {
            None => false,
            Some(0) => true,
            Some(at) => {
                if let Some(order) = orders.remove(at) {
                    orders.push_front(order);
                }
                true
            }
        }
    }

    fn poll_outcomes(&mut self, cx: &mut Context<'_>) -> bool {
        if let Poll::Ready(error) = self.control.as_mut().poll(cx) {
            self.fail(&error);
        }
        for _ in 0..STREAMS_PER_TURN {
            if self.over {
                return false;
            }
            let polled = match self.peers.poll_next_unpin(cx) {
                Poll::Ready(Some(outcome)) => Some(outcome),
                _ => match self.streams.poll_next_unpin(cx) {
                    Poll::Ready(Some(outcome)) => Some(outcome),
                    _ => None,
                },
            };
            match polled {
                None => return false,
                Some(Outcome::Fatal(error)) => self.fail(&error),
                Some(Outcome::Arrived(session, arrived)) => self.stream_arrived(session, *arrived),
                // A stream that the server gave up: its own affair, but not thousands of them.
                Some(Outcome::Abandoned) => {
                    if let Err(error) = self.guard.abandoned() {
                        self.fail(&error);
                    }
                }
                Some(Outcome::Done | Outcome::Request(_)) => {}
            }
        }
        true
    }

    fn poll_datagrams<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        read: Pin<&mut quinn::ReadDatagram<'q>>,
    ) -> bool {
        if self.over {
            return false;
        }
        match self.datagrams.poll(cx, quic, read, self.next_stream) {
            Read::Waiting => false,
            Read::More => true,
            Read::Closed => {
                self.over = true;
                false
            }
            Read::Fatal(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn poll_sweep(&mut self, cx: &mut Context<'_>) {
        if !self.sweeping {
            if self.open.is_empty() {
                return;
            }
            self.sweeping = true;
            self.sweep.as_mut().reset(Instant::now() + SWEEP);
        }
        while self.sweep.as_mut().poll(cx).is_ready() {
            self.open.sweep(&mut self.streams);
            self.datagrams.sweep();
            if self.open.is_empty() {
                self.sweeping = false;
                return;
            }
            self.sweep.as_mut().reset(Instant::now() + SWEEP);
        }
    }

    /// A connection that takes no more requests ends with its last one.
    fn close_if_done(&mut self) {
        if !self.over && self.connection.is_finished() && self.state.exchanges.load(SeqCst) == 0 {
            self.state.close(wire_code(Code::H3_NO_ERROR), b"");
            self.over = true;
        }
    }

    fn closed(&mut self, error: &ConnectionError) {
        tracing::debug!(%error, "connection closed");
        self.over = true;
    }

    fn fail(&mut self, error: &Error) {
        if self.over {
            return;
        }
        let counter = match error.code {
            Code::H3_EXCESSIVE_LOAD => self.state.count(|counters| &counters.excessive_load),
            _ => self.state.count(|counters| &counters.protocol_errors),
        };
        counter.fetch_add(1, Relaxed);
        tracing::debug!(
            code = error.code.value(),
            reason = error.reason,
            "connection error"
        );
        let _ = self.state.ended_by.set(RequestError::ServerBroke(error.reason));
        self.state.close(wire_code(error.code), error.reason.as_bytes());
        self.over = true;
    }

    /// The connection is over: all work finds its streams ended and says so, and what waited goes elsewhere.
    fn wind_up(mut self) {
        for order in self.client.retire(&self.connection) {
            self.client.again(order);
        }
        self.adopt();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(_)) = self.streams.poll_next_unpin(&mut cx) {}
    }
}
