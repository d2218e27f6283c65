//! The part of a connection's task that judges what the peer does, and closes when it is too much or against the rules.

use std::sync::atomic::Ordering::Relaxed;

use trilane_http3::{Code, Error};

use super::Task;
use crate::wire::wire_code;

impl Task {
    /// A stream that earns the peer a few QUIC frames: of a request, or of a session.
    pub(super) fn count_accepted(&mut self) {
        self.accepted += 1;
        self.state.accepted(self.accepted);
    }

    /// Allows the client more request streams if many of those that it may have are open (requests being read, exchanges, and
    /// answers that it has not acknowledged), or came since the last look.
    pub(super) fn look_at_credit(&mut self) {
        let exchanges = self.state.exchanges.load(Relaxed);
        let open = exchanges + self.streams.len() + self.open.found_unacknowledged();
        let allowed = self.credit.look(open, self.accepted, &self.state.quic);
        self.requests_allowed(allowed);
    }

    /// Allows the client all request streams of the limit.
    pub(super) fn allow_more_requests(&mut self) {
        let allowed = self.credit.more_requests(&self.state.quic);
        self.requests_allowed(allowed);
    }

    /// Allows the client all streams of the limits: those of its sessions count among them.
    pub(super) fn allow_more_streams(&mut self) {
        self.allow_more_requests();
        self.credit.more_uni(&self.state.quic);
    }

    fn requests_allowed(&mut self, allowed: Option<u32>) {
        let Some(streams) = allowed else { return };
        self.state.priorities.allow(streams);
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.allow(streams);
        }
    }

    /// Requests that were complete and then given up cost more than streams that never became one.
    pub(super) fn count_cancelled(&mut self) {
        for _ in 0..self.state.take_cancelled() {
            self.count_abandoned();
        }
    }

    pub(super) fn count_abandoned(&mut self) {
        let verdict = self.guard.abandoned();
        self.heed(verdict);
    }

    /// Frames without content that others read: streamed bodies, slow requests, the peer's control stream.
    pub(super) fn count_overhead(&mut self) {
        let verdict = self.guard.overhead(self.state.take_overhead());
        self.heed(verdict);
    }

    #[inline]
    pub(super) fn heed(&mut self, verdict: Result<(), Error>) {
        if let Err(error) = verdict {
            self.fail(&error);
        }
    }

    pub(super) fn fail(&mut self, error: &Error) {
        if self.over {
            return;
        }
        let counters = &self.server.counters;
        let counter = match error.code {
            Code::H3_EXCESSIVE_LOAD => &counters.excessive_load,
            _ => &counters.protocol_errors,
        };
        counter.fetch_add(1, Relaxed);
        tracing::debug!(
            code = error.code.value(),
            reason = error.reason,
            "connection error"
        );
        self.state.close(wire_code(error.code), error.reason.as_bytes());
        self.over = true;
    }
}
