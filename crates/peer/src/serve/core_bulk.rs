//! Our own core without JavaScript, with large bodies: those that it makes, has, reads from a file, and takes.

use std::{
    collections::HashMap,
    future::poll_fn,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use tokio::runtime::Handle;
use trilane_core::{
    BodyMode, Conditions, Exchange, ExchangeEvent, ExchangeId, ExchangeTable, FileAnswer, FileLocation,
    Handler, Modes, Notify, Request, Server, ServerConfig, router::RouteId,
};

use super::{Options, core, wanted_bytes};
use crate::{Outcome, bulk::CHUNK};

/// Chunks that are handed over before the answer's queue has to drain.
const CHUNKS_AT_ONCE: u64 = 2;

/// The routes, in their order.
const ROUTES: [(&str, &str, BodyMode); 4] = [
    ("GET", "/generator", BodyMode::Buffered),
    ("GET", "/buffer", BodyMode::Buffered),
    ("GET", "/file", BodyMode::Buffered),
    ("POST", "/upload", BodyMode::Streaming),
];

struct Bulk {
    exchanges: OnceLock<Arc<ExchangeTable>>,
    /// What each generator has still to send.
    left: Mutex<HashMap<ExchangeId, u64>>,
    chunk: Bytes,
    /// As long as the file, and made when it is first asked for.
    buffer: OnceLock<Bytes>,
    file: Option<PathBuf>,
}

/// Shares the handler with whoever starts the server.
struct BulkHandler(Arc<Bulk>);

impl Handler for BulkHandler {
    fn request(&self, request: Request<'_>, exchange: Exchange) {
        let Some(exchanges) = self.0.exchanges.get() else {
            return;
        };
        let bytes = wanted_bytes(request.head.path());
        let id = exchange.id();
        // Each of them is refused only if the client is gone already.
        let _ = match request.route {
            Some(RouteId(0)) => {
                let id = exchange.into_id();
                self.0.lock().insert(id, bytes);
                exchanges
                    .start(id, 200, std::iter::empty())
                    .map(|_| self.0.more(id))
            }
            Some(RouteId(1)) => exchange.respond(200, std::iter::empty(), self.0.buffer(bytes as usize)),
            Some(RouteId(2)) => {
                let Some(path) = self.0.file.clone() else { return };
                let answer = FileAnswer {
                    status: 200,
                    fields: Vec::new(),
                    location: FileLocation::Path(path),
                    conditions: Conditions::default(),
                };
                exchanges.respond_with_file(exchange.into_id(), answer)
            }
            Some(RouteId(3)) => {
                exchange.into_id();
                tokio::spawn(count(exchanges.clone(), id));
                Ok(())
            }
            _ => exchange.respond(404, std::iter::empty(), Bytes::new()),
        };
    }

    fn exchange_event(&self, id: ExchangeId, event: ExchangeEvent) {
        match event {
            ExchangeEvent::Drained => self.0.more(id),
            ExchangeEvent::Aborted { .. } | ExchangeEvent::Finished => _ = self.0.lock().remove(&id),
            // Only of requests of ours.
            ExchangeEvent::Stopped { .. } => {}
        }
    }
}

impl Bulk {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ExchangeId, u64>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buffer(&self, bytes: usize) -> Bytes {
        let buffer = self.buffer.get_or_init(|| {
            let file = self.file.as_ref().and_then(|path| path.metadata().ok());
            vec![b'x'; file.map_or(bytes, |file| file.len() as usize)].into()
        });
        buffer.slice(..bytes.min(buffer.len()))
    }

    /// Writes the next chunks of a generator's answer, or its end.
    fn more(&self, id: ExchangeId) {
        let Some(exchanges) = self.exchanges.get() else {
            return;
        };
        let left = self.lock().get(&id).copied().unwrap_or(0);
        let now = left.min(CHUNKS_AT_ONCE * CHUNK as u64);
        self.lock().insert(id, left - now);
        let mut unwritten = now as usize;
        while unwritten > 0 {
            let length = unwritten.min(CHUNK);
            unwritten -= length;
            let notify = if unwritten == 0 {
                Notify::WhenDrained
            } else {
                Notify::Never
            };
            if exchanges.write(id, self.chunk.slice(..length), notify).is_err() {
                break;
            }
        }
        if now == 0 {
            self.lock().remove(&id);
            let _ = exchanges.finish(id);
        }
    }
}

async fn count(exchanges: Arc<ExchangeTable>, id: ExchangeId) {
    let Some(mut body) = exchanges.take_body(id) else {
        return;
    };
    let (mut bytes, mut pieces) = (0, Vec::new());
    while let Ok(Some(came)) = poll_fn(|cx| body.poll_pieces(cx, &mut pieces)).await {
        bytes += came;
        pieces.clear();
    }
    let _ = exchanges.respond(id, 200, std::iter::empty(), bytes.to_string().into());
}

/// Runs the server.
pub(crate) async fn run(options: Options) -> Outcome {
    let bulk = Arc::new(Bulk {
        exchanges: OnceLock::new(),
        left: Mutex::default(),
        chunk: vec![b'x'; CHUNK].into(),
        buffer: OnceLock::new(),
        file: options.file,
    });
    let routes: Result<_, _> = ROUTES
        .iter()
        .map(|(method, path, _)| core::route(method, path, None))
        .collect();
    let config = ServerConfig {
        modes: Modes {
            routes: ROUTES.map(|(_, _, mode)| mode).to_vec(),
            ..Modes::default()
        },
        ..core::config(options.port, &[b"h3"], routes?)?
    };
    let server = Server::new(config, Arc::new(BulkHandler(bulk.clone())), Handle::current());
    // Set here and nowhere else.
    let _ = bulk.exchanges.set(server.exchanges().clone());
    core::serve(&server).await
}
