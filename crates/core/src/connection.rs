//! The task that owns one connection: the only demultiplexer. It accepts streams, has requests read, routed and
//! delivered, watches open exchanges, and takes the connection down in order. It opens bidirectional streams only
//! within WebTransport sessions (RFC9114-6.1-server-stream-opened).

mod delivery;
mod drain;
mod handshake;
mod load;
mod record;
mod sessions;
mod settings;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use quinn::{RecvStream, SendStream};
use tokio::time::{Instant, Sleep, sleep_until};
use trilane_http3::{Code, Error, RequestHead};

use crate::answer_stream::AnswerStream;
use crate::arrived_stream::Arrived;
use crate::body::MessageBody;
use crate::budget::BodyBudget;
use crate::connection_state::{Adopted, ConnectionState, StreamWork};
use crate::connections::Place;
use crate::datagrams::{Datagrams, Read};
use crate::early_data::{Unconfirmed, may_run_early};
use crate::early_streams::EarlyStreams;
use crate::inbound::{Admission, Received, Receiver, Refusal};
use crate::load_guard::LoadGuard;
use crate::open_exchanges::OpenExchanges;
use crate::peer_streams;
use crate::response::Method;
use crate::server::ServerState;
use crate::shutdown::Drain;
use crate::slow_request;
use crate::stream_credit::{BURST, StreamCredit};
use crate::wire::wire_code;

/// Streams accepted, and slow streams served, before the other parts of the connection get their turn.
const STREAMS_PER_TURN: usize = 64;

/// How often open exchanges are looked at: a client that stops reading before the answer is noticed within two of
/// these. Watching each from the start costs 0.2 µs a request; most are answered sooner.
const SWEEP: Duration = Duration::from_millis(20);

/// What a piece of work of one stream came to.
pub(crate) enum Outcome {
    /// Nothing is left to do.
    Done,
    /// A request that took more than one turn to arrive.
    Request(Box<slow_request::Slow>),
    /// The peer opened a stream and gave it up.
    Abandoned,
    /// A stream of this WebTransport session, its prefix read.
    Arrived(u64, Box<Arrived>),
    /// The connection must end.
    Fatal(Error),
}

