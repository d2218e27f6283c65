//! The flow control of one session (draft-ietf-webtrans-http3-16 §5): its accounts, who waits for them, and the capsules
//! that they make.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, Weak};

use tokio::sync::Notify;
use trilane_http3::Capsule;
use trilane_http3::Error;
use trilane_http3::webtransport::{FlowStreams, SessionFlow};

use crate::session::Session;
use crate::session_event::StreamKind;
use crate::session_stream::StreamError;
use crate::sync::lock;

/// What the streams of a session with flow control ask before they go on.
pub(crate) struct FlowControl {
    accounts: Mutex<SessionFlow>,
    session: Weak<Session>,
    /// What QUIC lets the peer send on one stream beyond what was read of it.
    stream_window: u64,
    /// A writer found no credit.
    writers_wait: AtomicBool,
    /// Tells those who wait for a stream: there is credit, or the session is over.
    more_streams: Notify,
}

/// A stream of this side that was counted; uncounted again if it is dropped before it is [`opened`](Self::opened).
pub(crate) struct Opening<'f> {
    flow: &'f FlowControl,
    kind: FlowStreams,
    opened: bool,
}

impl FlowControl {
    pub(crate) fn new(accounts: SessionFlow, session: Weak<Session>, stream_window: u64) -> Self {
        Self {
            accounts: Mutex::new(accounts),
            session,
            stream_window,
            writers_wait: AtomicBool::new(false),
            more_streams: Notify::new(),
        }
    }

    /// Takes over what a capsule of the peer says. Returns whether writers were waiting for it.
    pub(crate) fn apply(&self, capsule: &Capsule) -> Result<bool, Error> {
        lock(&self.accounts).apply(capsule)?;
        self.more_streams.notify_waiters();
        Ok(matches!(capsule, Capsule::MaxData(_)) && self.writers_wait.swap(false, SeqCst))
    }

    /// Bytes that a stream may send now; 0: the writer is woken when there is more. All writers of a session run in one
    /// task, so none takes what another was promised before it says [`sent`](Self::sent).
    pub(crate) fn sendable(&self) -> usize {
        let mut accounts = lock(&self.accounts);
        let sendable = accounts.sendable();
        if sendable == 0 {
            accounts.data_waits();
            self.writers_wait.store(true, SeqCst);
            drop(accounts);
            self.tell_peer();
        }
        usize::try_from(sendable).unwrap_or(usize::MAX)
    }

    /// QUIC took so many bytes of a stream.
    pub(crate) fn sent(&self, bytes: usize) {
        lock(&self.accounts).sent(bytes as u64);
    }

    /// Waits until the peer allows one more stream (WT_MAX_STREAMS).
    pub(crate) async fn open(&self, kind: StreamKind) -> Result<Opening<'_>, StreamError> {
        let kind = kind.into();
        loop {
            let more = self.more_streams.notified();
            if !self.session.upgrade().is_some_and(|session| session.is_open()) {
                return Err(StreamError::SessionGone);
            }
            if lock(&self.accounts).open(kind) {
                let opened = false;
                return Ok(Opening {
                    flow: self,
                    kind,
                    opened,
                });
            }
            self.tell_peer();
            more.await;
        }
    }

    /// The session is over: nobody waits any longer.
    pub(crate) fn session_gone(&self) {
        self.more_streams.notify_waiters();
    }

    /// The peer opened a stream. An error ends the session.
    pub(crate) fn stream_came(&self, kind: StreamKind) -> Result<(), Error> {
        lock(&self.accounts).stream_came(kind.into())
    }

    /// A stream that the peer opened is done with.
    pub(crate) fn stream_done(&self, kind: StreamKind) {
        lock(&self.accounts).stream_done(kind.into());
        self.tell_peer();
    }

    /// The peer opened a stream that may have been one of this session, and nobody will know: it was reset before it said so.
    pub(crate) fn stream_lost(&self, kind: StreamKind) {
        lock(&self.accounts).stream_lost(kind.into());
        self.lost();
    }

    /// A program has read so many bytes of a stream. With more than the peer was allowed to send, the session is over.
    pub(crate) fn read(&self, bytes: usize) -> Result<(), StreamError> {
        let read = lock(&self.accounts).read(bytes as u64);
        match read {
            Ok(()) => {
                self.tell_peer();
                Ok(())
            }
            Err(error) => {
                if let Some(session) = self.session.upgrade() {
                    session.break_off(error.code);
                }
                Err(StreamError::SessionGone)
            }
        }
    }

    /// A stream was reset or given up, and what came on it beyond what was read is unknown: QUIC does not tell. All that it
    /// may have been is given back: a peer that keeps to its limits must not lose credit for good (§5.2).
    pub(crate) fn lost(&self) {
        lock(&self.accounts).lost(self.stream_window);
        self.tell_peer();
    }

    /// Sends the capsules that are due. Those of a session that is not accepted yet stay due.
    pub(crate) fn tell_peer(&self) {
        let Some(session) = self.session.upgrade().filter(|session| session.is_open()) else {
            return;
        };
        // Locked until they are queued: limits may not overtake each other (§5.6.2, §5.6.4).
        let mut accounts = lock(&self.accounts);
        while let Some(capsule) = accounts.next_capsule() {
            session.send_capsule(&capsule);
        }
    }
}

impl Opening<'_> {
    /// It is there.
    pub(crate) fn opened(mut self) {
        self.opened = true;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.opened {
            lock(&self.flow.accounts).unopen(self.kind);
            self.flow.more_streams.notify_waiters();
        }
    }
}

impl From<StreamKind> for FlowStreams {
    fn from(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Bidirectional => Self::Bidirectional,
            StreamKind::Unidirectional => Self::Unidirectional,
        }
    }
}
