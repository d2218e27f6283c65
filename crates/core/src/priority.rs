//! Which answer of a connection goes first (RFC 9218).
//!
//! quinn sends what the most urgent stream has written first, and streams of equal rank in turns. What it does not decide is
//! who may write when its send window is full: here the less urgent let the more urgent go first, and of equal ones the one
//! that wrote last the others. Measured with two answers
//! of 24 MiB, the second more urgent, to a client whose windows are as large as a browser's: when the second had ended, 0.3 to
//! 4 MiB of the first had come; without this, 16 to 20.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use quinn::SendStream;
use trilane_http3::{Code, Error, Priority};

use crate::connection_state::ConnectionState;
use crate::sync::lock;

/// PRIORITY_UPDATE frames remembered for one connection: for requests under way, and for those still to come. Above it the
/// one for the oldest stream is forgotten: it is the likeliest to be over.
const MAX_UPDATES: usize = 256;

/// Ranks of one urgency: one for all that share, the others for those that go one after the other.
const RANKS: i32 = 1 << 28;

/// The rank of a stream for quinn: higher goes first, equal ones take turns.
///
/// Urgency decides (RFC 9218 §10). Within one urgency, answers whose client called them not incremental go first, in the
/// order of their requests: they are of use only when whole. Incremental ones share, and so do those whose client said
/// nothing: without a word of the client nobody is to starve behind the download that was asked for first.
fn rank(priority: Priority, stream: u64) -> i32 {
    // RFC9218-4-defaults, RFC9218-10-urgency
    let urgency = priority.urgency.unwrap_or(Priority::DEFAULT_URGENCY);
    let base = (i32::from(Priority::DEFAULT_URGENCY) - i32::from(urgency)) * RANKS;
    // RFC9218-10-shared
    if priority.is_unsaid() || priority.incremental == Some(true) {
        return base;
    }
    // RFC9218-10-order; after 2²⁸ requests of a connection the later ones share.
    let order = i32::try_from(stream / 4).unwrap_or(i32::MAX).min(RANKS - 2);
    base + RANKS - 1 - order
}

/// What a connection knows of priorities.
pub(crate) struct Priorities {
    /// Grows with each update, so that writers look at the table only when there is news. 0: there was none.
    version: AtomicU32,
    /// Request streams accepted so far, counted as ids: the index after the last one.
    accepted: AtomicU64,
    max_concurrent_streams: AtomicU64,
    /// Writes so far, and writers made: says whose last write is longer ago.
    writes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    updates: BTreeMap<u64, Priority>,
    /// Writers that wait for quinn to take more, those who go first at the front.
    waiting: BTreeSet<Waiting>,
}

/// One who waits: those of a higher rank go first, of equal ones the one whose last write is longest ago.
type Waiting = (Reverse<i32>, u64);

