//! Reads the request on a request stream: the server's side.

use bytes::Bytes;

use crate::field_section::{FieldLimits, FieldSection};
use crate::message::{Content, Event, MessageError, MessageFrames, Part, section_error};
use crate::request_head::RequestHead;
use crate::trailers;
use crate::uni_stream::Role;

/// Reads the request on a request stream (RFC 9114 §4.1). Allocates only when a HEADERS frame arrives in
/// pieces.
#[derive(Debug)]
pub struct RequestReader {
    frames: MessageFrames,
}

impl RequestReader {
    /// A stream at its beginning.
    pub fn new(limits: FieldLimits) -> Self {
        Self {
            frames: MessageFrames::new(Role::Server, limits),
        }
    }

    /// Takes the next part from the front of `chunk`; `None`: all of it was consumed, feed the next. `head`
    /// and `trailers` are filled when [`Part::Head`] and [`Part::Trailers`] are returned, and hold nothing of
    /// use after an error.
    ///
    /// # Errors
    /// See [`MessageError`]. The reader then stays failed: every later call returns the same.
    #[inline]
    pub fn read(
        &mut self,
        chunk: &mut Bytes,
        head: &mut RequestHead,
        trailers: &mut FieldSection,
    ) -> Result<Option<Part>, MessageError> {
        let part = self.read_part(chunk, head, trailers);
        if let Err(error) = part {
            self.frames.fail(error);
        }
        part
    }

    /// Frames read since the last call that were no progress: unknown ones, and DATA of fewer than 8 bytes. They are
    /// allowed, and many are a load (RFC 9114 §10.5): the caller decides how many are too many.
    #[inline]
    pub fn take_overhead(&mut self) -> u32 {
        self.frames.take_overhead()
    }

    /// The client ended the stream cleanly.
    ///
    /// # Errors
    /// H3_REQUEST_INCOMPLETE, stream: no head was there (RFC 9114 §4.1). H3_FRAME_ERROR, connection: inside a
    /// frame (§7.1). H3_MESSAGE_ERROR, stream: less content than `content-length` said (§4.1.2).
    pub fn finish(&self) -> Result<(), MessageError> {
        self.frames.finish()
    }

    #[inline]
    fn read_part(
        &mut self,
        chunk: &mut Bytes,
        head: &mut RequestHead,
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
                let content = if head.is_connect() {
                    Content::Tunnel
                } else {
                    Content::Allowed
                };
                self.frames.expect_content(content, head.content_length());
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
}

#[cfg(test)]
mod tests;
