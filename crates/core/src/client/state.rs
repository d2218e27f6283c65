//! What all parts of a client share.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use trilane_http3::Code;

use crate::connections::Connections;
use crate::datagrams::DatagramOptions;
use crate::exchange::ExchangeId;
use crate::exchange_table::ExchangeTable;
use crate::limits::Limits;
use crate::session_table::SessionTable;
use crate::stats::Counters;

use super::dial::Dialer;
use super::order::Order;
use super::pool::Pool;
use super::pooled_connection::PooledConnection;
use super::request_error::RequestError;

pub(crate) struct ClientState {
    pub(crate) limits: Limits,
    pub(super) dialer: Dialer,
    pub(crate) table: Arc<ExchangeTable>,
    pub(crate) sessions: Arc<SessionTable>,
    pub(crate) datagrams: DatagramOptions,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connections: Arc<Connections>,
    pub(super) pool: Pool,
    /// Time for the head of a response; `None`: as long as it takes.
    pub(super) response_timeout: Option<Duration>,
    /// How long a connection may be without a request; `None`: as long as the server lets it.
    pub(super) without_requests: Option<Duration>,
    /// Whether the handler hears of connections.
    pub(super) tell_connections: bool,
}

impl ClientState {
    /// A request that was certainly not processed, or may be processed twice, looks for another connection.
    pub(super) fn again(self: &Arc<Self>, order: Box<Order>) {
        if order.attempts > 0 {
            self.counters.requests_retried.fetch_add(1, Relaxed);
        }
        self.submit(order);
    }

    /// A request comes to nothing; the handler hears of it unless the request was given up before.
    pub(super) fn fail(&self, id: ExchangeId, error: RequestError) {
        if self.table.forget_request(id, Code::H3_REQUEST_CANCELLED) {
            self.table.handler().request_failed(id, error);
        }
    }

    /// The connection takes no more requests; returns those that wait for a stream of it.
    pub(super) fn retire(
        &self,
        connection: &Arc<PooledConnection>,
    ) -> impl Iterator<Item = Box<Order>> + use<> {
        self.pool.forget(connection);
        connection.retire().into_iter()
    }
}
