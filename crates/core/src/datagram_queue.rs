//! Datagrams on their way out: a queue with a bound and an age, in front of QUIC's own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::SendDatagramError;

use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::datagram_counters::DatagramLayer;
use crate::sync::lock;

/// What a waiting datagram takes besides its payload.
pub(crate) const OVERHEAD: usize = 64;

/// Why a datagram was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramError {
    /// It fits no packet of the path.
    #[error("the datagram is longer than a packet of the path can carry: see maxDatagramSize")]
    TooLarge,
    /// The peer takes no datagrams of this kind.
    #[error("the peer takes no datagrams")]
    NotSupported,
    /// The connection, the request or the session is over.
    #[error("nobody is there to take the datagram: the connection, the request or the session is over")]
    Gone,
}

/// How long datagrams wait, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatagramPolicy {
    pub(crate) max_bytes: usize,
    pub(crate) max_age: Option<Duration>,
}

/// What waits while the path is slower than the sender. When it is full, the oldest goes.
pub(crate) struct DatagramQueue {
    policy: DatagramPolicy,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Datagram>,
    bytes: usize,
    /// The connection's task is emptying the queue.
    emptying: bool,
    /// The connection is over: nobody will empty it.
    closed: bool,
    /// Those who wait for room: one for each writer of a session.
    writers: Vec<Waker>,
}

struct Datagram {
    layer: DatagramLayer,
    since: Instant,
    lifetime: Lifetime,
    data: Bytes,
}

/// How long a datagram waits for QUIC, and who counts it if that was too long.
#[derive(Clone, Default)]
pub(crate) struct Lifetime {
    /// `None`: as the limits say.
    pub(crate) max_age: Option<Duration>,
    pub(crate) expired: Option<Arc<AtomicU64>>,
}

impl Lifetime {
    fn is_over(&self) {
        if let Some(expired) = &self.expired {
            expired.fetch_add(1, Relaxed);
        }
    }
}

impl DatagramQueue {
    pub(crate) fn new(policy: DatagramPolicy) -> Self {
        Self {
            policy,
            waiting: Mutex::default(),
        }
    }

    /// What may wait, in bytes.
    pub(crate) fn max_bytes(&self) -> usize {
        self.policy.max_bytes
    }

    /// The next one that is not too old; `None`, and no longer emptying, if there is none.
    fn next(&self, connection: &ConnectionState) -> Option<Datagram> {
        let mut waiting = lock(&self.waiting);
        for writer in waiting.writers.drain(..) {
            writer.wake();
        }
        while let Some(datagram) = waiting.queue.pop_front() {
            waiting.bytes -= datagram.data.len() + OVERHEAD;
            if datagram.left().is_none_or(|left| left > Duration::ZERO) {
                return Some(datagram);
            }
            datagram.lifetime.is_over();
            connection.dropped_outgoing(datagram.layer);
        }
        waiting.emptying = false;
        None
    }

