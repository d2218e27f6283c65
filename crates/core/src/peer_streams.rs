//! The peer's unidirectional streams, and our own control stream.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use quinn::{RecvStream, SendStream, VarInt};
use trilane_http3::{
    BidiKind, Code, ControlFrame, ControlReader, DecoderStream, EncoderStream, Error, Priority, Role,
    Settings, UniKind, classify_bidi, classify_uni,
};

use crate::arrived_stream::Arrived;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::session_event::StreamKind;
use crate::sync::lock;
use crate::wire::wire_code;

/// The longest prefix of a unidirectional stream: its type, and the session of a WebTransport stream.
const MAX_PREFIX_BYTES: usize = 16;

/// The largest chunk read at once: more than a packet, and little enough for one turn if it is full of tiny frames.
const CHUNK_BYTES: usize = 4 * 1024;

/// Reads one unidirectional stream: to its end, or as far as it takes to know whose it is.
pub(crate) async fn read(mut stream: RecvStream, connection: Arc<ConnectionState>) -> Outcome {
    // As long as it takes: it may become the control stream, which must not be refused (RFC9114-6.2-type-awaited,
    // RFC9114-6.2.1-control-not-stopped). Streams that never say what they are only use up `limits.max_uni_streams`.
    let (kind, rest) = match stream_type(&mut stream).await {
        Ok(Some(first)) => first,
        Err(error) => return Outcome::Fatal(error),
        // RFC9114-6.2-ended-before-type, RFC9114-6.2-reset-before-type: nothing is lost.
        Ok(None) => {
            connection.unnamed_stream_lost(StreamKind::Unidirectional);
            return Outcome::Abandoned;
        }
    };
    if let Err(error) = lock(&connection.peer_streams).open(&kind) {
        return Outcome::Fatal(error);
    }
    match kind {
        UniKind::Control => Outcome::Fatal(control(&mut stream, rest, &connection).await),
        UniKind::QpackEncoder => {
            let mut reader = EncoderStream::default();
            let read = |bytes: &[u8]| reader.read(bytes).map(|()| reader.take_overhead());
            Outcome::Fatal(critical(&mut stream, rest, &connection, read).await)
        }
        UniKind::QpackDecoder => {
            let mut reader = DecoderStream::default();
            let read = |bytes: &[u8]| reader.read(bytes).map(|()| reader.take_overhead());
            Outcome::Fatal(critical(&mut stream, rest, &connection, read).await)
        }
        UniKind::WebTransport { session } => Outcome::Arrived(
            session,
            Box::new(Arrived {
                send: None,
                recv: stream,
                first: rest,
            }),
        ),
        // RFC9114-6.2-unknown-type, RFC9114-6.2.3-reserved-types: no error; the content is not wanted.
        UniKind::Push | UniKind::Unknown(_) => {
            let _ = stream.stop(wire_code(Code::H3_STREAM_CREATION_ERROR));
            Outcome::Abandoned
        }
    }
}

/// Reads the beginning of a bidirectional stream that a server opened: it belongs to a WebTransport session, or must not be
/// (RFC9114-6.1-server-stream).
pub(crate) async fn read_bidirectional(
    (send, mut recv): (SendStream, RecvStream),
    connection: Arc<ConnectionState>,
) -> Outcome {
    let mut prefix = BytesMut::new();
    while let Ok(Some(chunk)) = recv.read_chunk(usize::MAX, true).await {
        prefix.extend_from_slice(&chunk.bytes);
        let seen = &prefix[..prefix.len().min(MAX_PREFIX_BYTES)];
        let kind = match classify_bidi(seen) {
            Ok(None) => continue,
            Ok(Some(kind)) => kind,
            Err(error) => return Outcome::Fatal(error),
        };
        if let Err(error) = lock(&connection.peer_streams).open_bidi(&kind) {
            return Outcome::Fatal(error);
        }
        if let BidiKind::WebTransport { session, prefix_len } = kind {
            let arrived = Arrived {
                send: Some(send),
                recv,
                first: prefix.freeze().slice(prefix_len..),
            };
            return Outcome::Arrived(session, Box::new(arrived));
        }
    }
    Outcome::Abandoned
}

async fn stream_type(stream: &mut RecvStream) -> Result<Option<(UniKind, Bytes)>, Error> {
    let mut prefix = BytesMut::new();
    while let Ok(Some(chunk)) = stream.read_chunk(usize::MAX, true).await {
        prefix.extend_from_slice(&chunk.bytes);
        let seen = &prefix[..prefix.len().min(MAX_PREFIX_BYTES)];
        if let Some((kind, length)) = classify_uni(seen)? {
            return Ok(Some((kind, prefix.freeze().slice(length..))));
        }
    }
    Ok(None)
}

async fn control(stream: &mut RecvStream, mut rest: Bytes, connection: &ConnectionState) -> Error {
    let mut reader = ControlReader::new(connection.role);
    loop {
        loop {
            match reader.read(&mut rest) {
                // RFC8441-3-setting-received: no rule of a server depends on what a client says of extended CONNECT.
                Ok(Some(ControlFrame::Settings(settings))) => {
                    *lock(&connection.peer_settings) = Some(settings);
                    connection.settings_came.notify_waiters();
                }
                Ok(Some(ControlFrame::PriorityUpdate { stream, value })) => {
                    if let Err(error) = connection.priorities.update(stream, Priority::parse(&value)) {
                        return error;
                    }
                }
                // RFC9114-5.2-goaway-received
                Ok(Some(ControlFrame::Goaway(id))) if connection.role == Role::Client => {
                    connection.peer_goaway.store(id, SeqCst);
                    connection.idle();
                }
                // A client's GOAWAY, MAX_PUSH_ID and CANCEL_PUSH speak of pushes, and we push nothing.
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return error,
            }
        }
        report(connection, reader.take_overhead()).await;
        match stream.read_chunk(CHUNK_BYTES, true).await {
            Ok(Some(chunk)) => rest = chunk.bytes,
            Ok(None) | Err(_) => return reader.ended(),
        }
    }
}

