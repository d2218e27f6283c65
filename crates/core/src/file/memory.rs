//! How much of files one connection holds in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One read of a file: long enough that the way to the blocking pool and back does not count.
const CHUNK_BYTES: usize = 128 * 1024;

/// One read where the connection's share is used up: an answer that its client does not take costs no more.
const SMALL_CHUNK_BYTES: usize = 16 * 1024;

/// What the long chunks of one connection may take together. Beyond it, each answer holds one short chunk.
const FILE_BYTES: usize = 4 * 1024 * 1024;

/// The bytes of files that one connection has read and QUIC has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct FileMemory {
    used: AtomicUsize,
}

/// The right to hold one chunk; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    memory: Arc<FileMemory>,
    bytes: usize,
}

impl FileMemory {
    /// Memory for the next chunk of an answer that holds no other. Never refused, or answers would wait for each other in
    /// a circle.
    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        self.lease_ahead().unwrap_or_else(|| {
            self.used.fetch_add(SMALL_CHUNK_BYTES, Relaxed);
            Lease {
                memory: self.clone(),
                bytes: SMALL_CHUNK_BYTES,
            }
        })
    }

    /// Memory for a chunk that is read while the one before is being sent; `None` if there is none to spare.
    pub(crate) fn lease_ahead(self: &Arc<Self>) -> Option<Lease> {
        let used = self.used.fetch_add(CHUNK_BYTES, Relaxed);
        let lease = Lease {
            memory: self.clone(),
            bytes: CHUNK_BYTES,
        };
        (used + CHUNK_BYTES <= FILE_BYTES).then_some(lease)
    }
}

impl Lease {
    /// The length of the chunk.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_short_when_the_share_is_used_up_and_long_again_when_it_is_given_back() {
        let memory = Arc::new(FileMemory::default());
        let long: Vec<Lease> = (0..FILE_BYTES / CHUNK_BYTES).map(|_| memory.lease()).collect();
        assert!(long.iter().all(|lease| lease.bytes() == CHUNK_BYTES));
        assert!(memory.lease_ahead().is_none());
        let short: Vec<Lease> = (0..100).map(|_| memory.lease()).collect();
        assert!(short.iter().all(|lease| lease.bytes() == SMALL_CHUNK_BYTES));
        drop(long);
        assert_eq!(memory.lease().bytes(), CHUNK_BYTES);
        drop(short);
        assert_eq!(memory.used.load(Relaxed), 0);
    }
}
