//! The judge of server certificates. One for each client: rustls resumes a session only under the verifier that saw its
//! certificate.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, PeerIncompatible, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, alg_id};

use super::certificate_fault::CertificateFault;
use super::drivers::Evidence;
use crate::certificate::sha256;
use crate::tls::{Validity, crypto_provider};

/// The longest that a pinned certificate may be valid, as WebTransport's "custom certificate requirements" say.
const PINNED_VALIDITY: Duration = Duration::from_secs(14 * 24 * 60 * 60);

#[derive(Debug)]
pub(super) struct Verifier {
    policy: Policy,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
pub(super) enum Policy {
    Authorities(Arc<RootCertStore>),
    Pinned(Arc<[[u8; 32]]>),
    Insecure,
}

impl Verifier {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            algorithms: crypto_provider().signature_verification_algorithms,
        }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), CertificateFault> {
        match &self.policy {
            Policy::Authorities(roots) => {
                let check = || {
                    let parsed = ParsedCertificate::try_from(leaf)?;
                    let algorithms = self.algorithms.all;
                    verify_server_cert_signed_by_trust_anchor(
                        &parsed,
                        roots,
                        intermediates,
                        now,
                        algorithms,
                    )?;
                    verify_server_name(&parsed, name)
                };
                check().map_err(|error| CertificateFault::of(&error))
            }
            Policy::Pinned(expected) => check_pinned(leaf, expected, now),
            Policy::Insecure => Ok(()),
        }
    }
}

/// <https://www.w3.org/TR/webtransport/#verify-a-certificate-hash>
fn check_pinned(
    leaf: &CertificateDer<'_>,
    expected: &[[u8; 32]],
    now: UnixTime,
) -> Result<(), CertificateFault> {
    let actual = sha256(leaf);
    if !expected.contains(&actual) {
        return Err(CertificateFault::PinMismatch {
            actual,
            expected: expected.to_vec(),
        });
    }
    // Parsing also refuses what is no X.509 v3.
    let parsed = ParsedCertificate::try_from(leaf).map_err(|error| CertificateFault::of(&error))?;
    if !has_p256_key(&parsed) {
        return Err(CertificateFault::PinnedKeyType);
    }
    let Some(Validity {
        not_before,
        not_after,
    }) = Validity::of(leaf)
    else {
        return Err(CertificateFault::Unusable {
            reason: "its validity cannot be read".to_owned(),
        });
    };
    let now = std::time::UNIX_EPOCH + Duration::from_secs(now.as_secs());
    if now < not_before || now > not_after {
        return Err(CertificateFault::PinExpired {
            not_before,
            not_after,
        });
    }
    let validity = not_after.duration_since(not_before).unwrap_or_default();
    if validity > PINNED_VALIDITY {
        return Err(CertificateFault::PinnedTooLong { validity });
    }
    Ok(())
}

/// Whether the SubjectPublicKeyInfo names an elliptic curve key on P-256 (RFC 5480 §2.1.1).
fn has_p256_key(certificate: &ParsedCertificate<'_>) -> bool {
    /// The heads of the outer sequence and of the AlgorithmIdentifier: with this algorithm, both lengths are fixed.
    const HEADS: [u8; 4] = [0x30, 0x59, 0x30, 0x13];
    let info = certificate.subject_public_key_info();
    let algorithm = info.strip_prefix(&HEADS);
    algorithm.is_some_and(|algorithm| algorithm.starts_with(alg_id::ECDSA_P256.as_ref()))
}

impl ServerCertVerifier for Verifier {
    // RFC9114-3.1-certificate-checked
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Evidence::with_current(Evidence::certificate_shown);
        match self.judge(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(fault) => {
                let alert = fault.to_alert();
                Evidence::with_current(|evidence| evidence.refused(fault));
                Err(alert)
            }
        }
    }

    /// QUIC has TLS 1.3 only (RFC 9001 §4.2).
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    /// Also without authorities: a certificate is public, only its key makes a server.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms).inspect_err(|error| {
            let fault = match CertificateFault::of(error) {
                CertificateFault::BadSignature => CertificateFault::KeyNotHeld,
                other => other,
            };
            Evidence::with_current(|evidence| evidence.refused(fault));
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
