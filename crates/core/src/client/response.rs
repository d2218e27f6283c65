//! Reads the response to one request of ours, and decides what becomes of a request that gets none.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use quinn::{ReadError, RecvStream};
use trilane_http3::webtransport::SessionFlow;
use trilane_http3::{
    Code, Error, FieldSection, MessageError, Part, ResponseHead, ResponseReader, Role, Scope,
};

use crate::body::{BodyReader, MessageBody};
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::content::{ContentError, ContentReader, OVERHEAD_PER_TURN};
use crate::early_streams::EarlyStreams;
use crate::handler::Response;
use crate::session::{Beginning, Session};
use crate::sync::lock;
use crate::wire::wire_code;

use super::connection;
use super::error::{DialError, DialErrorKind};
use super::order::{Order, OutgoingBody, Tunnel};
use super::request_error::{ConnectionLoss, RequestError};
use super::state::ClientState;

/// The most content that is gathered before the response is handed over, if all of it has arrived with the head.
const WHOLE_BYTES: usize = 256 * 1024;

/// RFC 8470 §5.2: the server does not process early data.
const TOO_EARLY: u16 = 425;

/// A request that was sent.
pub(super) struct Awaited {
    pub(super) client: Arc<ClientState>,
    pub(super) connection: Arc<ConnectionState>,
    pub(super) early_streams: EarlyStreams,
    pub(super) in_early_data: bool,
    pub(super) order: Box<Order>,
    pub(super) stream: u64,
}

/// Why there is no head of a response.
enum Missing {
    /// Nobody wants it any more.
    GivenUp,
    /// The server will not process the request (RFC9114-5.2-goaway-received).
    GoneAway,
    TimedOut,
    Reset(u64),
    /// QUIC says that the server never looked at it.
    NeverProcessed,
    ConnectionLost,
    TooLarge,
    Broken(Error),
}

/// Reads the head of the response and hands it over, with its content if that is here.
pub(super) async fn read(awaited: Awaited, recv: RecvStream) -> Outcome {
    let limits = awaited.client.limits.fields();
    let reader = ResponseReader::new(limits, awaited.order.to);
    let mut content = ContentReader::of_response(recv, reader);
    let mut head = ResponseHead::new();
    let arriving = poll_fn(|cx| awaited.poll_head(cx, &mut content, &mut head));
    let arrived = match awaited.client.response_timeout {
        None => arriving.await,
        Some(limit) => match tokio::time::timeout(limit, arriving).await {
            Ok(arrived) => arrived,
            Err(_) => Err(Missing::TimedOut),
        },
    };
    match arrived {
        // RFC 8470 §5.2: once more, when the handshake is over.
        Ok(()) if head.status() == TOO_EARLY && awaited.in_early_data => {
            awaited.send_again(content, RequestError::Rejected)
        }
        Ok(()) => awaited.hand_over(content, &head).await,
        Err(missing) => awaited.miss(content, missing),
    }
}

impl Awaited {
    fn poll_head(
        &self,
        cx: &mut Context<'_>,
        content: &mut ContentReader,
        head: &mut ResponseHead,
    ) -> Poll<Result<(), Missing>> {
        if let Err(breach) = self.client.table.awaits_response(self.order.id, cx) {
            return Poll::Ready(Err(breach.map_or(Missing::GivenUp, Missing::Broken)));
        }
        // A handler that is busy takes no more, interim answers included: what is not read holds the server back.
        ready!(
            self.client
                .table
                .handler()
                .poll_ready(cx, &self.connection.portion)
        );
        let before = content.overhead();
        let polled = self.poll_parts(cx, content, head, before);
        self.connection.count_overhead(content.take_overhead());
        polled
    }

