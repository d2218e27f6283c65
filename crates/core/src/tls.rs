//! TLS of the server: certificates, who may connect, how sessions resume.

mod development;
mod error;
mod identity;
mod input;
mod key_log;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

pub use development::{DevelopmentError, DevelopmentIdentity};
pub use error::TlsError;
pub use identity::{Identity, Validity, ValidityProblem};
pub use store::{CertificateStore, DefaultIdentity};

/// Most sessions kept for 0-RTT. About 1 KiB each; the oldest goes first, and its client merely has a longer
/// handshake.
const EARLY_DATA_SESSIONS: usize = 4096;

/// The only value other than 0 that QUIC allows (RFC 9001 §4.6.1); flow control bounds early data instead.
const QUIC_EARLY_DATA: u32 = u32::MAX;

/// How a server does TLS, apart from its certificates. The default is what most servers want: no client
/// certificates, session tickets, no early data, no key log.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// How clients come back.
    pub resumption: Resumption,
    /// Where the secrets of connections go.
    pub key_log: KeyLogTarget,
}

/// Whether clients show certificates, and whose. The authorities come from [`trust_roots`].
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked and may decline; a certificate they show must come from these authorities.
    Optional(Arc<RootCertStore>),
    /// They must show a certificate from these authorities.
    Required(Arc<RootCertStore>),
}

/// How a client that was here before comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resumption {
    /// With a full handshake.
    Off,
    /// With a ticket, which costs the server no memory: tickets are encrypted under keys that change every 6
    /// hours.
    #[default]
    Tickets,
    /// With a ticket and early data (0-RTT). The server remembers up to 4096 sessions and takes each once, so
    /// early data is not replayed to this process; other processes and restarts know nothing of it (RFC 8446
    /// §8), so act on safe methods only (RFC 8470).
    EarlyData,
}

/// Where the secrets of connections go. Whoever reads them can decrypt the traffic: for debugging only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyLogTarget {
    /// Nowhere.
    #[default]
    None,
    /// To the file that the environment variable `SSLKEYLOGFILE` names, if it does.
    Environment,
    /// To this file, which is appended to.
    File(PathBuf),
}

impl KeyLogTarget {
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(&self) -> Result<Arc<dyn rustls::KeyLog>, TlsError> {
        Ok(match self {
            Self::None => Arc::new(rustls::NoKeyLog),
            Self::Environment => Arc::new(rustls::KeyLogFile::new()),
            Self::File(path) => Arc::new(key_log::KeyLogFile::open(path)?),
        })
    }
}

/// Makes the TLS configuration of a QUIC server: TLS 1.3 only (RFC 9001 §4.2), ring as the provider whatever
/// the process's default is, `alpn` in the order of preference.
///
/// # Errors
/// When client certificates have no authority, or the key log cannot be opened.
pub fn server_config(
    store: Arc<CertificateStore>,
    alpn: Vec<Vec<u8>>,
    options: TlsOptions,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match options.client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, crypto_provider());
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().map_err(bad_roots)?)
        }
        ClientAuth::Required(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, crypto_provider());
            builder.with_client_cert_verifier(verifier.build().map_err(bad_roots)?)
        }
    };
    let mut config = builder.with_cert_resolver(store);
    // RFC9114-3.2-alpn: rustls refuses a client that offers none of them.
    config.alpn_protocols = alpn;
    set_resumption(&mut config, options.resumption)?;
    config.key_log = options.key_log.open()?;
    Ok(config)
}

/// Reads every certificate of `input`, PEM (any number) or DER (one), in the order given.
pub(crate) fn certificates(input: &[u8]) -> Result<Vec<rustls_pki_types::CertificateDer<'static>>, TlsError> {
    input::certificates(input)
}

/// Reads certificate authorities, PEM (any number) or DER (one), for [`ClientAuth`] or for a client to trust.
///
/// # Errors
/// When there is no certificate, or one of them cannot be an authority.
pub fn trust_roots(input: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in input::certificates(input)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| TlsError::BadRoots {
            reason: format!("certificate {}: {error}", index + 1),
        })?;
    }
    Ok(Arc::new(roots))
}

/// The cryptography of every configuration here: ring, never the default of the process, which others may
/// have set.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}

fn set_resumption(config: &mut ServerConfig, resumption: Resumption) -> Result<(), TlsError> {
    config.max_early_data_size = 0;
    // Without a place to store a session, and without a ticketer, rustls issues no ticket.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match resumption {
        Resumption::Off => {}
        Resumption::Tickets => config.ticketer = rustls::crypto::ring::Ticketer::new()?,
        // rustls takes early data only from sessions that it stores and forgets on use: those of this configuration,
        // so of a server whose SETTINGS have not changed since (RFC9114-7.2.4.2-early-data-settings).
        Resumption::EarlyData => {
            config.session_storage = ServerSessionMemoryCache::new(EARLY_DATA_SESSIONS);
            config.max_early_data_size = QUIC_EARLY_DATA;
        }
    }
    Ok(())
}

fn bad_roots(error: rustls::server::VerifierBuilderError) -> TlsError {
    TlsError::BadRoots {
        reason: error.to_string(),
    }
}
