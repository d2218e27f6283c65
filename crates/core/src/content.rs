//! The content of one message, request or response, as it arrives: what both sides of HTTP/3 read in the same way.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use quinn::{Chunk, ReadError, RecvStream};
use trilane_http3::{
    Error, FieldSection, MessageError, Part, RequestHead, RequestReader, ResponseHead, ResponseReader,
};

/// The largest chunk read at once, longer than a packet: quinn joins small pieces into large ones, and a large one full of
/// tiny frames would be a long turn.
const CHUNK_BYTES: usize = 4 * 1024;

/// Chunks taken from quinn at once, under one of its locks, where content is read as it came.
const CHUNKS_AT_ONCE: usize = 32;

/// Chunks taken from quinn at once of a stream that was not read yet: a small message in two packets, and its end.
const FIRST_CHUNKS: usize = 3;

/// The most chunks of one read: a peer that sends a byte in each packet must not make the list of them long.
const MAX_CHUNKS: usize = 1024;

/// Frames without content, beyond the chunk that they are in, after which other streams get their turn and the connection's
/// task has a look at how many there were.
pub(crate) const OVERHEAD_PER_TURN: u32 = 256;

/// Why content ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentError {
    /// The peer reset the stream with this code, or its connection is gone.
    Reset(Option<u64>),
    /// It breaks the rules of HTTP/3.
    Protocol(Error),
    /// The trailer section exceeds the limit.
    TrailersTooLarge,
}

/// How far gathering came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gathered {
    /// As much as was asked for.
    Full,
    /// To the end of the stream.
    End,
}

/// What knows the frames of the message.
enum Frames {
    Request(RequestReader),
    Response(ResponseReader),
}

/// Reads one message from its stream. Holds no future of quinn's between polls, so it may be moved and dropped at any time.
pub(crate) struct ContentReader {
    recv: RecvStream,
    frames: Frames,
    /// Received and not yet read.
    rest: Bytes,
    /// Received behind `rest`: of the first chunks of a stream, and of content that is read as it came.
    ahead: VecDeque<Bytes>,
    /// Frames without content since they were last asked for.
    overhead: u32,
    body: Body,
    /// Length of the last piece of [`poll_content`](Self::poll_content): room for as much is made at once for the next.
    expected: usize,
    trailers: FieldSection,
}

#[derive(Default)]
enum Body {
    #[default]
    Empty,
    /// A view of quinn's buffer: the usual small body, never copied here.
    One(Bytes),
    Gathered(BytesMut),
    /// As it came, with the length of all of it.
    AsCame(Vec<Bytes>, usize),
}

impl ContentReader {
    pub(crate) fn of_request(recv: RecvStream, reader: RequestReader) -> Self {
        Self::new(recv, Frames::Request(reader))
    }

    pub(crate) fn of_response(recv: RecvStream, reader: ResponseReader) -> Self {
        Self::new(recv, Frames::Response(reader))
    }

    fn new(recv: RecvStream, frames: Frames) -> Self {
        Self {
            recv,
            frames,
            rest: Bytes::new(),
            ahead: VecDeque::new(),
            overhead: 0,
            body: Body::Empty,
            expected: 0,
            trailers: FieldSection::new(),
        }
    }

    /// Frames without content read since the last call.
    #[inline]
    pub(crate) fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    /// How many there are to take.
    pub(crate) fn overhead(&self) -> u32 {
        self.overhead
    }

    /// The stream, to stop it.
    pub(crate) fn recv(&mut self) -> &mut RecvStream {
        &mut self.recv
    }

    /// The stream, and what came and was not read.
    pub(crate) fn into_stream(self) -> (RecvStream, Bytes) {
        if self.ahead.is_empty() {
            return (self.recv, self.rest);
        }
        let mut unread = BytesMut::from(self.rest);
        unread.extend(self.ahead);
        (self.recv, unread.freeze())
    }

    /// What is to be read next of what was received.
    pub(crate) fn rest(&mut self) -> &mut Bytes {
        &mut self.rest
    }

    /// Bytes received and not read yet.
    pub(crate) fn unread_len(&self) -> usize {
        self.rest.len() + self.ahead.iter().map(Bytes::len).sum::<usize>()
    }

    /// The trailers; empty before the end of the content, and if there are none.
    pub(crate) fn trailers(&self) -> &FieldSection {
        &self.trailers
    }

    /// The body gathered so far.
    pub(crate) fn take_body(&mut self) -> Bytes {
        match std::mem::take(&mut self.body) {
            Body::Empty => Bytes::new(),
            Body::One(bytes) => bytes,
            Body::Gathered(buffer) => buffer.freeze(),
            Body::AsCame(pieces, _) => pieces.concat().into(),
        }
    }

