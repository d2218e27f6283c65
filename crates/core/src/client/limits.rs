//! What a client grants a server, and how long it waits.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::congestion::Congestion;
use crate::endpoint::{CRITICAL_STREAMS, QUIC_DATAGRAM_BUFFER, STREAM_CREDIT};

/// Time between signs of life: servers of the field close a silent connection after 10 s at the earliest.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// The limits of each connection of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Silence of the server after which a connection is lost (RFC 9000 §10.1), and time without a request after which one is
    /// closed; zero: none of ours. The server's counts too. Default 30 s.
    pub idle_timeout: Duration,
    /// Keeps connections without requests open, by a sign of life whenever nothing else was sent for so long. Default `None`:
    /// they are closed after `idle_timeout`.
    pub keep_alive: Option<Duration>,
    /// Bytes that a server may send ahead on one stream; at least 1 KiB. Default 1 MiB.
    pub stream_receive_window: u32,
    /// Bytes that a server may send ahead on one connection; at least 3 KiB. Default 8 MiB.
    pub connection_receive_window: u32,
    /// Bytes kept of one connection until they are acknowledged. Default 4 MiB.
    pub send_window: u64,
    /// Bidirectional streams that a server may have open; HTTP/3 has none, WebTransport does. Default 100.
    pub max_bidi_streams: u32,
    /// Unidirectional streams that a server may have open. HTTP/3 itself needs three: less is taken as three. Default 100.
    pub max_uni_streams: u32,
    /// Bytes of datagrams of one connection that wait to be read; the oldest go first. `None`: none are taken, and a server
    /// that sends one breaks the connection (RFC 9221 §3). Default 1 MiB.
    pub datagram_receive_buffer: Option<usize>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30),
            keep_alive: None,
            stream_receive_window: 1024 * 1024,
            connection_receive_window: 8 * 1024 * 1024,
            send_window: 4 * 1024 * 1024,
            max_bidi_streams: 100,
            max_uni_streams: 100,
            datagram_receive_buffer: Some(1024 * 1024),
        }
    }
}

impl ClientLimits {
    /// The same in QUIC's terms. No limit goes below what HTTP/3 needs (RFC9114-6.2-three-streams,
    /// RFC9114-6.2-stream-credit).
    pub(super) fn transport(&self) -> TransportConfig {
        let idle_timeout = Some(self.idle_timeout).filter(|timeout| !timeout.is_zero());
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(self.max_bidi_streams))
            .max_concurrent_uni_streams(VarInt::from_u32(self.max_uni_streams.max(CRITICAL_STREAMS)))
            .stream_receive_window(VarInt::from_u32(self.stream_receive_window.max(STREAM_CREDIT)))
            .receive_window(VarInt::from_u32(
                self.connection_receive_window
                    .max(CRITICAL_STREAMS * STREAM_CREDIT),
            ))
            .send_window(self.send_window)
            .datagram_receive_buffer_size(self.datagram_receive_buffer)
            .datagram_send_buffer_size(QUIC_DATAGRAM_BUFFER)
            .congestion_controller_factory(Arc::new(Congestion::default()))
            .keep_alive_interval(Some(self.keep_alive.unwrap_or_else(|| self.sign_of_life())))
            .max_idle_timeout(idle_timeout.and_then(|timeout| IdleTimeout::try_from(timeout).ok()));
        transport
    }

    /// While a request waits for a slow answer, neither side is to find the connection idle.
    fn sign_of_life(&self) -> Duration {
        match self.idle_timeout {
            Duration::ZERO => SIGN_OF_LIFE,
            timeout => SIGN_OF_LIFE.min(timeout / 3),
        }
    }

    /// How long a connection may be without a request; `None`: as long as the server lets it.
    pub(super) fn without_requests(&self) -> Option<Duration> {
        Some(self.idle_timeout).filter(|timeout| self.keep_alive.is_none() && !timeout.is_zero())
    }
}