/// A QPACK stream: instructions until the connection ends. It may be opened and is never stopped
/// (RFC9204-4.2-streams-accepted); we open none (RFC9204-4.2-our-streams), and so send no instruction
/// (RFC9204-3.2.3-capacity-sent).
async fn critical(
    stream: &mut RecvStream,
    mut rest: Bytes,
    connection: &ConnectionState,
    mut read: impl FnMut(&[u8]) -> Result<u32, Error>,
) -> Error {
    loop {
        match read(&rest) {
            Ok(overhead) => report(connection, overhead).await,
            Err(error) => return error,
        }
        match stream.read_chunk(CHUNK_BYTES, true).await {
            Ok(Some(chunk)) => rest = chunk.bytes,
            // RFC9204-4.2-encoder-stream-finished, RFC9204-4.2-decoder-stream-finished,
            // RFC9204-4.2-encoder-stream-reset, RFC9204-4.2-decoder-stream-reset
            Ok(None) | Err(_) => {
                return Error::connection(Code::H3_CLOSED_CRITICAL_STREAM, "a QPACK stream was closed");
            }
        }
    }
}

/// Tells the connection's task how many frames or instructions came, and lets it have a look before the next.
async fn report(connection: &ConnectionState, overhead: u32) {
    if overhead > 0 {
        connection.count_overhead(overhead);
        tokio::task::yield_now().await;
    }
}

/// What our control stream still has to say: GOAWAY, with ids that only fall (RFC 9114 §5.2).
pub(crate) struct Goaway {
    id: AtomicU64,
    repeated: AtomicBool,
    waker: AtomicWaker,
}

/// No GOAWAY yet.
const NONE: u64 = u64::MAX;

/// The GOAWAY of a server that stops but has not yet decided on the last request: the largest id there is
/// (RFC9114-5.2-goaway-announced, RFC9114-7.2.6-goaway-id-sent).
pub(crate) const GOAWAY_ANNOUNCE: u64 = (1 << 62) - 4;

impl Goaway {
    pub(crate) fn new() -> Self {
        Self {
            id: AtomicU64::new(NONE),
            repeated: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Sends GOAWAY: requests with this stream id and above are not processed.
    pub(crate) fn send(&self, id: u64) {
        // RFC9114-5.2-goaway-never-grows
        self.id.fetch_min(id, SeqCst);
        self.waker.wake();
    }

    /// Sends the last GOAWAY once more, for the client to acknowledge.
    pub(crate) fn repeat(&self) {
        self.repeated.store(true, SeqCst);
        self.waker.wake();
    }
}

/// Opens our control stream and keeps it open as long as the connection lives (RFC9114-6.2.1-own-control-kept). SETTINGS
/// goes out before anything of the peer is waited for (RFC9114-7.2.4.2-settings-unasked). Ends with the connection, or
/// with the error that ends it.
pub(crate) async fn our_control(connection: Arc<ConnectionState>, settings: Settings) -> Error {
    // RFC9114-6.2.1-control-stopped. That a write fails because the connection is gone does no harm: it has its own end.
    let stopped = Error::connection(Code::H3_CLOSED_CRITICAL_STREAM, "control stream stopped");
    let Ok(mut stream) = connection.quic.open_uni().await else {
        return stopped;
    };
    let mut preface = BytesMut::new();
    trilane_http3::write_control_preface(&mut preface, &settings);
    // Control frames overtake bodies.
    let _ = stream.set_priority(i32::MAX);
    if stream.write_chunk(preface.freeze()).await.is_err() {
        return stopped;
    }
    let mut sent = NONE;
    while let Ok(id) = next_goaway(&connection.goaway, &stream, sent).await {
        let mut frame = BytesMut::new();
        trilane_http3::write_goaway(&mut frame, id);
        sent = id;
        if stream.write_chunk(frame.freeze()).await.is_err() {
            return stopped;
        }
    }
    stopped
}

/// Waits for a GOAWAY to send; fails when the peer stops the stream or the connection ends.
async fn next_goaway(
    goaway: &Goaway,
    stream: &SendStream,
    sent: u64,
) -> Result<u64, Result<Option<VarInt>, quinn::StoppedError>> {
    let mut stopped = pin!(stream.stopped());
    poll_fn(|cx| {
        goaway.waker.register(cx.waker());
        let id = goaway.id.load(SeqCst);
        if id != sent || (goaway.repeated.swap(false, SeqCst) && id != NONE) {
            return Poll::Ready(Ok(id));
        }
        stopped.as_mut().poll(cx).map(Err)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC9114-5.2-goaway-never-grows
    #[test]
    fn a_goaway_with_a_larger_id_than_the_one_before_is_not_sent() {
        let goaway = Goaway::new();
        goaway.send(GOAWAY_ANNOUNCE);
        goaway.send(8);
        goaway.send(12);
        assert_eq!(goaway.id.load(SeqCst), 8);
    }
}
