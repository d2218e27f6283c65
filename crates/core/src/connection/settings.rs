//! Our SETTINGS.

use trilane_http3::{Settings, WebTransportSettings};

use crate::server::ServerState;

/// What a server tells its clients at the start of a connection (RFC 9114 §7.2.4): to each the same, so that none is less
/// than a client with 0-RTT remembers (RFC9204-3.2.3-same-after-0rtt, RFC9297-2.1.1-same-after-0rtt). There is no dynamic
/// table (RFC9204-5-settings-sent).
pub(super) fn ours(server: &ServerState) -> Settings {
    Settings {
        // RFC9114-4.2.2-limit-told
        max_field_section_size: Some(server.limits.max_header_bytes as u64),
        // RFC9220-3-setting-sent, RFC8441-3-setting-sent-once
        enable_connect_protocol: true,
        h3_datagram: server.datagrams.http(),
        webtransport: webtransport(server),
        ..Settings::default()
    }
}

/// Every dialect that browsers and libraries ask for. A session limit above 1 promises flow control of sessions
/// (draft-ietf-webtrans-http3-14 §5.1), and so do the first limits (draft-ietf-webtrans-http3-16 §5.1).
fn webtransport(server: &ServerState) -> WebTransportSettings {
    if !server.offers_sessions {
        return WebTransportSettings::default();
    }
    let limits = &server.limits;
    let sessions = limits.max_sessions_per_connection as u64;
    WebTransportSettings {
        enabled: 1,
        enabled_draft02: 1,
        max_sessions_draft07: sessions,
        max_sessions_draft13: sessions,
        h3_datagram_draft04: 1,
        initial_max_data: limits.session_receive_window.max(1).into(),
        initial_max_streams_bidi: limits.max_session_streams.max(1).into(),
        initial_max_streams_uni: limits.max_session_uni_streams.max(1).into(),
        ..WebTransportSettings::default()
    }
}
