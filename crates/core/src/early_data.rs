//! Requests that arrive in early data (0-RTT), before the handshake shows that they are no replay (RFC 8470).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::ZeroRttAccepted;
use tokio::time::{Sleep, sleep};

/// A handshake that goes on while its connection already serves what is safe.
pub(crate) struct Unconfirmed {
    over: ZeroRttAccepted,
    deadline: Pin<Box<Sleep>>,
}

/// How such a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// The client has shown that it is there now: nothing on this connection is a replay.
    Complete,
    /// The connection ended first.
    Failed,
    /// It took too long.
    TimedOut,
}

impl Unconfirmed {
    pub(crate) fn new(over: ZeroRttAccepted, timeout: Duration) -> Self {
        Self {
            over,
            deadline: Box::pin(sleep(timeout)),
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, quic: &quinn::Connection) -> Poll<Confirmation> {
        // What the future says is for clients; a server learns only that the handshake is over.
        if Pin::new(&mut self.over).poll(cx).is_ready() {
            return Poll::Ready(match quic.close_reason() {
                None => Confirmation::Complete,
                Some(_) => Confirmation::Failed,
            });
        }
        self.deadline.as_mut().poll(cx).map(|()| Confirmation::TimedOut)
    }
}

/// Whether a request may be served before the handshake is complete: served twice, it does what it does once (RFC 9110
/// §9.2.1). Content makes even a safe method doubtful. Anything else is answered 425 (RFC 8470 §5.2;
/// RFC9114-10.9-early-data-replay).
pub(crate) fn may_run_early(method: &[u8], has_content: bool) -> bool {
    !has_content && matches!(method, b"GET" | b"HEAD" | b"OPTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_methods_without_content_run_early() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(may_run_early(method.as_bytes(), false), "{method}");
            assert!(!may_run_early(method.as_bytes(), true), "{method}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE", "get", ""] {
            assert!(!may_run_early(method.as_bytes(), false), "{method}");
        }
    }
}
