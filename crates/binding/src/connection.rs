//! What JavaScript may know of a connection.

use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use trilane_core::{ConnectionInfo, DatagramStats};

use crate::server::{NativeAddress, native_address};

/// What became of datagrams: none is sent twice, and dropped ones were never sent, or never handed over.
#[napi(object)]
pub struct NativeDatagramStats {
    /// Handed to a handler.
    pub received: BigInt,
    /// Handed to QUIC; the path may lose them.
    pub sent: BigInt,
    /// Received, and dropped before a handler saw them: nobody waits for them, or too many waited.
    pub dropped_incoming: BigInt,
    /// Never sent: too old, too large for the path, or older ones of a full queue.
    pub dropped_outgoing: BigInt,
}

/// One connection at one moment.
#[napi(object)]
pub struct NativeConnection {
    pub slot: u32,
    pub generation: u32,
    /// 16 random bytes, the same for its whole life.
    pub id: Uint8Array,
    pub original_destination_connection_id: Uint8Array,
    pub remote_address: NativeAddress,
    pub alpn: String,
    /// Of a connection of a client: the time of its handshake.
    pub handshake_ms: Option<f64>,
    /// Of a connection of a client: whether it resumed an earlier session.
    pub resumed: bool,
    /// Estimated round-trip time, in milliseconds.
    pub round_trip_ms: f64,
    /// Bytes that may be under way at once.
    pub congestion_window_bytes: f64,
    /// The largest packet that the path carries, in bytes of UDP payload.
    pub mtu_bytes: u32,
    /// Packets sent.
    pub sent_packets: BigInt,
    /// Packets sent that were lost.
    pub lost_packets: BigInt,
    /// Bytes of the packets that were lost.
    pub lost_bytes: BigInt,
    /// UDP payloads received: a packet each, but for some of the handshake.
    pub received_packets: BigInt,
    /// Bytes of UDP payload received.
    pub bytes_received: BigInt,
    /// Bytes of UDP payload sent.
    pub bytes_sent: BigInt,
    /// 0: the client takes no datagrams.
    pub max_datagram_size: u32,
    /// Its raw QUIC datagrams.
    pub quic_datagrams: NativeDatagramStats,
    /// The HTTP datagrams of its requests.
    pub h3_datagrams: NativeDatagramStats,
    /// The datagrams of its WebTransport sessions.
    pub webtransport_datagrams: NativeDatagramStats,
    /// WebTransport sessions that were asked for and are not over.
    pub webtransport_sessions: u32,
}

impl From<ConnectionInfo> for NativeConnection {
    fn from(info: ConnectionInfo) -> Self {
        Self {
            slot: info.name.slot,
            generation: info.name.generation,
            id: Uint8Array::with_data_copied(info.id),
            original_destination_connection_id: Uint8Array::with_data_copied(
                info.original_destination_connection_id,
            ),
            remote_address: native_address(info.remote_address),
            alpn: String::from_utf8_lossy(&info.alpn).into_owned(),
            handshake_ms: info.handshake.map(|made| made.duration.as_secs_f64() * 1000.0),
            resumed: info.handshake.is_some_and(|made| made.is_resumed),
            round_trip_ms: info.round_trip.as_secs_f64() * 1000.0,
            congestion_window_bytes: info.congestion_window as f64,
            mtu_bytes: u32::from(info.mtu),
            sent_packets: info.sent_packets.into(),
            lost_packets: info.lost_packets.into(),
            lost_bytes: info.lost_bytes.into(),
            received_packets: info.received_packets.into(),
            bytes_received: info.bytes_received.into(),
            bytes_sent: info.bytes_sent.into(),
            max_datagram_size: info.max_datagram_size.unwrap_or(0) as u32,
            quic_datagrams: info.quic_datagrams.into(),
            h3_datagrams: info.h3_datagrams.into(),
            webtransport_datagrams: info.webtransport_datagrams.into(),
            webtransport_sessions: info.webtransport_sessions as u32,
        }
    }
}

impl From<DatagramStats> for NativeDatagramStats {
    fn from(stats: DatagramStats) -> Self {
        Self {
            received: stats.received.into(),
            sent: stats.sent.into(),
            dropped_incoming: stats.dropped_incoming.into(),
            dropped_outgoing: stats.dropped_outgoing.into(),
        }
    }
}
