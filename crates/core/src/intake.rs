//! How much an endpoint takes in between two looks at what its connections do with it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use quinn::udp::BATCH_SIZE;
use tokio::sync::Notify;

/// Bytes after which connections are looked at: a flood that is worth its name has sent them in 30 ms, and 500 MB/s make it two
/// thousand looks a second.
const LOOK_BYTES: usize = 256 * 1024;

/// The same while the intake is short. Packets full of empty frames take 36 µs each: these are 2 ms.
const SHORT_LOOK_BYTES: usize = 64 * 1024;

/// Messages received in one call while the intake is short. Each may be a dozen packets of one peer, which the kernel has
/// joined: a whole batch can be 400 KiB.
const SHORT_CALL: usize = 4;

/// Counts what is received. One task receives, and one looks.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    bytes: AtomicUsize,
    is_short: AtomicBool,
    look: Notify,
}

impl Intake {
    /// Whether not more is received from now on than can be read in a few milliseconds, whatever it is, before connections are
    /// looked at and others have their turn.
    pub(crate) fn shorten(&self, is_short: bool) {
        self.is_short.store(is_short, Relaxed);
    }

    /// Waits until so much was received that connections should be looked at.
    pub(crate) async fn look(&self) {
        self.look.notified().await;
    }

    /// The most messages that may be received in one call; `None`: none before the next turn.
    pub(crate) fn allowed(&self) -> Option<usize> {
        if !self.is_short.load(Relaxed) {
            return Some(BATCH_SIZE);
        }
        (!self.is_due(SHORT_LOOK_BYTES)).then_some(SHORT_CALL)
    }

    /// So many bytes were received.
    pub(crate) fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
        if !self.is_short.load(Relaxed) {
            self.is_due(LOOK_BYTES);
        }
    }

    fn is_due(&self, after: usize) -> bool {
        if self.bytes.load(Relaxed) < after {
            return false;
        }
        self.bytes.store(0, Relaxed);
        self.look.notify_one();
        true
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_due(intake: &Intake) -> bool {
        intake.look().now_or_never().is_some()
    }

    #[test]
    fn connections_are_looked_at_after_what_a_flood_sends_in_a_moment() {
        let intake = Intake::default();
        intake.count(LOOK_BYTES - 1);
        assert!(!is_due(&intake));
        intake.count(1);
        assert!(is_due(&intake));
        assert!(!is_due(&intake));
        assert_eq!(intake.allowed(), Some(BATCH_SIZE));
    }

    #[test]
    fn a_short_intake_ends_its_turn_for_a_look() {
        let intake = Intake::default();
        intake.shorten(true);
        assert_eq!(intake.allowed(), Some(SHORT_CALL));
        intake.count(SHORT_LOOK_BYTES);
        assert!(!is_due(&intake));
        assert_eq!(intake.allowed(), None);
        assert!(is_due(&intake));
        assert_eq!(intake.allowed(), Some(SHORT_CALL));
        intake.shorten(false);
        assert_eq!(intake.allowed(), Some(BATCH_SIZE));
    }
}
