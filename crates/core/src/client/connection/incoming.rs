//! The streams that a server opens: what each is, and whose.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use trilane_http3::{Code, Error};

use super::{STREAMS_PER_TURN, Task};
use crate::arrived_stream::Arrived;
use crate::connection::Outcome;
use crate::peer_streams;
use crate::sync::lock;

impl Task {
    pub(super) fn accept_unidirectional<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        mut accept: Pin<&mut quinn::AcceptUni<'q>>,
    ) -> bool {
        for _ in 0..STREAMS_PER_TURN {
            if self.over {
                return false;
            }
            match accept.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(stream)) => {
                    accept.set(quic.accept_uni());
                    let state = self.state.clone();
                    self.peers.push(Box::pin(peer_streams::read(stream, state)));
                }
                Poll::Ready(Err(error)) => {
                    self.closed(&error);
                    return false;
                }
            }
        }
        true
    }

    /// A server opens bidirectional streams in WebTransport sessions and nowhere else (RFC9114-6.1-server-stream).
    pub(super) fn accept_bidirectional<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        mut accept: Pin<&mut quinn::AcceptBi<'q>>,
    ) -> bool {
        for _ in 0..STREAMS_PER_TURN {
            if self.over {
                return false;
            }
            match accept.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok((send, recv))) => {
                    accept.set(quic.accept_bi());
                    let state = self.state.clone();
                    self.peers
                        .push(Box::pin(peer_streams::read_bidirectional(send, recv, state)));
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
