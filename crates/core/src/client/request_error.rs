//! Why a request of ours came to nothing.

use std::sync::Arc;

use quinn::ConnectionError;
use trilane_http3::{Code, Role};

use super::error::DialError;
use crate::connection_state::ConnectionState;

/// Why there is no response, or no whole one. One that is safe to repeat has been repeated before.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection could be made.
    #[error(transparent)]
    Dial(Arc<DialError>),
    /// The server refused it unprocessed, each time.
    #[error(
        "the server refused the request before it processed it (H3_REQUEST_REJECTED): try again later, or elsewhere"
    )]
    Rejected,
    /// The server refused it unprocessed, and its body is gone.
    #[error(
        "the server refused the request before it processed it (H3_REQUEST_REJECTED); its body cannot be sent a second time"
    )]
    RejectedStream,
    /// The server reset its stream with this code.
    #[error("the server reset the request with code {0:#x}: its own log may say why")]
    Reset(u64),
    /// The response breaks the rules of HTTP/3.
    #[error("the server's response breaks the rules of HTTP/3: {0}")]
    Malformed(&'static str),
    /// The server broke a rule of HTTP/3 elsewhere on the connection, which was closed for it.
    #[error("the connection was closed because the server broke a rule of HTTP/3: {0}")]
    ServerBroke(&'static str),
    /// The head of the response exceeds the limit.
    #[error(
        "the head of the response exceeds the limit of header bytes or fields: allow more, or have the server send less"
    )]
    HeadTooLarge,
    /// The head of the request exceeds what the server said it takes.
    #[error(
        "the head of the request has {size} bytes, the server takes {most}: send fewer or shorter fields"
    )]
    OwnHeadTooLarge {
        /// As RFC 9114 §4.2.2 counts it.
        size: u64,
        /// Its SETTINGS_MAX_FIELD_SECTION_SIZE.
        most: u64,
    },
    /// No head of a response came in time.
    #[error("no response within the time limit: allow more time, or look on the server what takes so long")]
    TimedOut,
    /// The connection ended before the response did.
    #[error("the connection ended before the response: {0}")]
    ConnectionLost(ConnectionLoss),
    /// The server goes away and did not process it, and it cannot be sent again.
    #[error(
        "the server goes away and did not process the request (GOAWAY); its body cannot be sent a second time"
    )]
    GoneAway,
    /// The server does not speak extended CONNECT (RFC 9220 §3).
    #[error("the server does not support extended CONNECT, which this needs")]
    NoExtendedConnect,
    /// The server does not speak WebTransport.
    #[error("the server does not support WebTransport")]
    NoWebTransport,
    /// The body did not have the length that `content-length` announced.
    #[error("the body of the request did not have the length that content-length announced")]
    BodyLength,
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
}

/// How a connection was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLoss {
    /// Whether the server ended it.
    pub remote: bool,
    /// The application's or the transport's code, if one was sent.
    pub code: Option<u64>,
    /// The silence was too long.
    pub timed_out: bool,
    /// What the other side, or QUIC, said.
    pub reason: String,
}

impl std::fmt::Display for ConnectionLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl RequestError {
    /// Why a request of this connection, which is over, has no response.
    pub(crate) fn of_end(connection: &ConnectionState) -> Self {
        let known = connection.ended_by.get().cloned();
        known.unwrap_or_else(|| {
            let reason = connection.quic.close_reason();
            Self::ConnectionLost(ConnectionLoss::of(reason.as_ref(), Role::Client))
        })
    }
}

impl ConnectionLoss {
    /// As the side of this role sees it.
    pub(crate) fn of(error: Option<&ConnectionError>, role: Role) -> Self {
        let (remote, code) = match error {
            Some(ConnectionError::ApplicationClosed(close)) => (true, Some(close.error_code.into_inner())),
            Some(ConnectionError::ConnectionClosed(close)) => (true, Some(u64::from(close.error_code))),
            Some(ConnectionError::Reset) => (true, None),
            _ => (false, None),
        };
        Self {
            remote,
            code,
            timed_out: matches!(error, Some(ConnectionError::TimedOut)),
            reason: match error {
                Some(ConnectionError::ApplicationClosed(close)) => format!(
                    "the {} closed it with {} {}",
                    match role {
                        Role::Client => "server",
                        Role::Server => "client",
                    },
                    Code::from(close.error_code.into_inner()),
                    String::from_utf8_lossy(&close.reason)
                )
                .trim_end()
                .to_owned(),
                Some(error) => error.to_string(),
                None => "it was closed".to_owned(),
            },
        }
    }
}
