//! HTTP datagrams of an exchange (RFC 9297).

use crate::datagram_counters::DatagramLayer;
use crate::datagram_queue::{self, DatagramError};
use crate::exchange::ExchangeId;
use crate::sync::lock;

use super::{Answer, ExchangeTable};

impl ExchangeTable {
    /// Sends an HTTP datagram of an open exchange, or lets it wait while the path is slower; the queue drops the oldest.
    pub(crate) fn send_datagram(&self, id: ExchangeId, payload: &[u8]) -> Result<(), DatagramError> {
        let (connection, stream) = {
            let mut slots = lock(&self.slots);
            let slot = slots.get(id).map_err(|_| DatagramError::Gone)?;
            // RFC9297-2.1-send-side-open
            if matches!(&slot.answer, Answer::Streaming(queue) if queue.is_ended()) {
                return Err(DatagramError::Gone);
            }
            (slot.connection.clone(), slot.stream)
        };
        // RFC9297-2.1.1-sent-before-both
        if !connection.agreed_on_datagrams() {
            return Err(DatagramError::NotSupported);
        }
        let data = trilane_http3::datagram::encode(stream, payload);
        datagram_queue::send(&connection, DatagramLayer::Http, data)
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
        let (connection, stream) = {
            let mut slots = lock(&self.slots);
            let slot = slots.get(id).ok()?;
            (slot.connection.clone(), slot.stream)
        };
        let most = connection
            .agreed_on_datagrams()
            .then(|| connection.quic.max_datagram_size())
            .flatten();
        let overhead = trilane_http3::datagram::overhead(stream);
        Some((stream, most.map(|most| most.saturating_sub(overhead))))
    }
}
