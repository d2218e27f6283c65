//! Development certificates, and the fingerprint by which a browser can be told to trust one.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256,
    SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::DnsName;

/// From `notBefore` to `notAfter`. A browser accepts 14 days at most for a certificate that it is told to
/// trust by its hash (WebTransport, `serverCertificateHashes`); a day is left for how the ends are counted.
const VALIDITY: Duration = Duration::from_secs(13 * 24 * 60 * 60);

/// How far `notBefore` lies in the past, for clients whose clock is slow.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// Names that every development certificate is for.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A self-signed ECDSA P-256 certificate, valid 13 days, for development.
#[derive(Clone)]
pub struct DevCertificate {
    /// The certificate, DER.
    pub cert_der: Vec<u8>,
    /// Its private key, PKCS#8 DER.
    pub key_der: Vec<u8>,
    /// The certificate, PEM.
    pub cert_pem: String,
    /// Its private key, PKCS#8 PEM.
    pub key_pem: String,
}

/// Why a development certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DevCertificateError {
    /// A host is neither an address nor a name.
    #[error(
        "{host:?} cannot stand in a certificate: expected an IP address or a DNS name (an international name in its \
         \"xn--\" form)"
    )]
    BadHost {
        /// The host as it was given.
        host: String,
    },
    /// The operating system gave no random bytes.
    #[error("a certificate could not be made: the operating system gives no random bytes")]
    NoRandomness,
    /// The clock of this machine is before 1970, or beyond the years a certificate can hold.
    #[error("a certificate could not be made: the clock of this machine is wrong")]
    BadClock,
    /// Encoding or signing failed.
    #[error("a certificate could not be made: {0}")]
    Sign(#[from] rcgen::Error),
}

impl DevCertificate {
    /// Makes a new key and a certificate for `localhost`, `127.0.0.1`, `::1` and `hosts` (addresses, with or
    /// without brackets, or DNS names).
    ///
    /// # Errors
    /// When a host is neither an address nor a DNS name, or the operating system gives no random bytes.
    pub fn generate(hosts: &[String]) -> Result<Self, DevCertificateError> {
        Self::generate_at(SystemTime::now(), hosts)
    }

    /// As [`Self::generate`], made at `now`.
    pub(crate) fn generate_at(now: SystemTime, hosts: &[String]) -> Result<Self, DevCertificateError> {
        let mut params = CertificateParams::default();
        let begin = issue_time(now)?;
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + begin;
        params.not_after = params.not_before + VALIDITY;
        params.serial_number = Some(random_serial()?);
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "trilane development");
        params.subject_alt_names = alternative_names(hosts)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            cert_der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// Leaves the key out.
impl fmt::Debug for DevCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DevCertificate")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

/// The SHA-256 of a certificate in DER: what `serverCertificateHashes` of a browser wants.
pub fn sha256(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, der).as_ref());
    hash
}

/// `notBefore`, since 1970, in whole seconds: a certificate holds no fraction.
fn issue_time(now: SystemTime) -> Result<Duration, DevCertificateError> {
    /// 9999-01-01, the last year that X.509 can write (RFC 5280 §4.1.2.5).
    const END_OF_TIME: u64 = 253_370_764_800;
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| DevCertificateError::BadClock)?;
    if now.as_secs() > END_OF_TIME {
        return Err(DevCertificateError::BadClock);
    }
    Ok(Duration::from_secs(now.saturating_sub(CLOCK_SKEW).as_secs()))
}

/// 16 random bytes, positive and of full length (RFC 5280 §4.1.2.2: positive, at most 20 bytes).
fn random_serial() -> Result<SerialNumber, DevCertificateError> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| DevCertificateError::NoRandomness)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&serial))
}

