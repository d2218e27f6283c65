//! The open exchanges of a server: answers are sent, streamed, reset and aborted here, by id.

mod file;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::FutureExt;
use quinn::SendStream;
use rustls_pki_types::CertificateDer;
use slab::Slab;
use trilane_http3::Code;

use crate::answer_head;
use crate::body::BodyReader;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::datagram_counters::DatagramLayer;
use crate::datagram_queue::{self, DatagramError};
use crate::exchange::{ExchangeError, ExchangeId, Notify};
use crate::handler::{ExchangeEvent, Handler};
use crate::inbound::Refusal;
use crate::outbound::{self, Outbound, WriteError};
use crate::response::{BodyRule, Encoder, Method, body_rule, may_declare};
use crate::session::Session;
use crate::stats::Counters;
use crate::sync::lock;
use crate::wire::wire_code;

/// All open exchanges of a server.
pub struct ExchangeTable {
    slots: Mutex<Slots>,
    counters: Arc<Counters>,
    encoder: Encoder,
    handler: Arc<dyn Handler>,
}

#[derive(Default)]
struct Slots {
    slab: Slab<Slot>,
    next_generation: u32,
}

struct Slot {
    generation: u32,
    method: Method,
    /// The id of its stream.
    stream: u64,
    connection: Arc<ConnectionState>,
    answer: Answer,
    /// A streaming body that nobody has asked for yet; left so, it is declined with the end of the exchange.
    body: Option<BodyReader>,
    /// The WebTransport session that the exchange is.
    session: Option<OwnSession>,
}

/// Ends with its exchange, however that ends.
struct OwnSession(Arc<Session>);

impl Drop for OwnSession {
    fn drop(&mut self) {
        self.0.exchange_over();
    }
}

enum Answer {
    Awaited(SendStream),
    Streaming(Arc<Outbound>),
}

impl ExchangeTable {
    pub(crate) fn new(counters: Arc<Counters>, handler: Arc<dyn Handler>) -> Self {
        Self {
            slots: Mutex::default(),
            counters,
            encoder: Encoder::new(),
            handler,
        }
    }

    pub(crate) fn handler(&self) -> &dyn Handler {
        &*self.handler
    }

    /// Answers on a stream that never became an exchange, with a short text that names the status.
    pub(crate) fn refuse(
        &self,
        connection: &Arc<ConnectionState>,
        method: Method,
        send: SendStream,
        refusal: &Refusal,
    ) {
        let text = reason_phrase(refusal.status);
        let allow = refusal
            .allow
            .as_deref()
            .map(|allow| (&b"allow"[..], allow.as_bytes()));
        let fields = [(&b"content-type"[..], &b"text/plain;charset=utf-8"[..])]
            .into_iter()
            .chain(allow);
        let body = Bytes::from_static(text.as_bytes());
        self.write_whole(
            connection,
            send,
            self.encoder.whole(method, refusal.status, fields, body),
        );
    }

    pub(crate) fn open(
        &self,
        connection: Arc<ConnectionState>,
        method: Method,
        send: SendStream,
    ) -> ExchangeId {
        self.counters.requests_active.fetch_add(1, Relaxed);
        connection.exchanges.fetch_add(1, SeqCst);
        let mut slots = lock(&self.slots);
        let generation = slots.next_generation;
        slots.next_generation = generation.wrapping_add(1);
        let stream = u64::from(send.id());
        let answer = Answer::Awaited(send);
        let slot = slots.slab.insert(Slot {
            generation,
            method,
            stream,
            connection,
            answer,
            body: None,
            session: None,
        }) as u32;
        ExchangeId { slot, generation }
    }

    /// Keeps the reader of a streaming body until it is asked for.
    pub(crate) fn keep_body(&self, id: ExchangeId, body: BodyReader) {
        // An exchange that is over already drops it outside the lock, which declines the body.
        let mut slots = lock(&self.slots);
        if let Ok(slot) = slots.get(id) {
            slot.body = Some(body);
        }
    }

