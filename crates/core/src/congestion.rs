//! Congestion control: quinn's own, with a way out for the last packet.
//!
//! quinn-proto 0.11.19 holds CONNECTION_CLOSE back while the congestion window is full, and then for good, because a closed
//! connection takes no acknowledgements: a client in the middle of a download would hear nothing of a forced stop and wait for
//! its idle timeout. So the window has no end once a connection closes; nothing but the close is sent from then on. A release of
//! quinn-proto that exempts the close from the window makes this file superfluous
//! (`a_forced_stop_reaches_a_client_in_the_middle_of_a_download` tells).

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// Beyond any real window, and above the 4 GiB from which quinn does not pace.
const NO_LIMIT: u64 = 1 << 40;

/// Makes quinn's default controller, CUBIC (RFC 9438), for each path of a connection.
#[derive(Debug, Default)]
pub(crate) struct Congestion {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for Congestion {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Window {
            inner: self.cubic.clone().build(now, current_mtu),
            closing: Arc::default(),
        })
    }
}

/// Lets the next packets of `quic` out whatever is in flight. For a connection that is closed right behind.
pub(crate) fn make_way(quic: &quinn::Connection) {
    if let Ok(window) = quic.congestion_state().into_any().downcast::<Window>() {
        window.closing.store(true, Relaxed);
    }
}

struct Window {
    inner: Box<dyn Controller>,
    /// Shared with the copies that quinn hands out.
    closing: Arc<AtomicBool>,
}

impl Controller for Window {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.inner
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.closing.load(Relaxed) {
            NO_LIMIT
        } else {
            self.inner.window()
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            inner: self.inner.clone_box(),
            closing: self.closing.clone(),
        })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
