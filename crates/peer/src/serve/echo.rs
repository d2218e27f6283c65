//! Our own core without JavaScript, sending back whatever comes: raw and HTTP datagrams, and WebTransport sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Notify as Wake;
use trilane_core::{
    BodyMode, ConnectionName, DatagramOptions, DatagramSender, Exchange, ExchangeId, ExchangeTable, Handler,
    Modes, Notify, Request, Server, ServerConfig, SessionEvent, SessionRoutes, SessionTable, StreamEvent,
    StreamKind, StreamName, UnknownDatagrams,
};

use super::{Options, core};
use crate::Outcome;

/// What the handler needs of its server, once there is one.
struct Ways {
    datagrams: DatagramSender,
    exchanges: Arc<ExchangeTable>,
    sessions: Arc<SessionTable>,
}

#[derive(Default)]
struct Echo {
    ways: OnceLock<Ways>,
    /// Streams whose writer waits until all was sent.
    waiting: Mutex<HashMap<StreamName, Arc<Wake>>>,
}

/// Shares the handler with the tasks of streams.
struct EchoHandler(Arc<Echo>);

impl Handler for EchoHandler {
    fn request(&self, request: Request<'_>, exchange: Exchange) {
        let Some(ways) = self.0.ways.get() else { return };
        // Refused only if the client is gone already.
        let _ = if request.head.protocol().is_some() {
            ways.sessions.accept(exchange.into_id(), std::iter::empty())
        } else {
            ways.exchanges
                .start(exchange.into_id(), 200, std::iter::empty())
                .map(|_| ())
        };
    }

    fn quic_datagram(&self, connection: ConnectionName, payload: Bytes) {
        if let Some(ways) = self.0.ways.get() {
            let _ = ways.datagrams.send_quic(connection, payload);
        }
    }

    fn h3_datagram(&self, id: ExchangeId, payload: Bytes) {
        if let Some(ways) = self.0.ways.get() {
            let _ = ways.datagrams.send_http(id, &payload);
        }
    }

    fn session_datagram(&self, id: ExchangeId, payload: Bytes) {
        if let Some(ways) = self.0.ways.get() {
            let _ = ways.datagrams.send_session(id, &payload);
        }
    }

    fn session_event(&self, _id: ExchangeId, event: SessionEvent) {
        if let SessionEvent::Stream(name, StreamKind::Bidirectional) = event {
            tokio::spawn(self.0.clone().echo(name));
        }
    }

    fn stream_event(&self, stream: StreamName, _event: StreamEvent) {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wake) = waiting.get(&stream) {
            wake.notify_one();
        }
    }
}

impl Echo {
    /// Sends back what a stream brings, no faster than it is taken.
    async fn echo(self: Arc<Self>, name: StreamName) {
        let Some(Ways { sessions, .. }) = self.ways.get() else {
            return;
        };
        let wake = Arc::new(Wake::new());
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting().insert(name, wake.clone());
        if let Some(half) = sessions.read_half(name) {
            while let Ok(Some(chunk)) = half.next().await {
                if sessions.write(name, chunk, Notify::WhenDrained).is_err() {
                    break;
                }
                wake.notified().await;
            }
            let _ = sessions.finish(name);
            wake.notified().await;
        }
        waiting().remove(&name);
        sessions.forget(name);
    }
}

/// Runs the server.
pub(crate) async fn run(options: Options) -> Outcome {
    let handler = Arc::new(Echo::default());
    let routes = vec![
        core::route("POST", "/datagrams", None)?,
        core::route("CONNECT", "/echo", Some("webtransport"))?,
    ];
    let config = ServerConfig {
        modes: Modes {
            routes: vec![BodyMode::Streaming, BodyMode::Streaming],
            ..Modes::default()
        },
        datagrams: DatagramOptions {
            raw: true,
            routes: vec![true, true],
            unknown: UnknownDatagrams::Drop,
        },
        sessions: SessionRoutes(vec![false, true]),
        ..core::config(options.port, &[b"h3", b"echo"], routes)?
    };
    let server = Server::new(config, Arc::new(EchoHandler(handler.clone())), Handle::current());
    let ways = Ways {
        datagrams: server.datagrams(),
        exchanges: server.exchanges().clone(),
        sessions: server.sessions().clone(),
    };
    // Set here and nowhere else.
    let _ = handler.ways.set(ways);
    core::serve(&server).await
}
