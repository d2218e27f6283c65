//! The streams that a server opens: what each is, and whose.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use trilane_http3::{Code, Error};

use super::{STREAMS_PER_TURN, Task};
use crate::arrived_stream::Arrived;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::sync::lock;

impl Task {
    /// Streams that the server opened, each read by what `read` makes of it; whether more may have come. `accept` waits for the
    /// next one, and `again` makes it anew. A server opens bidirectional streams in WebTransport sessions and nowhere else
    /// (RFC9114-6.1-server-stream).
    pub(super) fn accept<Accept, Stream, Work>(
        &mut self,
        cx: &mut Context<'_>,
        mut accept: Pin<&mut Accept>,
        again: impl Fn() -> Accept,
        read: impl Fn(Stream, Arc<ConnectionState>) -> Work,
    ) -> bool
    where
        Accept: Future<Output = Result<Stream, quinn::ConnectionError>>,
        Work: Future<Output = Outcome> + Send + 'static,
    {
        for _ in 0..STREAMS_PER_TURN {
            if self.over {
                return false;
            }
            match accept.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(stream)) => {
                    accept.set(again());
                    self.peers.push(Box::pin(read(stream, self.state.clone())));
                }
                Poll::Ready(Err(error)) => {
                    self.closed(&error);
                    return false;
                }
            }
        }
        true
    }

    /// A stream that names its session: it may come before the answer that accepts it (draft-ietf-webtrans-http3-16 §4.6).
    pub(super) fn stream_arrived(&mut self, session: u64, arrived: Arrived) {
        // Not locked any longer when the session takes it: it may be its end.
        let known = lock(&self.state.sessions).get(&session).cloned();
        if let Some(session) = known {
            return session.arrived(arrived);
        }
        if session >= self.next_stream {
            arrived.refuse(trilane_http3::code::WT_SESSION_GONE);
            return self.fail(&Error::connection(
                Code::H3_ID_ERROR,
                "a stream of a session that was never asked for",
            ));
        }
        if self.early_streams.keep(session, arrived) {
            let early = self.early_streams.clone();
            self.streams.push(Box::pin(async move {
                early.expire().await;
                Outcome::Done
            }));
        }
    }
}
