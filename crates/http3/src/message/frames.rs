//! The order and the sizes of frames on a request stream.

use bytes::{Buf, Bytes};

use super::MessageError;
use crate::code::Code;
use crate::error::Error;
use crate::field_section::FieldLimits;
use crate::frame::{self, HeaderReader};
use crate::uni_stream::Role;

/// A DATA frame with fewer bytes than this brings less content than it takes to read it: it counts as overhead. Lines of
/// text sent one by one stay above it.
const SMALL_DATA: u64 = 8;

/// Reads frames, skips unknown ones and refuses misplaced ones.
#[derive(Debug)]
pub(crate) struct MessageFrames {
    role: Role,
    limits: FieldLimits,
    header: HeaderReader,
    state: State,
    phase: Phase,
    content: Content,
    /// What `content-length` promised.
    expected: Option<u64>,
    /// Bytes of content announced by DATA frames so far.
    announced: u64,
    /// A HEADERS frame that arrives in pieces; never longer than the limit.
    gathered: Vec<u8>,
    /// Frames without content since they were last asked for.
    overhead: u32,
}

/// Something the frames contained.
pub(crate) enum Event {
    /// A complete HEADERS frame of a head. Take it with [`MessageFrames::section`].
    Head(Section),
    /// A complete HEADERS frame of trailers.
    Trailers(Section),
    /// A piece of content.
    Data(Bytes),
}

/// Where the payload of a HEADERS frame is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Section {
    /// The first bytes of the chunk.
    Chunk(usize),
    /// Gathered from several chunks.
    Gathered,
}

/// What may follow the final head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Content and trailers.
    Allowed,
    /// No content (RFC 9110 §6.4.1).
    Forbidden,
    /// The data of a tunnel, without trailers (RFC 9114 §4.4).
    Tunnel,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Section(usize),
    Data(u64),
    Skip(u64),
    Failed(MessageError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Content,
    Trailers,
}

impl MessageFrames {
    pub(crate) fn new(role: Role, limits: FieldLimits) -> Self {
        Self {
            role,
            limits,
            header: HeaderReader::default(),
            state: State::Header,
            phase: Phase::Head,
            content: Content::Allowed,
            expected: None,
            announced: 0,
            gathered: Vec::new(),
            overhead: 0,
        }
    }

    /// Frames since the last call that were skipped, or brought (almost) no content (RFC 9114 §10.5).
    #[inline]
    pub(crate) fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    pub(crate) fn limits(&self) -> FieldLimits {
        self.limits
    }