    pub(crate) fn body_len(&self) -> usize {
        match &self.body {
            Body::Empty => 0,
            Body::One(bytes) => bytes.len(),
            Body::Gathered(buffer) => buffer.len(),
            Body::AsCame(_, bytes) => *bytes,
        }
    }

    /// Receives the next chunk; `None`: the stream has ended cleanly. The one before must have been read to its end. The
    /// future may be made anew for each poll: quinn keeps the waker with the stream.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, ReadError>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Ok(Some(self.next_ahead())));
        }
        let chunk: Option<Chunk> = ready!(pin!(self.recv.read_chunk(CHUNK_BYTES, true)).poll(cx))?;
        Poll::Ready(Ok(chunk.map(|chunk| {
            self.rest = chunk.bytes;
            self.rest.len()
        })))
    }

    /// [`poll_chunk`](Self::poll_chunk) of a stream that was not read yet. Of a small message that is here the end is then known,
    /// too, without another look at the stream: 500 of 12,500 instructions for a small request.
    #[inline]
    pub(crate) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, ReadError>> {
        self.poll_chunks::<FIRST_CHUNKS>(cx)
    }

    /// [`poll_chunk`](Self::poll_chunk), with more of it received ahead if content is read as it came.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, ReadError>> {
        if self.ahead.is_empty() && matches!(self.body, Body::AsCame(..)) {
            return self.poll_chunks::<CHUNKS_AT_ONCE>(cx);
        }
        self.poll_chunk(cx)
    }

    /// Receives up to `COUNT` chunks, the first of them to be read next. Nothing may be unread.
    fn poll_chunks<const COUNT: usize>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<usize>, ReadError>> {
        let mut chunks = [const { Bytes::new() }; COUNT];
        let received = ready!(pin!(self.recv.read_chunks(&mut chunks)).poll(cx))?;
        let Some(received) = received else {
            return Poll::Ready(Ok(None));
        };
        let mut chunks = chunks.into_iter().take(received);
        self.rest = chunks.next().unwrap_or_default();
        self.ahead.extend(chunks);
        if self.rest.len() > CHUNK_BYTES {
            let behind = self.rest.split_off(CHUNK_BYTES);
            self.ahead.push_front(behind);
        }
        Poll::Ready(Ok(Some(self.rest.len())))
    }

    /// Goes on to what was received ahead.
    fn next_ahead(&mut self) -> usize {
        if let Some(first) = self.ahead.front_mut() {
            self.rest = first.split_to(first.len().min(CHUNK_BYTES));
            if first.is_empty() {
                self.ahead.pop_front();
            }
        }
        self.rest.len()
    }

    /// The next part of a request that was received; `None`: there is no more.
    #[inline]
    pub(crate) fn read_request(&mut self, head: &mut RequestHead) -> Result<Option<Part>, MessageError> {
        match &mut self.frames {
            Frames::Request(reader) => {
                let part = reader.read(&mut self.rest, head, &mut self.trailers);
                self.overhead = self.overhead.saturating_add(reader.take_overhead());
                part
            }
            Frames::Response(_) => Ok(None),
        }
    }

    /// The next part of a response that was received; `None`: there is no more.
    pub(crate) fn read_response(&mut self, head: &mut ResponseHead) -> Result<Option<Part>, MessageError> {
        match &mut self.frames {
            Frames::Response(reader) => {
                let part = reader.read(&mut self.rest, head, &mut self.trailers);
                self.overhead = self.overhead.saturating_add(reader.take_overhead());
                part
            }
            Frames::Request(_) => Ok(None),
        }
    }

    /// A part behind the head, which is never read again.
    fn read_part(&mut self) -> Result<Option<Part>, MessageError> {
        match &self.frames {
            Frames::Request(_) => self.read_request(&mut RequestHead::default()),
            Frames::Response(_) => self.read_response(&mut ResponseHead::default()),
        }
    }

    /// The stream has ended cleanly: whether the message has, too.
    pub(crate) fn finish(&self) -> Result<(), MessageError> {
        match &self.frames {
            Frames::Request(reader) => reader.finish(),
            Frames::Response(reader) => reader.finish(),
        }
    }

    /// The next piece of content, of what has arrived at most `limit` bytes gathered into one; `None` at its end. Waits only
    /// if nothing is there.
    pub(crate) fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<Option<Bytes>, ContentError>> {
        let gathered = self.poll_gather(cx, limit);
        let some = ready!(self.poll_some(gathered))?;
        Poll::Ready(Ok(some.then(|| {
            let piece = self.take_body();
            self.expected = piece.len();
            piece
        })))
    }

    /// Like [`poll_content`](Self::poll_content), with the bytes as they came behind each other in `pieces`, which was empty:
    /// views of receive buffers, that may be much larger. Tells how many bytes there are.
    pub(crate) fn poll_pieces(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
        pieces: &mut Vec<Bytes>,
    ) -> Poll<Result<Option<usize>, ContentError>> {
        let mut list = std::mem::take(pieces);
        let bytes = self.body_len();
        if bytes > 0 {
            list.push(self.take_body());
        }
        self.body = Body::AsCame(list, bytes);
        let gathered = self.poll_gather(cx, limit);
        let some = self.poll_some(gathered);
        let bytes = self.body_len();
        if let Body::AsCame(list, _) = std::mem::take(&mut self.body) {
            *pieces = list;
        }
        Poll::Ready(Ok(ready!(some)?.then_some(bytes)))
    }

    /// Whether there is content, now that as much was `gathered`, or an end.
    fn poll_some(&self, gathered: Poll<Result<Gathered, ContentError>>) -> Poll<Result<bool, ContentError>> {
        match gathered {
            Poll::Ready(Ok(Gathered::End)) if self.body_len() == 0 => {
                Poll::Ready(self.finish().map(|()| false).map_err(ContentError::from))
            }
            // What came before the connection was lost counts; the error comes again.
            Poll::Ready(Err(error)) if error != ContentError::Reset(None) || self.body_len() == 0 => {
                Poll::Ready(Err(error))
            }
            Poll::Pending if self.body_len() == 0 => Poll::Pending,
            _ => Poll::Ready(Ok(true)),
        }
    }

    /// Whether all content is here, if it has at most `limit` bytes; it is then taken with [`take_body`](Self::take_body).
    /// Pending or `false`: what came is the first piece of [`poll_content`](Self::poll_content).
    pub(crate) fn poll_whole(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<bool, ContentError>> {
        let gathered = ready!(self.poll_gather(cx, limit))?;
        if gathered == Gathered::End {
            self.finish()?;
        }
        Poll::Ready(Ok(gathered == Gathered::End))
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<Result<Gathered, ContentError>> {
        let before = self.overhead;
        loop {
            match self.read_part() {
                Ok(Some(Part::Data(bytes))) => {
                    self.gather(bytes);
                    if self.body_len() >= limit || self.is_long_list() {
                        return Poll::Ready(Ok(Gathered::Full));
                    }
                    continue;
                }
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            if self.overhead - before >= OVERHEAD_PER_TURN {
                if self.body_len() == 0 {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            match ready!(self.poll_received(cx)) {
                Ok(Some(_)) => {}
                // Of a tunnel it is the orderly end (RFC9220-3-orderly-end).
                Ok(None) => return Poll::Ready(Ok(Gathered::End)),
                Err(ReadError::Reset(code)) => {
                    return Poll::Ready(Err(ContentError::Reset(Some(code.into_inner()))));
                }
                Err(_) => return Poll::Ready(Err(ContentError::Reset(None))),
            }
        }
    }

    fn is_long_list(&self) -> bool {
        matches!(&self.body, Body::AsCame(pieces, _) if pieces.len() >= MAX_CHUNKS)
    }

    /// Adds a piece of content to what was gathered.
    pub(crate) fn gather(&mut self, bytes: Bytes) {
        if let Body::AsCame(pieces, length) = &mut self.body {
            *length += bytes.len();
            return pieces.push(bytes);
        }
        self.body = match std::mem::take(&mut self.body) {
            Body::Empty => Body::One(bytes),
            // A small view may pin a much larger receive buffer: from the second piece on, own the bytes.
            Body::One(first) => {
                let room = (first.len() + bytes.len()).max(self.expected).max(2048);
                let mut buffer = BytesMut::with_capacity(room);
                buffer.extend_from_slice(&first);
                buffer.extend_from_slice(&bytes);
                Body::Gathered(buffer)
            }
            Body::Gathered(mut buffer) => {
                buffer.extend_from_slice(&bytes);
                Body::Gathered(buffer)
            }
            list @ Body::AsCame(..) => list,
        };
    }

    /// Before a wait: a piece that arrived is not left pinning its packet.
    pub(crate) fn settle(&mut self) {
        if let Body::One(bytes) = &self.body {
            let mut buffer = BytesMut::with_capacity(bytes.len().max(2048));
            buffer.extend_from_slice(bytes);
            self.body = Body::Gathered(buffer);
        }
    }
}

impl From<MessageError> for ContentError {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Protocol(error) => Self::Protocol(error),
            MessageError::HeadTooLarge | MessageError::TrailersTooLarge => Self::TrailersTooLarge,
        }
    }
}
