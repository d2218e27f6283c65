//! From the IO thread to JavaScript: what happened in a turn is gathered, then JavaScript is woken once.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use trilane_core::client::RequestError;
use trilane_core::{
    ConnectionEvent, ConnectionName, Exchange, ExchangeEvent, ExchangeId, FileError, Handler, Portion,
    Request, RequestEnd, Response, SessionEvent, StreamEvent, StreamName,
};
use trilane_http3::ResponseHead;

use crate::datagrams::DatagramInbox;
use crate::error::ErrorCode;
use crate::messages::MessageBatch;
use crate::sync::lock;
use crate::{requests, responses};

/// Wakes the JavaScript thread; called from any thread, at most once until [`Bridge::take`].
pub(crate) type Wake = dyn Fn() + Send + Sync;

/// Waiting requests at which JavaScript is woken before the turn ends.
const WAKE_AT: usize = 64;

/// As many datagrams weigh like one request: JavaScript does so much less for one that it is not worth waking it for 64.
const DATAGRAMS_OF_A_REQUEST: usize = 8;

/// A turn of the IO thread that lasts longer, under a flood, no longer holds anybody back: JavaScript is woken within it,
/// at most this often.
const LONG_TURN: Duration = Duration::from_micros(500);

/// What may wait for JavaScript: beyond either, no stream is accepted until some was taken.
const MAX_WAITING_REQUESTS: usize = 1024;
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// Requests that one connection may add to one turn of JavaScript: the next begins with what others sent meanwhile. A hundred
/// at once whose handlers take 0.3 ms each would otherwise hold everybody else up for 30 ms. While a connection uses it up, it
/// doubles if JavaScript comes quickly all the same, and is halved if it comes late.
const FIRST_PORTION: u32 = 16;
const LEAST_PORTION: u32 = 4;
const MOST_PORTION: u32 = 64;

/// JavaScript that comes within the one after it was woken has time for more; after the other its turns are too long.
const QUICK: Duration = Duration::from_millis(1);
const SLOW: Duration = Duration::from_millis(2);

/// One thing that happened to an exchange.
pub(crate) enum Happened {
    Event(ExchangeId, ExchangeEvent),
    /// A read of a body has come to something.
    Readable(ExchangeId),
    /// The answer that JavaScript gave may not be sent; another one is awaited.
    Refused(ExchangeId, ErrorCode, String),
    /// A request of a client gets no response.
    Failed(ExchangeId, RequestError),
    Connection(ConnectionName, ConnectionEvent),
    Session(ExchangeId, SessionEvent),
    Stream(StreamName, StreamEvent),
    /// The file of an answer failed: before its head was sent, another answer is awaited; after, the stream was reset.
    FileFailed(ExchangeId, Sent, FileError),
}

/// How far an answer had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Nothing,
    Part,
}

/// All that waits for JavaScript.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) requests: VecDeque<MessageBatch>,
    /// Of a client; interim ones among them.
    pub(crate) responses: VecDeque<MessageBatch>,
    pub(crate) happened: Vec<Happened>,
    /// Requests that are over: they count like those that are still to come.
    pub(crate) ended: Vec<RequestEnd>,
    /// Routings of which no request will come any more, behind those that wait here.
    pub(crate) over_routings: Vec<u32>,
    pub(crate) quic_datagrams: DatagramInbox,
    pub(crate) h3_datagrams: DatagramInbox,
    pub(crate) session_datagrams: DatagramInbox,
}

#[derive(Default)]
struct State {
    waiting: Waiting,
    requests: usize,
    bytes: usize,
    /// How often JavaScript has come.
    turn: u64,
    /// What one connection may add to the next turn.
    allowed: Allowed,
    /// A connection has used up its portion of the next turn.
    portion_used_up: bool,
    /// JavaScript was woken and has not come yet.
    woken: bool,
    /// Who waits for room, by the address of its waker: thousands may, each once.
    held: HashMap<usize, Waker>,
    wake: Option<Arc<Wake>>,
    last_wake: u64,
}

/// The queue from one server to its JavaScript thread.
pub(crate) struct Bridge {
    state: Mutex<State>,
    dirty: AtomicBool,
    /// Datagrams that waited for JavaScript in vain, by layer.
    pub(crate) dropped: DroppedDatagrams,
}

#[derive(Default)]
pub(crate) struct DroppedDatagrams {
    pub(crate) quic: AtomicU64,
    pub(crate) h3: AtomicU64,
    pub(crate) session: AtomicU64,
}

/// Every bridge of the process, for the end of a turn.
static BRIDGES: Mutex<Vec<Weak<Bridge>>> = Mutex::new(Vec::new());

/// When the IO thread's turn began, in microseconds since [`EPOCH`].
static TURN_BEGAN: AtomicU64 = AtomicU64::new(0);

/// Whether the IO thread sleeps, or is about to.
static ASLEEP: AtomicBool = AtomicBool::new(false);
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    EPOCH.elapsed().as_micros() as u64
}

