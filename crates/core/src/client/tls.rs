//! TLS of a client.

use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use rustls::ClientConfig;
use rustls::client::Resumption as RustlsResumption;
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;

use super::error::DialError;
use super::sessions::{PortSessions, Sessions};
use super::trust::{Trust, system_roots};
use super::verifier::{Policy, Verifier};
use crate::tls::{Identity, KeyLogTarget, Resumption, TlsError, crypto_provider};

/// How a client does TLS.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The protocols that are offered, the preferred one first. Default `h3`. A server that speaks none of them is not
    /// connected to (RFC 9001 §8.1).
    pub alpn: Vec<Vec<u8>>,
    /// Which servers are believed. Default: those that the system trusts.
    pub trust: Trust,
    /// The certificate that is shown to servers which ask for one, with its key. Default: none.
    ///
    /// A server that demands another one, or any, refuses after the client's handshake is complete, because the
    /// certificate is the last that TLS 1.3 sends: the dial succeeds, and the connection ends right behind it.
    /// [`DialError::of_close`] tells such an end from others.
    pub identity: Option<Identity>,
    /// How the client comes back to a server: with a full handshake, with a ticket, or with a ticket and early data.
    /// Default: with a ticket. At most 256 servers are remembered, 4 tickets each. Early data can be replayed to the
    /// server by whoever saw it (RFC 8446 §8): for safe requests only (RFC 8470).
    pub resumption: Resumption,
    /// Where the secrets of connections go. Default: nowhere.
    pub key_log: KeyLogTarget,
}

impl Default for ClientTls {
    fn default() -> Self {
        Self {
            alpn: vec![b"h3".to_vec()],
            trust: Trust::default(),
            identity: None,
            resumption: Resumption::default(),
            key_log: KeyLogTarget::default(),
        }
    }
}

/// The TLS of every connection of one client.
pub(super) struct TlsConfig {
    config: ClientConfig,
    /// `None`: sessions are not resumed.
    sessions: Option<Arc<Sessions>>,
}

/// What is made before the authorities are known.
#[derive(Debug)]
pub(super) struct TlsSetup {
    options: ClientTls,
    key_log: Arc<dyn rustls::KeyLog>,
}

impl TlsSetup {
    /// # Errors
    /// When the key log cannot be opened.
    pub(super) fn new(options: ClientTls) -> Result<Self, TlsError> {
        let key_log = options.key_log.open()?;
        Ok(Self { options, key_log })
    }

    /// Whether early data may leave.
    pub(super) fn sends_early_data(&self) -> bool {
        self.options.resumption == Resumption::EarlyData && !matches!(self.options.trust, Trust::Pinned(_))
    }

    /// Waits until the system's authorities are read, if they are wanted.
    pub(super) async fn finish(&self) -> Result<TlsConfig, DialError> {
        let policy = match &self.options.trust {
            Trust::System => Policy::Authorities(system_roots().await?),
            Trust::Authorities(roots) => Policy::Authorities(roots.clone()),
            Trust::Pinned(hashes) => Policy::Pinned(hashes.clone()),
            Trust::Insecure => Policy::Insecure,
        };
        let builder = ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| DialError::TlsSetup {
                reason: error.to_string(),
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(policy)));
        let mut config = match &self.options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(
                identity.certified_key().clone(),
            ))),
        };
        // RFC9114-3.2-alpn: rustls refuses a server that chooses none of them.
        config.alpn_protocols = self.options.alpn.clone();
        // RFC9114-3.2-server-name: rustls sends it for names, never for addresses.
        config.enable_sni = true;
        config.key_log = self.key_log.clone();
        config.enable_early_data = self.sends_early_data();
        config.resumption = RustlsResumption::disabled();
        let resumes =
            self.options.resumption != Resumption::Off && !matches!(self.options.trust, Trust::Pinned(_));
        Ok(TlsConfig {
            config,
            sessions: resumes.then(Arc::default),
        })
    }
}

/// Without the client's key.
impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

impl TlsConfig {
    /// The configuration of a connection to a server on `port`.
    pub(super) fn for_port(&self, port: u16) -> Result<Arc<QuicClientConfig>, DialError> {
        let mut config = self.config.clone();
        if let Some(sessions) = &self.sessions {
            let sessions = sessions.clone();
            config.resumption = RustlsResumption::store(Arc::new(PortSessions { sessions, port }));
        }
        let config = QuicClientConfig::try_from(config).map_err(|error| DialError::TlsSetup {
            reason: error.to_string(),
        })?;
        Ok(Arc::new(config))
    }

    /// The address with which a server was reached last, as long as its sessions are remembered.
    pub(super) fn last_address(&self, server: &ServerName<'_>, port: u16) -> Option<std::net::SocketAddr> {
        self.sessions.as_ref()?.address(server, port)
    }

    /// What is remembered of servers; `None`: nothing is.
    pub(super) fn sessions(&self) -> Option<&Sessions> {
        self.sessions.as_deref()
    }
}
