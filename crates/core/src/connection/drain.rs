//! A connection's part in a graceful stop: what it says, what it still waits for.

use std::sync::atomic::Ordering::SeqCst;
use std::task::Context;
use std::time::Duration;

use quinn::{RecvStream, SendStream};
use trilane_http3::Code;

use super::Task;
use crate::peer_streams;
use crate::shutdown::Phase;
use crate::sync::lock;
use crate::wire::wire_code;

impl Task {
    /// A graceful stop: announce, decide on the last request, wait for what is under way, close (RFC 9114 §5.2).
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) {
        if self.over || !self.server.is_draining() {
            return;
        }
        let round_trip = self.state.quic.rtt();
        match self.drain.poll(cx, round_trip) {
            Phase::Announce => {
                self.state.goaway.send(peer_streams::GOAWAY_ANNOUNCE);
                let sessions: Vec<_> = lock(&self.state.sessions).values().cloned().collect();
                for session in sessions {
                    self.server.sessions.drain(session.id);
                }
            }
            Phase::Decide => {
                // RFC9114-7.2.6-goaway-id-sent, RFC9114-5.2-goaway-served
                self.drain.decided(self.next_stream, round_trip);
                self.state.goaway.send(self.next_stream);
            }
            Phase::Wait => {}
        }
        // RFC9114-5.2-graceful-code
        if self.drain.is_decided() && self.is_done(cx, round_trip) && self.drain.has_said_farewell(cx) {
            self.state.close(wire_code(Code::H3_NO_ERROR), b"");
            self.over = true;
        }
    }

    /// Whether all requests are answered, and all answers acknowledged or given up as undeliverable.
    fn is_done(&mut self, cx: &mut Context<'_>, round_trip: Duration) -> bool {
        if self.state.exchanges.load(SeqCst) > 0 || !self.streams.is_empty() || self.open.has_open() {
            return false;
        }
        let unacknowledged = self.open.unacknowledged() + self.state.finished_len();
        unacknowledged == 0 || self.drain.is_silent(cx, unacknowledged, round_trip)
    }
}

/// Not processed, so the client may try again elsewhere (RFC9114-5.2-goaway-rejected,
/// RFC9114-4.1.1-rejected-unprocessed).
pub(super) fn reject(mut send: SendStream, mut recv: RecvStream) {
    let _ = send.reset(wire_code(Code::H3_REQUEST_REJECTED));
    let _ = recv.stop(wire_code(Code::H3_REQUEST_REJECTED));
}