    /// Takes the next event from the front of `chunk`; `None`: all of it was consumed.
    #[inline]
    pub(crate) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, MessageError> {
        loop {
            match self.state {
                State::Header => match self.header.read(chunk) {
                    Some((kind, length)) => self.state = self.begin_frame(kind, length)?,
                    None => return Ok(None),
                },
                State::Section(missing) => return Ok(self.gather(chunk, missing)),
                State::Data(0) | State::Skip(0) => self.state = State::Header,
                State::Data(_) | State::Skip(_) if chunk.is_empty() => return Ok(None),
                State::Data(remaining) => {
                    let piece = front(chunk, remaining);
                    self.state = State::Data(remaining - piece as u64);
                    return Ok(Some(Event::Data(chunk.split_to(piece))));
                }
                State::Skip(remaining) => {
                    let piece = front(chunk, remaining);
                    self.state = State::Skip(remaining - piece as u64);
                    chunk.advance(piece);
                }
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// The payload of a HEADERS frame that [`next`](Self::next) found in `chunk`.
    #[inline]
    pub(crate) fn section<'a>(&'a self, chunk: &'a Bytes, section: Section) -> &'a [u8] {
        match section {
            Section::Chunk(length) => &chunk[..length],
            Section::Gathered => &self.gathered,
        }
    }

    /// Consumes the payload of a HEADERS frame.
    #[inline]
    pub(crate) fn consume(&mut self, chunk: &mut Bytes, section: Section) {
        match section {
            Section::Chunk(length) => chunk.advance(length),
            Section::Gathered => self.gathered = Vec::new(),
        }
        self.state = State::Header;
    }

    /// The final head was decoded: what follows it, and how much.
    pub(crate) fn expect_content(&mut self, content: Content, length: Option<u64>) {
        self.phase = Phase::Content;
        self.content = content;
        self.expected = length;
    }

    /// The trailers were decoded.
    pub(crate) fn expect_end(&mut self) {
        self.phase = Phase::Trailers;
    }

    /// Every later call returns `error`.
    #[cold]
    pub(crate) fn fail(&mut self, error: MessageError) {
        self.gathered = Vec::new();
        self.state = State::Failed(error);
    }

    /// The stream ended cleanly: is the message complete?
    pub(crate) fn finish(&self) -> Result<(), MessageError> {
        match self.state {
            State::Header if self.header.is_empty() => {}
            State::Data(0) | State::Skip(0) => {}
            State::Failed(error) => return Err(error),
            // RFC9114-7.1-truncated-frame, RFC9114-7.1-truncated-response
            _ => return Err(Error::connection(Code::H3_FRAME_ERROR, "stream ended inside a frame").into()),
        }
        match (self.phase, self.role) {
            // RFC9114-4.1-request-incomplete
            (Phase::Head, Role::Server) => Err(Error::stream(
                Code::H3_REQUEST_INCOMPLETE,
                "stream ended before the request head",
            )
            .into()),
            // RFC9114-4.1-response-incomplete
            (Phase::Head, Role::Client) => {
                Err(Error::malformed("stream ended before the final response").into())
            }
            // RFC9114-4.1.2-content-shorter
            _ if self.expected.is_some_and(|expected| self.announced < expected) => {
                Err(Error::malformed("content shorter than content-length").into())
            }
            _ => Ok(()),
        }
    }

    /// A HEADERS frame: complete in `chunk`, or gathered.
    fn gather(&mut self, chunk: &mut Bytes, missing: usize) -> Option<Event> {
        let section = if self.gathered.is_empty() && chunk.len() >= missing {
            Section::Chunk(missing)
        } else {
            let piece = missing.min(chunk.len());
            self.gathered.extend_from_slice(&chunk[..piece]);
            chunk.advance(piece);
            self.state = State::Section(missing - piece);
            if piece < missing {
                return None;
            }
            Section::Gathered
        };
        Some(if self.phase == Phase::Head {
            Event::Head(section)
        } else {
            Event::Trailers(section)
        })
    }

    /// Judges a frame by its type, its length and what came before (RFC9114-4.1-frame-order).
    fn begin_frame(&mut self, kind: u64, length: u64) -> Result<State, MessageError> {
        match kind {
            frame::DATA => self.begin_data(length),
            frame::HEADERS => self.begin_section(length),
            frame::PUSH_PROMISE if self.role == Role::Client => {
                // We never allow a push id (RFC9114-7.2.5-push-promise-not-allowed).
                Err(Error::connection(Code::H3_ID_ERROR, "push promise without an allowed push id").into())
            }
            frame::WEBTRANSPORT_STREAM => {
                Err(Error::connection(Code::H3_FRAME_ERROR, "WebTransport signal inside a stream").into())
            }
            kind if frame::is_misplaced_on_request_stream(kind) => {
                Err(unexpected("frame not allowed on a request stream"))
            }
            // RFC9114-4.1-unknown-frames, RFC9114-7.2.8-reserved-frames
            _ => {
                self.overhead = self.overhead.saturating_add(1);
                Ok(State::Skip(length))
            }
        }
    }

    fn begin_data(&mut self, length: u64) -> Result<State, MessageError> {
        match self.phase {
            // RFC9114-4.1-data-before-head, RFC9114-4.1-data-after-interim, RFC9110-6.4.1-1xx-content
            Phase::Head => return Err(unexpected("DATA before the final head")),
            // RFC9114-4.1-data-after-trailers
            Phase::Trailers => return Err(unexpected("DATA after trailers")),
            Phase::Content => {}
        }
        // RFC9114-4.1.2-content-forbidden
        if self.content == Content::Forbidden && length > 0 {
            return Err(Error::malformed("content in a message that has none").into());
        }
        if length < SMALL_DATA {
            self.overhead = self.overhead.saturating_add(1);
        }
        self.announced = self.announced.saturating_add(length);
        // RFC9114-4.1.2-content-longer
        if self.expected.is_some_and(|expected| self.announced > expected) {
            return Err(Error::malformed("content longer than content-length").into());
        }
        Ok(State::Data(length))
    }

    fn begin_section(&mut self, length: u64) -> Result<State, MessageError> {
        let too_large = match self.phase {
            Phase::Head => MessageError::HeadTooLarge,
            // RFC9114-4.4-connect-headers
            Phase::Content if self.content == Content::Tunnel => {
                return Err(unexpected("HEADERS in a tunnel"));
            }
            Phase::Content => MessageError::TrailersTooLarge,
            // RFC9114-4.1-headers-after-trailers
            Phase::Trailers => return Err(unexpected("HEADERS after trailers")),
        };
        // RFC9114-10.5-header-bytes, RFC9114-4.2.2-head-too-large, RFC9114-4.2.2-trailers-too-large,
        // RFC9114-4.2.2-response-too-large
        match usize::try_from(length) {
            Ok(length) if length <= self.limits.max_bytes => Ok(State::Section(length)),
            _ => Err(too_large),
        }
    }
}

/// How much of a frame is in `chunk`, whatever length it has (RFC9114-7.1-huge-length).
#[inline]
fn front(chunk: &Bytes, remaining: u64) -> usize {
    usize::try_from(remaining).map_or(chunk.len(), |remaining| remaining.min(chunk.len()))
}

#[cold]
fn unexpected(reason: &'static str) -> MessageError {
    Error::connection(Code::H3_FRAME_UNEXPECTED, reason).into()
}
