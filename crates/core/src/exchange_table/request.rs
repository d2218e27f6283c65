//! Requests of ours: named before they have a stream, open until the whole response is here.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Waker};

use quinn::SendStream;
use trilane_http3::{Code, Error, Priority};

use crate::client::RequestError;
use crate::connection_state::ConnectionState;
use crate::exchange::{ExchangeError, ExchangeId};
use crate::outbound::{Outbound, Outcome};
use crate::response::Method;
use crate::session::Session;
use crate::sync::lock;

use super::{Answer, Entry, ExchangeTable, OwnSession, Slot, Slots};

/// A request that is not on its way yet, or not any more: it waits for a connection.
pub(super) struct Reserved {
    pub(super) generation: u32,
    /// Of a body that is streamed.
    queue: Option<Arc<Outbound>>,
}

impl Reserved {
    pub(super) fn queue(&self) -> Result<Arc<Outbound>, ExchangeError> {
        self.queue.clone().ok_or(ExchangeError::Gone)
    }

    pub(super) fn give_up(self, code: Code) {
        if let Some(queue) = self.queue {
            queue.reset(code);
        }
    }
}

/// A response that is awaited, or still arriving.
#[derive(Default)]
pub(super) struct Pending {
    /// Of the work that reads it.
    reader: Option<Waker>,
    /// Its head was handed over: what reads its body tells how that ends.
    pub(super) is_head_here: bool,
    /// What the server did against the request beside its stream.
    breach: Option<Error>,
}

impl Pending {
    /// The reader has a look at whether the exchange is still open.
    pub(super) fn wake(self) {
        self.reader.into_iter().for_each(Waker::wake);
    }
}

impl ExchangeTable {
    /// Names a request that waits for a connection; `queue` holds its body, if that is streamed.
    pub(crate) fn reserve(&self, queue: Option<Arc<Outbound>>) -> ExchangeId {
        lock(&self.slots).insert(|generation| Entry::Reserved(Reserved { generation, queue }))
    }

    /// Names several requests at once.
    pub(crate) fn reserve_all(&self, queues: impl Iterator<Item = Option<Arc<Outbound>>>) -> Vec<ExchangeId> {
        let mut slots = lock(&self.slots);
        let reserved = |queue| slots.insert(|generation| Entry::Reserved(Reserved { generation, queue }));
        queues.map(reserved).collect()
    }

    /// Whether a request still waits: nobody has given it up.
    pub(crate) fn is_reserved(&self, id: ExchangeId) -> bool {
        matches!(lock(&self.slots).entry(id), Ok(Entry::Reserved(_)))
    }

    /// A waiting request goes out on `stream` of `connection`. Returns the queue of its body: that of a streamed one, or
    /// else `own`, which holds a body that is not written at once.
    pub(crate) fn begin(
        &self,
        id: ExchangeId,
        connection: &Arc<ConnectionState>,
        stream: &SendStream,
        own: Option<Arc<Outbound>>,
    ) -> Result<Option<Arc<Outbound>>, ExchangeError> {
        let mut slots = lock(&self.slots);
        let entry = slots.entry(id)?;
        let Entry::Reserved(Reserved { generation, queue }) = entry else {
            return Err(ExchangeError::AlreadyStarted);
        };
        let (generation, queue) = (*generation, queue.take().or(own));
        *entry = Entry::Open(Slot {
            generation,
            method: Method::Other,
            stream: stream.id().into(),
            priority: Priority::default(),
            connection: connection.clone(),
            answer: queue.clone().map_or(Answer::Sent, Answer::Streaming),
            body: None,
            capsules: false,
            session: None,
            response: Some(Pending::default()),
            record: None,
        });
        drop(slots);
        self.counters.requests.fetch_add(1, Relaxed);
        self.counters.requests_active.fetch_add(1, Relaxed);
        connection.exchanges.fetch_add(1, SeqCst);
        Ok(queue)
    }

    /// A request whose body is at hand will be sent again: it waits once more. `false`: it was given up meanwhile.
    pub(crate) fn take_back(&self, id: ExchangeId) -> bool {
        let mut slots = lock(&self.slots);
        let Ok(entry) = slots.entry(id) else {
            return false;
        };
        let connection = match entry {
            Entry::Open(slot) if slot.response.is_some() => {
                if let Answer::Streaming(queue) = &slot.answer {
                    queue.reset(Code::H3_REQUEST_CANCELLED);
                }
                slot.connection.clone()
            }
            _ => return false,
        };
        let generation = entry.generation();
        *entry = Entry::Reserved(Reserved {
            generation,
            queue: None,
        });
        drop(slots);
        self.over(&connection);
        true
    }

