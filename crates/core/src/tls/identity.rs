//! A certificate chain with its private key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use super::{TlsError, crypto_provider, input};
use crate::certificate::sha256;

/// A certificate chain, the server's own certificate first, and the key that signs for it. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    certified_key: Arc<CertifiedKey>,
}

/// When a certificate may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

/// Why a certificate is of no use at a moment. A server may still start with it: clients that trust it by
/// other means exist, clocks are wrong, and a renewal may be under way; so say it loudly and go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidityProblem {
    /// Its time has not come.
    #[error("the certificate is not valid yet, only in {}: check the clock of this machine", days(*.starts_in))]
    NotYetValid {
        /// How long until it has.
        starts_in: Duration,
    },
    /// Its time is over.
    #[error("the certificate expired {} ago, clients will refuse it: renew it", days(*.since))]
    Expired {
        /// For how long.
        since: Duration,
    },
}

impl Validity {
    /// When `certificate` may be used; None if it says so in a form that cannot be read.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let not_before = match refusal_at(certificate, Duration::ZERO)? {
            CertificateError::NotValidYetContext { not_before, .. } => system_time(not_before)?,
            _ => UNIX_EPOCH,
        };
        let CertificateError::ExpiredContext { not_after, .. } = refusal_at(certificate, Duration::MAX)?
        else {
            return None;
        };
        Some(Self {
            not_before,
            not_after: system_time(not_after)?,
        })
    }
}

impl Identity {
    /// Reads a certificate chain and a private key, each PEM (with comments, any line ends, other blocks
    /// skipped) or DER. Keys may be PKCS#8, SEC1 or PKCS#1. One file that holds both may be given twice.
    ///
    /// # Errors
    /// When one is missing, damaged or of an unknown kind, or the two do not belong together.
    pub fn from_pem_or_der(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        if input::are_swapped(certificate, key) {
            return Err(TlsError::Swapped);
        }
        Self::from_der(input::certificates(certificate)?, input::private_key(key)?)
    }

    /// Takes a certificate chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// When the chain is empty, a certificate or the key cannot be used, or the two do not belong together.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        if chain.is_empty() {
            return Err(TlsError::NoCertificate {
                found: "an empty chain".to_owned(),
            });
        }
        check_chain(&chain)?;
        let key = crypto_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| TlsError::BadKey {
                reason: reason(error),
            })?;
        let certified_key = CertifiedKey::new(chain, key);
        match certified_key.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => {
                return Err(TlsError::KeyMismatch {
                    belongs_to: owner(&certified_key),
                });
            }
            Err(error) => return Err(TlsError::Setup(error)),
        }
        Ok(Self {
            certified_key: Arc::new(certified_key),
        })
    }

    /// The server's own certificate, without its chain (DER).
    pub fn certificate(&self) -> &[u8] {
        self.leaf()
    }

    /// The SHA-256 of the server's own certificate, ready for `serverCertificateHashes`.
    pub fn leaf_sha256(&self) -> [u8; 32] {
        sha256(self.leaf())
    }

    /// When the server's own certificate may be used; None if it says so in a form that cannot be read.
    pub fn validity(&self) -> Option<Validity> {
        Validity::of(self.leaf())
    }

    /// Whether clients will refuse the server's own certificate at `now` for its age.
    pub fn validity_problem(&self, now: SystemTime) -> Option<ValidityProblem> {
        let validity = self.validity()?;
        if now < validity.not_before {
            let starts_in = validity.not_before.duration_since(now).unwrap_or_default();
            return Some(ValidityProblem::NotYetValid { starts_in });
        }
        let since = now
            .duration_since(validity.not_after)
            .ok()
            .filter(|since| !since.is_zero())?;
        Some(ValidityProblem::Expired { since })
    }

    pub(crate) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified_key
    }

    fn leaf(&self) -> &CertificateDer<'static> {
        // Invariant: `from_der`, the only constructor, refuses an empty chain.
        &self.certified_key.cert[0]
    }
}

/// Leaves the key out.
impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = self.certified_key.cert.len();
        formatter
            .debug_struct("Identity")
            .field("certificates", &certificates)
            .finish_non_exhaustive()
    }
}

