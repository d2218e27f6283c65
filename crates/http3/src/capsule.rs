//! Capsules on the data stream of an extended CONNECT (RFC 9297 §3): HTTP datagrams, and the capsules of
//! WebTransport sessions (draft-ietf-webtrans-http3-16).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::code::{Code, WT_FLOW_CONTROL_ERROR};
use crate::error::Error;
use crate::frame::{self, HeaderReader};
use crate::varint;

const DATAGRAM: u64 = 0x00;
const CLOSE_SESSION: u64 = 0x2843;
const DRAIN_SESSION: u64 = 0x78ae;
const MAX_DATA: u64 = 0x190b_4d3d;
const MAX_STREAM_DATA: u64 = 0x190b_4d3e;
const MAX_STREAMS_BIDI: u64 = 0x190b_4d3f;
const MAX_STREAMS_UNI: u64 = 0x190b_4d40;
const DATA_BLOCKED: u64 = 0x190b_4d41;
const STREAM_DATA_BLOCKED: u64 = 0x190b_4d42;
const STREAMS_BLOCKED_BIDI: u64 = 0x190b_4d43;
const STREAMS_BLOCKED_UNI: u64 = 0x190b_4d44;

/// Longest reason of [`Capsule::CloseSession`], in bytes (draft-ietf-webtrans-http3-16 §6).
pub const MAX_CLOSE_REASON: usize = 1024;

/// A capsule that is understood here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capsule {
    /// An HTTP datagram (RFC 9297 §3.5).
    Datagram(Bytes),
    /// WT_CLOSE_SESSION: the last capsule of a session.
    CloseSession {
        /// The application's error code.
        code: u32,
        /// UTF-8, at most [`MAX_CLOSE_REASON`] bytes.
        reason: Bytes,
    },
    /// WT_DRAIN_SESSION: end the session soon.
    DrainSession,
    /// WT_MAX_DATA: how many bytes may be sent on streams of the session in all.
    MaxData(u64),
    /// WT_MAX_STREAMS, bidirectional: how many may be opened in all.
    MaxStreamsBidi(u64),
    /// WT_MAX_STREAMS, unidirectional: how many may be opened in all.
    MaxStreamsUni(u64),
    /// WT_DATA_BLOCKED: the limit that keeps the peer from sending.
    DataBlocked(u64),
    /// WT_STREAMS_BLOCKED, bidirectional: the limit that keeps the peer from opening one.
    StreamsBlockedBidi(u64),
    /// WT_STREAMS_BLOCKED, unidirectional: the limit that keeps the peer from opening one.
    StreamsBlockedUni(u64),
}

/// Reads capsules from the content of a CONNECT stream. Unknown ones are skipped, whatever their length
/// (RFC9297-3.2-unknown-capsule); so are datagrams above the limit, which may be lost anyway
/// (RFC9297-3.5-datagram-limits). Flow control limits are judged by
/// [`SessionFlow`](crate::webtransport::SessionFlow), because without flow control they are ignored
/// (§5.1).
#[derive(Debug)]
pub struct CapsuleReader {
    max_payload: usize,
    understood: Understood,
    header: HeaderReader,
    state: State,
    gathered: BytesMut,
    dropped_datagrams: u64,
    overhead: u32,
}

/// Which capsules are not skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Understood {
    Datagrams,
    WebTransport,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Payload { kind: u64, length: usize },
    Skip(u64),
    Closed,
}

impl CapsuleReader {
    /// A WebTransport session at its beginning. `max_payload` is the largest datagram accepted, in bytes.
    pub fn new(max_payload: usize) -> Self {
        Self::with(Understood::WebTransport, max_payload)
    }

    /// The data stream of another protocol at its beginning: DATAGRAM is understood, and everything else skipped (RFC 9297
    /// §3.2). `max_payload` is the largest datagram accepted, in bytes.
    pub fn of_datagrams(max_payload: usize) -> Self {
        Self::with(Understood::Datagrams, max_payload)
    }

