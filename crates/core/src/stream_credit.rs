//! How many streams a client may have open: few at first, and all that the limits allow as soon as it makes use of them.
//!
//! quinn keeps room for every stream that a client may open, whether it does or not: 21.5 KB of a connection if that is 256
//! request streams and 100 unidirectional ones, 5.4 KB with the first allowance below (heap of 1,000 idle connections with
//! one answer each, by heaptrack). Most connections never need more, and most are silent at any time.

use quinn::{Connection, VarInt};

use crate::endpoint::CRITICAL_STREAMS;
use crate::limits::Limits;

/// Request streams that a client may open before it has shown that it wants more: what RFC 9114 wants at least
/// (RFC9114-6.1-streams-permitted).
const FIRST_REQUESTS: u32 = 100;

/// Unidirectional streams likewise: those that HTTP/3 needs, and some of types that we do not know. With the request streams
/// they leave 4 places of 112 in quinn's table of what is received: a full one doubles with the first stream that is over.
const FIRST_UNI: u32 = 8;

/// Request streams taken up in one turn of a connection from which the client is not one that asks for one thing at a time.
pub(crate) const BURST: usize = 32;

/// What a connection may still be allowed.
pub(crate) struct StreamCredit {
    requests: Grant,
    uni: Grant,
    /// Request streams accepted before the last look.
    seen: u64,
    /// Unidirectional streams that the client has opened so far.
    uni_seen: u32,
}

#[derive(Clone, Copy)]
struct Grant {
    first: u32,
    limit: u32,
    is_whole: bool,
}

impl Grant {
    fn new(first: u32, limit: u32) -> Self {
        let first = first.min(limit);
        Self {
            first,
            limit,
            is_whole: first == limit,
        }
    }
}

impl StreamCredit {
    /// That of a connection at its beginning.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests: Grant::new(FIRST_REQUESTS, limits.max_concurrent_streams),
            uni: Grant::new(FIRST_UNI, limits.max_uni_streams.max(CRITICAL_STREAMS)),
            seen: 0,
            uni_seen: 0,
        }
    }

    /// Request streams that the handshake allows. The same for each connection of a server, so that what a client remembers
    /// for early data is never more than it may do (RFC 9000 §7.4.1).
    pub(crate) fn first_requests(&self) -> u32 {
        self.requests.first
    }

    /// Unidirectional streams that the handshake allows.
    pub(crate) fn first_uni(&self) -> u32 {
        self.uni.first
    }

    /// A look, every 20 ms while something is under way: so many request streams are open, as far as is known, and so many
    /// were accepted so far. Tells how many there may be from now on, if that is news.
    ///
    /// Who opens many in quick succession gets them too: with the first allowance quinn sends MAX_STREAMS for every 13
    /// requests, with 256 for every 33, which is 2.5 % of the instructions of a small request.
    pub(crate) fn look(&mut self, open: usize, accepted: u64, quic: &Connection) -> Option<u32> {
        let new = accepted.saturating_sub(std::mem::replace(&mut self.seen, accepted));
        let half = self.requests.first / 2;
        if self.requests.is_whole || (open as u64).max(new) < u64::from(half) {
            return None;
        }
        self.more_requests(quic)
    }

    /// The client opened a unidirectional stream. One that goes beyond what HTTP/3 needs may go on.
    pub(crate) fn uni_opened(&mut self, quic: &Connection) {
        self.uni_seen = self.uni_seen.saturating_add(1);
        if self.uni_seen > self.uni.first / 2 {
            self.more_uni(quic);
        }
    }

    /// Allows all request streams of the limit; tells how many, if that is news.
    pub(crate) fn more_requests(&mut self, quic: &Connection) -> Option<u32> {
        if std::mem::replace(&mut self.requests.is_whole, true) {
            return None;
        }
        quic.set_max_concurrent_bi_streams(VarInt::from_u32(self.requests.limit));
        Some(self.requests.limit)
    }

    /// Allows all unidirectional streams of the limit.
    pub(crate) fn more_uni(&mut self, quic: &Connection) {
        if !std::mem::replace(&mut self.uni.is_whole, true) {
            quic.set_max_concurrent_uni_streams(VarInt::from_u32(self.uni.limit));
        }
    }
}
