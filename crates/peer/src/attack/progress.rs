//! Whether one class of users of a connection gets on, and how fast.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{failure::Failure, load::tally::Tally};

/// What one class of users of a connection achieved.
pub(super) struct Progress {
    state: Mutex<State>,
    begun: Instant,
}

struct State {
    tally: Tally,
    bytes: u64,
    last: Instant,
    longest_gap: Duration,
}

impl Progress {
    /// Nothing yet; the first gap begins here.
    pub(super) fn new() -> Self {
        let begun = Instant::now();
        Self {
            state: Mutex::new(State {
                tally: Tally::new(),
                bytes: 0,
                last: begun,
                longest_gap: Duration::ZERO,
            }),
            begun,
        }
    }

    /// Some bytes of a transfer got through.
    pub(super) fn moved(&self, bytes: usize) {
        self.change(|state| {
            state.bytes += bytes as u64;
            state.end_gap();
        });
    }

    /// A request was answered whole.
    pub(super) fn answered(&self, after: Duration) {
        self.change(|state| {
            state.tally.latency.record(after);
            state.end_gap();
        });
    }

    /// A request failed: no progress.
    pub(super) fn failed(&self, failure: &Failure) {
        self.change(|state| state.tally.failed(failure.label()));
    }

    /// Counts, latencies, bytes per second, and the longest time without progress, that up to `end` included: after it users
    /// only finish what they have begun.
    pub(super) fn report(&self, end: Instant) -> Value {
        self.change(|state| {
            let last_gap = end.saturating_duration_since(state.last);
            let longest_gap = state.longest_gap.max(last_gap);
            let seconds = state.last.max(end).duration_since(self.begun).as_secs_f64();
            json!({
                "completed": state.tally.latency.count(),
                "errors": state.tally.errors_total(),
                "errors_by_kind": state.tally.errors,
                "p50_us": state.tally.latency.quantile(0.5),
                "p99_us": state.tally.latency.quantile(0.99),
                "max_us": state.tally.latency.max(),
                "bytes_per_s": (state.bytes as f64 / seconds).round(),
                "longest_gap_ms": longest_gap.as_millis() as u64,
            })
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn end_gap(&mut self) {
        let now = Instant::now();
        self.longest_gap = self.longest_gap.max(now - self.last);
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_never_got_on_has_a_gap_as_long_as_the_observation() {
        let progress = Progress::new();
        std::thread::sleep(Duration::from_millis(30));
        progress.failed(&Failure::new("deadline", ""));
        let report = progress.report(Instant::now());
        assert!(report["longest_gap_ms"].as_u64().unwrap() >= 30, "{report}");
        assert_eq!(report["errors"], 1);
        assert_eq!(report["completed"], 0);
    }

    #[test]
    fn what_comes_after_the_end_is_no_gap() {
        let progress = Progress::new();
        let end = Instant::now();
        std::thread::sleep(Duration::from_millis(30));
        let report = progress.report(end);
        assert!(report["longest_gap_ms"].as_u64().unwrap() < 30, "{report}");
    }

    #[test]
    fn progress_ends_a_gap_and_begins_the_next() {
        let progress = Progress::new();
        for _ in 0..6 {
            std::thread::sleep(Duration::from_millis(10));
            progress.moved(1000);
        }
        let report = progress.report(Instant::now());
        let gap = report["longest_gap_ms"].as_u64().unwrap();
        assert!((10..200).contains(&gap), "{report}");
        assert!(report["bytes_per_s"].as_f64().unwrap() > 0.0);
    }
}