fn alternative_names(hosts: &[String]) -> Result<Vec<SanType>, DevCertificateError> {
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    for host in LOCAL_HOSTS.into_iter().chain(hosts.iter().map(String::as_str)) {
        let (name, text) = alternative_name(host)?;
        if seen.insert(text) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name, and a text that is the same for the same name.
fn alternative_name(host: &str) -> Result<(SanType, String), DevCertificateError> {
    let bad_host = || DevCertificateError::BadHost {
        host: host.to_owned(),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok((SanType::IpAddress(address), address.to_string()));
    }
    let (star, name) = host.strip_prefix("*.").map_or(("", host), |name| ("*.", name));
    let name = DnsName::try_from(name).map_err(|_| bad_host())?;
    let text = format!("{star}{}", name.to_lowercase_owned().as_ref());
    let encoded = text.as_str().try_into().map_err(|_| bad_host())?;
    Ok((SanType::DnsName(encoded), text))
}

#[cfg(test)]
mod tests {
    use rustls::client::verify_server_name;
    use rustls::server::ParsedCertificate;
    use rustls_pki_types::{CertificateDer, ServerName};

    use super::*;
    use crate::tls::Identity;

    fn generate(hosts: &[&str]) -> Result<DevCertificate, DevCertificateError> {
        DevCertificate::generate(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>())
    }

    fn is_for(certificate: &DevCertificate, name: &str) -> bool {
        let der = CertificateDer::from(certificate.cert_der.as_slice());
        let parsed = ParsedCertificate::try_from(&der).unwrap();
        verify_server_name(&parsed, &ServerName::try_from(name).unwrap()).is_ok()
    }

    #[test]
    fn it_is_for_this_machine_and_the_given_hosts() {
        let certificate = generate(&["Dev.Example", "*.test.example", "192.0.2.7", "[2001:db8::1]"]).unwrap();
        let names = [
            "localhost",
            "127.0.0.1",
            "::1",
            "dev.example",
            "a.test.example",
            "192.0.2.7",
            "2001:db8::1",
        ];
        for name in names {
            assert!(is_for(&certificate, name), "{name}");
        }
        assert!(!is_for(&certificate, "example"));
        assert!(!is_for(&certificate, "192.0.2.8"));
    }

    #[test]
    fn it_is_valid_now_and_for_at_most_fourteen_days() {
        let certificate = generate(&[]).unwrap();
        let identity = Identity::from_pem_or_der(&certificate.cert_der, &certificate.key_der).unwrap();
        let validity = identity.validity().unwrap();
        let length = validity.not_after.duration_since(validity.not_before).unwrap();
        assert_eq!(length, Duration::from_secs(13 * 24 * 60 * 60));
        let age = SystemTime::now().duration_since(validity.not_before).unwrap();
        assert!(
            age >= CLOCK_SKEW && age < CLOCK_SKEW + Duration::from_secs(60),
            "{age:?}"
        );
    }

    #[test]
    fn pem_and_der_are_the_same_certificate_and_key() {
        let certificate = generate(&[]).unwrap();
        let identity =
            Identity::from_pem_or_der(certificate.cert_pem.as_bytes(), certificate.key_pem.as_bytes())
                .unwrap();
        assert_eq!(identity.leaf_sha256(), sha256(&certificate.cert_der));
        assert!(certificate.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn no_two_are_alike() {
        let (one, two) = (generate(&[]).unwrap(), generate(&[]).unwrap());
        assert_ne!(one.key_der, two.key_der);
        assert_ne!(random_serial().unwrap(), random_serial().unwrap());
    }

    #[test]
    fn a_host_given_twice_is_named_once() {
        let names = alternative_names(&[
            "LOCALHOST".to_owned(),
            "[::1]".to_owned(),
            "a.example.".to_owned(),
        ])
        .unwrap();
        assert_eq!(names.len(), LOCAL_HOSTS.len() + 1);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in [
            "",
            "b\u{fc}cher.example",
            "a b",
            "http://localhost",
            "*",
            "a.*.example",
            "localhost:443",
            "[a]",
        ] {
            let error = generate(&[host]).unwrap_err();
            assert!(
                matches!(&error, DevCertificateError::BadHost { host: named } if named == host),
                "{error}"
            );
        }
    }

    /// FIPS 180-4, the example of one block.
    #[test]
    fn sha256_is_the_standard_hash() {
        assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(sha256(b"abc")[28..], [0xf2, 0x00, 0x15, 0xad]);
    }

    #[test]
    fn debug_output_has_no_key() {
        let certificate = generate(&[]).unwrap();
        assert!(!format!("{certificate:?}").contains("PRIVATE KEY"));
    }
}
