//! Chunks on their way from a program to QUIC.

use std::collections::{VecDeque, vec_deque};

use bytes::Bytes;

use crate::exchange::Notify;

/// Queued bytes at which a writer that does not wait is refused. A chunk is taken whole, so a queue holds at most this plus
/// one chunk.
const LIMIT: usize = 256 * 1024;

/// A bounded queue, and whether its writer waits to be told that all of it was sent.
#[derive(Default)]
pub(crate) struct ChunkQueue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    writer_waits: bool,
}

impl ChunkQueue {
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= LIMIT
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Adds a chunk, unless it is empty.
    pub(crate) fn push(&mut self, chunk: Bytes, notify: Notify) {
        self.writer_waits |= notify == Notify::WhenDrained;
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// All that is queued, in its order.
    pub(crate) fn drain(&mut self) -> vec_deque::Drain<'_, Bytes> {
        self.bytes = 0;
        self.chunks.drain(..)
    }

    /// Whether the writer waited; it does no longer.
    pub(crate) fn take_writer_waits(&mut self) -> bool {
        std::mem::take(&mut self.writer_waits)
    }
}
