//! How many WebTransport sessions a server has, and has had.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Live counters of sessions.
#[derive(Debug, Default)]
pub(crate) struct SessionCounters {
    total: AtomicU64,
    active: AtomicUsize,
    streams: AtomicU64,
}

/// The WebTransport sessions of a server at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Sessions that were accepted.
    pub total: u64,
    /// Sessions that are open now.
    pub active: usize,
    /// Streams opened in sessions, by either side.
    pub streams: u64,
}

impl SessionCounters {
    /// A session was accepted.
    pub(crate) fn opened(&self) {
        self.total.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
    }

    /// An accepted session is over.
    pub(crate) fn closed(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// A stream was opened in a session.
    pub(crate) fn stream(&self) {
        self.streams.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> SessionStats {
        SessionStats {
            total: self.total.load(Relaxed),
            active: self.active.load(Relaxed),
            streams: self.streams.load(Relaxed),
        }
    }
}
