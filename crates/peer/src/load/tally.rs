//! What a load counted.

use std::collections::BTreeMap;

use crate::latency::Latency;

/// What one worker, or all of them, counted. Bytes are those of message bodies.
pub(crate) struct Tally {
    /// Of measured requests that succeeded.
    pub(crate) latency: Latency,
    /// Requests that succeeded, those of the warm-up included.
    pub(crate) answered: u64,
    /// Requests that did not, by kind; those of the warm-up included.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Body bytes received while measuring.
    pub(crate) bytes_in: u64,
    /// Body bytes sent while measuring.
    pub(crate) bytes_out: u64,
    /// Requests of a `--rate` that left more than 10 ms after their time: every worker was busy.
    pub(crate) late: u64,
}

impl Tally {
    /// Nothing counted yet.
    pub(crate) fn new() -> Self {
        Self {
            latency: Latency::new(),
            answered: 0,
            errors: BTreeMap::new(),
            bytes_in: 0,
            bytes_out: 0,
            late: 0,
        }
    }

    /// Counts a request that failed.
    pub(crate) fn failed(&mut self, kind: String) {
        *self.errors.entry(kind).or_default() += 1;
    }

    /// All failures.
    pub(crate) fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Adds what another counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.answered += other.answered;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.late += other.late;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }
}
