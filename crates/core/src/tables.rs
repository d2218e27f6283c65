//! What a server and a client have alike: what is open, by name.

use std::sync::Arc;

use crate::connections::{ConnectionName, Connections};
use crate::datagram_sender::DatagramSender;
use crate::exchange_table::ExchangeTable;
use crate::server::ConnectionInfo;
use crate::session_table::SessionTable;

/// The open exchanges, sessions and connections of a [`Server`](crate::Server) or a [`Client`](crate::client::Client), which both
/// dereference to it.
#[derive(Clone)]
pub struct Tables {
    exchanges: Arc<ExchangeTable>,
    sessions: Arc<SessionTable>,
    connections: Arc<Connections>,
}

impl Tables {
    pub(crate) fn new(
        exchanges: Arc<ExchangeTable>,
        sessions: Arc<SessionTable>,
        connections: Arc<Connections>,
    ) -> Self {
        Self {
            exchanges,
            sessions,
            connections,
        }
    }

    /// The exchanges, for handlers that use them by name.
    pub fn exchanges(&self) -> &Arc<ExchangeTable> {
        &self.exchanges
    }

    /// The WebTransport sessions, for handlers that use them by name.
    pub fn sessions(&self) -> &Arc<SessionTable> {
        &self.sessions
    }

    /// The way out for datagrams.
    pub fn datagrams(&self) -> DatagramSender {
        DatagramSender::new(
            self.connections.clone(),
            self.exchanges.clone(),
            self.sessions.clone(),
        )
    }

    /// What is known of an open connection.
    pub fn connection(&self, name: ConnectionName) -> Option<ConnectionInfo> {
        Some(ConnectionInfo::of(&*self.connections.get(name)?))
    }

    /// Every open connection.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let all = self.connections.all();
        all.iter().map(|state| ConnectionInfo::of(state)).collect()
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}