impl Priorities {
    pub(crate) fn new(max_concurrent_streams: u32) -> Self {
        Self {
            version: AtomicU32::new(0),
            accepted: AtomicU64::new(0),
            max_concurrent_streams: AtomicU64::new(max_concurrent_streams.into()),
            writes: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// The client may have this many request streams open from now on.
    pub(crate) fn allow(&self, streams: u32) {
        self.max_concurrent_streams.store(streams.into(), Relaxed);
    }

    /// A request stream was accepted.
    pub(crate) fn accepted(&self, stream: u64) {
        self.accepted.fetch_max(stream / 4 + 1, Relaxed);
    }

    /// Takes a PRIORITY_UPDATE of the client. It replaces what the `priority` field said, also for a request that is still
    /// to come (RFC 9218 §7).
    ///
    /// # Errors
    /// H3_ID_ERROR, connection: the client may not open that stream yet (RFC 9218 §7.2).
    pub(crate) fn update(&self, stream: u64, priority: Priority) -> Result<(), Error> {
        // RFC9218-7.2-stream-limit: QUIC lets a client open one stream more for each that is over, and only accepted ones can be.
        if stream / 4 >= self.accepted.load(Relaxed) + self.max_concurrent_streams.load(Relaxed) {
            return Err(Error::connection(
                Code::H3_ID_ERROR,
                "PRIORITY_UPDATE for a stream beyond the stream limit",
            ));
        }
        let mut state = lock(&self.state);
        state.updates.insert(stream, priority);
        if state.updates.len() > MAX_UPDATES {
            state.updates.pop_first();
        }
        drop(state);
        // Never 0 again.
        if self.version.fetch_add(1, Relaxed) == u32::MAX {
            self.version.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// The rank of an answer: `request` is what the request's field said, `answer` what the handler says, which overrides
    /// the client where it speaks (RFC 9218 §8).
    pub(crate) fn rank(&self, stream: u64, request: Priority, answer: Priority) -> i32 {
        // RFC9218-7-replaces
        let client = if self.version.load(Relaxed) == 0 {
            request
        } else {
            lock(&self.state).updates.get(&stream).copied().unwrap_or(request)
        };
        rank(client.overridden_by(answer), stream)
    }

    /// An answer was written whole.
    pub(crate) fn forget(&self, stream: u64) {
        if self.version.load(Relaxed) != 0 {
            lock(&self.state).updates.remove(&stream);
        }
    }

    /// Gives finished answers, whose last bytes quinn may still hold, the rank of a late update.
    pub(crate) fn refresh<'s>(&self, seen: &mut u32, finished: impl Iterator<Item = &'s SendStream>) {
        let version = self.version.load(Relaxed);
        if std::mem::replace(seen, version) == version {
            return;
        }
        let state = lock(&self.state);
        for stream in finished {
            let id = u64::from(stream.id());
            if let Some(priority) = state.updates.get(&id) {
                let _ = stream.set_priority(rank(*priority, id));
            }
        }
    }
}

/// The place of one answer among those of its connection, for its writer.
pub(crate) struct Place {
    turn: WriteTurn,
    stream: u64,
    request: Priority,
    answer: Priority,
    seen: u32,
}

impl Place {
    /// Ranks `stream` by what the request's field and the handler say, and by any update.
    pub(crate) fn new(
        connection: Arc<ConnectionState>,
        stream: &SendStream,
        request: Priority,
        answer: Priority,
    ) -> Self {
        let id = u64::from(stream.id());
        let seen = connection.priorities.version.load(Relaxed);
        let rank = connection.priorities.rank(id, request, answer);
        if rank != 0 {
            let _ = stream.set_priority(rank);
        }
        let mut turn = WriteTurn::new(connection);
        turn.set_rank(rank);
        Self {
            turn,
            stream: id,
            request,
            answer,
            seen,
        }
    }

    /// Before a write: ranks the stream anew if the client has spoken since, and waits for its turn.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>, stream: &SendStream) -> Poll<()> {
        let priorities = &self.turn.connection.priorities;
        let version = priorities.version.load(Relaxed);
        if version != self.seen {
            let rank = priorities.rank(self.stream, self.request, self.answer);
            self.seen = version;
            if rank != self.turn.rank {
                self.turn.set_rank(rank);
                let _ = stream.set_priority(rank);
            }
        }
        self.turn.poll(cx)
    }

    /// After a write: whether quinn took less than there was.
    pub(crate) fn wait(&mut self, waiting: bool) {
        self.turn.wait(waiting);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turn.connection.priorities.forget(self.stream);
    }
}

/// The turn of one writer among those of its connection.
pub(crate) struct WriteTurn {
    connection: Arc<ConnectionState>,
    rank: i32,
    /// When it last wrote, or was made, by [`Priorities::writes`]. No other of the connection has the same.
    wrote: u64,
    waiting: bool,
    /// Those who go first had their chance in this round.
    yielded: bool,
}

impl WriteTurn {
    /// With rank 0.
    pub(crate) fn new(connection: Arc<ConnectionState>) -> Self {
        let wrote = connection.priorities.writes.fetch_add(1, Relaxed);
        Self {
            connection,
            rank: 0,
            wrote,
            waiting: false,
            yielded: false,
        }
    }

    pub(crate) fn set_rank(&mut self, rank: i32) {
        self.leave();
        self.rank = rank;
    }

    /// Before a write: lets those go first that wait and rank higher, or rank equal and have waited longer. They were woken with
    /// this one, so that coming back once is enough.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.yielded && self.must_yield() {
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.yielded = false;
        Poll::Ready(())
    }

    /// After a write: whether nothing was taken, and there is more.
    pub(crate) fn wait(&mut self, waiting: bool) {
        if !waiting {
            self.leave();
            self.wrote = self.connection.priorities.writes.fetch_add(1, Relaxed);
        } else if !std::mem::replace(&mut self.waiting, true) {
            lock(&self.connection.priorities.state).waiting.insert(self.key());
        }
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.waiting) {
            lock(&self.connection.priorities.state)
                .waiting
                .remove(&self.key());
        }
    }

