//! Reads the response on a request stream: the client's side.

use bytes::Bytes;

use crate::capsule_message;
use crate::error::Error;
use crate::field_section::{FieldLimits, FieldSection};
use crate::message::{Content, Event, MessageError, MessageFrames, Part, section_error};
use crate::response_head::ResponseHead;
use crate::trailers;
use crate::uni_stream::Role;

/// What a response answers, which decides whether content follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseTo {
    /// A HEAD request: never any content (RFC 9110 §9.3.2).
    Head,
    /// A CONNECT request: after 2xx a tunnel, which only DATA frames make up (RFC 9114 §4.4).
    Connect,
    /// An extended CONNECT whose tunnel is made of capsules (RFC 9297 §3).
    Capsules,
    /// Any other request.
    Other,
}

/// Reads the response on a request stream (RFC 9114 §4.1). Allocates only when a HEADERS frame arrives in
/// pieces.
#[derive(Debug)]
pub struct ResponseReader {
    frames: MessageFrames,
    to: ResponseTo,
}

impl ResponseReader {
    /// A stream at its beginning, on which the request `to` was sent.
    pub fn new(limits: FieldLimits, to: ResponseTo) -> Self {
        Self {
            frames: MessageFrames::new(Role::Client, limits),
            to,
        }
    }

    /// Takes the next part from the front of `chunk`; `None`: all of it was consumed, feed the next.
    /// [`Part::Head`] comes once for each informational response and once for the final one. `head` and
    /// `trailers` are filled when [`Part::Head`] and [`Part::Trailers`] are returned, and hold nothing of use
    /// after an error.
    ///
    /// # Errors
    /// See [`MessageError`]. The reader then stays failed: every later call returns the same.
    pub fn read(
        &mut self,
        chunk: &mut Bytes,
        head: &mut ResponseHead,
        trailers: &mut FieldSection,
    ) -> Result<Option<Part>, MessageError> {
        let part = self.read_part(chunk, head, trailers);
        if let Err(error) = part {
            self.frames.fail(error);
        }
        part
    }

    /// Frames without content since the last call; see [`RequestReader::take_overhead`](crate::RequestReader::take_overhead).
    pub fn take_overhead(&mut self) -> u32 {
        self.frames.take_overhead()
    }

    /// The server ended the stream cleanly.
    ///
    /// # Errors
    /// H3_MESSAGE_ERROR, stream: no final head, or less content than `content-length` said (RFC 9114 §4.1.2).
    /// H3_FRAME_ERROR, connection: inside a frame (§7.1).
    pub fn finish(&self) -> Result<(), MessageError> {
        self.frames.finish()
    }

    fn read_part(
        &mut self,
        chunk: &mut Bytes,
        head: &mut ResponseHead,
        trailers: &mut FieldSection,
    ) -> Result<Option<Part>, MessageError> {
        let limits = self.frames.limits();
        match self.frames.next(chunk)? {
            None => Ok(None),
            Some(Event::Data(data)) => Ok(Some(Part::Data(data))),
            Some(Event::Head(section)) => {
                head.decode(self.frames.section(chunk, section), limits)
                    .map_err(|error| section_error(error, MessageError::HeadTooLarge))?;
                self.frames.consume(chunk, section);
                // RFC9110-15.2-several-informational
                if !head.is_informational() {
                    let (content, length) = self.content_of(head)?;
                    self.frames.expect_content(content, length);
                }
                Ok(Some(Part::Head))
            }
            Some(Event::Trailers(section)) => {
                trailers::decode(self.frames.section(chunk, section), limits, trailers)
                    .map_err(|error| section_error(error, MessageError::TrailersTooLarge))?;
                self.frames.consume(chunk, section);
                self.frames.expect_end();
                Ok(Some(Part::Trailers))
            }
        }
    }

    /// What follows a final head (RFC 9110 §6.4.1). A response that never has content may still state the
    /// length of what it stands for (RFC 9114 §4.1.2).
    fn content_of(&self, head: &ResponseHead) -> Result<(Content, Option<u64>), Error> {
        Ok(match (self.to, head.status()) {
            // RFC9110-9.3.6-answer-length
            (ResponseTo::Connect, 200..300) => (Content::Tunnel, None),
            (ResponseTo::Capsules, status @ 200..300) => {
                capsule_message::check_status(status)
                    .and_then(|()| capsule_message::check_fields(head.fields()))
                    .map_err(Error::malformed)?;
                (Content::Tunnel, None)
            }
            // RFC9114-4.1.2-length-without-content, RFC9110-6.4.1-head-content, RFC9110-6.4.1-204-content,
            // RFC9110-6.4.1-304-content
            (ResponseTo::Head, _) | (_, 204 | 304) => (Content::Forbidden, None),
            _ => (Content::Allowed, head.content_length()),
        })
    }
}

#[cfg(test)]
mod tests;
