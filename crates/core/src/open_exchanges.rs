//! The exchanges of one connection that are still open, looked at now and then.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::stream::FuturesUnordered;
use quinn::SendStream;
use trilane_http3::Code;

use crate::connection::Outcome;
use crate::connection_state::{ConnectionState, StreamWork};
use crate::exchange::ExchangeId;
use crate::exchange_table::ExchangeTable;
use crate::wire::wire_code;

/// Most exchanges are answered before the first sweep sees them and cost nothing here. What is older is watched:
/// the client may stop reading. When the connection's task ends, in whatever way, all that is open is aborted.
pub(crate) struct OpenExchanges {
    table: Arc<ExchangeTable>,
    connection: Arc<ConnectionState>,
    young: Vec<ExchangeId>,
    old: Vec<ExchangeId>,
    watched: Vec<ExchangeId>,
    /// Sent since the last sweep but one: most are acknowledged before anybody asks, and asking early costs a
    /// registration in quinn each (1.5 % of the IO thread's time).
    fresh: Vec<SendStream>,
    unacknowledged: Vec<SendStream>,
    found_unacknowledged: usize,
    /// The client's last word on priorities that these streams have heard of.
    priorities_seen: u32,
}

impl OpenExchanges {
    pub(crate) fn new(table: Arc<ExchangeTable>, connection: Arc<ConnectionState>) -> Self {
        Self {
            table,
            connection,
            young: vec![],
            old: vec![],
            watched: vec![],
            fresh: vec![],
            unacknowledged: vec![],
            found_unacknowledged: 0,
            priorities_seen: 0,
        }
    }

    pub(crate) fn add(&mut self, id: ExchangeId) {
        self.young.push(id);
    }

    /// Whether there is nothing to sweep.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_open() && self.unacknowledged() == 0
    }

    /// Whether some exchange may still be open; exact after the next sweep.
    pub(crate) fn has_open(&self) -> bool {
        !(self.young.is_empty() && self.old.is_empty() && self.watched.is_empty())
    }

    /// Answers sent whole that may not be acknowledged yet.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.fresh.len() + self.unacknowledged.len()
    }

    /// Answers that the last sweep found unacknowledged; of later ones it is not known.
    pub(crate) fn found_unacknowledged(&self) -> usize {
        self.found_unacknowledged
    }

    /// Watches what has been open since the last sweep, forgets what is over, lets go of acknowledged streams.
    pub(crate) fn sweep(&mut self, watches: &mut FuturesUnordered<StreamWork>) {
        self.watched.retain(|id| self.table.is_open(*id));
        for id in self.old.drain(..) {
            if !self.table.is_open(id) {
                continue;
            }
            self.watched.push(id);
            if let Some(stopped) = self.table.watch(id) {
                let table = self.table.clone();
                watches.push(Box::pin(async move {
                    match stopped.await {
                        Ok(Some(code)) => table.abort(id, Some(code.into_inner())),
                        Ok(None) => {}
                        Err(_) => table.abort(id, None),
                    }
                    Outcome::Done
                }));
            }
        }
        std::mem::swap(&mut self.young, &mut self.old);
        self.unacknowledged.retain(is_unacknowledged);
        self.found_unacknowledged = self.unacknowledged.len();
        self.unacknowledged.append(&mut self.fresh);
        self.fresh = self.connection.take_finished();
        let finished = self.fresh.iter().chain(&self.unacknowledged);
        self.connection
            .priorities
            .refresh(&mut self.priorities_seen, finished);
    }
}

impl Drop for OpenExchanges {
    fn drop(&mut self) {
        let ids = self.young.iter().chain(&self.old).chain(&self.watched);
        for id in ids {
            self.table.abort(*id, None);
        }
        // Needed if the task was torn down by a panic or with the runtime; otherwise it is closed, and keeps its reason.
        if self.connection.quic.close_reason().is_none() {
            self.connection.close(wire_code(Code::H3_INTERNAL_ERROR), b"");
        }
    }
}

/// Polled once and dropped: the next sweep asks again.
fn is_unacknowledged(stream: &SendStream) -> bool {
    let mut stopped = std::pin::pin!(stream.stopped());
    let polled = stopped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Pending)
}
