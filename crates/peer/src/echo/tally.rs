//! What an echo counted.

use crate::latency::Latency;

/// What one connection, or all of them, counted.
pub(super) struct Tally {
    pub(super) sent: u64,
    /// Echoes that came back.
    pub(super) received: u64,
    /// Datagrams whose echo did not come.
    pub(super) lost: u64,
    /// Payload of what came back.
    pub(super) bytes: u64,
    /// From sending a datagram to its echo.
    pub(super) latency: Latency,
    /// What ended a connection early.
    pub(super) failure: Option<String>,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            received: 0,
            lost: 0,
            bytes: 0,
            latency: Latency::new(),
            failure: None,
        }
    }

    /// Keeps the first failure.
    pub(super) fn failed(&mut self, what: impl ToString) {
        self.failure.get_or_insert_with(|| what.to_string());
    }

    /// Adds what another counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.bytes += other.bytes;
        self.latency.merge(&other.latency);
        if let Some(failure) = &other.failure {
            self.failed(failure);
        }
    }
}
