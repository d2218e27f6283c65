//! What one connection may hand over before the handler comes back: its share of the handler's next turn.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Counts the requests that a connection has handed over since the handler last took what waits. With it a handler that
/// works through a queue keeps room in each of its turns for the requests of other connections: whoever sends a hundred at
/// once gets several turns for them, and nobody else waits behind all hundred.
#[derive(Debug, Default)]
pub struct Portion {
    /// The handler's turn that `handed` is about.
    turn: AtomicU64,
    handed: AtomicU32,
}

impl Portion {
    /// How many were handed over since the handler's turn `turn`. Turns are numbered by the handler, and only grow.
    pub fn since(&self, turn: u64) -> u32 {
        if self.turn.load(Relaxed) != turn {
            self.turn.store(turn, Relaxed);
            self.handed.store(0, Relaxed);
        }
        self.handed.load(Relaxed)
    }

    /// Counts one more. Only the connection's task comes here, so that no step needs to be atomic.
    #[inline]
    pub fn count(&self) {
        self.handed.store(self.handed.load(Relaxed) + 1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_of_the_handler_begins_at_nothing() {
        let portion = Portion::default();
        portion.count();
        assert_eq!(portion.since(0), 1);
        portion.count();
        assert_eq!(portion.since(0), 2);
        assert_eq!(portion.since(1), 0);
        portion.count();
        assert_eq!(portion.since(1), 1);
    }
}
