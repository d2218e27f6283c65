//! A request on its way in: from the first byte of its stream to a complete request, or to the reason why not.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use quinn::{Chunk, ReadError, RecvStream};
use trilane_http3::{
    BidiKind, Error, FieldSection, MessageError, Part, RequestHead, RequestReader, classify_bidi,
};

use crate::budget::Share;
use crate::expectation::Expectation;
use crate::limits::Limits;
use crate::modes::BodyMode;
use crate::router::{Match, ParamSpan, RouteId};
use crate::routing::{CurrentRouting, LiveRouting};

/// Chunks read in one go before other streams get their turn.
const CHUNKS_PER_TURN: usize = 32;

/// The largest chunk read at once, longer than a packet: quinn joins small pieces into large ones, and a large one full of
/// tiny frames would be a long turn.
const CHUNK_BYTES: usize = 4 * 1024;

/// Frames without content, beyond the chunk that they are in, after which other streams get their turn and the connection's
/// task has a look at how many there were.
const OVERHEAD_PER_TURN: u32 = 256;

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

/// Why the content of a streaming body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentError {
    /// The client reset the stream with this code, or its connection is gone.
    Reset(Option<u64>),
    Protocol(Error),
    TrailersTooLarge,
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
    recv: RecvStream,
    reader: RequestReader,
    /// First bytes of a stream that does not begin with a one-byte frame type.
    prefix: BytesMut,
    rest: Bytes,
    is_request: bool,
    has_head: bool,
    received: u64,
    /// Frames without content since they were last asked for.
    overhead: u32,
    body: Body,
    trailers: FieldSection,
    expectation: Expectation,
}

#[derive(Default)]
enum Body {
    #[default]
    Empty,
    /// A view of quinn's buffer: the usual small body, never copied here.
    One(Bytes),
    Gathered(BytesMut),
}

impl Receiver {
    pub(crate) fn new(recv: RecvStream, limits: &Limits) -> Self {
        Self {
            recv,
            reader: RequestReader::new(limits.fields()),
            prefix: BytesMut::new(),
            rest: Bytes::new(),
            is_request: false,
            has_head: false,
            received: 0,
            overhead: 0,
            body: Body::Empty,
            trailers: FieldSection::new(),
            expectation: Expectation::None,
        }
    }

    /// Whether the header section is complete.
    pub(crate) fn has_head(&self) -> bool {
        self.has_head
    }

    /// Bytes received so far: tells progress from silence.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Frames without content read since the last call.
    #[inline]
    pub(crate) fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    /// The stream and what came behind its prefix.
    pub(crate) fn into_stream(self) -> (RecvStream, Bytes) {
        (self.recv, self.rest)
    }

    /// The stream, to stop it.
    pub(crate) fn recv(&mut self) -> &mut RecvStream {
        &mut self.recv
    }

    /// Whether a request that was `received` has content, or may still have some.
    pub(crate) fn has_content(&self, received: &Received) -> bool {
        *received == Received::Streaming || self.body_len() > 0
    }

    /// The trailers; empty before the end of the content, and if there are none.
    pub(crate) fn trailers(&self) -> &FieldSection {
        &self.trailers
    }

    /// Whether the client waits for 100 (Continue) before it sends its content: once, and only before the first byte of it
    /// (RFC 9110 §10.1.1).
    pub(crate) fn take_expectation(&mut self) -> bool {
        let expectation = std::mem::replace(&mut self.expectation, Expectation::None);
        expectation == Expectation::Continue && self.body_len() == 0
    }

    /// Whether bytes behind the header section are here, not yet read.
    pub(crate) fn has_arrived(&self) -> bool {
        !self.rest.is_empty()
    }

