//! The body of a message: whole, or read as it comes, of a request by the handler, of a response by who asked.

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use trilane_http3::{Capsule, CapsuleReader, Code, Error, FieldSection, Scope};

use crate::client::ConnectionLoss;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::content::{ContentError, ContentReader};
use crate::datagram_capsules::MAX_CAPSULE_DATAGRAM;
use crate::datagram_counters::DatagramLayer;
use crate::exchange::ExchangeId;
use crate::exchange_table::ExchangeTable;
use crate::inbound::Receiver;
use crate::wire::wire_code;

/// The most that one read gathers: enough to make crossing the border cheap, little enough to keep memory flat.
const GATHER_BYTES: usize = 256 * 1024;

/// What a message brought besides its head.
#[derive(Debug)]
pub enum MessageBody {
    /// All of it; empty if there was none.
    Whole(Bytes),
    /// It is taken from the exchange ([`ExchangeTable::take_body`]) and read.
    Streaming,
}

/// Why a body ended before its end. Its bytes so far are not the whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The peer reset the stream with this HTTP/3 error code.
    #[error("the peer gave its body up with code {0:#x}")]
    Reset(u64),
    /// The connection is gone.
    #[error("the connection of the peer is gone")]
    ConnectionLost,
    /// What came broke the rules of HTTP/3, or did not have the length it announced.
    #[error("the peer's body broke the rules of HTTP/3: {0}")]
    Malformed(&'static str),
}

/// Reads a streaming body. A reader that waits holds the peer back by QUIC flow control: what was not read is never
/// more than the stream's receive window. Dropped before the end, it asks the peer to stop: of a request with H3_NO_ERROR, of
/// a response with H3_REQUEST_CANCELLED, which gives the whole exchange up.
pub struct BodyReader {
    content: ContentReader,
    table: Arc<ExchangeTable>,
    connection: Arc<ConnectionState>,
    id: ExchangeId,
    of: Of,
    /// The body is a sequence of capsules (RFC 9297 §3.1).
    capsules: Option<CapsuleReader>,
    ended: bool,
}

/// Whose body it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Request {
        /// The client waits for 100 (Continue).
        awaits_continue: bool,
    },
    Response,
}

impl BodyReader {
    pub(crate) fn of_request(
        mut receiver: Receiver,
        table: Arc<ExchangeTable>,
        connection: Arc<ConnectionState>,
        id: ExchangeId,
    ) -> Self {
        let awaits_continue = receiver.take_expectation();
        let of = Of::Request { awaits_continue };
        Self::new(receiver.into_content(), table, connection, id, of)
    }

    pub(crate) fn of_response(
        content: ContentReader,
        table: Arc<ExchangeTable>,
        connection: Arc<ConnectionState>,
        id: ExchangeId,
    ) -> Self {
        Self::new(content, table, connection, id, Of::Response)
    }

    fn new(
        content: ContentReader,
        table: Arc<ExchangeTable>,
        connection: Arc<ConnectionState>,
        id: ExchangeId,
        of: Of,
    ) -> Self {
        Self {
            content,
            table,
            connection,
            id,
            of,
            capsules: None,
            ended: false,
        }
    }

    /// Takes the body as capsules (RFC 9297 §3.1): reading hands the datagrams in them to
    /// [`Handler::h3_datagram`](crate::Handler::h3_datagram), in their order, and yields empty pieces.
    pub(crate) fn with_capsules(mut self) -> Self {
        self.capsules = Some(CapsuleReader::of_datagrams(MAX_CAPSULE_DATAGRAM));
        self
    }

    /// Whether what it brings is capsules, whose content goes to the handler.
    pub fn is_capsules(&self) -> bool {
        self.capsules.is_some()
    }

