//! The body of a streaming answer on its way out: a bounded queue, and the future that empties it into the stream.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use quinn::{SendStream, StoppedError, VarInt, WriteError as WriteStreamError};
use trilane_http3::Code;

use crate::chunk_queue::ChunkQueue;
use crate::exchange::{ExchangeId, Notify};
use crate::exchange_table::{ExchangeTable, complete};
use crate::priority::Place;
use crate::request_record::RequestRecord;
use crate::sync::lock;
use crate::wire::wire_code;

/// How a streaming answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Sent whole and acknowledged.
    Done,
    /// Given up by us.
    Reset { code: Code },
    /// Given up by the client, or the client is gone.
    Aborted { code: Option<u64> },
}

/// Why a chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    Full,
    Ended,
}

/// The queue between the writer (any thread) and the connection's task.
pub(crate) struct Outbound {
    state: Mutex<State>,
    waker: AtomicWaker,
}

struct State {
    head: Bytes,
    queue: ChunkQueue,
    /// The HEADERS frame of the trailers, behind the last chunk.
    trailers: Bytes,
    /// What `content-length` still allows; `None`: not declared.
    declared: Option<u64>,
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    Finished,
    Reset(Code),
}

impl Outbound {
    pub(crate) fn new(head: Bytes, declared: Option<u64>) -> Self {
        let state = State {
            head,
            queue: ChunkQueue::default(),
            trailers: Bytes::new(),
            declared,
            end: None,
        };
        Self {
            state: Mutex::new(state),
            waker: AtomicWaker::new(),
        }
    }

    /// A queue that takes nothing, for a writer with a source of its own: it only hears of a reset.
    pub(crate) fn closed() -> Self {
        let queue = Self::new(Bytes::new(), None);
        lock(&queue.state).end = Some(End::Finished);
        queue
    }

    /// Puts what flow control did not take yet of the interim heads before the head.
    pub(crate) fn put_first(&self, interim: Bytes) {
        if !interim.is_empty() {
            let mut state = lock(&self.state);
            state.head = [interim, state.head.split_off(0)].concat().into();
        }
    }

    pub(crate) fn push(&self, chunk: Bytes, notify: Notify) -> Result<(), WriteError> {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            return Err(WriteError::Ended);
        }
        if state.queue.is_full() {
            return Err(WriteError::Full);
        }
        if let Some(left) = &mut state.declared {
            // RFC9114-4.1.2-own-content-length, RFC9110-8.6-stream-longer: such an answer is none at all.
            let Some(rest) = left.checked_sub(chunk.len() as u64) else {
                state.end = Some(End::Reset(Code::H3_INTERNAL_ERROR));
                self.waker.wake();
                return Err(WriteError::Ended);
            };
            *left = rest;
        }
        state.queue.push(chunk, notify);
        self.waker.wake();
        Ok(())
    }

    /// Nothing more follows but `trailers`, a HEADERS frame; empty if there are none.
    pub(crate) fn finish(&self, trailers: Bytes) {
        let mut state = lock(&self.state);
        // RFC9114-4.1.2-own-content-length, RFC9110-8.6-stream-shorter: such an answer must not look whole.
        let whole = state.declared.is_none_or(|left| left == 0);
        if state.end.is_none() {
            state.trailers = trailers;
            state.end = Some(if whole {
                End::Finished
            } else {
                End::Reset(Code::H3_INTERNAL_ERROR)
            });
        }
        self.waker.wake();
    }

    pub(crate) fn reset(&self, code: Code) {
        let mut state = lock(&self.state);
        state.end = Some(End::Reset(code));
        state.queue.drain();
        self.waker.wake();
    }

    /// The code of a reset, if there was one; else the task of `cx` is woken by the next.
    pub(crate) fn poll_reset(&self, cx: &Context<'_>) -> Option<Code> {
        self.waker.register(cx.waker());
        self.reset_code()
    }

    /// Whether no more will be written.
    pub(crate) fn is_ended(&self) -> bool {
        lock(&self.state).end.is_some()
    }

    fn reset_code(&self) -> Option<Code> {
        match lock(&self.state).end {
            Some(End::Reset(code)) => Some(code),
            _ => None,
        }
    }

    /// All that is queued, as DATA frames behind the head; or the end.
    fn take(&self) -> Taken {
        let mut state = lock(&self.state);
        if let Some(End::Reset(code)) = state.end {
            return Taken::Reset(code);
        }
        let mut chunks = Vec::with_capacity(1 + 2 * state.queue.len());
        if !state.head.is_empty() {
            chunks.push(std::mem::take(&mut state.head));
        }
        for chunk in state.queue.drain() {
            let mut header = BytesMut::with_capacity(9);
            trilane_http3::write_data_header(&mut header, chunk.len() as u64);
            chunks.push(header.freeze());
            chunks.push(chunk);
        }
        if matches!(state.end, Some(End::Finished)) && !state.trailers.is_empty() {
            chunks.push(std::mem::take(&mut state.trailers));
        }
        match (chunks.is_empty(), state.end) {
            (false, _) => Taken::Chunks(chunks),
            (true, None) if state.queue.take_writer_waits() => Taken::Drained,
            (true, Some(_)) => Taken::Finish,
            (true, None) => Taken::Nothing,
        }
    }
}

