//! What is remembered of exchanges for those who want to know how they end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::exchange::ExchangeId;
use crate::request_record::{Observer, RequestOutcome, RequestRecord};
use crate::sync::lock;

use super::{ExchangeTable, Slot};

impl ExchangeTable {
    /// Who wants to know how requests end.
    pub(crate) fn observer(&self) -> Option<&Arc<Observer>> {
        self.observer.as_ref()
    }

    /// Bytes of a streamed body.
    pub(crate) fn count_piece(&self, id: ExchangeId, bytes: usize) {
        self.count_received(bytes);
        self.note(id, |record| record.bytes_received += bytes as u64);
    }

    /// Bytes of the body of an answer that is sent in pieces.
    pub(super) fn count_sent(&self, id: ExchangeId, bytes: u64) {
        self.counters.body_bytes_sent.fetch_add(bytes, Relaxed);
        self.note(id, |record| record.bytes_sent += bytes);
    }

    /// Adds to the record of an open exchange, if somebody wants one.
    fn note(&self, id: ExchangeId, what: impl FnOnce(&mut RequestRecord)) {
        if self.observer.is_some()
            && let Ok(slot) = lock(&self.slots).get(id)
            && let Some(record) = &mut slot.record
        {
            what(record);
        }
    }
}

impl Slot {
    pub(super) fn ended_as(&mut self, outcome: RequestOutcome) {
        if let Some(record) = &mut self.record {
            record.outcome = outcome;
        }
    }
}

/// A whole answer was given to QUIC, by a handler or by the server itself.
pub(crate) fn complete(record: Option<Box<RequestRecord>>) {
    if let Some(mut record) = record
        && record.outcome != RequestOutcome::Refused
    {
        record.outcome = RequestOutcome::Complete;
    }
}