/// The first certificate must be usable; those behind it only well-formed, since a client may not need them.
fn check_chain(chain: &[CertificateDer<'static>]) -> Result<(), TlsError> {
    for (index, certificate) in chain.iter().enumerate() {
        match ParsedCertificate::try_from(certificate) {
            Err(error) if index == 0 || error == Error::InvalidCertificate(CertificateError::BadEncoding) => {
                return Err(TlsError::BadCertificate {
                    position: index + 1,
                    reason: reason(error),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Which certificate of a chain the key belongs to, from 1.
fn owner(identity: &CertifiedKey) -> Option<usize> {
    let belongs = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&identity.key))
            .keys_match()
            .is_ok()
    };
    identity.cert.iter().position(belongs).map(|index| index + 1)
}

/// Why a client without any root would refuse `certificate` at a time, counted from 1970. The verifier looks at the
/// validity first and tells its bounds, which saves a second parser of X.509.
fn refusal_at(certificate: &CertificateDer<'_>, time: Duration) -> Option<CertificateError> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    let (roots, time) = (RootCertStore::empty(), UnixTime::since_unix_epoch(time));
    match verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], time, &[]) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

/// What rustls said, without its prefix about a peer: these are our own files.
fn reason(error: Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::BadEncoding) => "it is not DER".to_owned(),
        Error::InvalidCertificate(CertificateError::Other(other)) => other.to_string(),
        Error::InvalidCertificate(error) => error.to_string(),
        Error::General(text) => text,
        other => other.to_string(),
    }
}

fn system_time(time: UnixTime) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()))
}

