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
