//! One stream of a WebTransport session: a half that is read, a half that is written, or both.

mod writer;

pub(crate) use writer::{Sharing, write};

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use quinn::{ReadError, RecvStream};
use trilane_http3::code::WT_SESSION_GONE;
use trilane_http3::webtransport::{to_application_code, to_http3_code};

use crate::chunk_queue::ChunkQueue;
use crate::exchange::Notify;
use crate::send_order::{Activity, SendOrders};
use crate::session_flow::FlowControl;
use crate::sync::lock;
use crate::wire::code;

/// The most that one read gathers.
const GATHER_BYTES: usize = 256 * 1024;

/// Why a stream ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer reset it, or stopped reading it, with this code of its application; `None`: with a code of another kind.
    #[error("the peer ended the stream")]
    Peer(Option<u32>),
    /// The session is over (draft-ietf-webtrans-http3-16 §6).
    #[error("the WebTransport session is over")]
    SessionGone,
    /// The connection is gone.
    #[error("the connection is gone")]
    ConnectionLost,
    /// This side ended it.
    #[error("the stream was ended by this side")]
    Ended,
    /// More was written than the queue takes.
    #[error("the stream's queue is full: wait until it has drained")]
    Full,
}

/// The half that is read. A reader that waits holds the peer back by QUIC flow control, and by that of the session.
pub struct ReadHalf {
    state: Mutex<ReadState>,
    flow: Option<Arc<FlowControl>>,
}

struct ReadState {
    recv: RecvStream,
    /// Came with the prefix of the stream.
    first: Bytes,
    end: Option<Result<(), StreamError>>,
    /// It ended in a reset, and flow control has not heard of it.
    lost: bool,
    waker: Option<Waker>,
}

impl ReadHalf {
    pub(crate) fn new(recv: RecvStream, first: Bytes, flow: Option<Arc<FlowControl>>) -> Arc<Self> {
        let state = ReadState {
            recv,
            first,
            end: None,
            lost: false,
            waker: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            flow,
        })
    }

    /// The next piece, up to 256 KiB of what is there; `None` at the end. Waits only if nothing is there. Cancel safe.
    pub async fn next(&self) -> Result<Option<Bytes>, StreamError> {
        let next = poll_fn(|cx| lock(&self.state).poll(cx)).await;
        if let Some(flow) = &self.flow {
            if let Ok(Some(piece)) = &next {
                flow.read(piece.len())?;
            }
            self.settle(flow);
        }
        next
    }

    /// Stops reading: STOP_SENDING with the application's code (draft-ietf-webtrans-http3-16 §4.4).
    pub fn stop(&self, application_code: u32) {
        self.cut(to_http3_code(application_code), StreamError::Ended);
    }

    /// The session is over.
    pub(crate) fn session_gone(&self) {
        self.cut(WT_SESSION_GONE, StreamError::SessionGone);
    }

    fn cut(&self, http3_code: u64, error: StreamError) {
        let mut state = lock(&self.state);
        if state.end.is_none() {
            let _ = state.recv.stop(code(http3_code));
            state.end = Some(Err(error));
            state.lost = true;
            state.first = Bytes::new();
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
        drop(state);
        if let Some(flow) = &self.flow {
            self.settle(flow);
        }
    }

    fn settle(&self, flow: &FlowControl) {
        if std::mem::take(&mut lock(&self.state).lost) {
            flow.lost();
        }
    }
}

impl std::fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadHalf").finish_non_exhaustive()
    }
}

impl ReadState {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        if let Some(end) = self.end {
            return Poll::Ready(end.map(|()| None));
        }
        let mut gathered = BytesMut::new();
        let mut piece = std::mem::take(&mut self.first);
        loop {
            if !piece.is_empty() {
                gathered.extend_from_slice(&piece);
            }
            if gathered.len() >= GATHER_BYTES {
                return Poll::Ready(Ok(Some(gathered.freeze())));
            }
            match pin!(self.recv.read_chunk(GATHER_BYTES - gathered.len(), true)).poll(cx) {
                Poll::Ready(Ok(Some(chunk))) => piece = chunk.bytes,
                Poll::Ready(Ok(None)) => self.end = Some(Ok(())),
                Poll::Ready(Err(error)) => {
                    self.end = Some(Err(read_error(error)));
                    self.lost = true;
                }
                Poll::Pending if gathered.is_empty() => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(Ok(Some(gathered.freeze()))),
            }
            if let Some(end) = self.end {
                return Poll::Ready(match end {
                    _ if !gathered.is_empty() => Ok(Some(gathered.freeze())),
                    Ok(()) => Ok(None),
                    Err(error) => Err(error),
                });
            }
        }
    }
}

