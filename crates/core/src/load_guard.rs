//! What a peer may do on one connection that is allowed and no progress, before it counts as an attack (RFC 9114 §10.5).

use trilane_http3::{Code, Error};

use crate::frame_budget::FRAMES_PER_REQUEST;
use crate::limits::Limits;
use crate::rate::Bucket;

/// Counts streams given up and HTTP/3 frames without content. Those of QUIC have a budget of their own, [kept by the
/// sampler](crate::sampler).
pub(crate) struct LoadGuard {
    abandoned: Bucket,
    overhead: Bucket,
}

/// Streams that a peer may give up at once before it is looked at more closely: a page that is left gives up as many.
const TRUSTED_ABANDONED: u32 = 64;

impl LoadGuard {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            abandoned: Bucket::new(limits.max_abandoned_streams_per_second),
            overhead: Bucket::new(limits.max_overhead_frames_per_second),
        }
    }

    /// The peer opened a stream and gave it up (RFC9114-10.5-abandoned-streams).
    pub(crate) fn abandoned(&mut self) -> Result<(), Error> {
        match self.abandoned.take() {
            true => Ok(()),
            false => Err(excessive("too many streams opened and given up")),
        }
    }

    /// Whether the peer has lately given up so many streams that each is worth a second look before it is worked for.
    #[inline]
    pub(crate) fn is_wary(&mut self) -> bool {
        self.abandoned.lacks(TRUSTED_ABANDONED)
    }

    /// The peer sent frames without content (RFC9114-10.5-overhead).
    #[inline]
    pub(crate) fn overhead(&mut self, frames: u32) -> Result<(), Error> {
        match frames == 0 || self.overhead.draw(frames) {
            true => Ok(()),
            false => Err(excessive("too many frames without content")),
        }
    }

    /// A request was complete enough to be answered: it pays for a few such frames, so that a client that greases every
    /// one of them is never hurt, however fast it is (RFC 9114 §7.2.8).
    #[inline]
    pub(crate) fn request(&mut self) {
        self.overhead.earn(FRAMES_PER_REQUEST);
    }
}

#[cold]
fn excessive(reason: &'static str) -> Error {
    Error::connection(Code::H3_EXCESSIVE_LOAD, reason)
}
