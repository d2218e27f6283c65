//! The slots of the table: each holds one exchange, under a name that no other has.

use std::sync::Arc;

use slab::Slab;
use trilane_http3::Priority;

use crate::answer_stream::AnswerStream;
use crate::body::BodyReader;
use crate::connection_state::ConnectionState;
use crate::exchange::{ExchangeError, ExchangeId};
use crate::outbound::Outbound;
use crate::request_record::RequestRecord;
use crate::response::Method;
use crate::session::Session;

use super::request::{Pending, Reserved};

#[derive(Default)]
pub(super) struct Slots {
    pub(super) slab: Slab<Entry>,
    pub(super) next_generation: u32,
}

/// Requests of clients that wait are few, and short-lived.
#[allow(
    clippy::large_enum_variant,
    reason = "an open exchange is the rule, and is not to cost an allocation"
)]
pub(super) enum Entry {
    Open(Slot),
    /// A request of ours that is not on its way yet.
    Reserved(Reserved),
}

pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) method: Method,
    /// The id of its stream.
    pub(super) stream: u64,
    /// What the request's field said.
    pub(super) priority: Priority,
    pub(super) connection: Arc<ConnectionState>,
    pub(super) answer: Answer,
    /// A streaming body that nobody has asked for yet; left so, it is declined with the end of the exchange.
    pub(super) body: Option<Box<BodyReader>>,
    /// Its content, both ways, is capsules (RFC 9297 §3.1).
    pub(super) capsules: bool,
    /// The WebTransport session that the exchange is.
    pub(super) session: Option<OwnSession>,
    /// The response to a request of ours, until all of it is here; the exchange is open as long.
    pub(super) response: Option<Pending>,
    /// Told with its end, for those who want to know.
    pub(super) record: Option<Box<RequestRecord>>,
}

/// Ends with its exchange, however that ends.
pub(super) struct OwnSession(pub(super) Arc<Session>);

impl Drop for OwnSession {
    fn drop(&mut self) {
        self.0.exchange_over();
    }
}

/// What is sent: an answer, or a request of ours.
pub(super) enum Answer {
    Awaited(AnswerStream),
    Streaming(Arc<Outbound>),
    /// A request of ours, all of it, or all that the server wants of it.
    Sent,
}

impl Slots {
    pub(super) fn insert(&mut self, make: impl FnOnce(u32) -> Entry) -> ExchangeId {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let slot = self.slab.insert(make(generation)) as u32;
        ExchangeId { slot, generation }
    }

    pub(super) fn entry(&mut self, id: ExchangeId) -> Result<&mut Entry, ExchangeError> {
        match self.slab.get_mut(id.slot as usize) {
            Some(entry) if entry.generation() == id.generation => Ok(entry),
            _ => Err(ExchangeError::Gone),
        }
    }

    pub(super) fn get(&mut self, id: ExchangeId) -> Result<&mut Slot, ExchangeError> {
        match self.entry(id)? {
            Entry::Open(slot) => Ok(slot),
            Entry::Reserved(_) => Err(ExchangeError::Gone),
        }
    }

    pub(super) fn take_entry(&mut self, id: ExchangeId) -> Result<Entry, ExchangeError> {
        self.entry(id)?;
        Ok(self.slab.remove(id.slot as usize))
    }

    pub(super) fn take(&mut self, id: ExchangeId) -> Result<Slot, ExchangeError> {
        self.get(id)?;
        match self.slab.remove(id.slot as usize) {
            Entry::Open(slot) => Ok(slot),
            Entry::Reserved(_) => Err(ExchangeError::Gone),
        }
    }
}

impl Entry {
    pub(super) fn generation(&self) -> u32 {
        match self {
            Self::Open(slot) => slot.generation,
            Self::Reserved(reserved) => reserved.generation,
        }
    }
}
