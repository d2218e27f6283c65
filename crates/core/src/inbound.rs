//! A request on its way in: from the first byte of its stream to a complete request, or to the reason why not.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use quinn::RecvStream;
use trilane_http3::{BidiKind, Error, MessageError, Part, RequestHead, RequestReader, classify_bidi};

use crate::budget::Share;
use crate::content::{ContentReader, OVERHEAD_PER_TURN};
use crate::expectation::Expectation;
use crate::limits::Limits;
use crate::modes::BodyMode;
use crate::router::{Match, ParamSpan, RouteId};
use crate::routing::{CurrentRouting, LiveRouting};

/// Chunks read in one go before other streams get their turn.
const CHUNKS_PER_TURN: usize = 32;

/// The longest prefix by which a bidirectional stream says what it is: two variable-length integers.
const MAX_PREFIX_BYTES: usize = 16;

/// How reading a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// All of it is here: head, admission and body.
    Complete,
    /// The head is here and its route takes the body as it comes.
    Streaming,
    /// It gets this answer, and the rest of it is not read.
    Refused(Refusal),
    /// The head of a CONNECT that asks for a WebTransport session.
    Session,
    /// A stream of this WebTransport session; what came behind its prefix is kept.
    WebTransport { session: u64 },
    /// Malformed, or cut short by a clean end: a stream error (RFC 9114 §4.1.2).
    Malformed(Error),
    /// The connection must end.
    Fatal(Error),
    /// The client reset the stream, or is gone.
    Abandoned,
}

/// A final answer that needs no handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) allow: Option<String>,
}

impl Refusal {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, allow: None }
    }
}

/// What the router said of a request.
#[derive(Default)]
pub(crate) struct Admission {
    pub(crate) route: Option<RouteId>,
    pub(crate) params: Vec<ParamSpan>,
    /// Whose route it is; `None` before the head is here. What a request began with it keeps, whatever is reloaded.
    pub(crate) routing: Option<Arc<LiveRouting>>,
}

impl Admission {
    fn mode(&self) -> BodyMode {
        self.routing
            .as_ref()
            .map_or(BodyMode::Buffered, |routing| routing.mode(self.route))
    }

    fn is_session(&self) -> bool {
        self.routing
            .as_ref()
            .is_some_and(|routing| routing.is_session(self.route))
    }

    pub(crate) fn takes_datagrams(&self) -> bool {
        self.routing
            .as_ref()
            .is_some_and(|routing| routing.takes_datagrams(self.route))
    }
}

/// Who may be asked where a request goes.
pub(crate) struct Gate<'a> {
    pub(crate) routing: &'a CurrentRouting,
    pub(crate) limits: &'a Limits,
}

/// The token of newer drafts is the same thing for a route (draft-ietf-webtrans-http3-16 §3.2).
fn upgrade_token(protocol: Option<&[u8]>) -> Option<&[u8]> {
    match protocol {
        Some(token) if token.eq_ignore_ascii_case(b"webtransport-h3") => Some(b"webtransport"),
        other => other,
    }
}

impl Gate<'_> {
    fn admit(&self, head: &RequestHead, admission: &mut Admission) -> Result<Expectation, Refusal> {
        let routing = self.routing.get();
        let found = routing.router().find(
            head.method(),
            upgrade_token(head.protocol()),
            head.path(),
            &mut admission.params,
        );
        admission.route = match found {
            Match::Route(route) => Some(route),
            // RFC9110-15.5.6-allow
            Match::MethodNotAllowed { allow } => {
                return Err(Refusal {
                    status: 405,
                    allow: Some(allow),
                });
            }
            Match::NotFound | Match::ProtocolNotSupported if routing.has_fallback() => None,
            Match::NotFound => return Err(Refusal::status(404)),
            // RFC9220-3-unknown-protocol
            Match::ProtocolNotSupported => return Err(Refusal::status(501)),
        };
        let mode = routing.mode(admission.route);
        admission.routing = Some(routing);
        match head.content_length() {
            Some(length) if length > self.limits.max_body_bytes as u64 && mode == BodyMode::Buffered => {
                return Err(Refusal::status(413));
            }
            _ => {}
        }
        match Expectation::of(head) {
            // RFC9110-10.1.1-unknown-expectation
            Expectation::Unknown => Err(Refusal::status(417)),
            expectation => Ok(expectation),
        }
    }
}

/// Reads one request. Holds no future of quinn's between polls, so it may be moved and dropped at any time.
pub(crate) struct Receiver {
    content: ContentReader,
    /// First bytes of a stream that does not begin with a one-byte frame type.
    prefix: BytesMut,
    is_request: bool,
    has_head: bool,
    received: u64,
    expectation: Expectation,
    /// The first chunks are taken at once.
    reads_ahead: bool,
}

impl Receiver {
    pub(crate) fn new(recv: RecvStream, limits: &Limits) -> Self {
        Self {
            content: ContentReader::of_request(recv, RequestReader::new(limits.fields())),
            prefix: BytesMut::new(),
            is_request: false,
            has_head: false,
            received: 0,
            expectation: Expectation::None,
            reads_ahead: false,
        }
    }

    /// Has the first chunks taken at once, up to the stream's whole window: only where there is room for as much.
    pub(crate) fn read_ahead(&mut self) {
        self.reads_ahead = true;
    }

    /// Bytes that are held for a request that is not complete.
    pub(crate) fn held_len(&self) -> usize {
        self.content.body_len() + self.content.unread_len()
    }

