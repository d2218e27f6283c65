//! What went wrong, in words and numbers that a test can compare.

use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use serde_json::{Value, json};

/// What went wrong: one word, the code that was on the wire if there was one, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One word of this file.
    pub(crate) kind: &'static str,
    /// The application's, transport's or TLS alert's code.
    pub(crate) code: Option<u64>,
    /// The peer's reason phrase, or a description.
    pub(crate) reason: String,
}

impl Failure {
    /// A failure without a code.
    pub(crate) fn new(kind: &'static str, reason: impl ToString) -> Self {
        Self {
            kind,
            code: None,
            reason: reason.to_string(),
        }
    }

    /// The command itself makes no sense.
    pub(crate) fn usage(reason: impl ToString) -> Self {
        Self::new("usage", reason)
    }

    fn coded(kind: &'static str, code: impl Into<u64>, reason: impl ToString) -> Self {
        Self {
            kind,
            code: Some(code.into()),
            reason: reason.to_string(),
        }
    }

    /// An answer, but not a success.
    pub(crate) fn status(status: http::StatusCode) -> Self {
        Self::coded("status", status.as_u16(), "")
    }

    /// `reset:0x10c` or `status:404`, for counting.
    pub(crate) fn label(&self) -> String {
        match self.code {
            Some(code) if self.kind == "status" => format!("status:{code}"),
            Some(code) => format!("{}:{code:#x}", self.kind),
            None => self.kind.to_owned(),
        }
    }

    /// `{kind, code, reason}`.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "kind": self.kind, "code": self.code, "reason": self.reason })
    }

    /// What h3 reports of a stream. Where the connection ended, quinn knows more about why than h3 passes on.
    pub(crate) fn from_h3(
        error: &h3::error::StreamError,
        quic: &quinn::Connection,
        direction: Direction,
    ) -> Self {
        use h3::error::StreamError;
        match error {
            StreamError::RemoteTerminate { code } => Self::coded(direction.ended_by_peer(), code.value(), ""),
            StreamError::StreamError { code, reason } => Self::coded("message", code.value(), reason),
            StreamError::RemoteClosing => Self::new("goaway", "the server has announced its end"),
            StreamError::HeaderTooBig { .. } => Self::new("header_too_big", error),
            StreamError::ConnectionError(lost) => Self::from_h3_connection(lost, quic),
            _ => Self::new("undefined", error),
        }
    }

    /// How h3 says that a connection ended.
    pub(crate) fn from_h3_connection(error: &h3::error::ConnectionError, quic: &quinn::Connection) -> Self {
        use h3::error::{ConnectionError, LocalError};
        match (error, quic.close_reason()) {
            // What this side's h3 found wrong is the cause, not quinn's "closed locally".
            (
                ConnectionError::Local {
                    error: LocalError::Application { code, reason, .. },
                    ..
                },
                _,
            ) => Self::coded("protocol", code.value(), reason),
            (_, Some(reason)) => reason.into(),
            (_, None) => Self::new("connection", error),
        }
    }
}

/// Which half of a stream an error came from: the same signal is a reset on one and a STOP_SENDING on the other.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// Our sending half.
    Sending,
    /// Our receiving half.
    Receiving,
}

impl Direction {
    fn ended_by_peer(self) -> &'static str {
        match self {
            Self::Sending => "stopped",
            Self::Receiving => "reset",
        }
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        match &error {
            ConnectionError::ApplicationClosed(close) => {
                Self::coded("closed", close.error_code, String::from_utf8_lossy(&close.reason))
            }
            ConnectionError::ConnectionClosed(close) => {
                let reason = String::from_utf8_lossy(&close.reason).into_owned();
                Self::of_transport("transport", close.error_code.into(), reason)
            }
            ConnectionError::TransportError(found) => {
                Self::of_transport("transport_local", found.code.into(), found.reason.clone())
            }
            ConnectionError::Reset => Self::new("stateless_reset", ""),
            ConnectionError::TimedOut => Self::new("timeout", "the peer fell silent"),
            ConnectionError::LocallyClosed => Self::new("closed_locally", ""),
            ConnectionError::VersionMismatch => Self::new("version", ""),
            ConnectionError::CidsExhausted => Self::new("transport_local", error),
        }
    }
}

impl Failure {
    /// Transport codes 0x100 to 0x1ff carry a TLS alert (RFC 9001 §4.8): `kind` tls, `code` the alert.
    fn of_transport(kind: &'static str, code: u64, reason: String) -> Self {
        match code {
            0x100..=0x1ff => Self::coded("tls", code - 0x100, reason),
            _ => Self::coded(kind, code, reason),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::coded("reset", code, ""),
            ReadError::ConnectionLost(lost) => lost.into(),
            other => Self::new("stream", other),
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::coded("stopped", code, ""),
            WriteError::ConnectionLost(lost) => lost.into(),
            other => Self::new("stream", other),
        }
    }
}

/// An error code as QUIC carries it: below 2⁶².
pub(crate) fn code(value: u64) -> Result<VarInt, Failure> {
    VarInt::from_u64(value).map_err(|_| Failure::usage(format!("{value} does not fit in 62 bits")))
}