    fn with(understood: Understood, max_payload: usize) -> Self {
        Self {
            max_payload,
            understood,
            header: HeaderReader::default(),
            state: State::Header,
            gathered: BytesMut::new(),
            dropped_datagrams: 0,
            overhead: 0,
        }
    }

    /// Takes the next capsule from the front of `chunk`; `None`: all of it was consumed, feed the next.
    ///
    /// # Errors
    /// All end the stream. H3_MESSAGE_ERROR: a payload longer or shorter than its fields, a close reason that
    /// is too long or no UTF-8, or bytes behind WT_CLOSE_SESSION (RFC 9297 §3.3, draft-ietf-webtrans-http3-16
    /// §6). WT_FLOW_CONTROL_ERROR: a flow control capsule of streams, which HTTP/3 leaves to QUIC (§5.4).
    pub fn read(&mut self, chunk: &mut Bytes) -> Result<Option<Capsule>, Error> {
        loop {
            match self.state {
                State::Header => match self.header.read(chunk) {
                    Some((kind, length)) => self.state = self.begin_capsule(kind, length)?,
                    None => return Ok(None),
                },
                State::Payload { kind, length } => {
                    let Some(payload) = self.gather(chunk, length) else {
                        return Ok(None);
                    };
                    self.state = if kind == CLOSE_SESSION {
                        State::Closed
                    } else {
                        State::Header
                    };
                    return decode_capsule(kind, payload).map(Some);
                }
                State::Skip(0) => self.state = State::Header,
                State::Skip(_) | State::Closed if chunk.is_empty() => return Ok(None),
                State::Skip(remaining) => {
                    let piece = usize::try_from(remaining).map_or(chunk.len(), |left| left.min(chunk.len()));
                    chunk.advance(piece);
                    self.state = State::Skip(remaining - piece as u64);
                }
                State::Closed => return Err(Error::malformed("data after WT_CLOSE_SESSION")),
            }
        }
    }

    /// The peer ended the stream cleanly.
    ///
    /// # Errors
    /// H3_MESSAGE_ERROR, stream: inside a capsule (RFC 9297 §3.3).
    pub fn finish(&self) -> Result<(), Error> {
        match self.state {
            State::Header if self.header.is_empty() => Ok(()),
            State::Skip(0) | State::Closed => Ok(()),
            // RFC9297-3.3-truncated
            _ => Err(Error::malformed("stream ended inside a capsule")),
        }
    }

    /// Capsules read since the last call, those of datagrams not counted: each is allowed, and many are a load (RFC 9114
    /// §10.5).
    pub fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    /// How many datagrams were above the limit and skipped.
    pub fn dropped_datagrams(&self) -> u64 {
        self.dropped_datagrams
    }

    /// Judges a capsule before anything of it is held (RFC9297-3.2-not-accumulated).
    fn begin_capsule(&mut self, kind: u64, length: u64) -> Result<State, Error> {
        if kind != DATAGRAM {
            self.overhead = self.overhead.saturating_add(1);
        }
        let (shortest, longest) = match kind {
            DATAGRAM if length > self.max_payload as u64 => {
                self.dropped_datagrams += 1;
                return Ok(State::Skip(length));
            }
            DATAGRAM => (0, length),
            _ if self.understood == Understood::Datagrams => return Ok(State::Skip(length)),
            CLOSE_SESSION => (4, 4 + MAX_CLOSE_REASON as u64),
            DRAIN_SESSION => (0, 0),
            MAX_DATA | MAX_STREAMS_BIDI | MAX_STREAMS_UNI | DATA_BLOCKED | STREAMS_BLOCKED_BIDI
            | STREAMS_BLOCKED_UNI => (1, varint::MAX_LEN as u64),
            MAX_STREAM_DATA | STREAM_DATA_BLOCKED => {
                let code = Code::from(WT_FLOW_CONTROL_ERROR);
                return Err(Error::stream(code, "flow control capsule of a stream"));
            }
            _ => return Ok(State::Skip(length)),
        };
        // RFC9297-3.3-payload-too-short, RFC9297-3.3-payload-too-long
        if length < shortest || length > longest {
            return Err(Error::malformed("capsule of wrong length"));
        }
        Ok(State::Payload {
            kind,
            length: length as usize,
        })
    }