fn read_error(error: ReadError) -> StreamError {
    match error {
        ReadError::Reset(code) => peer(code.into_inner()),
        _ => StreamError::ConnectionLost,
    }
}

fn peer(http3_code: u64) -> StreamError {
    if http3_code == WT_SESSION_GONE {
        StreamError::SessionGone
    } else {
        StreamError::Peer(to_application_code(http3_code))
    }
}

/// The half that is written: a bounded queue, emptied by the connection's task.
pub(crate) struct WriteHalf {
    state: Mutex<WriteState>,
    waker: AtomicWaker,
}

struct WriteState {
    queue: ChunkQueue,
    end: Option<WriteEnd>,
    /// Not told to QUIC yet.
    rank: Option<i32>,
    activity: Activity,
    /// What QUIC took since the stream was last idle.
    taken: usize,
}

#[derive(Clone, Copy)]
enum WriteEnd {
    Finished,
    /// RESET_STREAM with this HTTP/3 code.
    Reset(u64),
    Over(StreamError),
}

/// What the writer of a stream hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// All that was written was accepted by QUIC.
    Drained,
    /// All of it, and its end, was acknowledged.
    Finished,
    /// The peer stopped reading, or the session or connection is gone.
    Failed(StreamError),
}

impl WriteHalf {
    pub(crate) fn new() -> Arc<Self> {
        let state = WriteState {
            queue: ChunkQueue::default(),
            end: None,
            rank: None,
            activity: Activity::Idle,
            taken: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            waker: AtomicWaker::new(),
        })
    }

    /// Has the connection's task look at it again.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    pub(crate) fn push(&self, chunk: Bytes, notify: Notify) -> Result<(), StreamError> {
        let mut state = lock(&self.state);
        match state.end {
            Some(WriteEnd::Over(error)) => return Err(error),
            Some(_) => return Err(StreamError::Ended),
            None if state.queue.is_full() => return Err(StreamError::Full),
            None => {}
        }
        state.queue.push(chunk, notify);
        self.waker.wake();
        Ok(())
    }

    /// Ranks it among the streams of its connection.
    pub(crate) fn set_rank(&self, rank: i32) {
        lock(&self.state).rank = Some(rank);
        self.waker.wake();
    }

    fn take_rank(&self) -> Option<i32> {
        lock(&self.state).rank.take()
    }

    /// Whether it has something to send.
    pub(crate) fn activity(&self) -> Activity {
        lock(&self.state).activity
    }

    /// What QUIC took has left by now.
    pub(crate) fn has_left(&self) {
        let mut state = lock(&self.state);
        if matches!(state.activity, Activity::Taken { .. }) {
            state.activity = Activity::Idle;
            state.taken = 0;
        }
    }

    pub(crate) fn finish(&self) {
        lock(&self.state).end.get_or_insert(WriteEnd::Finished);
        self.waker.wake();
    }

    pub(crate) fn reset(&self, application_code: u32) {
        self.end_with(WriteEnd::Reset(to_http3_code(application_code)));
    }

    pub(crate) fn session_gone(&self) {
        self.end_with(WriteEnd::Reset(WT_SESSION_GONE));
    }

    fn end_with(&self, end: WriteEnd) {
        let mut state = lock(&self.state);
        if !matches!(state.end, Some(WriteEnd::Over(_) | WriteEnd::Reset(_))) {
            state.end = Some(end);
            state.queue.drain();
        }
        self.waker.wake();
    }

    /// What is next; `orders` hear whether there is something.
    fn take(&self, orders: &SendOrders) -> Taken {
        let mut state = lock(&self.state);
        if let Some(WriteEnd::Reset(code)) = state.end {
            return Taken::Reset(code);
        }
        if state.queue.len() > 0 || state.end.is_some() {
            if std::mem::replace(&mut state.activity, Activity::Writing) == Activity::Idle {
                orders.look();
            }
            if state.queue.len() == 0 {
                return Taken::Finish;
            }
            let chunks: Vec<_> = state.queue.drain().collect();
            let bytes = chunks.iter().map(Bytes::len).sum();
            state.taken = state.taken.saturating_add(bytes);
            return Taken::Chunks(chunks);
        }
        if state.activity == Activity::Writing {
            let (bytes, at) = (state.taken, Instant::now());
            state.activity = Activity::Taken { bytes, at };
            orders.look();
        }
        if state.queue.take_writer_waits() {
            Taken::Drained
        } else {
            Taken::Nothing
        }
    }
}

impl std::fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}

enum Taken {
    Chunks(Vec<Bytes>),
    Drained,
    Nothing,
    Finish,
    Reset(u64),
}
