//! The open exchanges of a server or a client: what they send is written, streamed, reset and aborted here, by id.

mod datagrams;
mod file;
mod interim;
mod record;
mod refusal;
mod request;
mod slots;
mod trailers;
mod whole;

pub use interim::check_interim;
pub(crate) use record::complete;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use rustls_pki_types::CertificateDer;
use trilane_http3::{Code, Priority, Role};

use crate::answer_head;
use crate::answer_stream::AnswerStream;
use crate::body::BodyReader;
use crate::client::RequestError;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::datagram_counters::DatagramLayer;
use crate::exchange::{ExchangeError, ExchangeId, Notify};
use crate::handler::{ExchangeEvent, Handler};
use crate::outbound::{self, Outbound, WriteError};
use crate::priority::Place;
use crate::request_record::{Observer, RequestOutcome, RequestRecord};
use crate::response::{BodyRule, Encoder, Method, body_rule};
use crate::session::Session;
use crate::stats::Counters;
use crate::sync::lock;

use request::Pending;
use slots::{Answer, Entry, OwnSession, Slot, Slots};

/// All open exchanges of a server, or of a client.
pub struct ExchangeTable {
    slots: Mutex<Slots>,
    counters: Arc<Counters>,
    encoder: Encoder,
    handler: Arc<dyn Handler>,
    observer: Option<Arc<Observer>>,
}

/// An exchange that is taken from the table to be answered.
struct Awaited {
    method: Method,
    priority: Priority,
    connection: Arc<ConnectionState>,
    send: AnswerStream,
    record: Option<Box<RequestRecord>>,
}

impl ExchangeTable {
    pub(crate) fn new(
        counters: Arc<Counters>,
        handler: Arc<dyn Handler>,
        observer: Option<Arc<Observer>>,
    ) -> Self {
        Self {
            slots: Mutex::default(),
            counters,
            encoder: Encoder::new(),
            handler,
            observer,
        }
    }

    pub(crate) fn handler(&self) -> &dyn Handler {
        &*self.handler
    }

    pub(crate) fn handler_arc(&self) -> Arc<dyn Handler> {
        self.handler.clone()
    }

    pub(crate) fn open(
        &self,
        connection: Arc<ConnectionState>,
        method: Method,
        priority: Priority,
        send: AnswerStream,
        record: Option<Box<RequestRecord>>,
    ) -> ExchangeId {
        self.counters.requests_active.fetch_add(1, Relaxed);
        connection.exchanges.fetch_add(1, SeqCst);
        let stream = send.id();
        let answer = Answer::Awaited(send);
        lock(&self.slots).insert(|generation| {
            Entry::Open(Slot {
                generation,
                method,
                stream,
                priority,
                connection,
                answer,
                body: None,
                capsules: false,
                session: None,
                response: None,
                record,
            })
        })
    }

