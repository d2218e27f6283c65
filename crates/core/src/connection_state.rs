//! What the rest of the server may know of a connection while its task runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::task::AtomicWaker;
use quinn::SendStream;
use trilane_http3::{PeerStreams, Role, Settings};

use crate::connection::Outcome;
use crate::peer_streams::Goaway;
use crate::sync::lock;

/// Work of one stream that could not be done at once; polled inside the connection's task, each with a waker of
/// its own, so that a slow stream holds nobody up.
pub(crate) type StreamWork = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(crate) struct ConnectionState {
    pub(crate) quic: quinn::Connection,
    /// Exchanges that wait for an answer or whose streaming answer goes on.
    pub(crate) exchanges: AtomicUsize,
    /// Which critical streams the peer has opened (RFC 9114 §6.2).
    pub(crate) peer_streams: Mutex<PeerStreams>,
    /// The peer's SETTINGS, once they are here.
    pub(crate) peer_settings: Mutex<Option<Settings>>,
    pub(crate) goaway: Goaway,
    /// Complete requests that the client gave up, not yet counted by the task.
    cancelled: AtomicUsize,
    waker: AtomicWaker,
    adopted: Mutex<Vec<StreamWork>>,
    /// Answers written and finished, kept until the peer has acknowledged them: a graceful stop waits for them.
    finished: Mutex<Vec<SendStream>>,
}

impl ConnectionState {
    pub(crate) fn new(quic: quinn::Connection) -> Self {
        Self {
            quic,
            exchanges: AtomicUsize::new(0),
            peer_streams: Mutex::new(PeerStreams::new(Role::Server)),
            peer_settings: Mutex::default(),
            goaway: Goaway::new(),
            cancelled: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
            adopted: Mutex::default(),
            finished: Mutex::default(),
        }
    }

    /// Has the connection's task poll `work` from now on.
    pub(crate) fn adopt(&self, work: impl Future<Output = Outcome> + Send + 'static) {
        lock(&self.adopted).push(Box::pin(work));
        self.waker.wake();
    }

    /// Counts a request that the client gave up.
    pub(crate) fn count_cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
        self.waker.wake();
    }

    /// Requests given up since the last call.
    pub(crate) fn take_cancelled(&self) -> usize {
        self.cancelled.swap(0, Relaxed)
    }

    /// Keeps a finished stream until it is acknowledged.
    pub(crate) fn finished(&self, stream: SendStream) {
        lock(&self.finished).push(stream);
    }

    /// Wakes the task: its last exchange is over, or the server's state has changed.
    pub(crate) fn idle(&self) {
        self.waker.wake();
    }

    pub(crate) fn finished_len(&self) -> usize {
        lock(&self.finished).len()
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn take_adopted(&self, into: &mut Vec<StreamWork>) {
        into.append(&mut lock(&self.adopted));
    }

    pub(crate) fn take_finished(&self) -> Vec<SendStream> {
        std::mem::take(&mut lock(&self.finished))
    }
}