    /// Waits until fewer than `most` datagrams of the connection wait, or it is over.
    pub(crate) async fn room(&self, most: usize) {
        poll_fn(|cx| {
            let mut waiting = lock(&self.waiting);
            if waiting.closed || waiting.queue.len() < most {
                return Poll::Ready(());
            }
            waiting.writers.retain(|writer| !writer.will_wake(cx.waker()));
            waiting.writers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The connection is over: what waits will not be sent, and nothing more is taken.
    pub(crate) fn abandon(&self, connection: &ConnectionState) {
        let mut waiting = lock(&self.waiting);
        waiting.closed = true;
        waiting.bytes = 0;
        for writer in waiting.writers.drain(..) {
            writer.wake();
        }
        for datagram in waiting.queue.drain(..) {
            connection.dropped_outgoing(datagram.layer);
        }
    }
}

impl Datagram {
    /// How much longer it may wait.
    fn left(&self) -> Option<Duration> {
        self.lifetime
            .max_age
            .map(|age| age.saturating_sub(self.since.elapsed()))
    }
}

/// Sends `data` now if QUIC has room, else lets it wait. It counts as sent once QUIC has it.
pub(crate) fn send(
    connection: &Arc<ConnectionState>,
    layer: DatagramLayer,
    data: Bytes,
) -> Result<(), DatagramError> {
    send_within(connection, layer, data, &Lifetime::default())
}

/// Like [`send`]; it waits no longer than `lifetime` says.
pub(crate) fn send_within(
    connection: &Arc<ConnectionState>,
    layer: DatagramLayer,
    data: Bytes,
    lifetime: &Lifetime,
) -> Result<(), DatagramError> {
    let mut run = Run::begin(connection, layer, lifetime);
    let result = run.send(data);
    run.end();
    result
}

/// Sends datagrams one behind the other: what is the same for all of them is asked for once.
pub(crate) struct Run<'c> {
    connection: &'c Arc<ConnectionState>,
    layer: DatagramLayer,
    lifetime: &'c Lifetime,
    /// Nobody else sends while this holds it.
    waiting: MutexGuard<'c, Waiting>,
    /// The longest that fits a packet; `None`: the peer takes none.
    most: Option<usize>,
    /// What QUIC has room for, or a little less.
    room: usize,
    /// Handed to QUIC, and not yet counted.
    sent: u64,
}

impl<'c> Run<'c> {
    pub(crate) fn begin(
        connection: &'c Arc<ConnectionState>,
        layer: DatagramLayer,
        lifetime: &'c Lifetime,
    ) -> Self {
        Self {
            connection,
            layer,
            lifetime,
            waiting: lock(&connection.datagrams.waiting),
            most: connection.quic.max_datagram_size(),
            room: 0,
            sent: 0,
        }
    }

    pub(crate) fn send(&mut self, data: Bytes) -> Result<(), DatagramError> {
        let refused = match self.most {
            None => Some(DatagramError::NotSupported),
            Some(most) if data.len() > most => Some(DatagramError::TooLarge),
            Some(_) if self.waiting.closed => Some(DatagramError::Gone),
            Some(_) => None,
        };
        if let Some(error) = refused {
            self.connection.dropped_outgoing(self.layer);
            return Err(error);
        }
        if self.waiting.queue.is_empty() && self.has_room(data.len()) {
            self.room = self.room.saturating_sub(data.len() + OVERHEAD);
            self.connection
                .quic
                .send_datagram(data)
                .map_err(|error| dropped(self.connection, self.layer, error))?;
            self.sent += 1;
            return Ok(());
        }
        self.wait(data);
        Ok(())
    }

    fn has_room(&mut self, length: usize) -> bool {
        if self.room < length {
            self.room = self.connection.quic.datagram_send_buffer_space();
        }
        self.room >= length
    }

    /// Puts it behind those that wait; of a full queue the oldest go.
    fn wait(&mut self, data: Bytes) {
        let policy = self.connection.datagrams.policy;
        let waiting = &mut *self.waiting;
        waiting.bytes += data.len() + OVERHEAD;
        waiting.queue.push_back(Datagram {
            layer: self.layer,
            since: Instant::now(),
            lifetime: Lifetime {
                max_age: self.lifetime.max_age.or(policy.max_age),
                expired: self.lifetime.expired.clone(),
            },
            data,
        });
        while waiting.bytes > policy.max_bytes
            && let Some(oldest) = waiting.queue.pop_front()
        {
            waiting.bytes -= oldest.data.len() + OVERHEAD;
            self.connection.dropped_outgoing(oldest.layer);
        }
    }

    /// Counts what was sent; what has to wait is sent as room appears.
    pub(crate) fn end(mut self) {
        self.connection.sent(self.layer, self.sent);
        if self.waiting.queue.is_empty() || std::mem::replace(&mut self.waiting.emptying, true) {
            return;
        }
        drop(self.waiting);
        self.connection.adopt(empty(self.connection.clone()));
    }
}

/// Hands what waits to QUIC as room appears. Part of the connection's task.
async fn empty(connection: Arc<ConnectionState>) -> Outcome {
    while let Some(datagram) = connection.datagrams.next(&connection) {
        let left = datagram.left();
        let leaving = Leaving(&connection, Some(datagram.layer));
        let sent = connection.quic.send_datagram_wait(datagram.data);
        let result = match left {
            Some(left) => match tokio::time::timeout(left, sent).await {
                Ok(result) => result,
                Err(_) => {
                    datagram.lifetime.is_over();
                    continue;
                }
            },
            None => sent.await,
        };
        let layer = leaving.left();
        match result {
            Ok(()) => connection.sent(layer, 1),
            Err(error) => drop(dropped(&connection, layer, error)),
        }
    }
    Outcome::Done
}

/// A datagram that has left the queue and waits for QUIC. Dropped before QUIC has it, it is counted as dropped: it was too
/// old, or the connection ended.
struct Leaving<'a>(&'a ConnectionState, Option<DatagramLayer>);

impl Leaving<'_> {
    fn left(mut self) -> DatagramLayer {
        self.1.take().unwrap_or(DatagramLayer::Quic)
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if let Some(layer) = self.1 {
            self.0.dropped_outgoing(layer);
        }
    }
}

/// QUIC did not take one: it is counted.
fn dropped(connection: &ConnectionState, layer: DatagramLayer, error: SendDatagramError) -> DatagramError {
    connection.dropped_outgoing(layer);
    match error {
        SendDatagramError::TooLarge => DatagramError::TooLarge,
        SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled => DatagramError::NotSupported,
        SendDatagramError::ConnectionLost(_) => DatagramError::Gone,
    }
}
