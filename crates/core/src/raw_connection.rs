//! A connection whose ALPN is not h3: QUIC datagrams and nothing else.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use quinn::VarInt;

use crate::connection::Outcome;
use crate::connection_state::{Adopted, ConnectionState};
use crate::datagram_counters::DatagramLayer;
use crate::exchange_table::ExchangeTable;

/// The application error code of everything here: such a connection has no protocol of ours that could name more.
const NO_ERROR: VarInt = VarInt::from_u32(0);

/// Datagrams taken before the other parts of the connection get their turn.
const DATAGRAMS_PER_TURN: usize = 256;

/// Runs `state`'s connection until it is closed by either side. A stop of the server closes it at once: nothing on it is
/// ever under way.
pub(crate) async fn run(
    state: Arc<ConnectionState>,
    table: Arc<ExchangeTable>,
    takes_datagrams: bool,
    is_draining: impl Fn() -> bool,
) {
    let quic = state.quic.clone();
    let mut streams = pin!(refuse_streams(&quic));
    let mut read = pin!(quic.read_datagram());
    let mut work = futures_util::stream::FuturesUnordered::new();
    let mut adopted = Adopted::default();
    poll_fn(|cx| {
        state.register(cx.waker());
        state.take_adopted(&mut adopted);
        work.extend(adopted.work.drain(..));
        while let Poll::Ready(Some(outcome)) = futures_util::StreamExt::poll_next_unpin(&mut work, cx) {
            if let Outcome::Fatal(error) = outcome {
                // The sampler's: too many frames without content.
                state
                    .count(|counters| &counters.excessive_load)
                    .fetch_add(1, Relaxed);
                state.close(NO_ERROR, error.reason.as_bytes());
                return Poll::Ready(());
            }
        }
        if is_draining() {
            state.close(NO_ERROR, b"");
            return Poll::Ready(());
        }
        if streams.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        for _ in 0..DATAGRAMS_PER_TURN {
            match read.as_mut().poll(cx) {
                Poll::Ready(Ok(data)) => {
                    read.set(quic.read_datagram());
                    if takes_datagrams {
                        state.received(DatagramLayer::Quic, 1);
                        table.handler().quic_datagram(state.name(), data);
                    } else {
                        state.dropped_incoming(DatagramLayer::Quic, 1);
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {
                    table.handler().after_poll();
                    return Poll::Pending;
                }
            }
        }
        table.handler().after_poll();
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    state.datagrams.abandon(&state);
}

/// Streams mean nothing here: each is refused. Ends with the connection.
async fn refuse_streams(quic: &quinn::Connection) {
    let bidirectional = async {
        while let Ok((mut send, mut recv)) = quic.accept_bi().await {
            let _ = send.reset(NO_ERROR);
            let _ = recv.stop(NO_ERROR);
        }
    };
    let unidirectional = async {
        while let Ok(mut recv) = quic.accept_uni().await {
            let _ = recv.stop(NO_ERROR);
        }
    };
    futures_util::future::join(bidirectional, unidirectional).await;
}