fn days(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match (duration.as_secs() / DAY, duration.as_secs() / 60) {
        (0, minutes) => format!("{minutes} minutes"),
        (1, _) => "1 day".to_owned(),
        (days, _) => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// The DER of a certificate and of its PKCS#8 key.
    fn made(params: CertificateParams) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), key)
    }

    fn simple() -> (rcgen::Certificate, KeyPair) {
        made(CertificateParams::new(vec!["a.example".to_owned()]).unwrap())
    }

    fn read(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Identity, TlsError> {
        Identity::from_pem_or_der(certificate.as_ref(), key.as_ref())
    }

    fn pem(label: &str, der: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |chunk: &[u8]| -> String {
            let bits = chunk
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            let letter = |index: usize| match index <= chunk.len() {
                true => char::from(ALPHABET[bits as usize >> (18 - 6 * index) & 63]),
                false => '=',
            };
            (0..4).map(letter).collect()
        };
        let text: String = der.chunks(3).map(group).collect();
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    /// The ECPrivateKey (RFC 5915) inside a PKCS#8 key of P-256, with the curve that PKCS#8 keeps outside.
    fn sec1(pkcs8: &[u8]) -> Vec<u8> {
        let at = pkcs8
            .windows(5)
            .position(|window| window == b"\x02\x01\x01\x04\x20")
            .unwrap();
        let (secret, public) = pkcs8[at..].split_at(37);
        let curve = b"\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        let content = [secret, curve, public].concat();
        [&[0x30, content.len() as u8][..], &content].concat()
    }

    #[test]
    fn pem_and_der_are_understood_alone_and_mixed() {
        let (certificate, key) = simple();
        let expected = sha256(certificate.der());
        let both = format!("{}# a comment\n{}", certificate.pem(), key.serialize_pem());
        let crlf = format!("\u{feff}{both}trailing words").replace('\n', "\r\n");
        for certificate in [
            certificate.der().as_ref(),
            certificate.pem().as_bytes(),
            both.as_bytes(),
            crlf.as_bytes(),
        ] {
            for key in [
                key.serialized_der(),
                key.serialize_pem().as_bytes(),
                both.as_bytes(),
                crlf.as_bytes(),
            ] {
                assert_eq!(read(certificate, key).unwrap().leaf_sha256(), expected);
            }
        }
    }

    #[test]
    fn sec1_keys_are_understood_in_der_and_in_what_openssl_writes() {
        let (certificate, key) = simple();
        let sec1 = sec1(key.serialized_der());
        read(certificate.der(), &sec1).unwrap();
        let parameters = pem("EC PARAMETERS", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
        read(certificate.pem(), parameters + &pem("EC PRIVATE KEY", &sec1)).unwrap();
    }

    #[test]
    fn a_pkcs1_key_is_taken_for_rsa() {
        let (certificate, _) = simple();
        let error = read(certificate.pem(), pem("RSA PRIVATE KEY", b"\x30\x03\x02\x01\x00")).unwrap_err();
        assert!(matches!(error, TlsError::BadKey { .. }), "{error}");
        let error = read(certificate.pem(), b"\x30\x03\x02\x01\x00").unwrap_err();
        assert!(error.to_string().contains("expected RSA of 2048 bits"), "{error}");
    }

    #[test]
    fn swapped_inputs_are_named_as_such() {
        let (certificate, key) = simple();
        let swapped = [
            read(key.serialize_pem(), certificate.pem()),
            read(key.serialized_der(), certificate.der()),
            read(key.serialize_pem(), certificate.der()),
            read(
                pem("EC PRIVATE KEY", &sec1(key.serialized_der())),
                certificate.pem(),
            ),
        ];
        for result in swapped {
            assert!(matches!(result, Err(TlsError::Swapped)), "{result:?}");
        }
    }

    #[test]
    fn a_missing_part_is_named() {
        let (certificate, key) = simple();
        let error = read(key.serialize_pem(), key.serialize_pem()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no certificate: found only PEM blocks named \"PRIVATE KEY\""),
            "{error}"
        );
        let error = read(certificate.pem(), certificate.pem()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no private key: found only PEM blocks named \"CERTIFICATE\""),
            "{error}"
        );
        let error = read(certificate.der(), certificate.der()).unwrap_err();
        assert!(matches!(error, TlsError::NoPrivateKey { .. }), "{error}");
        let error = Identity::from_der(Vec::new(), key.into()).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let ((certificate, _), (_, other)) = (simple(), simple());
        let error = read(certificate.pem(), other.serialize_pem()).unwrap_err();
        assert!(
            matches!(error, TlsError::KeyMismatch { belongs_to: None }),
            "{error}"
        );
    }

    #[test]
    fn a_chain_in_the_wrong_order_is_recognized() {
        let ((issuer, _), (leaf, key)) = (simple(), simple());
        let error = read(issuer.pem() + &leaf.pem(), key.serialize_pem()).unwrap_err();
        assert!(
            matches!(error, TlsError::KeyMismatch { belongs_to: Some(2) }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("certificate 2 of the chain; put that one first"),
            "{error}"
        );
        read(leaf.pem() + &issuer.pem(), key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_damaged_certificate_is_refused_by_its_place_in_the_chain() {
        let (certificate, key) = simple();
        let cut = &certificate.der()[..certificate.der().len() - 1];
        for (input, wrong) in [
            (cut.to_vec(), 1),
            ([certificate.der().as_ref(), b"\0"].concat(), 1),
            ((certificate.pem() + &pem("CERTIFICATE", cut)).into_bytes(), 2),
        ] {
            let error = read(input, key.serialize_pem()).unwrap_err();
            assert!(
                matches!(error, TlsError::BadCertificate { position, .. } if position == wrong),
                "{error}"
            );
        }
    }

    #[test]
    fn a_signing_request_is_no_certificate() {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let error = read(request.pem().unwrap(), key.serialize_pem()).unwrap_err();
        assert!(error.to_string().contains("\"CERTIFICATE REQUEST\""), "{error}");
    }

    #[test]
    fn the_age_of_a_certificate_is_a_warning() {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 1, 11));
        let (certificate, key) = made(params);
        let identity = read(certificate.pem(), key.serialize_pem()).unwrap();
        // 2020-01-01T00:00:00Z.
        let begin = UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        let (day, second) = (Duration::from_secs(24 * 60 * 60), Duration::from_secs(1));
        assert_eq!(
            identity.validity(),
            Some(Validity {
                not_before: begin,
                not_after: begin + day * 10
            })
        );
        assert_eq!(identity.validity_problem(begin), None);
        assert_eq!(identity.validity_problem(begin + day * 10), None);
        let early = identity.validity_problem(begin - day).unwrap();
        assert_eq!(early, ValidityProblem::NotYetValid { starts_in: day });
        assert!(early.to_string().contains("only in 1 day"), "{early}");
        let late = identity.validity_problem(begin + day * 10 + second).unwrap();
        assert_eq!(late, ValidityProblem::Expired { since: second });
        assert!(
            identity
                .validity_problem(SystemTime::now())
                .unwrap()
                .to_string()
                .contains("expired")
        );
    }

    #[test]
    fn debug_output_has_no_key() {
        let (certificate, key) = simple();
        assert_eq!(
            format!("{:?}", read(certificate.pem(), key.serialize_pem()).unwrap()),
            "Identity { certificates: 1, .. }"
        );
    }
}
