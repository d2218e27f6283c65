//! A request that did not arrive in one piece: read to its end under time limits and the connection's budget.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};
use trilane_http3::RequestHead;

use crate::answer_stream::AnswerStream;
use crate::budget::Share;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::inbound::{Admission, Received, Receiver, Refusal};
use crate::server::ServerState;

/// All that belongs to one request while it arrives.
pub(crate) struct Slow {
    pub(crate) send: AnswerStream,
    pub(crate) receiver: Receiver,
    pub(crate) head: RequestHead,
    pub(crate) admission: Admission,
    pub(crate) received: Received,
}

/// Reads until the request is complete, refused, or out of time: 10 s for the header section as a whole, then some
/// byte of the body at least every 30 s (both are limits). Late ones are answered 408 (RFC 9110 §15.5.9).
pub(crate) async fn read(
    server: Arc<ServerState>,
    connection: Arc<ConnectionState>,
    mut slow: Slow,
    mut share: Share,
) -> Outcome {
    slow.receiver.content().settle();
    let limits = &server.limits;
    let mut timer = pin!(sleep_until(Instant::now() + limits.header_timeout));
    let (mut had_head, mut seen) = (slow.receiver.has_head(), slow.receiver.received());
    if had_head {
        timer.as_mut().reset(Instant::now() + limits.body_timeout);
    }
    slow.received = poll_fn(|cx| {
        let gate = server.gate();
        let polled = slow
            .receiver
            .poll(cx, &gate, &mut slow.head, &mut slow.admission, Some(&mut share));
        connection.count_overhead(slow.receiver.content().take_overhead());
        if let Poll::Ready(received) = polled {
            return Poll::Ready(received);
        }
        slow.receiver.content().settle();
        if slow.receiver.take_expectation() {
            server.table.send_continue(&mut slow.send);
        }
        if !had_head && slow.receiver.has_head() {
            had_head = true;
            seen = slow.receiver.received();
            timer.as_mut().reset(Instant::now() + limits.body_timeout);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if !had_head || slow.receiver.received() == seen {
                return Poll::Ready(Received::Refused(Refusal::status(408)));
            }
            seen = slow.receiver.received();
            timer.as_mut().reset(Instant::now() + limits.body_timeout);
        }
        Poll::Pending
    })
    .await;
    if matches!(
        slow.received,
        Received::Complete | Received::Streaming | Received::Session
    ) {
        // A body still counts against the connection's budget until the handler has room for it.
        poll_fn(|cx| server.table.handler().poll_ready(cx, &connection.portion)).await;
    }
    Outcome::Request(Box::new(slow))
}