    /// Keeps the reader of a streaming body until it is asked for.
    pub(crate) fn keep_body(&self, id: ExchangeId, body: BodyReader) {
        // An exchange that is over already drops it outside the lock, which declines the body.
        let mut slots = lock(&self.slots);
        if let Ok(slot) = slots.get(id) {
            slot.capsules = body.is_capsules();
            slot.body = Some(Box::new(body));
            if let Some(response) = &mut slot.response {
                response.is_head_here = true;
            }
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
        lock(&self.slots).get(id).ok()?.body.take().map(|body| *body)
    }

    /// A streamed body broke a rule: its request was malformed.
    pub(crate) fn count_malformed(&self) {
        self.counters.requests_malformed.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.counters.body_bytes_received.fetch_add(bytes as u64, Relaxed);
    }

    /// Of the datagrams that the handler was given, `count` reached nobody behind it: they count as dropped, no longer as
    /// received. `of` names their request, so that its connection counts the same while it is open.
    pub fn unread_datagrams(&self, layer: DatagramLayer, of: Option<ExchangeId>, count: u64) {
        let connection = of.and_then(|id| Some(lock(&self.slots).get(id).ok()?.connection.clone()));
        match connection {
            Some(connection) => connection.unread(layer, count),
            None => self.counters.datagrams.unread(layer, count),
        }
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
        let known = self.encoder.known(status, fields.clone());
        let said = match known {
            Some(known) => known.priority,
            None => self.check_whole(id, status, fields.clone(), body.len())?,
        };
        let Awaited {
            method,
            priority,
            connection,
            send,
            mut record,
        } = self.take_awaited(id)?;
        let priorities = [priority, said];
        let length = body.len() as u64;
        let chunks = self.encoder.whole(method, status, fields, known, body);
        self.counters.body_bytes_sent.fetch_add(length, Relaxed);
        connection
            .span
            .in_scope(|| tracing::debug!(stream = send.id(), status, bytes = length, "answered"));
        if let Some(record) = &mut record {
            record.status = Some(status);
            record.bytes_sent = length;
        }
        self.write_whole(&connection, send, priorities, chunks, record);
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
        if !matches!(slot.answer, Answer::Awaited(_)) {
            return Err(ExchangeError::AlreadyStarted);
        }
        // RFC 9297 §3.4: not with 204, 205 and 206, and an Item, so not twice.
        let names_capsules = fields.clone().any(|(name, _)| name == b"capsule-protocol");
        let names_capsules = slot.capsules && matches!(status, 200..=203 | 207..=299) && !names_capsules;
        let fields = fields.chain(names_capsules.then_some((&b"capsule-protocol"[..], &b"?1"[..])));
        let head = self.encoder.head(slot.method, status, fields.clone());
        let rule = body_rule(slot.method, status);
        if !matches!(rule, BodyRule::Allowed | BodyRule::Tunnel) {
            drop(slots);
            let Awaited {
                connection,
                send,
                mut record,
                ..
            } = self.take_awaited(id)?;
            if let Some(record) = &mut record {
                record.status = Some(status);
            }
            let priorities = [Priority::default(); 2];
            self.write_whole(&connection, send, priorities, [head, Bytes::new()], record);
            self.over(&connection);
            return Ok(false);
        }
        // RFC9110-8.6-connect-length: of a tunnel the field is left out.
        let declared = declared.filter(|_| rule == BodyRule::Allowed);
        if let Some(record) = &mut slot.record {
            record.status = Some(status);
        }
        let queue = Arc::new(Outbound::new(head, declared));
        let connection = slot.connection.clone();
        let stream = slot.stream;
        connection
            .span
            .in_scope(|| tracing::debug!(stream, status, "answer begun"));
        if let Answer::Awaited(send) = std::mem::replace(&mut slot.answer, Answer::Streaming(queue.clone())) {
            let (interim, stream) = send.into_parts();
            queue.put_first(interim);
            let place = Place::new(connection.clone(), &stream, slot.priority, said_priority(fields));
            connection.adopt(outbound::send(self.clone(), id, stream, queue, place).map(|()| Outcome::Done));
        }
        Ok(true)
    }

    /// Queues a chunk of a started answer's body, taken whole; an empty one is not sent. A writer that has written
    /// 128 KiB asks to be told and waits; one that does not is refused at 256 KiB.
    pub fn write(&self, id: ExchangeId, chunk: Bytes, notify: Notify) -> Result<(), ExchangeError> {
        let length = chunk.len() as u64;
        self.streaming(id)?
            .push(chunk, notify)
            .map_err(|error| match error {
                WriteError::Full => ExchangeError::Full,
                WriteError::Ended => ExchangeError::Gone,
            })?;
        self.count_sent(id, length);
        Ok(())
    }

    /// Ends a started answer's body: a clean FIN once everything was sent.
    pub fn finish(&self, id: ExchangeId) -> Result<(), ExchangeError> {
        self.streaming(id)?.finish(Bytes::new());
        Ok(())
    }

    /// Gives the exchange up: RESET_STREAM with `code` (RFC 9114 §8.1). Whatever was written before may be lost. The response
    /// to a request of ours is not wanted any more either: STOP_SENDING with the same code (RFC9114-4.1.1-both-directions).
    pub fn reset(&self, id: ExchangeId, code: Code) -> Result<(), ExchangeError> {
        let mut slot = match lock(&self.slots).take_entry(id)? {
            Entry::Open(slot) => slot,
            Entry::Reserved(reserved) => {
                reserved.give_up(code);
                return Ok(());
            }
        };
        self.counters.requests_aborted.fetch_add(1, Relaxed);
        slot.ended_as(RequestOutcome::Reset);
        let stream = slot.stream;
        slot.connection
            .span
            .in_scope(|| tracing::debug!(stream, code = code.value(), "request given up by this side"));
        match slot.answer {
            Answer::Awaited(mut send) => send.reset(code),
            Answer::Streaming(queue) => queue.reset(code),
            Answer::Sent => {}
        }
        slot.response.into_iter().for_each(Pending::wake);
        self.over(&slot.connection);
        Ok(())
    }

    /// The writer of what is streamed is done, or found the peer gone.
    pub(crate) fn ended(&self, id: ExchangeId, queue: &Arc<Outbound>, outcome: outbound::Outcome) {
        let mut slots = lock(&self.slots);
        // That of an earlier attempt to send a request says nothing of the present one.
        let is_current = slots.get(id).is_ok_and(
            |slot| matches!(&slot.answer, Answer::Streaming(current) if Arc::ptr_eq(current, queue)),
        );
        if !is_current {
            return;
        }
        if slots.keeps_response(id, outcome) {
            drop(slots);
            if let outbound::Outcome::Aborted { code } = outcome {
                self.handler.exchange_event(id, ExchangeEvent::Stopped { code });
            }
            return;
        }
        let Ok(mut slot) = slots.take(id) else { return };
        drop(slots);
        match outcome {
            outbound::Outcome::Done => slot.ended_as(RequestOutcome::Complete),
            outbound::Outcome::Reset { .. } => {
                slot.ended_as(RequestOutcome::Reset);
                self.counters.requests_aborted.fetch_add(1, Relaxed);
                // Nobody reset the request: what was written was not what its `content-length` had said.
                if let Some(pending) = slot.response.take() {
                    pending.wake();
                    self.handler.request_failed(id, RequestError::BodyLength);
                }
            }
            outbound::Outcome::Aborted { code } => self.aborted(id, &mut slot, code),
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
        let Ok(mut slot) = lock(&self.slots).take(id) else {
            return;
        };
        match &mut slot.answer {
            Answer::Awaited(send) => send.reset(with),
            Answer::Streaming(queue) => queue.reset(with),
            Answer::Sent => {}
        }
        match slot.response.take() {
            // Whoever waits for it hears of nothing else.
            Some(pending) if !pending.is_head_here => {
                pending.wake();
                self.counters.requests_aborted.fetch_add(1, Relaxed);
                let error = RequestError::of_end(&slot.connection);
                self.handler.request_failed(id, error);
            }
            pending => {
                pending.into_iter().for_each(Pending::wake);
                self.aborted(id, &mut slot, code);
            }
        }
        self.over(&slot.connection);
    }

    /// The client gave the exchange up; not if it was a session that ended in order, whose answer nobody needs to read.
    fn aborted(&self, id: ExchangeId, slot: &mut Slot, code: Option<u64>) {
        if slot
            .session
            .take()
            .is_some_and(|session| session.0.exchange_over())
        {
            slot.ended_as(RequestOutcome::Complete);
            return;
        }
        let stream = slot.stream;
        slot.connection
            .span
            .in_scope(|| tracing::debug!(stream, code, "request given up by the client"));
        slot.connection.count_cancelled();
        self.counters.requests_aborted.fetch_add(1, Relaxed);
        self.handler.exchange_event(id, ExchangeEvent::Aborted { code });
    }

    /// A future that tells when the client stops reading an answer that has not begun; `None` if there is
    /// nothing to watch.
    pub(crate) fn watch(
        &self,
        id: ExchangeId,
    ) -> Option<impl Future<Output = Result<Option<quinn::VarInt>, quinn::StoppedError>> + Send + use<>> {
        let mut slots = lock(&self.slots);
        match &slots.get(id).ok()?.answer {
            Answer::Awaited(send) => Some(send.stream().stopped()),
            Answer::Streaming(_) | Answer::Sent => None,
        }
    }

    pub(crate) fn is_open(&self, id: ExchangeId) -> bool {
        lock(&self.slots).get(id).is_ok()
    }

    fn take_awaited(&self, id: ExchangeId) -> Result<Awaited, ExchangeError> {
        let mut slots = lock(&self.slots);
        if !matches!(slots.get(id)?.answer, Answer::Awaited(_)) {
            return Err(ExchangeError::AlreadyStarted);
        }
        let Slot {
            method,
            priority,
            connection,
            answer,
            record,
            ..
        } = slots.take(id)?;
        match answer {
            Answer::Awaited(send) => Ok(Awaited {
                method,
                priority,
                connection,
                send,
                record,
            }),
            Answer::Streaming(_) | Answer::Sent => Err(ExchangeError::AlreadyStarted),
        }
    }

    fn streaming(&self, id: ExchangeId) -> Result<Arc<Outbound>, ExchangeError> {
        match lock(&self.slots).entry(id)? {
            Entry::Open(slot) => match &slot.answer {
                Answer::Streaming(queue) => Ok(queue.clone()),
                Answer::Awaited(_) => Err(ExchangeError::NotStarted),
                Answer::Sent => Err(ExchangeError::Gone),
            },
            Entry::Reserved(reserved) => reserved.queue(),
        }
    }

    fn over(&self, connection: &ConnectionState) {
        self.counters.requests_active.fetch_sub(1, Relaxed);
        let was_last = connection.exchanges.fetch_sub(1, SeqCst) == 1;
        // The task of a server's connection finds out by its sweep, which goes on while something is open, and needs no turn for it.
        if was_last && connection.role == Role::Client {
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

/// What the handler says of the priority of its answer (RFC 9218 §5).
fn said_priority<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Priority {
    Priority::parse_all(
        fields
            .filter(|(name, _)| *name == b"priority")
            .map(|(_, value)| value),
    )
}
