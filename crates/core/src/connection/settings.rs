//! Our SETTINGS.

use trilane_http3::{Settings, WebTransportSettings};

use crate::server::ServerState;

/// What a server tells its clients at the start of a connection (RFC 9114 §7.2.4).
pub(super) fn ours(server: &ServerState) -> Settings {
    Settings {
        max_field_section_size: Some(server.limits.max_header_bytes as u64),
        enable_connect_protocol: true,
        h3_datagram: server.datagrams.http(),
        webtransport: webtransport(server),
        ..Settings::default()
    }
}

/// Every dialect that browsers and libraries ask for; a session limit above 1 would promise flow control of sessions.
fn webtransport(server: &ServerState) -> WebTransportSettings {
    if !server.session_routes.any() {
        return WebTransportSettings::default();
    }
    WebTransportSettings {
        enabled: 1,
        enabled_draft02: 1,
        max_sessions_draft07: 1,
        max_sessions_draft13: 1,
        h3_datagram_draft04: 1,
        ..WebTransportSettings::default()
    }
}
