//! The HTTP datagrams of exchanges: whose they are, and how they are sent (RFC 9297).

use super::{Answer, ExchangeTable};
use crate::datagram_capsules::{self, MAX_CAPSULE_DATAGRAM};
use crate::datagram_counters::DatagramLayer;
use crate::datagram_queue::{self, DatagramError};
use crate::exchange::ExchangeId;
use crate::sync::lock;

impl ExchangeTable {
    /// Sends an HTTP datagram of an open exchange, or lets it wait while the path is slower; the queue drops the oldest. To
    /// a client that takes no QUIC datagrams it goes as a capsule, if the exchange is a tunnel (RFC 9297 §3.5).
    pub(crate) fn send_datagram(&self, id: ExchangeId, payload: &[u8]) -> Result<(), DatagramError> {
        let layer = DatagramLayer::Http;
        let (connection, stream, capsules, answer) = {
            let mut slots = lock(&self.slots);
            let Ok(slot) = slots.get(id) else {
                self.lost_datagram(layer);
                return Err(DatagramError::Gone);
            };
            // RFC9297-2.1-send-side-open
            if matches!(&slot.answer, Answer::Streaming(queue) if queue.is_ended()) {
                slot.connection.dropped_outgoing(layer);
                return Err(DatagramError::Gone);
            }
            let answer = match &slot.answer {
                Answer::Streaming(queue) if slot.capsules => Some(queue.clone()),
                _ => None,
            };
            (slot.connection.clone(), slot.stream, slot.capsules, answer)
        };
        // RFC9297-2.1.1-sent-before-both
        if connection.agreed_on_datagrams() {
            let data = trilane_http3::datagram::encode(stream, payload);
            return datagram_queue::send(&connection, layer, data);
        }
        if capsules {
            return datagram_capsules::send(&connection, answer.as_ref(), payload);
        }
        connection.dropped_outgoing(layer);
        Err(DatagramError::NotSupported)
    }

    /// A datagram will not be sent, because who was to get it is gone.
    pub(crate) fn lost_datagram(&self, layer: DatagramLayer) {
        self.counters.datagrams.dropped_outgoing(layer);
    }

    /// Whose the datagrams of an open exchange are.
    pub(crate) fn datagram_layer(&self, id: ExchangeId) -> Option<DatagramLayer> {
        let mut slots = lock(&self.slots);
        Some(match slots.get(id).ok()?.session {
            Some(_) => DatagramLayer::WebTransport,
            None => DatagramLayer::Http,
        })
    }

    /// The stream of an open exchange and the largest HTTP datagram it can send now, if any.
    pub fn datagram_info(&self, id: ExchangeId) -> Option<(u64, Option<usize>)> {
        let (connection, stream, capsules) = {
            let mut slots = lock(&self.slots);
            let slot = slots.get(id).ok()?;
            (slot.connection.clone(), slot.stream, slot.capsules)
        };
        if !connection.agreed_on_datagrams() {
            return Some((stream, capsules.then_some(MAX_CAPSULE_DATAGRAM)));
        }
        let most = connection.quic.max_datagram_size();
        let overhead = trilane_http3::datagram::overhead(stream);
        Some((stream, most.map(|most| most.saturating_sub(overhead))))
    }
}
