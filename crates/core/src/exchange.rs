//! One request and its answer: its name, the right to answer it, and what may go wrong. It ends in one of three ways:
//! finished, aborted, or with its connection.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use trilane_http3::{Code, FieldError};

use crate::exchange_table::ExchangeTable;

/// Names one exchange of a server. A slot is used again, its generation is not (it wraps after 2³² requests).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExchangeId {
    /// Index in the server's table; small, used again.
    pub slot: u32,
    /// Tells the slot's users apart.
    pub generation: u32,
}

/// Why a call on an exchange was refused. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// It is over: answered, aborted, or its connection is gone.
    #[error("the exchange is over: it was answered, aborted, or its connection is gone")]
    Gone,
    /// The head was already sent.
    #[error("the answer has already begun")]
    AlreadyStarted,
    /// A body was written before the head.
    #[error("the answer has not begun: send its status and fields first")]
    NotStarted,
    /// The status is not one of a final answer.
    #[error("status {0} is not that of a final answer: use 200 to 599")]
    Status(u16),
    /// `content-length` is not one decimal number. The exchange is still open.
    #[error("content-length must be one decimal number (RFC 9110 §8.6): leave it out, it is added")]
    InvalidLength,
    /// `content-length` is not the length of the body (RFC 9110 §8.6). The exchange is still open.
    #[error("content-length is {declared}, but the body has {length} bytes: leave it out, it is added")]
    Length {
        /// What the field says.
        declared: u64,
        /// What the body has.
        length: usize,
    },
    /// The status is not one of an interim answer.
    #[error("status {0} is not that of an interim answer: use 100 or 102 to 199 (HTTP/3 has no 101)")]
    InterimStatus(u16),
    /// An interim answer announces content.
    #[error("an interim answer has no content: leave content-length out (RFC 9110 §8.6)")]
    InterimLength,
    /// A field may not be sent. The exchange is still open, another answer may be given.
    #[error("the answer's fields are not allowed in HTTP/3: {0}")]
    Field(#[from] FieldError),
    /// More was written than the queue takes; wait for [`ExchangeEvent::Drained`](crate::ExchangeEvent::Drained).
    #[error("the answer's queue is full: wait until it has drained")]
    Full,
}

/// Whether the writer of a streaming answer wants to hear [`ExchangeEvent::Drained`](crate::ExchangeEvent::Drained).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// No: it goes on writing.
    Never,
    /// Once, when all that was written so far has been sent.
    WhenDrained,
}

/// The right to answer one request. Dropped unanswered, the stream is reset with H3_INTERNAL_ERROR, so that no
/// client takes silence for an empty answer.
#[derive(Debug)]
pub struct Exchange {
    table: Arc<ExchangeTable>,
    id: ExchangeId,
    kept: bool,
}

impl Exchange {
    pub(crate) fn new(table: Arc<ExchangeTable>, id: ExchangeId) -> Self {
        Self {
            table,
            id,
            kept: false,
        }
    }

    /// The exchange's name in events and in the table.
    pub fn id(&self) -> ExchangeId {
        self.id
    }

    /// Where the client is now; connections migrate (RFC 9000 §9). `None` if the exchange is over.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.table.remote_address(self.id)
    }

    /// Gives up the handle but not the exchange: who keeps the id answers through the table.
    pub fn into_id(mut self) -> ExchangeId {
        self.kept = true;
        self.id
    }

    /// Sends a whole answer; see [`ExchangeTable::respond`].
    pub fn respond<'a>(
        mut self,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        body: Bytes,
    ) -> Result<(), ExchangeError> {
        let result = self.table.respond(self.id, status, fields, body);
        self.kept = result.is_ok();
        result
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.table.reset(self.id, Code::H3_INTERNAL_ERROR);
        }
    }
}
