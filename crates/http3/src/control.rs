//! The peer's control stream (RFC 9114 §6.2.1).

use bytes::{Buf, Bytes, BytesMut};

use crate::code::Code;
use crate::error::Error;
use crate::frame::{self, HeaderReader};
use crate::settings::Settings;
use crate::uni_stream::Role;
use crate::varint;

/// Largest SETTINGS payload: more than 200 settings of the largest encoding.
const MAX_SETTINGS: u64 = 4096;
/// Largest PRIORITY_UPDATE payload; known priority parameters need about 10 bytes.
const MAX_PRIORITY_UPDATE: u64 = 1024;

/// A frame of the peer's control stream. There is no CANCEL_PUSH: without allowed push ids each one is an
/// error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlFrame {
    /// SETTINGS: always the first, and once (RFC 9114 §7.2.4).
    Settings(Settings),
    /// GOAWAY (RFC 9114 §5.2). From a server: the first request stream it will not process. From a client: a
    /// push id.
    Goaway(u64),
    /// MAX_PUSH_ID, from a client (RFC 9114 §7.2.7).
    MaxPushId(u64),
    /// PRIORITY_UPDATE for a request, from a client (RFC 9218 §7.2).
    PriorityUpdate {
        /// The request stream; it may not exist yet.
        stream: u64,
        /// The priority field value, unchecked; at most 1 KiB.
        value: Bytes,
    },
}

/// Reads the peer's control stream, behind its stream type. Holds at most 4 KiB.
#[derive(Debug)]
pub struct ControlReader {
    role: Role,
    header: HeaderReader,
    state: State,
    gathered: BytesMut,
    settings_seen: bool,
    last_goaway: Option<u64>,
    max_push_id: Option<u64>,
    overhead: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Header,
    Payload { kind: u64, length: usize },
    Skip(u64),
}

