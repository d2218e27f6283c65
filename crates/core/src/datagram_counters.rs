//! What became of datagrams, by layer: sent = received by the peer + lost on the path; dropped ones were never sent, or
//! never handed over.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whose a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramLayer {
    /// A QUIC datagram as it is (RFC 9221).
    Quic,
    /// An HTTP datagram of a request (RFC 9297).
    Http,
    /// A datagram of a WebTransport session.
    WebTransport,
}

/// Counters of one layer, or of one connection's.
#[derive(Debug, Default)]
pub(crate) struct DatagramCounters {
    layers: [LayerCounters; 3],
}

#[derive(Debug, Default)]
struct LayerCounters {
    received: AtomicU64,
    sent: AtomicU64,
    dropped_incoming: AtomicU64,
    dropped_outgoing: AtomicU64,
}

/// The datagrams of one layer at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatagramStats {
    /// Handed to the handler.
    pub received: u64,
    /// Handed to QUIC, which sends each once; the path may lose it.
    pub sent: u64,
    /// Received, and dropped before the handler saw them: nobody waits for them, or too many waited.
    pub dropped_incoming: u64,
    /// Never sent: too old, too large for the path, or older ones of a full queue.
    pub dropped_outgoing: u64,
}

impl DatagramCounters {
    pub(crate) fn received(&self, layer: DatagramLayer, count: u64) {
        self.of(layer).received.fetch_add(count, Relaxed);
    }

    pub(crate) fn sent(&self, layer: DatagramLayer, count: u64) {
        self.of(layer).sent.fetch_add(count, Relaxed);
    }

    pub(crate) fn dropped_incoming(&self, layer: DatagramLayer, count: u64) {
        self.of(layer).dropped_incoming.fetch_add(count, Relaxed);
    }

    /// What was handed over reached nobody.
    pub(crate) fn unread(&self, layer: DatagramLayer, count: u64) {
        let counters = self.of(layer);
        counters.dropped_incoming.fetch_add(count, Relaxed);
        counters.received.fetch_sub(count, Relaxed);
    }

    pub(crate) fn dropped_outgoing(&self, layer: DatagramLayer) {
        self.of(layer).dropped_outgoing.fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self, layer: DatagramLayer) -> DatagramStats {
        let counters = self.of(layer);
        DatagramStats {
            received: counters.received.load(Relaxed),
            sent: counters.sent.load(Relaxed),
            dropped_incoming: counters.dropped_incoming.load(Relaxed),
            dropped_outgoing: counters.dropped_outgoing.load(Relaxed),
        }
    }

    fn of(&self, layer: DatagramLayer) -> &LayerCounters {
        &self.layers[layer as usize]
    }
}
