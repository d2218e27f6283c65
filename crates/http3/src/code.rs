//! Error codes of HTTP/3 and its extensions.

pub use h3::error::Code;

/// The stream names a WebTransport session that has ended (draft-ietf-webtrans-http3-16 §9.5).
pub const WT_SESSION_GONE: u64 = 0x170d_7b68;
/// The stream waited too long, or in too long a queue, for its WebTransport session.
pub const WT_BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;
/// The peer exceeded or lowered a flow control limit of a WebTransport session.
pub const WT_FLOW_CONTROL_ERROR: u64 = 0x045d_4487;
/// No subprotocol suited both sides.
pub const WT_ALPN_ERROR: u64 = 0x0817_b3dd;
/// The peer did not negotiate what WebTransport needs.
pub const WT_REQUIREMENTS_NOT_MET: u64 = 0x212c_0d48;
