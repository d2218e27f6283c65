//! A stream of a WebTransport session that the peer opened, on its way to its session.

use bytes::Bytes;
use quinn::{RecvStream, SendStream};

use crate::session_event::StreamKind;
use crate::wire::code;

/// A stream that the client opened, its prefix read.
pub(crate) struct Arrived {
    pub(crate) send: Option<SendStream>,
    pub(crate) recv: RecvStream,
    pub(crate) first: Bytes,
}

impl Arrived {
    pub(crate) fn kind(&self) -> StreamKind {
        match self.send {
            Some(_) => StreamKind::Bidirectional,
            None => StreamKind::Unidirectional,
        }
    }

    /// Refuses the stream with an HTTP/3 code.
    pub(crate) fn refuse(mut self, with: u64) {
        if let Some(mut send) = self.send.take() {
            let _ = send.reset(code(with));
        }
        let _ = self.recv.stop(code(with));
    }
}