enum Taken {
    Chunks(Vec<Bytes>),
    /// All was sent, and the writer wants to know.
    Drained,
    Nothing,
    Finish,
    Reset(Code),
}

/// Sends a streaming answer: head, chunks as they come, FIN or reset. Ends when the peer has acknowledged all, has
/// stopped reading, or is gone.
pub(crate) async fn send(
    table: Arc<ExchangeTable>,
    id: ExchangeId,
    mut stream: SendStream,
    queue: Arc<Outbound>,
    mut place: Place,
) {
    let mut stopped = pin!(stream.stopped());
    let outcome = loop {
        match next(&queue, stopped.as_mut()).await {
            Next::Write(chunks) => {
                if let Err(outcome) = write(&mut stream, &queue, &mut place, chunks).await {
                    break outcome;
                }
            }
            Next::Drained => table.drained(id),
            Next::Finish => {
                let _ = stream.finish();
                break match stopped.await {
                    Ok(None) => Outcome::Done,
                    end => Outcome::Aborted { code: stop_code(end) },
                };
            }
            Next::End(outcome) => break outcome,
        }
    };
    match outcome {
        Outcome::Done => {}
        Outcome::Reset { code } => drop(stream.reset(wire_code(code))),
        // RFC9114-4.1.1-cancelled-processed
        Outcome::Aborted { .. } => drop(stream.reset(wire_code(Code::H3_REQUEST_CANCELLED))),
    }
    table.ended(id, &queue, outcome);
}

/// Sends what is left of a whole answer; the exchange itself is already over.
pub(crate) async fn send_rest(
    mut stream: SendStream,
    mut chunks: Vec<Bytes>,
    mut place: Place,
    record: Option<Box<RequestRecord>>,
) {
    let mut done = 0;
    let written = poll_fn(|cx| {
        while done < chunks.len() {
            match ready!(poll_write(cx, &mut stream, &mut place, &mut chunks[done..])) {
                Ok(written) => done += written,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    });
    match written.await {
        Ok(()) => {
            let _ = stream.finish();
            complete(record);
            let _ = stream.stopped().await;
        }
        // RFC9114-4.1.1-cancelled-processed
        Err(_) => drop(stream.reset(wire_code(Code::H3_REQUEST_CANCELLED))),
    }
}

enum Next {
    Write(Vec<Bytes>),
    Drained,
    Finish,
    End(Outcome),
}

/// Waits until there is something to send, or the peer stops reading.
async fn next(
    queue: &Outbound,
    mut stopped: Pin<&mut impl Future<Output = Result<Option<VarInt>, StoppedError>>>,
) -> Next {
    poll_fn(|cx| {
        queue.waker.register(cx.waker());
        match queue.take() {
            Taken::Chunks(chunks) => Poll::Ready(Next::Write(chunks)),
            Taken::Drained => Poll::Ready(Next::Drained),
            Taken::Finish => Poll::Ready(Next::Finish),
            Taken::Reset(code) => Poll::Ready(Next::End(Outcome::Reset { code })),
            Taken::Nothing => stopped
                .as_mut()
                .poll(cx)
                .map(|end| Next::End(Outcome::Aborted { code: stop_code(end) })),
        }
    })
    .await
}

/// Writes all chunks; a reset by the writer interrupts it.
pub(crate) async fn write(
    stream: &mut SendStream,
    queue: &Outbound,
    place: &mut Place,
    mut chunks: Vec<Bytes>,
) -> Result<(), Outcome> {
    let mut done = 0;
    while done < chunks.len() {
        let written = poll_fn(|cx| {
            if let Some(code) = queue.poll_reset(cx) {
                return Poll::Ready(Err(Outcome::Reset { code }));
            }
            poll_write(cx, stream, place, &mut chunks[done..]).map_err(|error| match error {
                WriteStreamError::Stopped(code) => Outcome::Aborted {
                    code: Some(code.into_inner()),
                },
                _ => Outcome::Aborted { code: None },
            })
        })
        .await?;
        done += written;
    }
    Ok(())
}

/// Writes what quinn takes, after those who go first; returns how many chunks are through.
fn poll_write(
    cx: &mut Context<'_>,
    stream: &mut SendStream,
    place: &mut Place,
    chunks: &mut [Bytes],
) -> Poll<Result<usize, WriteStreamError>> {
    ready!(place.poll_turn(cx, stream));
    let written = pin!(stream.write_chunks(chunks)).poll(cx);
    place.wait(written.is_pending());
    written.map_ok(|written| written.chunks)
}

pub(crate) fn stop_code(end: Result<Option<VarInt>, StoppedError>) -> Option<u64> {
    end.ok().flatten().map(VarInt::into_inner)
}
