//! What a client remembers of a server beyond a connection: where it was reached, its tickets and its SETTINGS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use trilane_http3::Settings;

use super::tls::TlsConfig;

/// The memory of one server, by host and port; empty where sessions are not resumed.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    tls: Arc<TlsConfig>,
    name: ServerName<'static>,
    port: u16,
}

impl Memory {
    pub(super) fn new(tls: Arc<TlsConfig>, name: ServerName<'static>, port: u16) -> Self {
        Self { tls, name, port }
    }

    pub(super) fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// The server was reached at `address`.
    pub(super) fn reached(&self, address: SocketAddr) {
        if let Some(sessions) = self.tls.sessions() {
            sessions.reached(&self.name, self.port, address);
        }
    }

    /// Keeps the server's settings for early data to come (RFC9114-7.2.4.2-remembered-settings).
    pub(super) fn keep(&self, settings: &Settings) {
        if let Some(sessions) = self.tls.sessions() {
            sessions.keep_settings(&self.name, self.port, settings.clone());
        }
    }

    /// The settings that hold for early data.
    pub(super) fn settings(&self) -> Option<Settings> {
        self.tls.sessions()?.settings(&self.name, self.port)
    }

    /// Early data came to nothing: the next dial is one to a stranger.
    pub(super) fn forget(&self) {
        if let Some(sessions) = self.tls.sessions() {
            sessions.forget(&self.name, self.port);
        }
    }
}