/// The IO thread has been woken.
pub(crate) fn begin_turn() {
    ASLEEP.store(false, Relaxed);
    TURN_BEGAN.store(now(), Relaxed);
}

/// The IO thread is about to sleep: JavaScript gets what the turn brought.
pub(crate) fn end_turn() {
    ASLEEP.store(true, Relaxed);
    let mut bridges = lock(&BRIDGES);
    bridges.retain(|bridge| match bridge.upgrade() {
        Some(bridge) => {
            bridge.wake_if_dirty();
            true
        }
        None => false,
    });
}

/// Whether the IO thread sleeps, as far as is known: it may be woken, or fall asleep, meanwhile.
pub(crate) fn is_io_thread_asleep() -> bool {
    ASLEEP.load(Relaxed)
}

/// A portion of a turn, in requests.
struct Allowed(u32);

impl Default for Allowed {
    fn default() -> Self {
        Self(FIRST_PORTION)
    }
}

impl State {
    /// Fits what one connection may add to a turn to how long turns are: JavaScript that is still busy comes late.
    fn fit_portion(&mut self) {
        if !std::mem::take(&mut self.portion_used_up) {
            return;
        }
        let waited = Duration::from_micros(now().saturating_sub(self.last_wake));
        if waited < QUICK {
            self.allowed.0 = (2 * self.allowed.0).min(MOST_PORTION);
        } else if waited > SLOW {
            self.allowed.0 = (self.allowed.0 / 2).clamp(LEAST_PORTION, FIRST_PORTION);
        }
    }
}

impl Bridge {
    pub(crate) fn new() -> Arc<Self> {
        let bridge = Arc::new(Self {
            state: Mutex::default(),
            dirty: AtomicBool::new(false),
            dropped: DroppedDatagrams::default(),
        });
        lock(&BRIDGES).push(Arc::downgrade(&bridge));
        bridge
    }

    /// From now on `wake` calls JavaScript; with `None`, nothing does, and what waits is kept.
    pub(crate) fn set_wake(&self, wake: Option<Arc<Wake>>) {
        let mut state = lock(&self.state);
        state.wake = wake;
        state.woken = false;
        drop(state);
        self.wake_if_dirty();
    }

    /// What wakes JavaScript now.
    pub(crate) fn wake(&self) -> Option<Arc<Wake>> {
        lock(&self.state).wake.clone()
    }

    /// Lets go of `wake`, unless a new start has already put another in its place. What waits is still delivered.
    pub(crate) fn drop_wake(&self, wake: Option<Arc<Wake>>) {
        self.wake_if_dirty();
        let mut state = lock(&self.state);
        let is_current = match (&state.wake, &wake) {
            (Some(current), Some(wake)) => Arc::ptr_eq(current, wake),
            _ => false,
        };
        if is_current {
            state.wake = None;
            state.woken = false;
        }
    }

    /// Everything that waits. Called on the JavaScript thread, once for each wake-up.
    pub(crate) fn take(&self) -> Waiting {
        let mut state = lock(&self.state);
        state.woken = false;
        state.turn += 1;
        state.fit_portion();
        state.requests = 0;
        state.bytes = 0;
        self.dirty.store(false, SeqCst);
        let held = std::mem::take(&mut state.held);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        held.into_values().for_each(Waker::wake);
        waiting
    }

    /// The routings that are over and of which no request waits here. A reload takes them along, so that their number is bounded
    /// by that of the requests that are on their way, also while JavaScript is not woken.
    pub(crate) fn take_over_routings(&self) -> Vec<u32> {
        let mut state = lock(&self.state);
        let Waiting {
            requests,
            over_routings,
            ..
        } = &mut state.waiting;
        over_routings
            .extract_if(.., |number| {
                !requests.iter().any(|batch| batch.routing == *number)
            })
            .collect()
    }

    pub(crate) fn refused(&self, id: ExchangeId, code: ErrorCode, reason: String) {
        self.happened(Happened::Refused(id, code, reason));
    }

    /// A read of a body has come to something. `wake` is what woke JavaScript when the body was taken: its reader is told also
    /// when nothing else is any more.
    pub(crate) fn readable(&self, id: ExchangeId, wake: Option<&Wake>) {
        self.happened(Happened::Readable(id));
        if self.wake().is_none()
            && let Some(wake) = wake
        {
            wake();
        }
    }

    fn happened(&self, happened: Happened) {
        let mut state = lock(&self.state);
        state.waiting.happened.push(happened);
        self.added(state);
    }

    fn added(&self, state: MutexGuard<'_, State>) {
        let waiting = &state.waiting;
        let http = waiting.h3_datagrams.len() + waiting.session_datagrams.len();
        let datagrams = waiting.quic_datagrams.len() + http;
        let full = state.requests + waiting.ended.len() + datagrams / DATAGRAMS_OF_A_REQUEST >= WAKE_AT;
        drop(state);
        self.dirty.store(true, SeqCst);
        if full {
            self.wake_if_dirty();
        }
    }

