//! The counters of a server, as JavaScript gets them.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use trilane_core::Stats;

use crate::connection::NativeDatagramStats;

/// Counters since the server was made.
#[napi(object)]
pub struct NativeStats {
    pub connections_total: BigInt,
    pub connections_active: u32,
    pub connections_refused: BigInt,
    pub handshakes_failed: BigInt,
    pub requests: BigInt,
    pub requests_active: u32,
    pub requests_aborted: BigInt,
    pub requests_malformed: BigInt,
    pub protocol_errors: BigInt,
    pub excessive_load: BigInt,
    pub retries_sent: BigInt,
    pub body_bytes_received: BigInt,
    pub body_bytes_sent: BigInt,
    pub quic_datagrams: NativeDatagramStats,
    pub h3_datagrams: NativeDatagramStats,
    pub webtransport_datagrams: NativeDatagramStats,
    /// Sessions that were accepted.
    pub webtransport_sessions_total: BigInt,
    /// Sessions that are open.
    pub webtransport_sessions_active: u32,
    /// Streams opened in sessions, by either side.
    pub webtransport_streams: BigInt,
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
