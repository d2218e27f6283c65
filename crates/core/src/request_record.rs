//! What is remembered of a request until it is over, for who wants to know how it ended: only then is there a record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trilane_http3::RequestHead;

use crate::connection_state::ConnectionState;
use crate::durations::Durations;
use crate::handler::Handler;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The whole answer was given to QUIC; of one that was streamed, all was acknowledged.
    Complete,
    /// The client gave it up, or is gone.
    Aborted,
    /// This side gave it up: its handler failed after the answer had begun, or the server stopped.
    Reset,
    /// Answered by the server itself, no handler saw it: 404, 405, 408, 413, 417, 425, 431 or 501.
    Refused,
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct RequestEnd {
    /// The method; empty if the header section was refused unread.
    pub method: Vec<u8>,
    /// The target as a URL; empty if the header section was refused unread.
    pub url: Vec<u8>,
    /// The pattern of the route that matched.
    pub pattern: Option<Arc<str>>,
    /// The status of the answer, if one was begun.
    pub status: Option<u16>,
    /// Bytes of the body that were read.
    pub bytes_received: u64,
    /// Bytes of the answer's body that were sent; of one that did not end well, some may not have arrived.
    pub bytes_sent: u64,
    /// From the first byte of the request to the end.
    pub duration: Duration,
    /// Where the client was at the end.
    pub remote_address: SocketAddr,
    /// The id of its connection.
    pub connection_id: [u8; 16],
    /// How it ended.
    pub outcome: RequestOutcome,
}

/// Who wants to know how requests end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observe {
    /// The handler: [`Handler::request_ended`].
    pub ends: bool,
    /// [`Server::durations`](crate::Server::durations): how long they take is counted.
    pub durations: bool,
}

/// Hears of ends, for all requests of a server.
pub(crate) struct Observer {
    handler: Arc<dyn Handler>,
    tells: bool,
    durations: Option<Durations>,
}

impl Observer {
    /// `None`: nobody wants to know, and nothing is remembered.
    pub(crate) fn new(observe: Observe, handler: Arc<dyn Handler>) -> Option<Arc<Self>> {
        (observe.ends || observe.durations).then(|| {
            Arc::new(Self {
                handler,
                tells: observe.ends,
                durations: observe.durations.then(Durations::default),
            })
        })
    }

    pub(crate) fn durations(&self) -> Option<&Durations> {
        self.durations.as_ref()
    }
}

/// A request under way. The end of the record is that of the request: whatever drops it, it is told once.
pub(crate) struct RequestRecord {
    observer: Arc<Observer>,
    connection: Arc<ConnectionState>,
    started: Instant,
    method: Vec<u8>,
    url: Vec<u8>,
    pattern: Option<Arc<str>>,
    pub(crate) status: Option<u16>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) outcome: RequestOutcome,
}

impl RequestRecord {
    /// Of a request whose stream was accepted at `started`; `head` is `None` if it was refused unread.
    pub(crate) fn new(
        observer: Arc<Observer>,
        connection: Arc<ConnectionState>,
        started: Instant,
        head: Option<&RequestHead>,
        pattern: Option<Arc<str>>,
    ) -> Box<Self> {
        let tells = observer.tells;
        Box::new(Self {
            observer,
            connection,
            started,
            method: head.map(|head| head.method().to_vec()).unwrap_or_default(),
            url: head.filter(|_| tells).map(url).unwrap_or_default(),
            pattern,
            status: None,
            bytes_received: 0,
            bytes_sent: 0,
            outcome: RequestOutcome::Aborted,
        })
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        if let Some(durations) = &self.observer.durations {
            durations.count(self.pattern.as_ref(), &self.method, self.status, duration);
        }
        if self.observer.tells {
            self.observer.handler.request_ended(RequestEnd {
                method: std::mem::take(&mut self.method),
                url: std::mem::take(&mut self.url),
                pattern: self.pattern.take(),
                status: self.status,
                bytes_received: self.bytes_received,
                bytes_sent: self.bytes_sent,
                duration,
                remote_address: self.connection.quic.remote_address(),
                connection_id: self.connection.identity.id,
                outcome: self.outcome,
            });
        }
    }
}

fn url(head: &RequestHead) -> Vec<u8> {
    [head.scheme(), b"://", head.authority(), head.path()].concat()
}
