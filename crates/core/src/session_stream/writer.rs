//! What empties the written half of a stream into QUIC.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use quinn::{SendStream, StoppedError, WriteError};
use trilane_http3::code::WT_SESSION_GONE;

use super::{StreamError, StreamEvent, Taken, WriteEnd, WriteHalf, peer};
use crate::priority::WriteTurn;
use crate::send_order::SendOrders;
use crate::session_flow::FlowControl;
use crate::sync::lock;
use crate::wire::code;

/// What a writer shares with others.
pub(crate) struct Sharing {
    /// `None`: there is no flow control but that of QUIC.
    pub(crate) flow: Option<Arc<FlowControl>>,
    /// The places of its session's streams.
    pub(crate) orders: Arc<SendOrders>,
    /// Its turn among the writers of its connection.
    pub(crate) turn: WriteTurn,
}

impl Sharing {
    /// Tells QUIC of a new rank. A stream that is gone has none.
    fn rank(&mut self, half: &WriteHalf, stream: &SendStream) {
        if let Some(rank) = half.take_rank() {
            let _ = stream.set_priority(rank);
            self.turn.set_rank(rank);
        }
    }
}

/// Sends `prefix` and then what is queued, as it comes; part of the connection's task. Ends with the stream.
pub(crate) async fn write(
    mut stream: SendStream,
    prefix: Bytes,
    half: Arc<WriteHalf>,
    mut sharing: Sharing,
    tell: impl Fn(StreamEvent),
) {
    let end = match carry(&mut stream, prefix, &half, &mut sharing, &tell).await {
        Ok(()) => {
            lock(&half.state).end = Some(WriteEnd::Over(StreamError::Ended));
            return tell(StreamEvent::Finished);
        }
        Err(end) => end,
    };
    let error = match end {
        WriteEnd::Reset(reset) => {
            let _ = stream.reset(code(reset));
            if reset == WT_SESSION_GONE {
                StreamError::SessionGone
            } else {
                StreamError::Ended
            }
        }
        WriteEnd::Over(error) => {
            // Dropped as it is, the stream would end cleanly.
            let _ = stream.reset(code(WT_SESSION_GONE));
            error
        }
        WriteEnd::Finished => StreamError::Ended,
    };
    lock(&half.state).end = Some(WriteEnd::Over(error));
    tell(StreamEvent::Failed(error));
}

/// To the acknowledged end, or to how else it ends.
async fn carry(
    stream: &mut SendStream,
    prefix: Bytes,
    half: &WriteHalf,
    sharing: &mut Sharing,
    tell: &impl Fn(StreamEvent),
) -> Result<(), WriteEnd> {
    let mut stopped = pin!(stream.stopped());
    // It is no part of what flow control counts (draft-ietf-webtrans-http3-16 §5.4).
    let flow = sharing.flow.take();
    write_all(stream, half, sharing, stopped.as_mut(), vec![prefix]).await?;
    sharing.flow = flow;
    loop {
        let next = poll_fn(|cx| {
            half.waker.register(cx.waker());
            sharing.rank(half, stream);
            match half.take(&sharing.orders) {
                Taken::Nothing => stopped.as_mut().poll(cx).map(|end| Err(stop_error(end))),
                other => Poll::Ready(Ok(other)),
            }
        })
        .await
        .map_err(WriteEnd::Over)?;
        match next {
            Taken::Chunks(chunks) => write_all(stream, half, sharing, stopped.as_mut(), chunks).await?,
            Taken::Drained => tell(StreamEvent::Drained),
            Taken::Finish => break,
            Taken::Reset(code) => return Err(WriteEnd::Reset(code)),
            Taken::Nothing => {}
        }
    }
    let _ = stream.finish();
    // A reset may still overtake what is not acknowledged yet.
    poll_fn(|cx| {
        half.waker.register(cx.waker());
        sharing.rank(half, stream);
        match half.take(&sharing.orders) {
            Taken::Reset(code) => Poll::Ready(Err(WriteEnd::Reset(code))),
            _ => stopped.as_mut().poll(cx).map(|end| match end {
                Ok(None) => Ok(()),
                end => Err(WriteEnd::Over(stop_error(end))),
            }),
        }
    })
    .await
}

/// Writes all chunks; a reset interrupts it.
async fn write_all(
    stream: &mut SendStream,
    half: &WriteHalf,
    sharing: &mut Sharing,
    mut stopped: Pin<&mut impl Future<Output = Stopped>>,
    mut chunks: Vec<Bytes>,
) -> Result<(), WriteEnd> {
    let mut done = 0;
    while done < chunks.len() {
        done += poll_fn(|cx| {
            half.waker.register(cx.waker());
            sharing.rank(half, stream);
            if let Some(end @ WriteEnd::Reset(_)) = lock(&half.state).end {
                return Poll::Ready(Err(end));
            }
            ready!(sharing.turn.poll(cx));
            let chunks = &mut chunks[done..];
            let written = match sharing.flow.as_deref().map(|flow| (flow, flow.sendable())) {
                // Without a write nothing else tells that the peer stopped reading.
                Some((_, 0)) => {
                    sharing.turn.wait(true);
                    let stopped = stopped.as_mut().poll(cx);
                    return stopped.map(|end| Err(WriteEnd::Over(stop_error(end))));
                }
                Some((flow, credit)) => poll_write_some(cx, stream, &mut chunks[0], credit)
                    .map_ok(|bytes| (flow.sent(bytes), usize::from(chunks[0].is_empty())).1),
                None => pin!(stream.write_chunks(chunks))
                    .poll(cx)
                    .map_ok(|written| written.chunks),
            };
            sharing.turn.wait(written.is_pending());
            written.map_err(|error| {
                WriteEnd::Over(match error {
                    WriteError::Stopped(code) => peer(code.into_inner()),
                    _ => StreamError::ConnectionLost,
                })
            })
        })
        .await?;
    }
    Ok(())
}

/// Writes at most `credit` bytes of `chunk`, and takes from it what QUIC took.
fn poll_write_some(
    cx: &mut Context<'_>,
    stream: &mut SendStream,
    chunk: &mut Bytes,
    credit: usize,
) -> Poll<Result<usize, WriteError>> {
    let mut piece = [chunk.slice(..chunk.len().min(credit))];
    let written = pin!(stream.write_chunks(&mut piece)).poll(cx);
    written.map_ok(|written| {
        chunk.advance(written.bytes);
        written.bytes
    })
}

type Stopped = Result<Option<quinn::VarInt>, StoppedError>;

fn stop_error(end: Stopped) -> StreamError {
    match end {
        Ok(Some(code)) => peer(code.into_inner()),
        Ok(None) => StreamError::Ended,
        Err(_) => StreamError::ConnectionLost,
    }
}
