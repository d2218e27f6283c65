//! A connection's part in a graceful stop: what it says, what it still waits for.

use std::sync::atomic::Ordering::SeqCst;
use std::task::Context;
use std::time::Duration;

use quinn::{RecvStream, SendStream};
use trilane_http3::Code;

use super::Task;
use crate::peer_streams;
use crate::shutdown::{Phase, Presence};
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
        if !self.drain.is_decided() {
            return;
        }
        let is_done = !self.has_work() && self.drain.has_said_farewell(cx);
        if is_done || self.is_gone(cx, round_trip) {
            // RFC9114-5.2-graceful-code
            self.state.close(wire_code(Code::H3_NO_ERROR), b"");
            self.over = true;
        }
    }

    /// Whether a request is to be answered, or an answer to be acknowledged.
    fn has_work(&self) -> bool {
        self.state.exchanges.load(SeqCst) > 0
            || !self.streams.is_empty()
            || !self.open.is_empty()
            || self.state.finished_len() > 0
    }

    /// Whether the client has vanished. That it has nothing to acknowledge is no sign of it, so it is given something: GOAWAY
    /// may be repeated (RFC 9114 §5.2), and QUIC's own PING is not at hand.
    fn is_gone(&mut self, cx: &mut Context<'_>, round_trip: Duration) -> bool {
        let quic = &self.state.quic;
        match self.drain.presence(cx, round_trip, || quic.stats().frame_rx.acks) {
            Presence::Here => false,
            Presence::Ask => {
                self.state.goaway.repeat();
                false
            }
            Presence::Gone => {
                tracing::debug!("a client vanished during a graceful stop");
                true
            }
        }
    }
}

/// Not processed, so the client may try again elsewhere (RFC9114-5.2-goaway-rejected,
/// RFC9114-4.1.1-rejected-unprocessed).
pub(super) fn reject(mut send: SendStream, mut recv: RecvStream) {
    let _ = send.reset(wire_code(Code::H3_REQUEST_REJECTED));
    let _ = recv.stop(wire_code(Code::H3_REQUEST_REJECTED));
}
