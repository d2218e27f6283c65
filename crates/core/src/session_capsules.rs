//! What the client says on the CONNECT stream of an accepted session: capsules, to the end of the stream.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use trilane_http3::{Capsule, CapsuleReader, Code, Error, Scope};

use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::content::{ContentError, ContentReader};
use crate::datagram_capsules::MAX_CAPSULE_DATAGRAM;
use crate::session::Session;
use crate::session_event::SessionEnd;
use crate::wire::wire_code;

/// Bytes of capsules read in one go.
pub(crate) const CAPSULE_BYTES: usize = 64 * 1024;

/// Capsules looked at for the client's last word; it is the last one that comes.
const LAST_CAPSULES: usize = 64;

/// The reading side of a CONNECT stream.
pub(crate) struct SessionCapsules {
    content: ContentReader,
    reader: CapsuleReader,
    piece: Bytes,
    /// Of the task that reads to the end.
    waker: Waker,
}

/// Why no more capsules can be read.
pub(crate) enum Broken {
    /// The connection has to be closed.
    Connection(Error),
    /// The stream was reset, or broke the protocol and is stopped.
    Stream(Code),
}

impl SessionCapsules {
    pub(crate) fn new(content: ContentReader) -> Self {
        Self {
            content,
            reader: CapsuleReader::new(MAX_CAPSULE_DATAGRAM),
            piece: Bytes::new(),
            waker: Waker::noop().clone(),
        }
    }

    /// The next capsule; `None` at the orderly end of the stream.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        connection: &ConnectionState,
    ) -> Poll<Result<Option<Capsule>, Broken>> {
        self.waker.clone_from(cx.waker());
        loop {
            match self.reader.read(&mut self.piece) {
                Ok(Some(capsule)) => return Poll::Ready(Ok(Some(capsule))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(Broken::Stream(error.code))),
            }
            let overhead = self.reader.take_overhead();
            if overhead > 0 {
                connection.count_overhead(overhead);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let piece = self.content.poll_content(cx, CAPSULE_BYTES);
            connection.count_overhead(self.content.take_overhead());
            match std::task::ready!(piece) {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => {
                    let end = self.reader.finish();
                    return Poll::Ready(end.map(|()| None).map_err(|error| Broken::Stream(error.code)));
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// How the client closed its session, if that has arrived and was not read yet.
    pub(crate) fn last_word(&mut self, connection: &ConnectionState) -> Option<SessionEnd> {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..LAST_CAPSULES {
            match self.poll_next(&mut cx, connection) {
                Poll::Ready(Ok(Some(Capsule::CloseSession { code, reason }))) => {
                    return Some(SessionEnd::closed(code, &reason));
                }
                Poll::Ready(Ok(Some(_))) => {}
                Poll::Ready(Ok(None)) => return Some(SessionEnd::closed(0, b"")),
                Poll::Ready(Err(_)) | Poll::Pending => return None,
            }
        }
        None
    }

    /// Reads no more; whoever reads to the end finds it.
    pub(crate) fn stop(mut self, code: Code) {
        let _ = self.content.recv().stop(wire_code(code));
        self.waker.wake();
    }
}

impl From<ContentError> for Broken {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Protocol(error) if error.scope == Scope::Connection => Self::Connection(error),
            ContentError::Protocol(error) => Self::Stream(error.code),
            ContentError::TrailersTooLarge => Self::Stream(Code::H3_EXCESSIVE_LOAD),
            ContentError::Reset(_) => Self::Stream(Code::H3_REQUEST_CANCELLED),
        }
    }
}

/// Reads the capsules of an accepted session to the end of its CONNECT stream; part of the connection's task.
pub(crate) async fn read(session: Arc<Session>) -> Outcome {
    let broken = loop {
        match poll_fn(|cx| session.poll_capsule(cx)).await {
            Ok(Some(capsule)) => {
                if let Err(error) = session.take_capsule(capsule) {
                    break Broken::Stream(error.code);
                }
            }
            Ok(None) => {
                session.closed_by_client(SessionEnd::closed(0, b""));
                session.take_capsules();
                return Outcome::Done;
            }
            Err(broken) => break broken,
        }
    };
    let capsules = session.take_capsules();
    match broken {
        Broken::Connection(error) => Outcome::Fatal(error),
        Broken::Stream(code) => {
            if let Some(capsules) = capsules {
                capsules.stop(code);
            }
            session.broke_off(code);
            Outcome::Done
        }
    }
}
