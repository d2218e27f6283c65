//! A connection that serves early data while its handshake is under way.

use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use trilane_http3::Code;

use super::Task;
use crate::connections::Place;
use crate::early_data::Confirmation;
use crate::wire::wire_code;

impl Task {
    /// Looks whether the handshake is over; from then on the connection is one like any other.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>, place: &mut Place) {
        let Some(handshake) = &mut self.unconfirmed else {
            return;
        };
        let Poll::Ready(confirmation) = handshake.poll(cx, &self.state.quic) else {
            return;
        };
        self.unconfirmed = None;
        place.established();
        let counters = &self.server.counters;
        match confirmation {
            Confirmation::Complete => _ = counters.connections_total.fetch_add(1, Relaxed),
            Confirmation::Failed => _ = counters.handshakes_failed.fetch_add(1, Relaxed),
            Confirmation::TimedOut => {
                counters.handshakes_failed.fetch_add(1, Relaxed);
                tracing::debug!("handshake timed out");
                self.state
                    .close(wire_code(Code::H3_NO_ERROR), b"the handshake took too long");
                self.over = true;
            }
        }
    }

    /// The connection has ended: a handshake that was not over has failed.
    pub(super) fn end_handshake(&self) {
        if self.unconfirmed.is_some() {
            self.server.counters.handshakes_failed.fetch_add(1, Relaxed);
        }
    }
}