    /// The body gathered so far.
    pub(crate) fn take_body(&mut self) -> Bytes {
        match std::mem::take(&mut self.body) {
            Body::Empty => Bytes::new(),
            Body::One(bytes) => bytes,
            Body::Gathered(buffer) => buffer.freeze(),
        }
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
        let before = self.overhead;
        for _ in 0..CHUNKS_PER_TURN {
            if let Some(share) = &mut share {
                share.set(self.body_len());
                ready!(share.poll_ready(cx));
            }
            match ready!(poll_chunk(&mut self.recv, cx)) {
                Ok(Some(chunk)) => {
                    self.received += chunk.bytes.len() as u64;
                    self.rest = chunk.bytes;
                }
                Ok(None) => return Poll::Ready(self.finish()),
                Err(_) => return Poll::Ready(Received::Abandoned),
            }
            let taken = self.take_chunk(gate, head, admission);
            self.overhead = self.overhead.saturating_add(self.reader.take_overhead());
            if let Err(end) = taken {
                return Poll::Ready(if end == Received::Streaming {
                    self.streaming(cx)
                } else {
                    end
                });
            }
            if self.overhead - before >= OVERHEAD_PER_TURN {
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
        while let Some(part) = self
            .reader
            .read(&mut self.rest, head, &mut self.trailers)
            .map_err(received_error)?
        {
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
                Part::Data(bytes) => self.gather(bytes, gate.limits.max_body_bytes)?,
                Part::Trailers => {}
            }
        }
        Ok(())
    }

    /// A request of a streaming route whose head is here: one without a body is complete already.
    fn streaming(&mut self, cx: &mut Context<'_>) -> Received {
        if self.rest.is_empty() {
            match poll_chunk(&mut self.recv, cx) {
                Poll::Ready(Ok(Some(chunk))) => self.rest = chunk.bytes,
                Poll::Ready(Ok(None)) => return self.finish(),
                Poll::Ready(Err(_)) => return Received::Abandoned,
                Poll::Pending => {}
            }
        }
        Received::Streaming
    }

    /// The next piece of a streaming body, of what has arrived at most `limit` bytes gathered into one; `None` at its
    /// end. Waits only if nothing is there.
    pub(crate) fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<Option<Bytes>, ContentError>> {
        // The head is never read again.
        let mut head = RequestHead::default();
        let before = self.overhead;
        loop {
            match self.reader.read(&mut self.rest, &mut head, &mut self.trailers) {
                Ok(Some(Part::Data(bytes))) => {
                    self.gather(bytes, usize::MAX)
                        .map_err(|_| ContentError::Reset(None))?;
                    if self.body_len() >= limit {
                        return Poll::Ready(Ok(Some(self.take_body())));
                    }
                    continue;
                }
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(MessageError::Protocol(error)) => return Poll::Ready(Err(ContentError::Protocol(error))),
                Err(_) => return Poll::Ready(Err(ContentError::TrailersTooLarge)),
            }
            self.overhead = self.overhead.saturating_add(self.reader.take_overhead());
            if self.overhead - before >= OVERHEAD_PER_TURN {
                if self.body_len() > 0 {
                    return Poll::Ready(Ok(Some(self.take_body())));
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match poll_chunk(&mut self.recv, cx) {
                Poll::Ready(Ok(Some(chunk))) => self.rest = chunk.bytes,
                Poll::Pending if self.body_len() == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(Some(self.take_body()))),
                Poll::Ready(Ok(None)) if self.body_len() > 0 => {
                    return Poll::Ready(Ok(Some(self.take_body())));
                }
                // Of a tunnel it is the orderly end (RFC9220-3-orderly-end).
                Poll::Ready(Ok(None)) => {
                    return Poll::Ready(match self.reader.finish() {
                        Ok(()) => Ok(None),
                        Err(MessageError::Protocol(error)) => Err(ContentError::Protocol(error)),
                        Err(_) => Err(ContentError::TrailersTooLarge),
                    });
                }
                Poll::Ready(Err(ReadError::Reset(code))) => {
                    return Poll::Ready(Err(ContentError::Reset(Some(code.into_inner()))));
                }
                // What came before counts; the error comes again.
                Poll::Ready(Err(_)) if self.body_len() > 0 => {
                    return Poll::Ready(Ok(Some(self.take_body())));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(ContentError::Reset(None))),
            }
        }
    }

    /// Whether the stream is known to be a request; its first bytes are then in `rest`.
    fn classify(&mut self) -> Result<bool, Received> {
        // Frame types below 0x40 are one byte long, and none of them begins a WebTransport stream.
        if self.prefix.is_empty() && self.rest.first().is_some_and(|byte| *byte < 0x40) {
            self.is_request = true;
            return Ok(true);
        }
        self.prefix.extend_from_slice(&self.rest);
        self.rest = Bytes::new();
        match classify_bidi(&self.prefix[..self.prefix.len().min(MAX_PREFIX_BYTES)]) {
            Ok(None) => Ok(false),
            Ok(Some(BidiKind::WebTransport { session, prefix_len })) => {
                self.rest = self.prefix.split().freeze().split_off(prefix_len);
                Err(Received::WebTransport { session })
            }
            Ok(Some(BidiKind::Request)) => {
                self.rest = self.prefix.split().freeze();
                self.is_request = true;
                Ok(true)
            }
            Err(error) => Err(received_error(MessageError::Protocol(error))),
        }
    }

    fn gather(&mut self, bytes: Bytes, limit: usize) -> Result<(), Received> {
        if self.body_len() + bytes.len() > limit {
            return Err(Received::Refused(Refusal::status(413)));
        }
        self.body = match std::mem::take(&mut self.body) {
            Body::Empty => Body::One(bytes),
            // A small view may pin a much larger receive buffer: from the second piece on, own the bytes.
            Body::One(first) => {
                let mut buffer = BytesMut::with_capacity((first.len() + bytes.len()).max(2048));
                buffer.extend_from_slice(&first);
                buffer.extend_from_slice(&bytes);
                Body::Gathered(buffer)
            }
            Body::Gathered(mut buffer) => {
                buffer.extend_from_slice(&bytes);
                Body::Gathered(buffer)
            }
        };
        Ok(())
    }

    /// Before a wait: a piece that arrived is not left pinning its packet.
    pub(crate) fn settle(&mut self) {
        if let Body::One(bytes) = &self.body {
            let mut buffer = BytesMut::with_capacity(bytes.len().max(2048));
            buffer.extend_from_slice(bytes);
            self.body = Body::Gathered(buffer);
        }
    }

    fn body_len(&self) -> usize {
        match &self.body {
            Body::Empty => 0,
            Body::One(bytes) => bytes.len(),
            Body::Gathered(buffer) => buffer.len(),
        }
    }

    fn finish(&self) -> Received {
        match self.reader.finish() {
            Ok(()) => Received::Complete,
            Err(error) => received_error(error),
        }
    }
}

/// The future may be made anew for each poll: quinn keeps the waker with the stream.
fn poll_chunk(stream: &mut RecvStream, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, ReadError>> {
    pin!(stream.read_chunk(CHUNK_BYTES, true)).poll(cx)
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
