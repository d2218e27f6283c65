//! The counters of a server, as JavaScript gets them.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use trilane_core::Stats;

use crate::connection::NativeDatagramStats;

/// Counters since the server was made.
#[napi(object)]
pub struct NativeStats {
    /// Connections whose handshake was completed.
    pub connections_total: BigInt,
    /// Connections open now.
    pub connections_active: u32,
    /// Connection attempts refused by a limit.
    pub connections_refused: BigInt,
    /// Handshakes that failed or timed out.
    pub handshakes_failed: BigInt,
    /// Requests whose header section was accepted.
    pub requests: BigInt,
    /// Requests that wait for an answer, or whose answer is being sent.
    pub requests_active: u32,
    /// Requests that ended without a whole answer: the client reset or vanished, or the handler gave up.
    pub requests_aborted: BigInt,
    /// Requests refused as malformed (RFC 9114 §4.1.2).
    pub requests_malformed: BigInt,
    /// Connections closed because the client broke the protocol.
    pub protocol_errors: BigInt,
    /// Connections closed because the client did too much that is no progress (H3_EXCESSIVE_LOAD, RFC 9114 §10.5).
    pub excessive_load: BigInt,
    /// Clients asked to prove their address with a Retry packet (RFC 9000 §8.1.2).
    pub retries_sent: BigInt,
    /// Bytes of request bodies handed to handlers.
    pub body_bytes_received: BigInt,
    /// Bytes of answer bodies that QUIC took.
    pub body_bytes_sent: BigInt,
    /// Raw QUIC datagrams.
    pub quic_datagrams: NativeDatagramStats,
    /// HTTP datagrams of requests.
    pub h3_datagrams: NativeDatagramStats,
    /// Datagrams of WebTransport sessions.
    pub webtransport_datagrams: NativeDatagramStats,
    /// Sessions that were accepted.
    pub webtransport_sessions_total: BigInt,
    /// Sessions that are open.
    pub webtransport_sessions_active: u32,
    /// Streams opened in sessions, by either side.
    pub webtransport_streams: BigInt,
    /// Time since the server was made, in milliseconds.
    pub uptime_ms: f64,
}

impl From<Stats> for NativeStats {
    fn from(stats: Stats) -> Self {
        Self {
            connections_total: stats.connections_total.into(),
            connections_active: stats.connections_active as u32,
            connections_refused: stats.connections_refused.into(),
            handshakes_failed: stats.handshakes_failed.into(),
            requests: stats.requests.into(),
            requests_active: stats.requests_active as u32,
            requests_aborted: stats.requests_aborted.into(),
            requests_malformed: stats.requests_malformed.into(),
            protocol_errors: stats.protocol_errors.into(),
            excessive_load: stats.excessive_load.into(),
            retries_sent: stats.retries_sent.into(),
            body_bytes_received: stats.body_bytes_received.into(),
            body_bytes_sent: stats.body_bytes_sent.into(),
            quic_datagrams: stats.quic_datagrams.into(),
            h3_datagrams: stats.h3_datagrams.into(),
            webtransport_datagrams: stats.webtransport_datagrams.into(),
            webtransport_sessions_total: stats.sessions.total.into(),
            webtransport_sessions_active: stats.sessions.active as u32,
            webtransport_streams: stats.sessions.streams.into(),
            uptime_ms: stats.uptime.as_secs_f64() * 1000.0,
        }
    }
}
