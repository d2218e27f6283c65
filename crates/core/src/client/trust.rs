//! Whom a client believes.

use std::sync::Arc;
use std::time::Instant;

use rustls::RootCertStore;
use tokio::sync::OnceCell;

use crate::tls::{TlsError, certificates};

/// Which servers a client believes to be those it asked for (RFC9114-3.1-certificate-checked).
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those with a certificate for their host from an authority that the system trusts. `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name other places where they are looked for.
    #[default]
    System,
    /// Those with a certificate for their host from one of these authorities, and no others. Made by
    /// [`Trust::authorities`].
    Authorities(Arc<RootCertStore>),
    /// Those whose own certificate has one of these SHA-256 hashes, as `serverCertificateHashes` of WebTransport has it:
    /// valid now, for 14 days at most in all, with an ECDSA key on P-256. Names and authorities are not looked at. Every
    /// connection shows its certificate anew: sessions are not resumed.
    Pinned(Arc<[[u8; 32]]>),
    /// Everyone. Whoever is on the way to the server may read and change everything. For tests only.
    Insecure,
}

/// Why authorities were refused. A mistake in what the client was given.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// An input holds no certificate, or a damaged one.
    #[error("authority {position} cannot be read: {source}")]
    Unreadable {
        /// Which input, from 1.
        position: usize,
        /// What is wrong with it.
        source: TlsError,
    },
    /// A certificate cannot be an authority.
    #[error(
        "certificate {certificate} of authority {position} cannot be used ({reason}): expected an X.509 v3 certificate, \
         whole and unchanged"
    )]
    Unusable {
        /// Which input, from 1.
        position: usize,
        /// Which certificate in it, from 1.
        certificate: usize,
        /// What the parser said.
        reason: String,
    },
    /// There is none.
    #[error("no authority: an empty list would trust nobody; leave it out to trust those of the system")]
    Nobody,
    /// No hash.
    #[error("no certificate hash: an empty list would trust nobody")]
    NoHash,
}

/// Why the system's authorities are not known.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the system has no authorities to trust ({reason}): install its package of certificates (\"ca-certificates\"), name \
     them in SSL_CERT_FILE, or pass them in \"ca\""
)]
pub struct NoSystemTrust {
    /// What the system said.
    reason: String,
}

impl Trust {
    /// Trusts these authorities and no others. Each input is PEM, of any number of certificates, or DER of one. A
    /// certificate that signed itself may stand for itself, unless it says that it is an authority.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn authorities<Input: AsRef<[u8]>>(inputs: &[Input]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for (index, input) in inputs.iter().enumerate() {
            let position = index + 1;
            let found =
                certificates(input.as_ref()).map_err(|source| TrustError::Unreadable { position, source })?;
            for (index, certificate) in found.into_iter().enumerate() {
                roots.add(certificate).map_err(|error| TrustError::Unusable {
                    position,
                    certificate: index + 1,
                    reason: error.to_string(),
                })?;
            }
        }
        if roots.is_empty() {
            return Err(TrustError::Nobody);
        }
        Ok(Self::Authorities(Arc::new(roots)))
    }

    /// Trusts certificates by their SHA-256.
    ///
    /// # Errors
    /// When there is none.
    pub fn pinned(hashes: &[[u8; 32]]) -> Result<Self, TrustError> {
        if hashes.is_empty() {
            return Err(TrustError::NoHash);
        }
        Ok(Self::Pinned(hashes.into()))
    }
}

/// The authorities that the system trusts: read once for the process, in a thread that may wait for files (145 of them
/// took 26 to 78 ms in a debug build; on macOS and Windows the system's own stores are asked). A failure is not remembered.
pub(super) async fn system_roots() -> Result<Arc<RootCertStore>, NoSystemTrust> {
    static ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();
    let roots = ROOTS.get_or_try_init(|| async {
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.unwrap_or_else(|_| {
            Err(NoSystemTrust {
                reason: "reading them was cut short".to_owned(),
            })
        })
    });
    roots.await.cloned()
}

fn load() -> Result<Arc<RootCertStore>, NoSystemTrust> {
    let started = Instant::now();
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores hold certificates that no verifier takes any more; the others count.
    let (added, skipped) = roots.add_parsable_certificates(found.certs);
    for error in &found.errors {
        tracing::debug!(%error, "an authority of the system cannot be read");
    }
    tracing::debug!(added, skipped, took = ?started.elapsed(), "the system's authorities are read");
    if roots.is_empty() {
        let reason = match found.errors.first() {
            Some(error) => error.to_string(),
            None => "none were found".to_owned(),
        };
        return Err(NoSystemTrust { reason });
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_authorities_of_the_system_are_read_once() {
        match (system_roots().await, system_roots().await) {
            (Ok(first), Ok(second)) => assert!(Arc::ptr_eq(&first, &second)),
            (first, _) => {
                let error = first.unwrap_err().to_string();
                assert!(error.contains("SSL_CERT_FILE"), "{error}");
            }
        }
    }
}