    fn poll_parts(
        &self,
        cx: &mut Context<'_>,
        content: &mut ContentReader,
        head: &mut ResponseHead,
        before: u32,
    ) -> Poll<Result<(), Missing>> {
        loop {
            match content.read_response(head) {
                Ok(Some(Part::Head)) if head.is_informational() => {
                    // Each costs as much as a response: a flood of them is one of frames that bring nothing.
                    self.connection.count_overhead(1);
                    self.client.table.handler().informational(self.order.id, head);
                    continue;
                }
                Ok(Some(Part::Head)) => return Poll::Ready(Ok(())),
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            if content.overhead() - before >= OVERHEAD_PER_TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // RFC9114-5.2-goaway-received: what is here already counts.
            if self.is_beyond_goaway() && !self.has_begun(content) {
                return Poll::Ready(Err(Missing::GoneAway));
            }
            match ready!(content.poll_chunk(cx)) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let end = content.finish().err();
                    // RFC9114-4.1-response-incomplete: a stream without a response is malformed, whatever else it was.
                    let error = end.map_or(
                        Missing::Broken(Error::stream(
                            Code::H3_MESSAGE_ERROR,
                            "the stream ended without a response",
                        )),
                        Missing::from,
                    );
                    return Poll::Ready(Err(error));
                }
                Err(ReadError::Reset(code)) => {
                    return Poll::Ready(Err(Missing::Reset(code.into_inner())));
                }
                Err(ReadError::ZeroRttRejected) => return Poll::Ready(Err(Missing::NeverProcessed)),
                Err(_) => return Poll::Ready(Err(Missing::ConnectionLost)),
            }
        }
    }

    fn is_beyond_goaway(&self) -> bool {
        self.stream >= self.connection.peer_goaway.load(SeqCst)
    }

    /// Whether something of the response waits to be read.
    fn has_begun(&self, content: &mut ContentReader) -> bool {
        !content.rest().is_empty()
    }

    async fn hand_over(self, mut content: ContentReader, head: &ResponseHead) -> Outcome {
        let (id, table) = (self.order.id, &self.client.table);
        if self.order.tunnel == Tunnel::Session && (200..300).contains(&head.status()) {
            return self.begin_session(content, head);
        }
        // Whether its end has come with it; if not, what came is the first piece.
        let whole = poll_fn(|cx| Poll::Ready(content.poll_whole(cx, WHOLE_BYTES))).await;
        self.connection.count_overhead(content.take_overhead());
        match whole {
            Poll::Ready(Ok(true)) => {
                let body = content.take_body();
                table.count_received(body.len());
                let trailers = Some(content.trailers()).filter(|trailers| !trailers.is_empty());
                let response = self.response(head, MessageBody::Whole(body), trailers);
                table.handler().response(id, response);
                table.received(id);
            }
            Poll::Ready(Err(ContentError::Protocol(error))) => return self.broken(content, error),
            _ => {
                let mut reader = BodyReader::of_response(content, table.clone(), self.connection.clone(), id);
                let is_tunnel = (200..300).contains(&head.status());
                if self.order.tunnel == Tunnel::Capsules && is_tunnel {
                    reader = reader.with_capsules();
                }
                table.keep_body(id, reader);
                let response = self.response(head, MessageBody::Streaming, None);
                table.handler().response(id, response);
            }
        }
        Outcome::Done
    }

    fn response<'a>(
        &self,
        head: &'a ResponseHead,
        body: MessageBody,
        trailers: Option<&'a FieldSection>,
    ) -> Response<'a> {
        Response {
            head,
            body,
            trailers,
            connection: self.connection.name(),
            is_reused: self.stream > 0,
            early_data: self.in_early_data,
        }
    }

    fn begin_session(self, content: ContentReader, head: &ResponseHead) -> Outcome {
        let (id, client) = (self.order.id, &self.client);
        let ours = connection::settings::ours(&client.limits);
        let peers = lock(&self.connection.peer_settings).clone().unwrap_or_default();
        let beginning = Beginning {
            id,
            stream: self.stream,
            content,
            flow: SessionFlow::new(&ours, &peers),
            stream_window: client.limits.stream_receive_window,
        };
        let session = Session::new(beginning, self.connection.clone(), &client.sessions);
        lock(&self.connection.sessions).insert(self.stream, session.clone());
        client.table.begin_session(id, session.clone());
        let response = self.response(head, MessageBody::Whole(Bytes::new()), None);
        client.table.handler().response(id, response);
        session.streams_refused(self.early_streams.take_refused(self.stream));
        for arrived in self.early_streams.take(self.stream) {
            session.arrived(arrived);
        }
        session.accepted();
        Outcome::Done
    }

    fn miss(self, mut content: ContentReader, missing: Missing) -> Outcome {
        let code = match &missing {
            Missing::Broken(error) => error.code,
            Missing::TooLarge => Code::H3_EXCESSIVE_LOAD,
            // RFC9114-4.1.1-client-code
            _ => Code::H3_REQUEST_CANCELLED,
        };
        let _ = content.recv().stop(wire_code(code));
        self.early_streams.refuse(self.stream);
        let id = self.order.id;
        match missing {
            Missing::GivenUp => {}
            Missing::TimedOut => self.client.fail(id, RequestError::TimedOut),
            Missing::TooLarge => self.client.fail(id, RequestError::HeadTooLarge),
            Missing::Broken(error) => return self.broken(content, error),
            Missing::GoneAway => return self.send_again(content, RequestError::GoneAway),
            Missing::NeverProcessed => return self.send_again(content, RequestError::Rejected),
            // RFC9114-4.1.1-retry
            Missing::Reset(code) if Code::from(code) == Code::H3_REQUEST_REJECTED => {
                return self.send_again(content, RequestError::Rejected);
            }
            Missing::Reset(code) => self.client.fail(id, RequestError::Reset(code)),
            Missing::ConnectionLost => {
                match self.connection.ended_by.get().cloned() {
                    // Early data is safe to be sent again, and the next dial sends none.
                    Some(RequestError::Dial(error))
                        if self.in_early_data && error.kind() != DialErrorKind::TimedOut =>
                    {
                        return self.send_again(content, RequestError::Dial(error));
                    }
                    Some(error) => {
                        self.client.fail(id, error);
                        return Outcome::Done;
                    }
                    None => {}
                }
                let reason = self.connection.quic.close_reason();
                // A server judges a client's certificate when the client takes its handshake for complete.
                if let Some(refused) = reason.as_ref().and_then(DialError::of_close) {
                    self.client.fail(id, RequestError::Dial(Arc::new(refused)));
                    return Outcome::Done;
                }
                let loss = ConnectionLoss::of(reason.as_ref(), Role::Client);
                let was_used_before = self.stream > 0;
                let error = RequestError::ConnectionLost(loss);
                // RFC9114-5.4-lost-without-goaway: it may have been processed. RFC 9110 §9.2.2: an idempotent one may be sent
                // again, once, and where the connection is one that the server may have closed while it was idle.
                if self.is_beyond_goaway()
                    || (self.order.is_idempotent && self.order.attempts == 1 && was_used_before)
                {
                    return self.send_again(content, error);
                }
                self.client.fail(id, error);
            }
        }
        Outcome::Done
    }

    /// Sends the request once more if that is possible; it was not processed, or may be processed twice.
    fn send_again(self, mut content: ContentReader, otherwise: RequestError) -> Outcome {
        let _ = content.recv().stop(wire_code(Code::H3_REQUEST_CANCELLED));
        let mut order = self.order;
        order.may_be_early = false;
        if order.can_be_sent_again() && self.client.table.take_back(order.id) {
            self.client.again(order);
        } else {
            let error = match otherwise {
                RequestError::Rejected if order.body == OutgoingBody::Streaming => {
                    RequestError::RejectedStream
                }
                other => other,
            };
            self.client.fail(order.id, error);
        }
        Outcome::Done
    }

    fn broken(self, mut content: ContentReader, error: Error) -> Outcome {
        let _ = content.recv().stop(wire_code(error.code));
        self.client.table.count_malformed();
        self.client
            .fail(self.order.id, RequestError::Malformed(error.reason));
        match error.scope {
            Scope::Stream => Outcome::Done,
            Scope::Connection => Outcome::Fatal(error),
        }
    }
}

impl From<MessageError> for Missing {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Protocol(error) => Self::Broken(error),
            MessageError::HeadTooLarge | MessageError::TrailersTooLarge => Self::TooLarge,
        }
    }
}
