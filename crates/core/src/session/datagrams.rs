//! The datagrams that a session sends.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;

use super::{Phase, Session};
use crate::connection::Outcome;
use crate::datagram_counters::DatagramLayer;
use crate::datagram_queue::{self, DatagramError, Lifetime, Run};
use crate::sync::lock;

/// How long datagrams wait for the answer that accepts the session to leave: QUIC packs them before it.
const ANSWER_LEAVES: Duration = Duration::from_millis(1);
const ANSWER_LEAVES_AT_MOST: u32 = 20;

impl Session {
    /// Sends datagrams one behind the other, or keeps them until the answer that accepts the session has left. Returns what
    /// became of the last one.
    pub(crate) fn send_datagrams(&self, payloads: impl Iterator<Item = Bytes>) -> Result<(), DatagramError> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        match (state.phase, &mut state.held) {
            (Phase::Over, _) => {
                for _ in payloads {
                    self.connection.dropped_outgoing(DatagramLayer::WebTransport);
                }
                Err(DatagramError::Gone)
            }
            (_, Some(held)) => {
                for payload in payloads {
                    let data = trilane_http3::datagram::encode(self.stream, &payload);
                    state.held_bytes += data.len() + datagram_queue::OVERHEAD;
                    held.push_back(data);
                    while state.held_bytes > self.connection.datagrams.max_bytes()
                        && let Some(oldest) = held.pop_front()
                    {
                        state.held_bytes -= oldest.len() + datagram_queue::OVERHEAD;
                        self.connection.dropped_outgoing(DatagramLayer::WebTransport);
                    }
                }
                Ok(())
            }
            (_, None) => {
                drop(guard);
                let stream = self.stream;
                self.pass_on(payloads.map(|payload| trilane_http3::datagram::encode(stream, &payload)))
            }
        }
    }

    fn pass_on(&self, datagrams: impl Iterator<Item = Bytes>) -> Result<(), DatagramError> {
        let age = self.datagram_age_ms.load(Relaxed);
        let lifetime = Lifetime {
            max_age: (age > 0).then(|| Duration::from_millis(age.into())),
            expired: Some(self.expired_datagrams.clone()),
        };
        let mut run = Run::begin(&self.connection, DatagramLayer::WebTransport, &lifetime);
        let mut last = Ok(());
        for data in datagrams {
            last = run.send(data);
        }
        run.end();
        last
    }

    /// How long datagrams that are sent from now on wait, in milliseconds; 0: as the limits say.
    pub(crate) fn limit_datagram_age(&self, ms: u32) {
        self.datagram_age_ms.store(ms, Relaxed);
    }

    /// Those that were too old before QUIC took them.
    pub(crate) fn expired_datagrams(&self) -> u64 {
        self.expired_datagrams.load(Relaxed)
    }

    /// Waits until fewer than `most` datagrams of it wait for the answer, and of its connection to be sent, or until it is over.
    pub(crate) async fn datagram_room(&self, most: usize) {
        let mut released = pin!(self.released.notified());
        // Before the look: what is told in between is heard.
        released.as_mut().enable();
        let holds = |held: &VecDeque<Bytes>| held.len() >= most;
        if lock(&self.state).held.as_ref().is_some_and(holds) {
            released.await;
        }
        self.connection.datagrams.room(most).await;
    }
}

/// Sends what waited for the answer: it has left when QUIC has sent another STREAM frame than the `before` there were, or is
/// held up by something else.
pub(super) async fn release_datagrams(session: Arc<Session>, before: u64) -> Outcome {
    for _ in 0..ANSWER_LEAVES_AT_MOST {
        tokio::time::sleep(ANSWER_LEAVES).await;
        if session.sent_stream_frames() > before {
            break;
        }
    }
    let held = lock(&session.state).held.take();
    let _ = session.pass_on(held.into_iter().flatten());
    session.released.notify_waiters();
    Outcome::Done
}
