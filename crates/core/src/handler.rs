//! The one seam between the core and whoever answers: a Rust program, or the JavaScript binding.

use std::task::{Context, Poll};

use trilane_http3::{FieldSection, RequestHead, ResponseHead};

use bytes::Bytes;

use crate::body::MessageBody;
use crate::client::RequestError;
use crate::connections::ConnectionName;
use crate::exchange::{Exchange, ExchangeId};
use crate::file::FileError;
use crate::portion::Portion;
use crate::request_record::RequestEnd;
use crate::router::{ParamSpan, RouteId};
use crate::server::ConnectionInfo;
use crate::session_event::{SessionEvent, StreamName};
use crate::session_stream::StreamEvent;

/// One request, borrowed for the time of the call.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method, authority, path and fields, checked against RFC 9114 §4.
    pub head: &'a RequestHead,
    /// The route that matched; `None`: the fallback.
    pub route: Option<RouteId>,
    /// The routing that `route` is an index of: 0 is the first of the server, each [`Server::reload`](crate::Server::reload)
    /// counts on.
    pub routing: u32,
    /// Byte ranges of the route's parameters in `head.path()`, in the order of their names.
    pub params: &'a [ParamSpan],
    /// The trailers behind a body that is whole, if there are any. Behind one that is read as it comes, see
    /// [`BodyReader::trailers`](crate::BodyReader::trailers).
    pub trailers: Option<&'a FieldSection>,
    /// The body, as the mode of the route has it.
    pub body: MessageBody,
    /// It arrived in early data (0-RTT), and the handshake is not complete: it may be a replay (RFC 8470 §3). Never true
    /// unless the server takes early data.
    pub early_data: bool,
}

/// One response, borrowed for the time of the call.
#[derive(Debug)]
pub struct Response<'a> {
    /// Status and fields, checked against RFC 9114 §4.
    pub head: &'a ResponseHead,
    /// The body: whole, if all of it came with the head.
    pub body: MessageBody,
    /// The trailers behind a body that is whole, if there are any.
    pub trailers: Option<&'a FieldSection>,
    /// The connection that carried it.
    pub connection: ConnectionName,
    /// Whether another request had used the connection before.
    pub is_reused: bool,
    /// Whether the request went in early data (0-RTT), and the server took it.
    pub early_data: bool,
}

/// What happens to an exchange after its request was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeEvent {
    /// The client reset the stream, stopped reading (`code` is its HTTP/3 error code), or vanished (`None`).
    /// Nothing more is sent; every later call on the exchange is refused.
    Aborted {
        /// The peer's error code, if it sent one.
        code: Option<u64>,
    },
    /// All that was written to a streaming answer was accepted by QUIC: time to write more. Told to a writer that asked
    /// ([`crate::Notify`]).
    Drained,
    /// The server wants no more of the body of a request of ours; its response is still awaited (RFC 9114 §4.1).
    Stopped {
        /// The server's error code, if it sent one.
        code: Option<u64>,
    },
    /// An answer from a file was sent.
    Finished,
}

/// What happens to a connection.
#[derive(Clone, Debug)]
pub enum ConnectionEvent {
    /// Its handshake is complete.
    Opened(Box<ConnectionInfo>),
    /// It is over; its name is not used again soon.
    Closed(CloseCause),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCause {
    /// Whether the client ended it.
    pub remote: bool,
    /// The application error code that it sent, or the transport's (RFC 9000 §20), if it sent one.
    pub code: Option<u64>,
}

/// Answers requests. Called on the IO thread: an implementation must not block.
pub trait Handler: Send + Sync + 'static {
    /// Whether there is room for another request of the connection whose `portion` this is. Pending stops the accepting of
    /// streams on it until the waker is called: QUIC flow control then holds the peer back, and no queue grows. A
    /// client's connections ask before a response, and count none.
    fn poll_ready(&self, cx: &mut Context<'_>, portion: &Portion) -> Poll<()> {
        let _ = (cx, portion);
        Poll::Ready(())
    }

    /// A server's: takes a request. `exchange` is answered now or later, from any thread; dropped unanswered, it resets the
    /// stream with H3_INTERNAL_ERROR.
    fn request(&self, request: Request<'_>, exchange: Exchange) {
        let _ = (request, exchange);
    }

    /// A client's: takes an interim answer (1xx); the final one follows.
    fn informational(&self, id: ExchangeId, head: &ResponseHead) {
        let _ = (id, head);
    }

    /// A client's: takes the response to a request. A body that is read as it comes is taken from the exchange
    /// ([`ExchangeTable::take_body`](crate::ExchangeTable::take_body)).
    fn response(&self, id: ExchangeId, response: Response<'_>) {
        let _ = (id, response);
    }

    /// A client's: hears that a request gets no response. The exchange is over.
    fn request_failed(&self, id: ExchangeId, error: RequestError) {
        let _ = (id, error);
    }

    /// Hears that no request of this routing will come any more: another took its place, and all of its own were handed over.
    fn routing_over(&self, routing: u32) {
        let _ = routing;
    }

    /// Called after each poll of a connection: the moment to pass on what was gathered, if a flood keeps the thread from
    /// ever pausing.
    fn after_poll(&self) {}

    /// Takes a raw QUIC datagram. Called only if [`DatagramOptions::raw`](crate::DatagramOptions::raw) is set.
    fn quic_datagram(&self, connection: ConnectionName, payload: Bytes) {
        let _ = (connection, payload);
    }

    /// Takes an HTTP datagram of an open exchange whose route takes them.
    fn h3_datagram(&self, id: ExchangeId, payload: Bytes) {
        let _ = (id, payload);
    }

    /// Takes a datagram of a WebTransport session, which is named by its exchange.
    fn session_datagram(&self, id: ExchangeId, payload: Bytes) {
        let _ = (id, payload);
    }

    /// Takes datagrams of one WebTransport session that came one behind the other, all of them, in their order.
    fn session_datagrams(&self, id: ExchangeId, payloads: std::vec::Drain<'_, Bytes>) {
        for payload in payloads {
            self.session_datagram(id, payload);
        }
    }

    /// Hears of a WebTransport session, which is named by its exchange.
    fn session_event(&self, id: ExchangeId, event: SessionEvent) {
        let _ = (id, event);
    }

    /// Hears what becomes of what was written to a stream of a session.
    fn stream_event(&self, stream: StreamName, event: StreamEvent) {
        let _ = (stream, event);
    }

    /// Hears of connections. Called only if [`ServerConfig::tell_connections`](crate::ServerConfig::tell_connections) is set.
    fn connection_event(&self, connection: ConnectionName, event: ConnectionEvent) {
        let _ = (connection, event);
    }

    /// Hears what becomes of an exchange that was not answered at once.
    fn exchange_event(&self, id: ExchangeId, event: ExchangeEvent) {
        let _ = (id, event);
    }

    /// Hears that a request is over, after everything else about it. Called only if [`Observe::ends`](crate::Observe::ends) is
    /// set, also for requests that the server answered by itself; not for those that were malformed or given up before their
    /// header section was complete, which are counted in [`Stats`](crate::Stats).
    fn request_ended(&self, end: RequestEnd) {
        let _ = end;
    }

    /// Hears that the file of an answer cannot be sent. Nothing was sent: another answer is awaited.
    fn file_refused(&self, id: ExchangeId, error: FileError) {
        let _ = (id, error);
    }

    /// Hears that the file of an answer failed while it was being sent. The stream was reset, the exchange is over.
    fn file_broken(&self, id: ExchangeId, error: FileError) {
        let _ = (id, error);
    }
}