    fn key(&self) -> Waiting {
        (Reverse(self.rank), self.wrote)
    }

    fn must_yield(&self) -> bool {
        let state = lock(&self.connection.priorities.state);
        state.waiting.first().is_some_and(|first| *first < self.key())
    }
}

impl Drop for WriteTurn {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Priority {
        Priority::parse(text.as_bytes())
    }

    /// RFC9218-10-urgency, RFC9218-10-order
    #[test]
    fn urgency_goes_before_everything_then_order_then_sharing() {
        let ranks = [
            rank(said("u=0"), 0),
            rank(said("u=0"), 4),
            rank(said("u=0"), 1 << 50),
            rank(said("u=0, i"), 0),
            rank(said("u=2, i"), 0),
            rank(said("i=?0"), 0),
            rank(said(""), 0),
            rank(said("u=4"), 0),
            rank(said("u=7, i"), 0),
        ];
        assert!(ranks.is_sorted_by(|before, after| before > after), "{ranks:?}");
    }

    /// RFC9218-4-defaults, RFC9218-10-shared
    #[test]
    fn those_that_share_have_one_rank_and_so_have_those_whose_client_says_nothing() {
        assert_eq!(rank(said("i"), 0), rank(said("i"), 400));
        assert_eq!(rank(said(""), 0), 0);
        assert_eq!(rank(said("u=3, i"), 8), 0);
        assert_eq!(rank(said("u=1"), 1 << 40), rank(said("u=1"), 1 << 41));
    }

    /// RFC9218-7-replaces
    #[test]
    fn an_update_replaces_the_field_until_the_answer_is_written() {
        let priorities = Priorities::new(10);
        assert_eq!(priorities.rank(8, said("u=1"), said("")), rank(said("u=1"), 8));
        priorities.update(8, said("u=6, i")).unwrap();
        assert_eq!(priorities.rank(8, said("u=1"), said("")), rank(said("u=6, i"), 8));
        assert_eq!(
            priorities.rank(8, said("u=1"), said("u=0")),
            rank(said("u=0, i"), 8)
        );
        priorities.forget(8);
        assert_eq!(priorities.rank(8, said("u=1"), said("")), rank(said("u=1"), 8));
    }

    #[test]
    fn the_number_of_remembered_updates_is_bounded() {
        let priorities = Priorities::new(10_000);
        for index in 0..1000 {
            priorities.update(4 * index, said("u=1")).unwrap();
        }
        let state = lock(&priorities.state);
        assert_eq!(state.updates.len(), MAX_UPDATES);
        assert_eq!(state.updates.last_key_value().map(|(id, _)| *id), Some(3996));
    }

    /// RFC9218-7.2-stream-limit
    #[test]
    fn an_update_beyond_the_stream_limit_is_an_error_of_the_connection() {
        let priorities = Priorities::new(10);
        assert_eq!(priorities.update(36, said("")), Ok(()));
        let error = priorities.update(40, said("")).unwrap_err();
        assert_eq!(error.code, Code::H3_ID_ERROR);
        priorities.accepted(0);
        assert_eq!(priorities.update(40, said("")), Ok(()));
    }
}