/// Runs `quic` until it is closed, by the peer, by the server's stop, or for an error. With `unconfirmed`, the handshake
/// is still under way.
pub(crate) async fn run(
    state: Arc<ConnectionState>,
    server: Arc<ServerState>,
    place: &mut Place,
    unconfirmed: Option<Unconfirmed>,
) {
    let quic = state.quic.clone();
    let mut accept_bi = pin!(quic.accept_bi());
    let mut accept_uni = pin!(quic.accept_uni());
    let mut read_datagram = pin!(quic.read_datagram());
    let mut task = Task::new(server.clone(), state.clone(), unconfirmed);
    poll_fn(|cx| {
        task.state.register(cx.waker());
        task.poll_handshake(cx, place);
        let mut turn = Turn::default();
        task.adopt();
        task.count_cancelled();
        task.count_overhead();
        task.poll_requests(cx, &quic, accept_bi.as_mut(), &mut turn);
        task.poll_peer_streams(cx, &quic, accept_uni.as_mut(), &mut turn);
        task.poll_streams(cx, &mut turn);
        task.poll_datagrams(cx, &quic, read_datagram.as_mut(), &mut turn);
        task.poll_sweep(cx);
        task.poll_drain(cx);
        server.table.handler().after_poll();
        if task.over {
            return Poll::Ready(());
        }
        if turn.more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    task.end_handshake();
    state.datagrams.abandon(&state);
}

#[derive(Default)]
struct Turn {
    /// Something may still be ready: come back after the others.
    more: bool,
}

struct Task {
    server: Arc<ServerState>,
    state: Arc<ConnectionState>,
    /// Decoded in place for requests that arrive in one piece: no allocation for them.
    head: RequestHead,
    admission: Admission,
    /// Requests being read, answers being written: a graceful stop waits until there are none.
    streams: FuturesUnordered<StreamWork>,
    /// Our control stream, the peer's unidirectional streams, and whatever else only watches: none of it holds up a stop.
    peers: FuturesUnordered<StreamWork>,
    adopted: Adopted,
    budget: Arc<BodyBudget>,
    early: EarlyStreams,
    /// `None`: the server takes no datagrams, and QUIC refuses them.
    datagrams: Option<Datagrams>,
    open: OpenExchanges,
    sweep: Pin<Box<Sleep>>,
    sweeping: bool,
    drain: Drain,
    guard: LoadGuard,
    credit: StreamCredit,
    /// The id after the last request stream that was accepted.
    next_stream: u64,
    /// Request streams accepted so far.
    accepted: u64,
    /// The handshake is under way: what arrives may be a replay.
    unconfirmed: Option<Unconfirmed>,
    over: bool,
}

impl Task {
    fn new(server: Arc<ServerState>, state: Arc<ConnectionState>, unconfirmed: Option<Unconfirmed>) -> Self {
        let limits = &server.limits;
        let credit = StreamCredit::new(limits);
        let peers = FuturesUnordered::<StreamWork>::new();
        let (control_state, settings) = (state.clone(), settings::ours(&server));
        peers.push(Box::pin(async move {
            Outcome::Fatal(peer_streams::our_control(control_state, settings).await)
        }));
        Self {
            head: RequestHead::new(),
            admission: Admission::default(),
            streams: FuturesUnordered::new(),
            peers,
            adopted: Adopted::default(),
            budget: BodyBudget::new(limits.max_unfinished_body_bytes),
            early: EarlyStreams::default(),
            datagrams: server.datagrams.any().then(|| {
                let (table, streams) = (server.table.clone(), credit.first_requests());
                Datagrams::new(table, &server.datagrams, streams, state.clone())
            }),
            open: OpenExchanges::new(server.table.clone(), state.clone()),
            sweep: Box::pin(sleep_until(Instant::now())),
            sweeping: false,
            drain: Drain::new(),
            guard: LoadGuard::new(limits),
            credit,
            accepted: 0,
            next_stream: 0,
            unconfirmed,
            over: false,
            server,
            state,
        }
    }

    fn adopt(&mut self) {
        self.state.take_adopted(&mut self.adopted);
        self.streams.extend(self.adopted.work.drain(..));
        self.peers.extend(self.adopted.watches.drain(..));
    }

    fn poll_requests<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        mut accept: Pin<&mut quinn::AcceptBi<'q>>,
        turn: &mut Turn,
    ) {
        for accepted in 1..=STREAMS_PER_TURN {
            // A full handler stops the accepting of streams: flow control then holds the peer back.
            if self.over || self.poll_ready(cx).is_pending() {
                return;
            }
            match accept.as_mut().poll(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok((send, recv))) => {
                    accept.set(quic.accept_bi());
                    self.take_stream(cx, send, recv);
                    if accepted == BURST {
                        self.allow_more_requests();
                    }
                }
                Poll::Ready(Err(_)) => return self.closed(),
            }
        }
        turn.more = true;
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.server.table.handler().poll_ready(cx, &self.state.portion)
    }

    fn poll_peer_streams<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        mut accept: Pin<&mut quinn::AcceptUni<'q>>,
        turn: &mut Turn,
    ) {
        for accepted in 1..=STREAMS_PER_TURN {
            if self.over {
                return;
            }
            match accept.as_mut().poll(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(stream)) => {
                    // The next wait has not been polled, so nothing but another turn will look at it.
                    turn.more |= accepted == STREAMS_PER_TURN;
                    accept.set(quic.accept_uni());
                    self.credit.uni_opened(quic);
                    self.peers
                        .push(Box::pin(peer_streams::read(stream, self.state.clone())));
                }
                Poll::Ready(Err(_)) => return self.closed(),
            }
        }
        self.poll_outcomes(cx, turn, |task| &mut task.peers);
    }

    fn poll_datagrams<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        read: Pin<&mut quinn::ReadDatagram<'q>>,
        turn: &mut Turn,
    ) {
        // Datagrams have no method that says whether they may be acted on twice: those in early data wait in QUIC.
        if self.over || self.unconfirmed.is_some() {
            return;
        }
        let Some(datagrams) = &mut self.datagrams else {
            return;
        };
        match datagrams.poll(cx, quic, read, self.next_stream) {
            Read::Waiting => {}
            Read::More => turn.more = true,
            Read::Closed => self.closed(),
            Read::Fatal(error) => self.fail(&error),
        }
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>, turn: &mut Turn) {
        self.poll_outcomes(cx, turn, |task| &mut task.streams);
    }

    fn poll_outcomes(
        &mut self,
        cx: &mut Context<'_>,
        turn: &mut Turn,
        which: impl Fn(&mut Self) -> &mut FuturesUnordered<StreamWork>,
    ) {
        for _ in 0..STREAMS_PER_TURN {
            if self.over {
                return;
            }
            match which(self).poll_next_unpin(cx) {
                Poll::Pending | Poll::Ready(None) => return,
                Poll::Ready(Some(outcome)) => self.take_outcome(outcome),
            }
        }
        turn.more = true;
    }

    fn take_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => {}
            Outcome::Abandoned => self.count_abandoned(),
            Outcome::Fatal(error) => self.fail(&error),
            Outcome::Arrived(session, arrived) => {
                self.count_accepted();
                self.stream_arrived(session, *arrived);
            }
            Outcome::Request(mut slow) => {
                let (send, received) = (slow.send, slow.received);
                std::mem::swap(&mut self.head, &mut slow.head);
                std::mem::swap(&mut self.admission, &mut slow.admission);
                self.conclude(slow.receiver, send, received);
                // A head of unusual size is not kept for the requests to come.
                self.head = RequestHead::new();
            }
        }
    }

    /// A new bidirectional stream: read what is there, and set it aside only if that is not all.
    fn take_stream(&mut self, cx: &mut Context<'_>, send: SendStream, recv: RecvStream) {
        let id = u64::from(recv.id());
        self.state.priorities.accepted(id);
        if self.drain.refuses(id) {
            self.drain.stay(self.state.quic.rtt());
            return drain::reject(send, recv);
        }
        self.next_stream = self.next_stream.max(id + 4);
        self.count_accepted();
        let mut send = AnswerStream::new(send);
        if self.server.table.observer().is_some() {
            send.accepted = Some(std::time::Instant::now());
        }
        let mut receiver = Receiver::new(recv, &self.server.limits);
        if self
            .budget
            .has_room(self.server.limits.stream_receive_window as usize)
        {
            receiver.read_ahead();
        }
        let gate = self.server.gate();
        let polled = receiver.poll(cx, &gate, &mut self.head, &mut self.admission, None);
        let verdict = self.guard.overhead(receiver.content().take_overhead());
        self.heed(verdict);
        if self.over {
            return;
        }
        match polled {
            Poll::Ready(received) => self.conclude(receiver, send, received),
            Poll::Pending => {
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.arriving(id);
                }
                let head = if receiver.has_head() {
                    std::mem::take(&mut self.head)
                } else {
                    RequestHead::new()
                };
                let admission = std::mem::take(&mut self.admission);
                let mut share = self.budget.share(id);
                share.set(receiver.held_len());
                let slow = slow_request::Slow {
                    send,
                    receiver,
                    head,
                    admission,
                    received: Received::Abandoned,
                };
                self.streams.push(Box::pin(slow_request::read(
                    self.server.clone(),
                    self.state.clone(),
                    slow,
                    share,
                )));
            }
        }
    }

    /// A request stream was read as far as it will be.
    fn conclude(&mut self, receiver: Receiver, send: AnswerStream, received: Received) {
        let is_request = matches!(received, Received::Complete | Received::Streaming);
        if is_request && self.guard.is_wary() && send.is_unwanted() {
            self.decline(receiver, send);
        } else {
            self.settle(receiver, send, received);
        }
        // A connection that is idle holds no routing that others have replaced.
        self.admission.routing = None;
    }

    #[inline]
    fn settle(&mut self, mut receiver: Receiver, mut send: AnswerStream, received: Received) {
        let stream = send.id();
        let is_early = self.unconfirmed.is_some() && receiver.content().recv().is_0rtt();
        // RFC 8470 §5.2
        let too_early = is_early && !may_run_early(self.head.method(), receiver.has_content(&received));
        let delivered = !too_early
            && match received {
                Received::Complete | Received::Streaming => true,
                Received::Session => self.admission.takes_datagrams(),
                _ => false,
            };
        if let Some(datagrams) = &mut self.datagrams
            && !delivered
        {
            datagrams.declined(stream);
        }
        match received {
            Received::Complete | Received::Streaming | Received::Session if too_early => {
                self.refuse(receiver, send, &Refusal::status(425));
            }
            Received::Complete => {
                let body = receiver.content().take_body();
                self.server.table.count_received(body.len());
                self.deliver(send, MessageBody::Whole(body), is_early, receiver);
            }
            Received::Streaming => self.deliver(send, MessageBody::Streaming, is_early, receiver),
            Received::Refused(refusal) => self.refuse(receiver, send, &refusal),
            Received::Malformed(error) => {
                self.server.counters.requests_malformed.fetch_add(1, Relaxed);
                tracing::debug!(reason = error.reason, "malformed request");
                // RFC9114-4.1.2-malformed-request, RFC9114-4.1.1-both-directions
                send.reset(error.code);
                let _ = receiver.content().recv().stop(wire_code(error.code));
                self.count_abandoned();
            }
            Received::Fatal(error) => {
                send.reset(error.code);
                let _ = receiver.content().recv().stop(wire_code(error.code));
                self.fail(&error);
            }
            Received::Session => self.open_session(send, receiver),
            Received::WebTransport { session } => {
                let (recv, first) = receiver.into_content().into_stream();
                let arrived = Arrived {
                    send: Some(send.into_parts().1),
                    recv,
                    first,
                };
                self.stream_arrived(session, arrived);
            }
            Received::Abandoned => {
                // RFC9114-4.1-request-reset, RFC9114-7.1-reset-in-frame, RFC9114-8-unknown-code
                send.reset(Code::H3_REQUEST_INCOMPLETE);
                self.nothing_came(&receiver);
                self.count_abandoned();
            }
        }
    }

    /// Does nothing for a request that its client has given up already (RFC9114-4.1.1-rejected-unprocessed). Handlers
    /// of a client that gives up thousands a second would run for nobody, and slow down everybody else's.
    fn decline(&mut self, mut receiver: Receiver, mut send: AnswerStream) {
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.declined(send.id());
        }
        send.reset(Code::H3_REQUEST_REJECTED);
        let _ = receiver
            .content()
            .recv()
            .stop(wire_code(Code::H3_REQUEST_REJECTED));
        self.count_abandoned();
    }

    /// Answers a request that no handler sees, and politely leaves the rest of it unread (RFC9114-4.1-early-response).
    fn refuse(&mut self, mut receiver: Receiver, send: AnswerStream, refusal: &Refusal) {
        self.guard.request();
        self.server.counters.requests.fetch_add(1, Relaxed);
        // Without a head the method is unknown; an answer with a body is then the safe one.
        let method = if receiver.has_head() {
            Method::of(self.head.method())
        } else {
            Method::Other
        };
        tracing::debug!(
            stream = send.id(),
            status = refusal.status,
            "request refused without a handler"
        );
        let head = receiver.has_head().then_some(&self.head);
        let record = self.record(&send, head);
        self.server
            .table
            .refuse(&self.state, method, send, refusal, record);
        let _ = receiver.content().recv().stop(wire_code(Code::H3_NO_ERROR));
    }

    fn closed(&mut self) {
        self.over = true;
    }

    /// Looks at exchanges that are open for longer than a moment, and at answers not yet acknowledged.
    fn poll_sweep(&mut self, cx: &mut Context<'_>) {
        if !self.sweeping {
            if self.open.is_empty() && (self.state.finished_len() == 0) {
                return;
            }
            self.sweeping = true;
            self.sweep.as_mut().reset(Instant::now() + SWEEP);
        }
        while self.sweep.as_mut().poll(cx).is_ready() {
            self.open.sweep(&mut self.peers);
            self.look_at_credit();
            if let Some(datagrams) = &mut self.datagrams {
                datagrams.sweep();
            }
            if self.open.is_empty() && (self.state.finished_len() == 0) {
                self.sweeping = false;
                return;
            }
            self.sweep.as_mut().reset(Instant::now() + SWEEP);
        }
    }
}