    /// The whole payload, as a view of `chunk` if it is all there.
    fn gather(&mut self, chunk: &mut Bytes, length: usize) -> Option<Bytes> {
        if self.gathered.is_empty() && chunk.len() >= length {
            return Some(chunk.split_to(length));
        }
        let piece = chunk.len().min(length - self.gathered.len());
        self.gathered.extend_from_slice(&chunk.split_to(piece));
        (self.gathered.len() == length).then(|| std::mem::take(&mut self.gathered).freeze())
    }
}

/// Appends a capsule. A close reason beyond [`MAX_CLOSE_REASON`] bytes is cut at a character.
pub fn write_capsule(out: &mut BytesMut, capsule: &Capsule) {
    match capsule {
        Capsule::Datagram(payload) => {
            frame::write_header(out, DATAGRAM, payload.len() as u64);
            out.extend_from_slice(payload);
        }
        Capsule::CloseSession { code, reason } => {
            let reason = shorten(reason);
            frame::write_header(out, CLOSE_SESSION, 4 + reason.len() as u64);
            out.put_u32(*code);
            out.extend_from_slice(reason);
        }
        Capsule::DrainSession => frame::write_header(out, DRAIN_SESSION, 0),
        Capsule::MaxData(limit) => write_integer(out, MAX_DATA, *limit),
        Capsule::MaxStreamsBidi(limit) => write_integer(out, MAX_STREAMS_BIDI, *limit),
        Capsule::MaxStreamsUni(limit) => write_integer(out, MAX_STREAMS_UNI, *limit),
        Capsule::DataBlocked(limit) => write_integer(out, DATA_BLOCKED, *limit),
        Capsule::StreamsBlockedBidi(limit) => write_integer(out, STREAMS_BLOCKED_BIDI, *limit),
        Capsule::StreamsBlockedUni(limit) => write_integer(out, STREAMS_BLOCKED_UNI, *limit),
    }
}

fn write_integer(out: &mut BytesMut, kind: u64, value: u64) {
    frame::write_header(out, kind, varint::len(value) as u64);
    varint::encode(out, value);
}

/// At most [`MAX_CLOSE_REASON`] bytes, without a cut character (draft-ietf-webtrans-http3-16 §6).
fn shorten(reason: &[u8]) -> &[u8] {
    if reason.len() <= MAX_CLOSE_REASON {
        return reason;
    }
    let is_boundary = |at: &usize| reason[*at] & 0xc0 != 0x80;
    let end = (0..=MAX_CLOSE_REASON).rev().find(is_boundary).unwrap_or(0);
    &reason[..end]
}

fn decode_capsule(kind: u64, mut payload: Bytes) -> Result<Capsule, Error> {
    let from_integer = match kind {
        DATAGRAM => return Ok(Capsule::Datagram(payload)),
        DRAIN_SESSION => return Ok(Capsule::DrainSession),
        CLOSE_SESSION => {
            let code = payload
                .try_get_u32()
                .map_err(|_| Error::malformed("capsule of wrong length"))?;
            return match std::str::from_utf8(&payload) {
                Ok(_) => Ok(Capsule::CloseSession {
                    code,
                    reason: payload,
                }),
                Err(_) => Err(Error::malformed("close reason is not UTF-8")),
            };
        }
        MAX_DATA => Capsule::MaxData,
        MAX_STREAMS_BIDI => Capsule::MaxStreamsBidi,
        MAX_STREAMS_UNI => Capsule::MaxStreamsUni,
        DATA_BLOCKED => Capsule::DataBlocked,
        STREAMS_BLOCKED_BIDI => Capsule::StreamsBlockedBidi,
        _ => Capsule::StreamsBlockedUni,
    };
    match varint::decode(&payload) {
        // RFC9297-3.3-payload-too-short, RFC9297-3.3-payload-too-long
        Some((value, length)) if length == payload.len() => Ok(from_integer(value)),
        _ => Err(Error::malformed("capsule of wrong length")),
    }
}

#[cfg(test)]
mod tests;