    /// The next piece, up to 256 KiB of what is there; `None` at the end. Waits only if nothing is there. Cancel safe. An
    /// empty piece: it was capsules, and what was in them has been handed over.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// See [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        self.begin();
        let read = self.content.poll_content(cx, GATHER_BYTES);
        self.connection.count_overhead(self.content.take_overhead());
        let piece = match std::task::ready!(read) {
            Ok(Some(piece)) => {
                self.table.count_piece(self.id, piece.len());
                self.take_capsules(piece).map(Some)
            }
            end => end,
        };
        Poll::Ready(self.judge(piece))
    }

    /// The same without a copy, for who makes one anyway: the bytes as they came, behind each other in `pieces`, which has to
    /// be empty; returns how many there are. They are views of the buffers in which packets came: let go of them soon. Not of
    /// a body that is capsules.
    pub fn poll_pieces(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &mut Vec<Bytes>,
    ) -> Poll<Result<Option<usize>, BodyError>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        self.begin();
        let read = self.content.poll_pieces(cx, GATHER_BYTES, pieces);
        self.connection.count_overhead(self.content.take_overhead());
        let read = std::task::ready!(read);
        if let Ok(Some(bytes)) = read {
            self.table.count_piece(self.id, bytes);
        }
        Poll::Ready(self.judge(read))
    }

    /// A client that waits for 100 (Continue) gets it when its body is first read.
    fn begin(&mut self) {
        if let Of::Request { awaits_continue } = &mut self.of
            && std::mem::take(awaits_continue)
            && self.content.unread_len() == 0
        {
            self.table.continue_request(self.id);
        }
    }

    /// What was read, and what follows from an end or an error.
    fn judge<T>(&mut self, read: Result<Option<T>, ContentError>) -> Result<Option<T>, BodyError> {
        let read = match read {
            Ok(None) => {
                self.ended = true;
                // RFC 9297 §3.3: a stream that ends inside a capsule.
                let finished = self.capsules.as_ref().map_or(Ok(()), CapsuleReader::finish);
                if finished.is_ok() && self.of == Of::Response {
                    self.table.received(self.id);
                }
                finished.map(|()| None).map_err(ContentError::Protocol)
            }
            read => read,
        };
        read.map_err(|error| {
            self.ended = true;
            self.fail(error)
        })
    }

    /// The piece as it is, unless it is capsules.
    fn take_capsules(&mut self, mut piece: Bytes) -> Result<Bytes, ContentError> {
        let Some(capsules) = &mut self.capsules else {
            return Ok(piece);
        };
        let oversized = capsules.dropped_datagrams();
        while let Some(capsule) = capsules.read(&mut piece).map_err(ContentError::Protocol)? {
            if let Capsule::Datagram(payload) = capsule {
                self.connection.received(DatagramLayer::Http, 1);
                self.table.handler().h3_datagram(self.id, payload);
            }
        }
        let oversized = capsules.dropped_datagrams() - oversized;
        self.connection.count_overhead(capsules.take_overhead());
        self.connection.dropped_incoming(DatagramLayer::Http, oversized);
        Ok(Bytes::new())
    }

    /// The trailers, once [`next`](Self::next) has come to the end; empty if there were none.
    pub fn trailers(&self) -> &FieldSection {
        self.content.trailers()
    }

    /// Stops reading: STOP_SENDING, of a request with H3_NO_ERROR, after which a client goes on to read the answer
    /// (RFC9114-4.1-early-response); of a response with H3_REQUEST_CANCELLED, and what is still to be sent of the request is
    /// not (RFC9114-4.1.1-client-code).
    pub fn cancel(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let code = match self.of {
            Of::Request { .. } => Code::H3_NO_ERROR,
            Of::Response => Code::H3_REQUEST_CANCELLED,
        };
        let _ = self.content.recv().stop(wire_code(code));
        if self.of == Of::Response {
            let _ = self.table.reset(self.id, code);
        }
    }

    /// How the connection was lost, behind [`BodyError::ConnectionLost`].
    pub fn loss(&self) -> ConnectionLoss {
        ConnectionLoss::of(self.connection.quic.close_reason().as_ref(), self.connection.role)
    }

    fn fail(&mut self, error: ContentError) -> BodyError {
        let error = match error {
            // RFC9114-4.1.1-partial-response: what was cut short ends with an error, never with an end.
            ContentError::Reset(code) => {
                if self.of == Of::Response {
                    self.table.cut(self.id, Code::H3_REQUEST_CANCELLED, code);
                }
                return code.map_or(BodyError::ConnectionLost, BodyError::Reset);
            }
            ContentError::TrailersTooLarge => {
                Error::stream(Code::H3_EXCESSIVE_LOAD, "the trailer section exceeds the limit")
            }
            ContentError::Protocol(error) => error,
        };
        let _ = self.content.recv().stop(wire_code(error.code));
        match error.scope {
            Scope::Stream => {
                self.table.count_malformed();
                // The answer to a request whose trailers are too large goes on.
                if self.of == Of::Response || error.code != Code::H3_EXCESSIVE_LOAD {
                    self.table.cut(self.id, error.code, None);
                }
            }
            // Closed by the connection's task, which counts it.
            Scope::Connection => self.connection.adopt(ready(Outcome::Fatal(error))),
        }
        BodyError::Malformed(error.reason)
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl std::fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyReader")
            .field("id", &self.id)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
