//! The task that owns one connection of a client: it opens requests, has their responses read, and watches the server.

mod idle;
mod incoming;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use quinn::{ConnectionError, RecvStream, SendStream};
use tokio::time::{Instant, Sleep, sleep_until};
use trilane_http3::{Code, Error, Priority, Settings, WebTransportSettings};

use crate::connection::Outcome;
use crate::connection_state::{ConnectionState, StreamWork};
use crate::datagrams::{Datagrams, Read};
use crate::early_streams::EarlyStreams;
use crate::exchange::Notify;
use crate::limits::Limits;
use crate::load_guard::LoadGuard;
use crate::open_exchanges::OpenExchanges;
use crate::outbound::{self, Outbound};
use crate::peer_streams;
use crate::priority::Place;
use crate::sync::lock;
use crate::wire::wire_code;

use self::idle::Idle;
use super::error::DialError;
use super::order::{Order, OutgoingBody, Tunnel};
use super::pooled_connection::PooledConnection;
use super::request_error::RequestError;
use super::response;
use super::state::ClientState;

/// Streams accepted or opened, and outcomes taken, before the other parts of the connection get their turn.
const STREAMS_PER_TURN: usize = 64;

/// How often open requests are looked at, so that those that are over are forgotten.
const SWEEP: Duration = Duration::from_millis(20);

/// Bytes of a whole body that are handed to QUIC at once; a longer one can still be given up while it is written.
const AT_ONCE: usize = 16 * 1024;