    /// The exchange is a session from now on, until it is over.
    pub(crate) fn keep_session(&self, id: ExchangeId, session: Arc<Session>) {
        let mut slots = lock(&self.slots);
        if let Ok(slot) = slots.get(id) {
            slot.session = Some(OwnSession(session));
        }
    }

    pub(crate) fn session(&self, id: ExchangeId) -> Option<Arc<Session>> {
        let mut slots = lock(&self.slots);
        let session = slots.get(id).ok()?.session.as_ref()?;
        Some(session.0.clone())
    }

    /// The reader of a streaming body: once, while the exchange is open.
    pub fn take_body(&self, id: ExchangeId) -> Option<BodyReader> {
        lock(&self.slots).get(id).ok()?.body.take()
    }

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

    pub(crate) fn count_received(&self, bytes: usize) {
        self.counters.body_bytes_received.fetch_add(bytes as u64, Relaxed);
    }

    /// Where the client of an open exchange is; `None` when the exchange is over.
    pub fn remote_address(&self, id: ExchangeId) -> Option<SocketAddr> {
        let mut slots = lock(&self.slots);
        slots
            .get(id)
            .ok()
            .map(|slot| slot.connection.quic.remote_address())
    }

    /// The certificate (DER) that the client of an open exchange showed; `None` if it showed none, or the exchange is over.
    pub fn peer_certificate(&self, id: ExchangeId) -> Option<Vec<u8>> {
        let connection = lock(&self.slots).get(id).ok()?.connection.clone();
        let chain = connection.quic.peer_identity()?;
        let chain = chain.downcast::<Vec<CertificateDer<'static>>>().ok()?;
        chain.first().map(|leaf| leaf.to_vec())
    }

