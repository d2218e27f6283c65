//! The sending half of a request stream before the final head.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use quinn::SendStream;
use trilane_http3::Code;

use crate::wire::wire_code;

/// Interim heads that flow control did not take yet. One more is refused above it.
const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// A stream that awaits its final head. Interim heads (1xx) are written into it at once, as far as flow control lets them;
/// the rest goes with the next one or before the final head, so that nothing has to wait for it.
pub(crate) struct AnswerStream {
    stream: SendStream,
    unsent: BytesMut,
    /// When the request began; known only if somebody wants to know how long it takes.
    pub(crate) accepted: Option<Instant>,
}

/// Too many interim heads wait already; this one was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl AnswerStream {
    /// Of a stream into which nothing was written.
    pub(crate) fn new(stream: SendStream) -> Self {
        Self {
            stream,
            unsent: BytesMut::new(),
            accepted: None,
        }
    }

    /// Sends the HEADERS frame of an interim answer.
    pub(crate) fn inform(&mut self, head: &[u8]) -> Result<(), Full> {
        if self.unsent.len() > MAX_UNSENT_BYTES {
            return Err(Full);
        }
        self.unsent.extend_from_slice(head);
        self.flush();
        Ok(())
    }

    /// What has to be sent before the final head, and the stream.
    pub(crate) fn into_parts(self) -> (Bytes, SendStream) {
        (self.unsent.freeze(), self.stream)
    }

    /// The id of the stream.
    pub(crate) fn id(&self) -> u64 {
        self.stream.id().into()
    }

    pub(crate) fn stream(&self) -> &SendStream {
        &self.stream
    }

    /// Whether the peer has said by now that it wants no answer (STOP_SENDING), or is gone.
    pub(crate) fn is_unwanted(&self) -> bool {
        let polled = pin!(self.stream.stopped()).poll(&mut Context::from_waker(Waker::noop()));
        polled.is_ready()
    }

    /// RESET_STREAM; a stream that has ended already stays as it is.
    pub(crate) fn reset(&mut self, code: Code) {
        let _ = self.stream.reset(wire_code(code));
    }

    fn flush(&mut self) {
        // The waker is not needed: the final head takes along what does not fit now.
        let mut cx = Context::from_waker(Waker::noop());
        while !self.unsent.is_empty() {
            let polled = pin!(self.stream.write(&self.unsent)).poll(&mut cx);
            match polled {
                Poll::Ready(Ok(written)) => self.unsent.advance(written),
                // Stopped or lost: whoever writes the final head finds out.
                Poll::Ready(Err(_)) | Poll::Pending => return,
            }
        }
    }
}
