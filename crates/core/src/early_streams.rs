//! Streams that came before their WebTransport session: kept for a moment (draft-ietf-webtrans-http3-16 §4.6).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use trilane_http3::code::WT_BUFFERED_STREAM_REJECTED;

use crate::arrived_stream::Arrived;
use crate::session::MAX_EARLY_STREAMS;
use crate::session_event::StreamKind;
use crate::sync::lock;

/// How long a stream may wait for the request that it overtook: longer than losses take to mend on most paths.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sessions that are not here yet whose refused streams are counted.
const MAX_REMEMBERED_SESSIONS: usize = 64;

/// The early streams of one connection, at most 16.
#[derive(Clone, Default)]
pub(crate) struct EarlyStreams {
    waiting: Arc<Mutex<Vec<Early>>>,
    refused: Arc<Mutex<BTreeMap<u64, Refused>>>,
}

/// Streams of a session that were refused before it came: its client counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) bidirectional: u32,
    pub(crate) unidirectional: u32,
}

struct Early {
    session: u64,
    since: Instant,
    arrived: Arrived,
}

impl EarlyStreams {
    /// Keeps a stream, or refuses it if there are too many. `true`: it is the first, and [`expire`](Self::expire) has to run.
    pub(crate) fn keep(&self, session: u64, arrived: Arrived) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= MAX_EARLY_STREAMS {
            drop(waiting);
            self.turn_away(session, arrived);
            return false;
        }
        waiting.push(Early {
            session,
            since: Instant::now(),
            arrived,
        });
        waiting.len() == 1
    }

    /// Those of a session that is here now, in the order in which they came.
    pub(crate) fn take(&self, session: u64) -> Vec<Arrived> {
        let mut waiting = lock(&self.waiting);
        let (taken, left) = std::mem::take(&mut *waiting)
            .into_iter()
            .partition(|early| early.session == session);
        *waiting = left;
        let taken: Vec<Early> = taken;
        taken.into_iter().map(|early| early.arrived).collect()
    }

    /// How many of a session that is here now were refused.
    pub(crate) fn take_refused(&self, session: u64) -> Refused {
        lock(&self.refused).remove(&session).unwrap_or_default()
    }

    fn turn_away(&self, session: u64, arrived: Arrived) {
        let mut refused = lock(&self.refused);
        let counts = refused.entry(session).or_default();
        match arrived.kind() {
            StreamKind::Bidirectional => counts.bidirectional += 1,
            StreamKind::Unidirectional => counts.unidirectional += 1,
        }
        if refused.len() > MAX_REMEMBERED_SESSIONS {
            // The oldest: ids grow.
            refused.pop_first();
        }
        drop(refused);
        arrived.refuse(WT_BUFFERED_STREAM_REJECTED);
    }

    /// Refuses those of a session that will not be.
    pub(crate) fn refuse(&self, session: u64) {
        self.take_refused(session);
        for arrived in self.take(session) {
            arrived.refuse(WT_BUFFERED_STREAM_REJECTED);
        }
    }

    /// Refuses each whose time is up; ends when none is left.
    pub(crate) async fn expire(self) {
        while let Some(oldest) = self.oldest() {
            tokio::time::sleep_until(oldest + PATIENCE).await;
            for early in self.take_expired() {
                self.turn_away(early.session, early.arrived);
            }
        }
    }

    fn oldest(&self) -> Option<Instant> {
        lock(&self.waiting).first().map(|early| early.since)
    }

    fn take_expired(&self) -> Vec<Early> {
        let mut waiting = lock(&self.waiting);
        let late = waiting.partition_point(|early| early.since.elapsed() >= PATIENCE);
        waiting.drain(..late).collect()
    }
}
