//! Every bound of a server in one place, with the reason for its default.

use std::time::Duration;

use trilane_http3::FieldLimits;

/// Bounds that a server enforces against its peers. Each is enforced in Rust, before anything reaches a handler.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once, handshakes included. More are refused with CONNECTION_REFUSED. Default 10,000.
    pub max_connections: usize,
    /// Connections at once from one IPv4 address or one IPv6 network of 64 bits; a household or office behind one fits.
    /// Default 1,000.
    pub max_connections_per_ip: usize,
    /// Handshakes under way beyond which a new client must first prove its address with a Retry packet
    /// (RFC 9000 §8.1.2). Default 256.
    pub retry_above_handshakes: usize,
    /// Handshakes a second, twice as many in one burst, beyond which a new client must first prove its address; those who
    /// have do not count. Default 1,000: at 280 µs each a third of a core, the most that
    /// forged addresses can take.
    pub retry_above_handshakes_per_second: u32,
    /// Request streams open at once on one connection (QUIC MAX_STREAMS); the handshake allows at most 100, the rest comes
    /// with use. Default 256, of which RFC 9114 wants at least 100 (RFC9114-6.1-streams-permitted).
    pub max_concurrent_streams: u32,
    /// Unidirectional streams open at once on one connection, 8 of them from the beginning. HTTP/3 itself needs three: less
    /// is taken as three. Default 100.
    pub max_uni_streams: u32,
    /// Bytes of one header or trailer section, counted as RFC 9114 §4.2.2 says (name + value + 32 each); also
    /// the length of an encoded HEADERS frame, checked before it is buffered. Default 16 KiB.
    pub max_header_bytes: usize,
    /// Fields in one header or trailer section. Default 128.
    pub max_header_fields: usize,
    /// Bytes of one buffered request body; one byte more is answered 413. Default 1 MiB.
    pub max_body_bytes: usize,
    /// Bytes of unfinished buffered bodies on one connection. Above it only the oldest stream goes on being
    /// read; the others are held back by flow control. Default 16 MiB.
    pub max_unfinished_body_bytes: usize,
    /// Silence after which a connection is closed (RFC 9000 §10.1). Default 30 s.
    pub idle_timeout: Duration,
    /// Time for a handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// Time from a request stream's first byte to its complete header section. Default 10 s.
    pub header_timeout: Duration,
    /// Time within which some byte of a request body must arrive. Default 30 s.
    pub body_timeout: Duration,
    /// Bytes a peer may send ahead on one stream: QUIC flow control; at least 1 KiB. Default 1 MiB.
    pub stream_receive_window: u32,
    /// Bytes a peer may send ahead on one connection, at least 3 KiB; quinn's own default is unlimited. Default 4 MiB.
    pub connection_receive_window: u32,
    /// Bytes of answers kept for one connection until they are acknowledged. Default 4 MiB.
    pub send_window: u64,
    /// Streams a second that a peer may open and give up: reset before or after its request was complete, malformed, or
    /// cut short; twice as many in one burst. Above it the connection ends with H3_EXCESSIVE_LOAD (RFC 9114 §10.5). One
    /// given up before it is a request costs about 2 µs. Default 10,000.
    pub max_abandoned_streams_per_second: u32,
    /// Frames a second without content that a peer may send on one connection, of HTTP/3 and of QUIC each; twice as many
    /// in one burst. Requests, and bytes that are carried, earn more. Above it the connection ends with
    /// H3_EXCESSIVE_LOAD (RFC 9114 §10.5). Default 10,000: ten times what a client needs that keeps alive, updates windows
    /// and changes priorities without transferring anything.
    pub max_overhead_frames_per_second: u32,
    /// WebTransport sessions at once on one connection; more are refused. Default 32.
    pub max_sessions_per_connection: usize,
    /// Bytes that a peer may send ahead on all streams of one WebTransport session, if it speaks flow control of sessions
    /// (WT_MAX_DATA); at least 1. Default 1 MiB: a session that is not read takes a quarter of its connection's window.
    pub session_receive_window: u32,
    /// Bidirectional streams that a peer may have open at once in one WebTransport session, if it speaks flow control of
    /// sessions (WT_MAX_STREAMS); at least 1. Default 128: half of what its connection may have.
    pub max_session_streams: u32,
    /// The same of unidirectional streams. Default 64.
    pub max_session_uni_streams: u32,
    /// Bytes of datagrams of one connection that wait to be read; the oldest go first. Default 1 MiB.
    pub datagram_receive_buffer: usize,
    /// Bytes of datagrams of one connection that wait to be sent; the oldest go first. Default 1 MiB.
    pub datagram_send_queue: usize,
    /// How long a datagram waits to be sent before it is dropped; `None`: as long as it takes. Default `None`.
    pub datagram_max_age: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_ip: 1_000,
            retry_above_handshakes: 256,
            retry_above_handshakes_per_second: 1_000,
            max_concurrent_streams: 256,
            max_uni_streams: 100,
            max_header_bytes: 16 * 1024,
            max_header_fields: 128,
            max_body_bytes: 1024 * 1024,
            max_unfinished_body_bytes: 16 * 1024 * 1024,
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            stream_receive_window: 1024 * 1024,
            connection_receive_window: 4 * 1024 * 1024,
            send_window: 4 * 1024 * 1024,
            max_abandoned_streams_per_second: 10_000,
            max_overhead_frames_per_second: 10_000,
            max_sessions_per_connection: 32,
            session_receive_window: 1024 * 1024,
            max_session_streams: 128,
            max_session_uni_streams: 64,
            datagram_receive_buffer: 1024 * 1024,
            datagram_send_queue: 1024 * 1024,
            datagram_max_age: None,
        }
    }
}

impl Limits {
    /// The part of the limits that the header decoder enforces.
    pub(crate) fn fields(&self) -> FieldLimits {
        FieldLimits {
            max_bytes: self.max_header_bytes,
            max_fields: self.max_header_fields,
        }
    }
}
