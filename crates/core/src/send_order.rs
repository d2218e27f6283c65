//! Which streams of a session go first: their send orders (W3C WebTransport §6.10) as ranks for quinn.
//!
//! quinn sends strictly by rank, over all streams of a connection. An order is to hold only within its group, and groups,
//! sessions and requests are to share. So the rank of a stream is not its order: it is how many higher orders of its group
//! have something to send, negative. The first of each group ranks with everything else of the connection.
//!
//! quinn does not tell when bytes that it took have left, but for a stream that has ended, whose end is acknowledged. One
//! that goes on counts, behind its last write, for as long as the path would take for what it wrote at its present pace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::session_event::StreamName;
use crate::session_stream::WriteHalf;
use crate::sync::lock;

/// What quinn keeps of all streams of a connection by default (`limits.sendWindowBytes`): of more that a stream wrote, the
/// beginning has left.
const KEPT_AT_MOST: usize = 4 * 1024 * 1024;

/// Where a written stream stands among those of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendPlace {
    /// Orders are compared within a group; 0: the streams without one.
    pub group: u32,
    /// Higher ones are sent first, equal ones take turns.
    pub order: i64,
}

/// Whether a stream has something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Bytes wait for quinn, or its end for its acknowledgement.
    Writing,
    /// quinn has taken so many bytes, the last of them then.
    Taken { bytes: usize, at: Instant },
    /// All that was written has left.
    Idle,
}

/// The places of the written streams of one session.
#[derive(Default)]
pub(crate) struct SendOrders {
    streams: Mutex<HashMap<StreamName, Written>>,
    /// Some stream was given a place: until then all share, and nothing is looked at.
    used: AtomicBool,
    over: AtomicBool,
    changed: Notify,
}

struct Written {
    half: Arc<WriteHalf>,
    place: SendPlace,
    rank: i32,
}

impl SendOrders {
    /// A stream begins, in the place that all have.
    pub(crate) fn add(&self, name: StreamName, half: Arc<WriteHalf>) {
        let (place, rank) = (SendPlace::default(), 0);
        lock(&self.streams).insert(name, Written { half, place, rank });
        self.look();
    }

    /// A stream has ended.
    pub(crate) fn remove(&self, name: StreamName) {
        lock(&self.streams).remove(&name);
        self.look();
    }

    /// Gives a stream its place. `true`: from now on [`keep`] has to run.
    #[must_use]
    pub(crate) fn put(&self, name: StreamName, place: SendPlace) -> bool {
        match lock(&self.streams).get_mut(&name) {
            Some(written) if written.place != place => written.place = place,
            _ => return false,
        }
        let first = !self.used.swap(true, Relaxed);
        self.look();
        first
    }

    /// A stream has something to send again, or all of it was taken.
    pub(crate) fn look(&self) {
        if self.used.load(Relaxed) {
            self.changed.notify_one();
        }
    }

    /// The session is over.
    pub(crate) fn close(&self) {
        self.over.store(true, Relaxed);
        self.changed.notify_one();
    }

    /// Ranks all streams; what quinn took counts as long as `leaves` says. Returns when to look again though nothing changed.
    fn rank(&self, leaves: impl Fn(usize) -> Duration) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut streams = lock(&self.streams);
        let mut order: Vec<(SendPlace, bool, &mut Written)> = Vec::with_capacity(streams.len());
        for written in streams.values_mut() {
            let active = match written.half.activity() {
                Activity::Writing => true,
                Activity::Idle => false,
                Activity::Taken { bytes, at } => {
                    let until = at + leaves(bytes);
                    let still = until > Instant::now();
                    if still {
                        next = Some(next.map_or(until, |next| next.min(until)));
                    } else {
                        written.half.has_left();
                    }
                    still
                }
            };
            order.push((written.place, active, written));
        }
        order.sort_unstable_by_key(|(place, _, _)| (place.group, std::cmp::Reverse(place.order)));
        // Of the group: those above the present order that have something to send, and whether the present one has.
        let (mut above, mut here, mut at) = (0, false, None);
        for (place, active, written) in order {
            match at.replace(place) {
                Some(before) if before == place => {}
                Some(SendPlace { group, .. }) if group == place.group => {
                    above += i32::from(std::mem::take(&mut here));
                }
                _ => (above, here) = (0, false),
            }
            here |= active;
            if std::mem::replace(&mut written.rank, -above) != -above {
                written.half.set_rank(-above);
            }
        }
        next
    }
}

/// Keeps the ranks of a session's streams, to its end. Part of the connection's task: what changes in a turn is looked at once.
pub(crate) async fn keep(orders: Arc<SendOrders>, connection: Arc<ConnectionState>) -> Outcome {
    while !orders.over.load(Relaxed) {
        let path = connection.quic.stats().path;
        let next = orders.rank(|bytes| leaves(bytes, path.cwnd, path.rtt));
        let changed = orders.changed.notified();
        match next {
            Some(next) => drop(tokio::time::timeout_at(next.into(), changed).await),
            None => changed.await,
        }
    }
    Outcome::Done
}

/// How long `bytes` take to leave: a congestion window a round trip, and two round trips for what is lost.
fn leaves(bytes: usize, congestion_window: u64, round_trip: Duration) -> Duration {
    let windows = bytes.min(KEPT_AT_MOST) as f64 / congestion_window.max(1) as f64;
    round_trip.mul_f64(2.0 + windows)
}
