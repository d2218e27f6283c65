//! Counters of a server: one writer each on the IO thread, read from anywhere.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::datagram_counters::{DatagramCounters, DatagramLayer, DatagramStats};
use crate::session_counters::{SessionCounters, SessionStats};

/// Live counters. Each is exact; a snapshot reads them one after the other, so sums may lag by what is under way.
#[derive(Debug)]
pub(crate) struct Counters {
    started: Instant,
    pub(crate) connections_total: AtomicU64,
    pub(crate) connections_active: AtomicUsize,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) requests_active: AtomicUsize,
    pub(crate) requests_aborted: AtomicU64,
    pub(crate) requests_malformed: AtomicU64,
    pub(crate) requests_retried: AtomicU64,
    pub(crate) udp_bytes_received: AtomicU64,
    pub(crate) udp_bytes_sent: AtomicU64,
    pub(crate) protocol_errors: AtomicU64,
    pub(crate) excessive_load: AtomicU64,
    pub(crate) retries_sent: AtomicU64,
    pub(crate) body_bytes_received: AtomicU64,
    pub(crate) body_bytes_sent: AtomicU64,
    pub(crate) datagrams: DatagramCounters,
    pub(crate) sessions: SessionCounters,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            connections_total: AtomicU64::new(0),
            connections_active: AtomicUsize::new(0),
            connections_refused: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            requests_active: AtomicUsize::new(0),
            requests_aborted: AtomicU64::new(0),
            requests_malformed: AtomicU64::new(0),
            requests_retried: AtomicU64::new(0),
            udp_bytes_received: AtomicU64::new(0),
            udp_bytes_sent: AtomicU64::new(0),
            protocol_errors: AtomicU64::new(0),
            excessive_load: AtomicU64::new(0),
            retries_sent: AtomicU64::new(0),
            body_bytes_received: AtomicU64::new(0),
            body_bytes_sent: AtomicU64::new(0),
            datagrams: DatagramCounters::default(),
            sessions: SessionCounters::default(),
        }
    }

    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            connections_total: self.connections_total.load(Relaxed),
            connections_active: self.connections_active.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
            requests: self.requests.load(Relaxed),
            requests_active: self.requests_active.load(Relaxed),
            requests_aborted: self.requests_aborted.load(Relaxed),
            requests_malformed: self.requests_malformed.load(Relaxed),
            requests_retried: self.requests_retried.load(Relaxed),
            udp_bytes_received: self.udp_bytes_received.load(Relaxed),
            udp_bytes_sent: self.udp_bytes_sent.load(Relaxed),
            protocol_errors: self.protocol_errors.load(Relaxed),
            excessive_load: self.excessive_load.load(Relaxed),
            retries_sent: self.retries_sent.load(Relaxed),
            body_bytes_received: self.body_bytes_received.load(Relaxed),
            body_bytes_sent: self.body_bytes_sent.load(Relaxed),
            quic_datagrams: self.datagrams.snapshot(DatagramLayer::Quic),
            h3_datagrams: self.datagrams.snapshot(DatagramLayer::Http),
            webtransport_datagrams: self.datagrams.snapshot(DatagramLayer::WebTransport),
            sessions: self.sessions.snapshot(),
            uptime: self.started.elapsed(),
        }
    }
}

/// A server's counters at one moment, since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Connections whose handshake was completed.
    pub connections_total: u64,
    /// Connections open now.
    pub connections_active: usize,
    /// Connection attempts refused by a limit.
    pub connections_refused: u64,
    /// Handshakes that failed or timed out.
    pub handshakes_failed: u64,
    /// Requests whose header section was accepted.
    pub requests: u64,
    /// Requests that wait for an answer, or whose answer is being sent.
    pub requests_active: usize,
    /// Requests that ended without a whole answer: the client reset or vanished, or the handler gave up.
    pub requests_aborted: u64,
    /// Requests refused as malformed (RFC 9114 §4.1.2).
    pub requests_malformed: u64,
    /// A client's requests that were sent again, because the server had certainly not processed them, or may do so twice.
    pub requests_retried: u64,
    /// Bytes of UDP payload received by a client.
    pub udp_bytes_received: u64,
    /// Bytes of UDP payload sent by a client.
    pub udp_bytes_sent: u64,
    /// Connections closed because the peer broke the protocol.
    pub protocol_errors: u64,
    /// Connections closed because the peer did too much that is no progress (H3_EXCESSIVE_LOAD, RFC 9114 §10.5).
    pub excessive_load: u64,
    /// Clients asked to prove their address with a Retry packet (RFC 9000 §8.1.2).
    pub retries_sent: u64,
    /// Bytes of request bodies handed to handlers.
    pub body_bytes_received: u64,
    /// Bytes of answer bodies accepted by QUIC.
    pub body_bytes_sent: u64,
    /// Raw QUIC datagrams.
    pub quic_datagrams: DatagramStats,
    /// HTTP datagrams of requests.
    pub h3_datagrams: DatagramStats,
    /// Datagrams of WebTransport sessions.
    pub webtransport_datagrams: DatagramStats,
    /// WebTransport sessions.
    pub sessions: SessionStats,
    /// Time since the server was made.
    pub uptime: Duration,
}
