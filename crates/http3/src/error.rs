//! A broken rule: how far it reaches, which code it is answered with, and what was wrong.

use std::fmt;

use crate::code::Code;

/// How far an error reaches (RFC 9114 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only the stream it happened on is reset.
    Stream,
    /// The whole connection is closed.
    Connection,
}

/// A rule that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What has to end.
    pub scope: Scope,
    /// The code that RESET_STREAM, STOP_SENDING or CONNECTION_CLOSE carries.
    pub code: Code,
    /// A short phrase, fit for the reason of a CONNECTION_CLOSE frame.
    pub reason: &'static str,
}

impl Error {
    /// An error that ends only its stream.
    pub const fn stream(code: Code, reason: &'static str) -> Self {
        Self {
            scope: Scope::Stream,
            code,
            reason,
        }
    }

    /// An error that ends the connection.
    pub const fn connection(code: Code, reason: &'static str) -> Self {
        Self {
            scope: Scope::Connection,
            code,
            reason,
        }
    }

    /// A malformed message (RFC 9114 §4.1.2).
    pub(crate) const fn malformed(reason: &'static str) -> Self {
        Self::stream(Code::H3_MESSAGE_ERROR, reason)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Stream => "stream",
            Scope::Connection => "connection",
        };
        write!(f, "{scope} error {}: {}", self.code, self.reason)
    }
}

impl std::error::Error for Error {}