    /// Whether the response is still wanted; the task of `cx` is woken when it no longer is.
    ///
    /// # Errors
    /// It is not: given up, or with what the server did against it.
    pub(crate) fn awaits_response(&self, id: ExchangeId, cx: &Context<'_>) -> Result<(), Option<Error>> {
        let mut slots = lock(&self.slots);
        let Ok(Slot {
            response: Some(pending),
            ..
        }) = slots.get(id)
        else {
            return Err(None);
        };
        if let Some(breach) = pending.breach.take() {
            return Err(Some(breach));
        }
        match &mut pending.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            reader => *reader = Some(cx.waker().clone()),
        }
        Ok(())
    }

    /// A datagram came for an exchange that knows none (RFC9297-2-request-without-datagrams).
    pub(crate) fn refuse_datagrams(&self, id: ExchangeId) {
        const REASON: &str = "datagram for a request without datagrams";
        let mut is_ours = false;
        if let Ok(Slot {
            response: Some(pending),
            ..
        }) = lock(&self.slots).get(id)
        {
            is_ours = true;
            if !pending.is_head_here {
                pending.breach = Some(Error::stream(Code::H3_DATAGRAM_ERROR, REASON));
                if let Some(reader) = pending.reader.take() {
                    reader.wake();
                }
                return;
            }
        }
        if is_ours {
            self.handler.request_failed(id, RequestError::Malformed(REASON));
        }
        self.cut(id, Code::H3_DATAGRAM_ERROR, None);
    }

    /// All that read responses on this connection have a look at what has become of it.
    pub(crate) fn wake_responses(&self, connection: &Arc<ConnectionState>) {
        for (_, entry) in &mut lock(&self.slots).slab {
            if let Entry::Open(slot) = entry
                && Arc::ptr_eq(&slot.connection, connection)
                && let Some(Pending {
                    reader: Some(waker), ..
                }) = &slot.response
            {
                waker.wake_by_ref();
            }
        }
    }

    /// The response accepts a WebTransport session: the exchange is it from now on, and ends with it.
    pub(crate) fn begin_session(&self, id: ExchangeId, session: Arc<Session>) {
        let mut slots = lock(&self.slots);
        if let Ok(slot) = slots.get(id) {
            slot.response = None;
            slot.session = Some(OwnSession(session));
        }
    }

    /// All of the response is here. What is left of the request goes on: a server may answer before it has read it.
    pub(crate) fn received(&self, id: ExchangeId) {
        let mut slots = lock(&self.slots);
        let Ok(slot) = slots.get(id) else { return };
        slot.response = None;
        if !matches!(slot.answer, Answer::Sent) {
            return;
        }
        if let Ok(slot) = slots.take(id) {
            drop(slots);
            self.over(&slot.connection);
        }
    }

    /// A request, waiting or on its way, comes to nothing. `true`: nobody had given it up before.
    pub(crate) fn forget_request(&self, id: ExchangeId, with: Code) -> bool {
        let taken = lock(&self.slots).take_entry(id);
        match taken {
            Ok(Entry::Reserved(reserved)) => reserved.give_up(with),
            Ok(Entry::Open(slot)) => {
                if let Answer::Streaming(queue) = &slot.answer {
                    queue.reset(with);
                }
                self.counters.requests_aborted.fetch_add(1, Relaxed);
                self.over(&slot.connection);
            }
            Err(_) => return false,
        }
        true
    }
}

impl Slots {
    /// The writer of a request's body has ended: whether the exchange stays open, for its response.
    pub(super) fn keeps_response(&mut self, id: ExchangeId, outcome: Outcome) -> bool {
        let Ok(slot) = self.get(id) else { return false };
        let keeps = slot.response.is_some() && !matches!(outcome, Outcome::Reset { .. });
        if keeps {
            // RFC9114-4.1-complete-response-used: the response is read on, whatever the server thinks of the rest of the request.
            slot.answer = Answer::Sent;
        }
        keeps
    }
}
