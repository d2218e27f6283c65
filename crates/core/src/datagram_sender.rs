//! The way out for datagrams, for whoever answers by name.

use std::sync::Arc;

use bytes::Bytes;

use crate::connections::{ConnectionName, Connections};
use crate::datagram_counters::DatagramLayer;
use crate::datagram_queue::{self, DatagramError};
use crate::exchange::ExchangeId;
use crate::exchange_table::ExchangeTable;
use crate::session_table::SessionTable;

/// Sends datagrams of a server. Each goes out at once if QUIC has room; else it waits, and of a full queue the oldest is
/// dropped (`Limits::datagram_send_queue`, `Limits::datagram_max_age`). Nothing tells whether one arrived (RFC 9221 §5).
#[derive(Clone)]
pub struct DatagramSender {
    connections: Arc<Connections>,
    exchanges: Arc<ExchangeTable>,
    sessions: Arc<SessionTable>,
}

impl DatagramSender {
    pub(crate) fn new(
        connections: Arc<Connections>,
        exchanges: Arc<ExchangeTable>,
        sessions: Arc<SessionTable>,
    ) -> Self {
        Self {
            connections,
            exchanges,
            sessions,
        }
    }

    /// Sends a raw QUIC datagram.
    pub fn send_quic(&self, connection: ConnectionName, data: Bytes) -> Result<(), DatagramError> {
        let Some(state) = self.connections.get(connection) else {
            self.exchanges.lost_datagram(DatagramLayer::Quic);
            return Err(DatagramError::Gone);
        };
        datagram_queue::send(&state, DatagramLayer::Quic, data)
    }

    /// Sends an HTTP datagram of an open exchange (RFC 9297 §2.1).
    pub fn send_http(&self, exchange: ExchangeId, payload: &[u8]) -> Result<(), DatagramError> {
        self.exchanges.send_datagram(exchange, payload)
    }

    /// Sends a datagram of a WebTransport session; see [`SessionTable::send_datagram`].
    pub fn send_session(&self, session: ExchangeId, payload: &[u8]) -> Result<(), DatagramError> {
        self.sessions.send_datagram(session, payload)
    }

    /// Sends datagrams of a WebTransport session one behind the other: cheaper than each by itself. Returns what became of the
    /// last one.
    pub fn send_session_run(
        &self,
        session: ExchangeId,
        payloads: impl Iterator<Item = Bytes>,
    ) -> Result<(), DatagramError> {
        self.sessions.send_datagrams(session, payloads)
    }
}

impl std::fmt::Debug for DatagramSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramSender").finish_non_exhaustive()
    }
}
