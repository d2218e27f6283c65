//! QUIC as h3 wants it, over quinn.
//!
//! h3-quinn moves a stream into the read that waits for its data, and has nothing left that could send STOP_SENDING or tell its
//! id meanwhile. h3 reads ahead, so a response that pauses is always in that state. Here a read borrows its stream.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

/// A wait that is kept between polls: quinn wakes nobody for one that was dropped.
type Wait<T> = Option<Pin<Box<dyn Future<Output = Result<T, ConnectionError>> + Send + Sync>>>;

type Pair = (quinn::SendStream, quinn::RecvStream);

/// A connection for h3.
pub(super) struct Connection {
    opener: Opener,
    accept_bi: Wait<Pair>,
    accept_uni: Wait<quinn::RecvStream>,
}

/// What opens streams of a connection.
pub(super) struct Opener {
    quic: quinn::Connection,
    open_bi: Wait<Pair>,
    open_uni: Wait<quinn::SendStream>,
}

/// Both halves of a stream.
pub(super) struct Bidi<B: Buf> {
    send: Sending<B>,
    receive: Receiving,
}

/// A sending half.
pub(super) struct Sending<B: Buf> {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<B>>,
}

/// A receiving half.
pub(super) struct Receiving {
    stream: quinn::RecvStream,
}

impl Connection {
    /// The same connection, seen by h3.
    pub(super) fn new(quic: quinn::Connection) -> Self {
        Self {
            opener: Opener::new(quic),
            accept_bi: None,
            accept_uni: None,
        }
    }
}

impl Opener {
    fn new(quic: quinn::Connection) -> Self {
        Self {
            quic,
            open_bi: None,
            open_uni: None,
        }
    }
}

impl Clone for Opener {
    fn clone(&self) -> Self {
        Self::new(self.quic.clone())
    }
}

/// Polls the wait that there is, or a new one.
fn poll_wait<T, F>(
    wait: &mut Wait<T>,
    context: &mut Context<'_>,
    begin: impl FnOnce() -> F,
) -> Poll<Result<T, ConnectionErrorIncoming>>
where
    F: Future<Output = Result<T, ConnectionError>> + std::marker::Send + Sync + 'static,
{
    let polled = wait
        .get_or_insert_with(|| Box::pin(begin()))
        .as_mut()
        .poll(context);
    if polled.is_ready() {
        *wait = None;
    }
    polled.map_err(connection_error)
}

impl<B: Buf> quic::Connection<B> for Connection {
    type RecvStream = Receiving;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        let quic = &self.opener.quic;
        let accepted = poll_wait(&mut self.accept_uni, context, || {
            let quic = quic.clone();
            async move { quic.accept_uni().await }
        });
        accepted.map_ok(|stream| Receiving { stream })
    }

    fn poll_accept_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, ConnectionErrorIncoming>> {
        let quic = &self.opener.quic;
        let accepted = poll_wait(&mut self.accept_bi, context, || {
            let quic = quic.clone();
            async move { quic.accept_bi().await }
        });
        accepted.map_ok(Bidi::from)
    }

    fn opener(&self) -> Self::OpenStreams {
        self.opener.clone()
    }
}

impl<B: Buf> quic::OpenStreams<B> for Connection {
    type BidiStream = Bidi<B>;
    type SendStream = Sending<B>;

    fn poll_open_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(context)
    }

    fn poll_open_send(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        self.opener.poll_open_send(context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<B>::close(&mut self.opener, code, reason);
    }
}

impl<B: Buf> quic::OpenStreams<B> for Opener {
    type BidiStream = Bidi<B>;
    type SendStream = Sending<B>;

    fn poll_open_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, StreamErrorIncoming>> {
        let quic = &self.quic;
        let opened = poll_wait(&mut self.open_bi, context, || {
            let quic = quic.clone();
            async move { quic.open_bi().await }
        });
        opened.map_ok(Bidi::from).map_err(lost)
    }

    fn poll_open_send(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        let quic = &self.quic;
        let opened = poll_wait(&mut self.open_uni, context, || {
            let quic = quic.clone();
            async move { quic.open_uni().await }
        });
        opened.map_ok(Sending::from).map_err(lost)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.quic.close(wire_code(code.value()), reason);
    }
}

impl<B: Buf> From<Pair> for Bidi<B> {
    fn from((send, receive): Pair) -> Self {
        Self {
            send: send.into(),
            receive: Receiving { stream: receive },
        }
    }
}

impl<B: Buf> From<quinn::SendStream> for Sending<B> {
    fn from(stream: quinn::SendStream) -> Self {
        Self {
            stream,
            writing: None,
        }
    }
}

impl<B: Buf> quic::BidiStream<B> for Bidi<B> {
    type SendStream = Sending<B>;
    type RecvStream = Receiving;

    fn split(self) -> (Self::SendStream, Self::RecvStream) {
        (self.send, self.receive)
    }
}

impl<B: Buf> quic::RecvStream for Bidi<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(context)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl<B: Buf> quic::SendStream<B> for Bidi<B> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(context)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(context)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl quic::RecvStream for Receiving {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let chunk = ready!(pin!(self.stream.read_chunk(usize::MAX, true)).poll(context));
        Poll::Ready(
            chunk
                .map(|chunk| chunk.map(|chunk| chunk.bytes))
                .map_err(read_error),
        )
    }

    fn stop_sending(&mut self, code: u64) {
        // Refused only where the stream has ended already.
        let _ = self.stream.stop(wire_code(code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl<B: Buf> quic::SendStream<B> for Sending<B> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(data) = &mut self.writing {
            while data.has_remaining() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(context, data.chunk()));
                data.advance(written.map_err(write_error)?);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            let reason = "h3 sends before the last is written".to_owned();
            return Err(lost(ConnectionErrorIncoming::InternalError(reason)));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        let finished = self.stream.finish();
        Poll::Ready(finished.map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        let _ = self.stream.reset(wire_code(code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

fn stream_id(id: quinn::StreamId) -> StreamId {
    // Both are integers below 2⁶².
    u64::from(id)
        .try_into()
        .unwrap_or_else(|_| unreachable!("a stream id of QUIC"))
}

fn wire_code(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn lost(connection_error: ConnectionErrorIncoming) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error }
}

fn connection_error(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => ConnectionErrorIncoming::ApplicationClose {
            error_code: close.error_code.into(),
        },
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        ReadError::ConnectionLost(error) => lost(connection_error(error)),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        WriteError::ConnectionLost(error) => lost(connection_error(error)),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}
