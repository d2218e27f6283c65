//! What a program hears of WebTransport sessions, and how it names their streams.

/// Names one stream of the sessions of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamName {
    /// Index in the server's table; small, used again.
    pub slot: u32,
    /// Tells the slot's users apart.
    pub generation: u32,
}

/// Which way a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Both ways.
    Bidirectional,
    /// From the one who opened it.
    Unidirectional,
}

/// What happens to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The client opened a stream.
    Stream(StreamName, StreamKind),
    /// The client asks for the session to be wound up (WT_DRAIN_SESSION).
    Draining,
    /// It is over, and the client ended it: cleanly, with its code and reason; or its stream or connection broke off.
    Closed(SessionEnd),
}

/// How a client ended its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// WT_CLOSE_SESSION, or a clean end of its stream: code 0 and no reason.
    Clean {
        /// The application's code.
        code: u32,
        /// At most 1,024 bytes.
        reason: String,
    },
    /// Its CONNECT stream was reset, or its connection is gone, or it broke the protocol.
    Abrupt,
}

impl SessionEnd {
    pub(crate) fn closed(code: u32, reason: &[u8]) -> Self {
        let reason = String::from_utf8_lossy(reason).into_owned();
        Self::Clean { code, reason }
    }
}