    /// Whether the header section is complete.
    pub(crate) fn has_head(&self) -> bool {
        self.has_head
    }

    /// Bytes received so far: tells progress from silence.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The content of the request, and what came of it.
    pub(crate) fn content(&mut self) -> &mut ContentReader {
        &mut self.content
    }

    /// What is still to come of the request.
    pub(crate) fn into_content(self) -> ContentReader {
        self.content
    }

    /// Whether a request that was `received` has content, or may still have some.
    pub(crate) fn has_content(&self, received: &Received) -> bool {
        *received == Received::Streaming || self.content.body_len() > 0
    }

    /// Whether the client waits for 100 (Continue) before it sends its content: once, and only before the first byte of it
    /// (RFC 9110 §10.1.1).
    pub(crate) fn take_expectation(&mut self) -> bool {
        let expectation = std::mem::replace(&mut self.expectation, Expectation::None);
        expectation == Expectation::Continue && self.content.body_len() == 0 && self.content.unread_len() == 0
    }

    /// Reads what is there. The head is decoded into `head`; its value is kept by the caller between polls.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        gate: &Gate<'_>,
        head: &mut RequestHead,
        admission: &mut Admission,
        mut share: Option<&mut Share>,
    ) -> Poll<Received> {
        let before = self.content.overhead();
        for _ in 0..CHUNKS_PER_TURN {
            if let Some(share) = &mut share {
                share.set(self.held_len());
                ready!(share.poll_ready(cx));
            }
            let polled = if std::mem::take(&mut self.reads_ahead) {
                self.content.poll_first(cx)
            } else {
                self.content.poll_chunk(cx)
            };
            match ready!(polled) {
                Ok(Some(length)) => self.received += length as u64,
                Ok(None) => return Poll::Ready(self.finish()),
                Err(_) => return Poll::Ready(Received::Abandoned),
            }
            if let Err(end) = self.take_chunk(gate, head, admission) {
                return Poll::Ready(if end == Received::Streaming {
                    self.streaming(cx)
                } else {
                    end
                });
            }
            if self.content.overhead() - before >= OVERHEAD_PER_TURN {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take_chunk(
        &mut self,
        gate: &Gate<'_>,
        head: &mut RequestHead,
        admission: &mut Admission,
    ) -> Result<(), Received> {
        if !self.is_request && !self.classify()? {
            return Ok(());
        }
        while let Some(part) = self.content.read_request(head).map_err(received_error)? {
            match part {
                Part::Head => {
                    self.has_head = true;
                    self.expectation = gate.admit(head, admission).map_err(Received::Refused)?;
                    if admission.is_session() {
                        return Err(Received::Session);
                    }
                    // A tunnel has no end to wait for (RFC 9114 §4.4).
                    let is_tunnel = head.method() == b"CONNECT";
                    if is_tunnel || admission.mode() == BodyMode::Streaming {
                        return Err(Received::Streaming);
                    }
                }
                Part::Data(bytes) => {
                    if self.content.body_len() + bytes.len() > gate.limits.max_body_bytes {
                        return Err(Received::Refused(Refusal::status(413)));
                    }
                    self.content.gather(bytes);
                }
                Part::Trailers => {}
            }
        }
        Ok(())
    }

    /// A request of a streaming route whose head is here: one without a body is complete already.
    fn streaming(&mut self, cx: &mut Context<'_>) -> Received {
        if self.content.unread_len() == 0 {
            match self.content.poll_chunk(cx) {
                Poll::Ready(Ok(None)) => return self.finish(),
                Poll::Ready(Err(_)) => return Received::Abandoned,
                Poll::Ready(Ok(Some(_))) | Poll::Pending => {}
            }
        }
        Received::Streaming
    }

    /// Whether the stream is known to be a request; its first bytes are then what the content has left to read.
    fn classify(&mut self) -> Result<bool, Received> {
        // Frame types below 0x40 are one byte long, and none of them begins a WebTransport stream.
        if self.prefix.is_empty() && self.content.rest().first().is_some_and(|byte| *byte < 0x40) {
            self.is_request = true;
            return Ok(true);
        }
        self.prefix
            .extend_from_slice(&std::mem::take(self.content.rest()));
        match classify_bidi(&self.prefix[..self.prefix.len().min(MAX_PREFIX_BYTES)]) {
            Ok(None) => Ok(false),
            Ok(Some(BidiKind::WebTransport { session, prefix_len })) => {
                *self.content.rest() = self.prefix.split().freeze().split_off(prefix_len);
                Err(Received::WebTransport { session })
            }
            Ok(Some(BidiKind::Request)) => {
                *self.content.rest() = self.prefix.split().freeze();
                self.is_request = true;
                Ok(true)
            }
            Err(error) => Err(received_error(MessageError::Protocol(error))),
        }
    }

    fn finish(&self) -> Received {
        match self.content.finish() {
            Ok(()) => Received::Complete,
            Err(error) => received_error(error),
        }
    }
}

fn received_error(error: MessageError) -> Received {
    match error {
        // RFC9114-4.2.2-head-too-large, RFC9114-4.2.2-trailers-too-large; RFC 6585 §5
        MessageError::HeadTooLarge => Received::Refused(Refusal::status(431)),
        MessageError::TrailersTooLarge => Received::Refused(Refusal::status(431)),
        MessageError::Protocol(error) => match error.scope {
            trilane_http3::Scope::Stream => Received::Malformed(error),
            trilane_http3::Scope::Connection => Received::Fatal(error),
        },
    }
}