    /// Sends a whole answer. With [`ExchangeError::Field`], [`ExchangeError::Status`], [`ExchangeError::InvalidLength`] and
    /// [`ExchangeError::Length`] the exchange stays open.
    pub fn respond<'a>(
        &self,
        id: ExchangeId,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        body: Bytes,
    ) -> Result<(), ExchangeError> {
        if let Some(declared) = answer_head::check(status, fields.clone())? {
            let method = lock(&self.slots).get(id)?.method;
            let length = body.len();
            // RFC9114-4.1.2-own-content-length, RFC9110-8.6-contradiction-refused
            if !may_declare(body_rule(method, status), declared, length) {
                return Err(ExchangeError::Length { declared, length });
            }
        }
        let (method, connection, send) = self.take_awaited(id)?;
        let length = body.len() as u64;
        let chunks = self.encoder.whole(method, status, fields, body);
        self.counters.body_bytes_sent.fetch_add(length, Relaxed);
        self.write_whole(&connection, send, chunks);
        self.over(&connection);
        Ok(())
    }

    /// Sends the head of an answer whose body follows by [`write`](Self::write). Returns `false` if the method
    /// or the status rules out a body: the answer is then complete.
    pub fn start<'a>(
        self: &Arc<Self>,
        id: ExchangeId,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<bool, ExchangeError> {
        let declared = answer_head::check(status, fields.clone())?;
        let mut slots = lock(&self.slots);
        let slot = slots.get(id)?;
        if matches!(slot.answer, Answer::Streaming(_)) {
            return Err(ExchangeError::AlreadyStarted);
        }
        let head = self.encoder.head(slot.method, status, fields);
        let rule = body_rule(slot.method, status);
        if !matches!(rule, BodyRule::Allowed | BodyRule::Tunnel) {
            drop(slots);
            let (_, connection, send) = self.take_awaited(id)?;
            self.write_whole(&connection, send, [head, Bytes::new()]);
            self.over(&connection);
            return Ok(false);
        }
        // RFC9110-8.6-connect-length: of a tunnel the field is left out.
        let declared = declared.filter(|_| rule == BodyRule::Allowed);
        let queue = Arc::new(Outbound::new(head, declared));
        let connection = slot.connection.clone();
        if let Answer::Awaited(send) = std::mem::replace(&mut slot.answer, Answer::Streaming(queue.clone())) {
            connection.adopt(outbound::send(self.clone(), id, send, queue).map(|()| Outcome::Done));
        }
        Ok(true)
    }

    /// Queues a chunk of a started answer's body, taken whole; an empty one is not sent. A writer that has written
    /// 64 KiB asks to be told and waits; one that does not is refused at 256 KiB.
    pub fn write(&self, id: ExchangeId, chunk: Bytes, notify: Notify) -> Result<(), ExchangeError> {
        let length = chunk.len() as u64;
        self.streaming(id)?
            .push(chunk, notify)
            .map_err(|error| match error {
                WriteError::Full => ExchangeError::Full,
                WriteError::Ended => ExchangeError::Gone,
            })?;
        self.counters.body_bytes_sent.fetch_add(length, Relaxed);
        Ok(())
    }

    /// Ends a started answer's body: a clean FIN once everything was sent.
    pub fn finish(&self, id: ExchangeId) -> Result<(), ExchangeError> {
        self.streaming(id)?.finish();
        Ok(())
    }

    /// Gives the exchange up: RESET_STREAM with `code` (RFC 9114 §8.1). Whatever was written before may be lost.
    pub fn reset(&self, id: ExchangeId, code: Code) -> Result<(), ExchangeError> {
        let slot = lock(&self.slots).take(id)?;
        self.counters.requests_aborted.fetch_add(1, Relaxed);
        match slot.answer {
            Answer::Awaited(mut send) => {
                let _ = send.reset(wire_code(code));
            }
            Answer::Streaming(queue) => queue.reset(code),
        }
        self.over(&slot.connection);
        Ok(())
    }

    /// The writer of a streaming answer is done, or found the peer gone.
    pub(crate) fn ended(&self, id: ExchangeId, outcome: outbound::Outcome) {
        let Ok(slot) = lock(&self.slots).take(id) else {
            return;
        };
        match outcome {
            outbound::Outcome::Done => {}
            outbound::Outcome::Reset { .. } => _ = self.counters.requests_aborted.fetch_add(1, Relaxed),
            outbound::Outcome::Aborted { code } => {
                slot.connection.count_cancelled();
                self.counters.requests_aborted.fetch_add(1, Relaxed);
                self.handler.exchange_event(id, ExchangeEvent::Aborted { code });
            }
        }
        self.over(&slot.connection);
    }

    /// The queue of a streaming answer is empty.
    pub(crate) fn drained(&self, id: ExchangeId) {
        self.handler.exchange_event(id, ExchangeEvent::Drained);
    }

    /// The client does not want the answer any more, or is gone (RFC9114-4.1.1-cancelled-processed); so ends a tunnel that
    /// is cut (RFC9220-3-cancelled).
    pub(crate) fn abort(&self, id: ExchangeId, code: Option<u64>) {
        self.cut(id, Code::H3_REQUEST_CANCELLED, code);
    }

    /// Ends an exchange for something the client did: RESET_STREAM with `with`; the handler hears of the client's `code`.
    pub(crate) fn cut(&self, id: ExchangeId, with: Code, code: Option<u64>) {
        let Ok(slot) = lock(&self.slots).take(id) else {
            return;
        };
        match slot.answer {
            Answer::Awaited(mut send) => {
                let _ = send.reset(wire_code(with));
            }
            Answer::Streaming(queue) => queue.reset(with),
        }
        slot.connection.count_cancelled();
        self.counters.requests_aborted.fetch_add(1, Relaxed);
        self.handler.exchange_event(id, ExchangeEvent::Aborted { code });
        self.over(&slot.connection);
    }

    /// A future that tells when the client stops reading an answer that has not begun; `None` if there is
    /// nothing to watch.
    pub(crate) fn watch(
        &self,
        id: ExchangeId,
    ) -> Option<impl Future<Output = Result<Option<quinn::VarInt>, quinn::StoppedError>> + Send + use<>> {
        let mut slots = lock(&self.slots);
        match &slots.get(id).ok()?.answer {
            Answer::Awaited(send) => Some(send.stopped()),
            Answer::Streaming(_) => None,
        }
    }

    pub(crate) fn is_open(&self, id: ExchangeId) -> bool {
        lock(&self.slots).get(id).is_ok()
    }

    /// Writes a complete answer into its stream at once if flow control lets it, else hands the rest to the
    /// connection's task.
    pub(crate) fn write_whole(
        &self,
        connection: &Arc<ConnectionState>,
        mut send: SendStream,
        chunks: [Bytes; 2],
    ) {
        let mut chunks = chunks;
        let chunks = if chunks[1].is_empty() {
            &mut chunks[..1]
        } else {
            &mut chunks[..]
        };
        // The waker is not needed: what does not fit is polled again by the connection's own task.
        let mut cx = Context::from_waker(Waker::noop());
        let result = pin!(send.write_all_chunks(chunks)).poll(&mut cx);
        match result {
            Poll::Ready(Ok(())) => {
                // RFC9114-4.1-response-ended
                let _ = send.finish();
                connection.finished(send);
            }
            // Stopped by the peer or connection lost: there is nobody left to tell.
            Poll::Ready(Err(_)) => {
                connection.count_cancelled();
                let _ = send.reset(wire_code(Code::H3_REQUEST_CANCELLED));
            }
            Poll::Pending => {
                let rest: Vec<Bytes> = chunks.iter().filter(|chunk| !chunk.is_empty()).cloned().collect();
                connection.adopt(outbound::send_rest(send, rest).map(|()| Outcome::Done));
            }
        }
    }

    fn take_awaited(
        &self,
        id: ExchangeId,
    ) -> Result<(Method, Arc<ConnectionState>, SendStream), ExchangeError> {
        let mut slots = lock(&self.slots);
        if matches!(slots.get(id)?.answer, Answer::Streaming(_)) {
            return Err(ExchangeError::AlreadyStarted);
        }
        let Slot {
            method,
            connection,
            answer,
            ..
        } = slots.take(id)?;
        match answer {
            Answer::Awaited(send) => Ok((method, connection, send)),
            Answer::Streaming(_) => Err(ExchangeError::AlreadyStarted),
        }
    }

    fn streaming(&self, id: ExchangeId) -> Result<Arc<Outbound>, ExchangeError> {
        match &lock(&self.slots).get(id)?.answer {
            Answer::Streaming(queue) => Ok(queue.clone()),
            Answer::Awaited(_) => Err(ExchangeError::NotStarted),
        }
    }

    fn over(&self, connection: &ConnectionState) {
        self.counters.requests_active.fetch_sub(1, Relaxed);
        if connection.exchanges.fetch_sub(1, SeqCst) == 1 {
            connection.idle();
        }
    }
}

impl std::fmt::Debug for ExchangeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeTable")
            .field("open", &lock(&self.slots).slab.len())
            .finish_non_exhaustive()
    }
}

impl Slots {
    fn get(&mut self, id: ExchangeId) -> Result<&mut Slot, ExchangeError> {
        match self.slab.get_mut(id.slot as usize) {
            Some(slot) if slot.generation == id.generation => Ok(slot),
            _ => Err(ExchangeError::Gone),
        }
    }

    fn take(&mut self, id: ExchangeId) -> Result<Slot, ExchangeError> {
        self.get(id)?;
        Ok(self.slab.remove(id.slot as usize))
    }
}

/// RFC 9110 §15, for the statuses the core answers by itself.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        425 => "Too Early",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        _ => "",
    }
}