/// Runs `connection` until it is closed by either side. With `early`, its handshake is still under way.
pub(super) async fn run(
    client: Arc<ClientState>,
    connection: Arc<PooledConnection>,
    early: Option<Confirmation>,
) {
    let quic = connection.state.quic.clone();
    let mut accept_bi = pin!(quic.accept_bi());
    let mut accept_uni = pin!(quic.accept_uni());
    let mut open_bi = pin!(quic.open_bi());
    let mut read_datagram = pin!(quic.read_datagram());
    let mut task = Task::new(client.clone(), connection, early);
    poll_fn(|cx| {
        task.state.register(cx.waker());
        let mut more = false;
        task.poll_handshake(cx);
        task.adopt();
        task.count_overhead();
        task.heed_goaway();
        more |= task.open_requests(cx, &quic, open_bi.as_mut());
        more |= task.accept_unidirectional(cx, &quic, accept_uni.as_mut());
        more |= task.accept_bidirectional(cx, &quic, accept_bi.as_mut());
        more |= task.poll_outcomes(cx);
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
    Box::pin(peer_streams::our_control(state.clone(), settings(&client.limits)))
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
    adopted: Vec<StreamWork>,
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
    goaway: Option<u64>,
    idle: Idle,
    over: bool,
}

impl Task {
    fn new(client: Arc<ClientState>, connection: Arc<PooledConnection>, early: Option<Confirmation>) -> Self {
        let state = connection.state.clone();
        let control = our_control(&client, &state);
        Self {
            streams: FuturesUnordered::new(),
            peers: FuturesUnordered::new(),
            control,
            adopted: Vec::new(),
            early_streams: EarlyStreams::default(),
            datagrams: Datagrams::new(client.table.clone(), &client.datagrams, u32::MAX, state.clone()),
            open: OpenExchanges::new(client.table.clone(), state.clone()),
            sweep: Box::pin(sleep_until(Instant::now())),
            sweeping: false,
            guard: LoadGuard::new(&client.limits),
            next_stream: 0,
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
        self.streams.extend(self.adopted.drain(..));
    }

    /// Looks whether the handshake is over. If the server did not take early data, nothing of it was processed: QUIC has
    /// ended its streams, and the work that reads each sends its request again.
    fn poll_handshake(&mut self, cx: &mut Context<'_>) {
        let Some(accepted) = &mut self.early else { return };
        if let Poll::Ready(was_accepted) = accepted.as_mut().poll(cx) {
            self.early = None;
            // One that failed has closed the connection.
            if matches!(was_accepted, Ok(false)) {
                self.control = our_control(&self.client, &self.state);
            }
        }
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
                Poll::Pending => return false,
                Poll::Ready(Ok((send, recv))) => {
                    open.set(quic.open_bi());
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

    fn begin_next(&mut self, send: SendStream, recv: RecvStream) {
        let next = self.connection.orders().pop_front();
        match next {
            Some(order) => match self.objection(&order) {
                None => self.begin(order, send, recv),
                Some(error) => {
                    abandon(send, recv);
                    self.client.fail(order.id, error);
                }
            },
            None => abandon(send, recv),
        }
    }

    /// What the server's SETTINGS say against this request.
    fn objection(&self, order: &Order) -> Option<RequestError> {
        let settings = lock(&self.state.peer_settings);
        let settings = settings.as_ref()?;
        // RFC9114-4.2.2-peer-limit
        if let Some(most) = settings.max_field_section_size
            && order.section_size > most
        {
            let size = order.section_size;
            return Some(RequestError::OwnHeadTooLarge { size, most });
        }
        if order.has_protocol && !settings.enable_connect_protocol {
            return Some(RequestError::NoExtendedConnect);
        }
        if order.tunnel == Tunnel::Session && !(settings.h3_datagram && settings.webtransport.is_offered()) {
            return Some(RequestError::NoWebTransport);
        }
        None
    }

    /// The head of a request in the dialect of this server.
    fn head(&self, order: &Order) -> Bytes {
        match (&order.newest_head, &*lock(&self.state.peer_settings)) {
            (Some(newest), Some(peer)) if peer.webtransport.wants_newest_token() => newest.clone(),
            _ => order.head.clone(),
        }
    }

    /// Sends a request on its stream (RFC9114-4.1-request-ended), and has its response read.
    fn begin(&mut self, mut order: Box<Order>, mut send: SendStream, recv: RecvStream) {
        let (id, stream) = (order.id, u64::from(send.id()));
        let own = match &order.body {
            OutgoingBody::Whole(body) if body.len() > AT_ONCE => Some(whole(body.clone())),
            _ => None,
        };
        let Ok(queue) = self.client.table.begin(id, &self.state, &send, own) else {
            return abandon(send, recv);
        };
        order.attempts += 1;
        self.open.add(id);
        let head = self.head(&order);
        match (&order.body, queue) {
            (_, Some(queue)) => {
                queue.put_first(head);
                let place = Place::new(
                    self.state.clone(),
                    &send,
                    Priority::default(),
                    Priority::default(),
                );
                let sent = outbound::send(self.client.table.clone(), id, send, queue, place);
                self.streams.push(Box::pin(sent.map(|()| Outcome::Done)));
            }
            (OutgoingBody::Whole(body), None) => {
                let mut header = BytesMut::with_capacity(9);
                trilane_http3::write_data_header(&mut header, body.len() as u64);
                self.write(send, vec![head, header.freeze(), body.clone()]);
            }
            // A queue that is gone was taken by an earlier attempt, and such a request is not sent again.
            (OutgoingBody::Streaming, None) => {
                let _ = send.reset(wire_code(Code::H3_REQUEST_CANCELLED));
            }
            (OutgoingBody::Empty, None) => self.write(send, vec![head]),
        }
        let in_early_data = self.early.is_some();
        if order.takes_datagrams || order.tunnel == Tunnel::Session {
            self.datagrams.opened(stream, id);
        } else {
            self.datagrams.opened_without(stream, id);
        }
        let early_streams = self.early_streams.clone();
        self.streams.push(Box::pin(response::read(
            response::Awaited {
                client: self.client.clone(),
                connection: self.state.clone(),
                early_streams,
                in_early_data,
                order,
                stream,
            },
            recv,
        )));
    }

    /// Writes a whole request at once if flow control lets it, else hands the rest to the connection's work.
    fn write(&mut self, mut send: SendStream, mut chunks: Vec<Bytes>) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let polled = pin!(send.write_all_chunks(&mut chunks)).poll(&mut cx);
        match polled {
            Poll::Ready(Ok(())) => _ = send.finish(),
            // Stopped, or the connection is lost: whoever reads the response finds out.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let rest = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
                let place = Place::new(
                    self.state.clone(),
                    &send,
                    Priority::default(),
                    Priority::default(),
                );
                let sent = outbound::send_rest(send, rest, place, None).map(|()| Outcome::Done);
                self.streams.push(Box::pin(sent));
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

/// A queue that holds all of a body.
fn whole(body: Bytes) -> Arc<Outbound> {
    let queue = Outbound::new(Bytes::new(), None);
    // The first chunk is taken whatever its length.
    let _ = queue.push(body, Notify::Never);
    queue.finish(Bytes::new());
    Arc::new(queue)
}

/// A stream that carries nothing after all.
fn abandon(mut send: SendStream, mut recv: RecvStream) {
    // RFC9114-4.1.1-client-code
    let _ = send.reset(wire_code(Code::H3_REQUEST_CANCELLED));
    let _ = recv.stop(wire_code(Code::H3_REQUEST_CANCELLED));
}

/// What a client tells its servers at the start of a connection (RFC 9114 §7.2.4): every dialect of WebTransport, and HTTP
/// datagrams; there is no dynamic table (RFC9204-5-settings-sent).
pub(super) fn settings(limits: &Limits) -> Settings {
    Settings {
        // RFC9114-4.2.2-limit-told
        max_field_section_size: Some(limits.max_header_bytes as u64),
        h3_datagram: true,
        webtransport: WebTransportSettings {
            enabled: 1,
            enabled_draft02: 1,
            h3_datagram_draft04: 1,
            initial_max_data: limits.session_receive_window.max(1).into(),
            initial_max_streams_bidi: limits.max_session_streams.max(1).into(),
            initial_max_streams_uni: limits.max_session_uni_streams.max(1).into(),
            ..WebTransportSettings::default()
        },
        ..Settings::default()
    }
}