impl ControlReader {
    /// A stream at its beginning. `role` is ours.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            header: HeaderReader::default(),
            state: State::Header,
            gathered: BytesMut::new(),
            settings_seen: false,
            last_goaway: None,
            max_push_id: None,
            overhead: 0,
        }
    }

    /// Frames read since the last call, SETTINGS not counted: each is allowed, and many are a load (RFC 9114 §10.5).
    pub fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    /// Takes the next frame from the front of `chunk`; `None`: all of it was consumed, feed the next. Unknown
    /// frames are skipped, whatever their length (RFC 9114 §9).
    ///
    /// # Errors
    /// All close the connection; do not read on.
    /// - H3_MISSING_SETTINGS: the first frame is another (RFC 9114 §6.2.1).
    /// - H3_FRAME_UNEXPECTED: a second SETTINGS (§7.2.4), or a frame of request streams, of HTTP/2 or of the
    ///   other role (§7.2).
    /// - H3_FRAME_ERROR: a payload longer or shorter than its fields (§7.1).
    /// - H3_SETTINGS_ERROR: see [`Settings::decode`].
    /// - H3_ID_ERROR: GOAWAY that grows or names no request stream (§5.2), MAX_PUSH_ID that shrinks (§7.2.7),
    ///   any CANCEL_PUSH or priority of a push, since no push id was ever allowed, or a priority of no request
    ///   stream (RFC 9218 §7.2).
    /// - H3_EXCESSIVE_LOAD: SETTINGS above 4 KiB or PRIORITY_UPDATE above 1 KiB.
    pub fn read(&mut self, chunk: &mut Bytes) -> Result<Option<ControlFrame>, Error> {
        loop {
            match self.state {
                State::Header => match self.header.read(chunk) {
                    Some((kind, length)) => self.state = self.begin_frame(kind, length)?,
                    None => return Ok(None),
                },
                State::Payload { kind, length } => {
                    let Some(payload) = self.gather(chunk, length) else {
                        return Ok(None);
                    };
                    self.state = State::Header;
                    return self.decode_frame(kind, payload).map(Some);
                }
                State::Skip(0) => self.state = State::Header,
                State::Skip(_) if chunk.is_empty() => return Ok(None),
                State::Skip(remaining) => {
                    let piece = usize::try_from(remaining).map_or(chunk.len(), |left| left.min(chunk.len()));
                    chunk.advance(piece);
                    self.state = State::Skip(remaining - piece as u64);
                }
            }
        }
    }

    /// The stream ended or was reset, even inside a frame (RFC9114-6.2.1-control-finished, RFC9114-6.2.1-control-reset).
    pub fn ended(&self) -> Error {
        Error::connection(Code::H3_CLOSED_CRITICAL_STREAM, "control stream closed")
    }

    /// Judges a frame before anything of it is held.
    fn begin_frame(&mut self, kind: u64, length: u64) -> Result<State, Error> {
        match (kind, self.settings_seen) {
            // RFC9114-7.2.4-settings-repeated
            (frame::SETTINGS, true) => return Err(unexpected("second SETTINGS")),
            (frame::SETTINGS, false) => self.settings_seen = true,
            // RFC9114-6.2.1-first-frame, RFC9114-9-unknown-first-frame
            (_, false) => {
                return Err(Error::connection(
                    Code::H3_MISSING_SETTINGS,
                    "first frame is not SETTINGS",
                ));
            }
            _ => self.overhead = self.overhead.saturating_add(1),
        }
        let largest = match (kind, self.role) {
            (frame::SETTINGS, _) => MAX_SETTINGS,
            (frame::GOAWAY | frame::CANCEL_PUSH, _) => return begin_integer(kind, length),
            (frame::MAX_PUSH_ID, Role::Server) => return begin_integer(kind, length),
            (frame::PRIORITY_UPDATE_REQUEST | frame::PRIORITY_UPDATE_PUSH, Role::Server) => {
                MAX_PRIORITY_UPDATE
            }
            // RFC9114-7.2.7-max-push-id-from-server
            (frame::MAX_PUSH_ID, Role::Client) => return Err(unexpected("MAX_PUSH_ID from a server")),
            (frame::PRIORITY_UPDATE_REQUEST | frame::PRIORITY_UPDATE_PUSH, Role::Client) => {
                return Err(unexpected("PRIORITY_UPDATE from a server"));
            }
            // RFC9114-7.2.1-data-on-control, RFC9114-7.2.2-headers-on-control, RFC9114-7.2.5-push-promise-on-control
            (frame::DATA | frame::HEADERS | frame::PUSH_PROMISE, _) => {
                return Err(unexpected("frame not allowed on the control stream"));
            }
            (frame::WEBTRANSPORT_STREAM, _) => {
                return Err(Error::connection(
                    Code::H3_FRAME_ERROR,
                    "WebTransport signal on the control stream",
                ));
            }
            // RFC9114-7.2.8-http2-on-control
            (kind, _) if frame::is_http2_only(kind) => return Err(unexpected("frame type of HTTP/2")),
            // RFC9114-7.2.8-reserved-frames
            _ => return Ok(State::Skip(length)),
        };
        // RFC9114-10.5-settings-length
        if length > largest {
            return Err(Error::connection(
                Code::H3_EXCESSIVE_LOAD,
                "control frame too long",
            ));
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
        (self.gathered.len() == length).then(|| self.gathered.split().freeze())
    }

    fn decode_frame(&mut self, kind: u64, payload: Bytes) -> Result<ControlFrame, Error> {
        match kind {
            frame::SETTINGS => self.decode_settings(&payload),
            frame::GOAWAY => self.decode_goaway(decode_integer(&payload)?),
            frame::MAX_PUSH_ID => self.decode_max_push_id(decode_integer(&payload)?),
            frame::PRIORITY_UPDATE_REQUEST => decode_priority_update(payload),
            frame::CANCEL_PUSH => {
                decode_integer(&payload)?;
                // As a server we promised no push (RFC9114-7.2.3-cancel-push-unpromised), as a client we allowed none
                // (RFC9114-7.2.3-cancel-push-not-allowed).
                Err(id_error("CANCEL_PUSH for a push that does not exist"))
            }
            // RFC 9218 §7.2.
            _ => Err(id_error("priority of a push that does not exist")),
        }
    }

    fn decode_settings(&self, payload: &[u8]) -> Result<ControlFrame, Error> {
        let settings = Settings::decode(payload)?;
        // draft-ietf-webtrans-http3-16 §3.1: a rule for clients.
        if self.role == Role::Client && settings.webtransport.enabled > 1 {
            return Err(Error::connection(
                Code::H3_SETTINGS_ERROR,
                "SETTINGS_WT_ENABLED must be 0 or 1",
            ));
        }
        Ok(ControlFrame::Settings(settings))
    }

    fn decode_goaway(&mut self, id: u64) -> Result<ControlFrame, Error> {
        // RFC9114-7.2.6-goaway-id
        if self.role == Role::Client && !id.is_multiple_of(4) {
            return Err(id_error("GOAWAY names no request stream"));
        }
        // RFC9114-5.2-goaway-grows
        if self.last_goaway.is_some_and(|last| id > last) {
            return Err(id_error("GOAWAY id grew"));
        }
        self.last_goaway = Some(id);
        Ok(ControlFrame::Goaway(id))
    }

    fn decode_max_push_id(&mut self, id: u64) -> Result<ControlFrame, Error> {
        // RFC9114-7.2.7-max-push-id-shrinks
        if self.max_push_id.is_some_and(|last| id < last) {
            return Err(id_error("MAX_PUSH_ID shrank"));
        }
        self.max_push_id = Some(id);
        Ok(ControlFrame::MaxPushId(id))
    }
}

/// A frame whose payload is one integer cannot be longer than that (RFC9114-7.1-extra-bytes).
fn begin_integer(kind: u64, length: u64) -> Result<State, Error> {
    if length > varint::MAX_LEN as u64 {
        return Err(frame_error());
    }
    Ok(State::Payload {
        kind,
        length: length as usize,
    })
}

/// One integer that fills the payload exactly (RFC9114-7.1-extra-bytes, RFC9114-7.1-short-payload,
/// RFC9114-10.8-nested-lengths).
fn decode_integer(payload: &[u8]) -> Result<u64, Error> {
    match varint::decode(payload) {
        Some((value, length)) if length == payload.len() => Ok(value),
        _ => Err(frame_error()),
    }
}

/// RFC 9218 §7.2.
fn decode_priority_update(mut payload: Bytes) -> Result<ControlFrame, Error> {
    let (stream, length) = varint::decode(&payload).ok_or_else(frame_error)?;
    if !stream.is_multiple_of(4) {
        return Err(id_error("PRIORITY_UPDATE names no request stream"));
    }
    payload.advance(length);
    Ok(ControlFrame::PriorityUpdate {
        stream,
        value: payload,
    })
}

fn frame_error() -> Error {
    Error::connection(
        Code::H3_FRAME_ERROR,
        "control frame longer or shorter than its fields",
    )
}

fn id_error(reason: &'static str) -> Error {
    Error::connection(Code::H3_ID_ERROR, reason)
}

fn unexpected(reason: &'static str) -> Error {
    Error::connection(Code::H3_FRAME_UNEXPECTED, reason)
}

#[cfg(test)]
mod tests;