    /// Wakes JavaScript in the middle of a turn that does not end.
    fn wake_if_late(&self) {
        if !self.dirty.load(SeqCst) {
            return;
        }
        let now = now();
        let since = TURN_BEGAN.load(Relaxed).max(lock(&self.state).last_wake);
        if Duration::from_micros(now.saturating_sub(since)) >= LONG_TURN {
            self.wake_if_dirty();
        }
    }

    pub(crate) fn wake_if_dirty(&self) {
        if !self.dirty.load(SeqCst) {
            return;
        }
        let wake = {
            let mut state = lock(&self.state);
            let Some(wake) = state.wake.clone() else { return };
            // The flag is set under the lock that `take` clears it under: an event is either taken with the
            // batch or finds the flag clear.
            if std::mem::replace(&mut state.woken, true) {
                return;
            }
            state.last_wake = now();
            wake
        };
        wake();
    }
}

impl Handler for Bridge {
    fn poll_ready(&self, cx: &mut Context<'_>, portion: &Portion) -> Poll<()> {
        let mut state = lock(&self.state);
        let waiting = state.requests + state.waiting.ended.len();
        let is_fair = portion.since(state.turn) < state.allowed.0;
        state.portion_used_up |= !is_fair;
        if is_fair && waiting < MAX_WAITING_REQUESTS && state.bytes < MAX_WAITING_BYTES {
            return Poll::Ready(());
        }
        // The waker that is kept keeps its address from being used by another.
        let waker = cx.waker();
        state
            .held
            .entry(waker.data().addr())
            .or_insert_with(|| waker.clone());
        Poll::Pending
    }

    fn request(&self, request: Request<'_>, exchange: Exchange) {
        let mut state = lock(&self.state);
        let Some(bytes) = requests::add(&mut state.waiting.requests, request, exchange) else {
            // It counts in the portion of its connection, so a turn has to come.
            return self.added(state);
        };
        state.requests += 1;
        state.bytes += bytes;
        self.added(state);
    }

    fn informational(&self, id: ExchangeId, head: &ResponseHead) {
        let mut state = lock(&self.state);
        state.bytes += responses::add_interim(&mut state.waiting.responses, id, head);
        self.added(state);
    }

    fn response(&self, id: ExchangeId, response: Response<'_>) {
        let mut state = lock(&self.state);
        state.requests += 1;
        state.bytes += responses::add(&mut state.waiting.responses, id, response);
        self.added(state);
    }

    fn request_failed(&self, id: ExchangeId, error: RequestError) {
        self.happened(Happened::Failed(id, error));
    }

    fn request_ended(&self, end: RequestEnd) {
        let mut state = lock(&self.state);
        state.bytes += end.url.len();
        state.waiting.ended.push(end);
        self.added(state);
    }

    fn routing_over(&self, routing: u32) {
        let mut state = lock(&self.state);
        state.waiting.over_routings.push(routing);
        self.added(state);
    }

    fn after_poll(&self) {
        self.wake_if_late();
    }

    fn quic_datagram(&self, connection: ConnectionName, payload: Bytes) {
        let mut state = lock(&self.state);
        let inbox = &mut state.waiting.quic_datagrams;
        let dropped = inbox.push(connection.slot, connection.generation, payload);
        self.dropped.quic.fetch_add(dropped, Relaxed);
        self.added(state);
    }

    fn file_refused(&self, id: ExchangeId, error: FileError) {
        self.happened(Happened::FileFailed(id, Sent::Nothing, error));
    }

    fn file_broken(&self, id: ExchangeId, error: FileError) {
        self.happened(Happened::FileFailed(id, Sent::Part, error));
    }

    fn h3_datagram(&self, id: ExchangeId, payload: Bytes) {
        let mut state = lock(&self.state);
        let dropped = state.waiting.h3_datagrams.push(id.slot, id.generation, payload);
        self.dropped.h3.fetch_add(dropped, Relaxed);
        self.added(state);
    }

    fn session_datagram(&self, id: ExchangeId, payload: Bytes) {
        let mut state = lock(&self.state);
        let inbox = &mut state.waiting.session_datagrams;
        let dropped = inbox.push(id.slot, id.generation, payload);
        self.dropped.session.fetch_add(dropped, Relaxed);
        self.added(state);
    }

    fn session_datagrams(&self, id: ExchangeId, payloads: std::vec::Drain<'_, Bytes>) {
        let mut state = lock(&self.state);
        let inbox = &mut state.waiting.session_datagrams;
        let dropped = inbox.extend(id.slot, id.generation, payloads);
        self.dropped.session.fetch_add(dropped, Relaxed);
        self.added(state);
    }

    fn session_event(&self, id: ExchangeId, event: SessionEvent) {
        self.happened(Happened::Session(id, event));
    }

    fn stream_event(&self, stream: StreamName, event: StreamEvent) {
        self.happened(Happened::Stream(stream, event));
    }

    fn connection_event(&self, connection: ConnectionName, event: ConnectionEvent) {
        self.happened(Happened::Connection(connection, event));
    }

    fn exchange_event(&self, id: ExchangeId, event: ExchangeEvent) {
        self.happened(Happened::Event(id, event));
    }
}

#[cfg(test)]
mod tests;
