//! What a client says of itself in SETTINGS.

use trilane_http3::{Settings, WebTransportSettings};

use crate::limits::Limits;

/// What a client tells its servers at the start of a connection (RFC 9114 §7.2.4): every dialect of WebTransport, and HTTP
/// datagrams; there is no dynamic table (RFC9204-5-settings-sent).
pub(in crate::client) fn ours(limits: &Limits) -> Settings {
    Settings {
        // RFC9114-4.2.2-limit-told
        max_field_section_size: Some(limits.max_header_bytes as u64),
        h3_datagram: true,
        webtransport: WebTransportSettings {
            enabled: 1,
            enabled_draft02: 1,
            h3_datagram_draft04: 1,
            initial_max_data: limits.session_receive_window.max(1).into(),
            initial_max_streams_bidi: limits.max_session_streams.max(1).into(),
            initial_max_streams_uni: limits.max_session_uni_streams.max(1).into(),
            ..WebTransportSettings::default()
        },
        ..Settings::default()
    }
}
