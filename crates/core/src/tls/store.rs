//! Which certificate a handshake gets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::DnsName;

use super::{DevelopmentIdentity, Identity, TlsError};

/// Chooses the certificate by the server name of the handshake (SNI, RFC 6066 §3).
///
/// An exact name beats a wildcard, which stands for exactly one label: `*.example.com` is for
/// `a.example.com`, not for `example.com` or `a.b.example.com`. Names compare without regard to case. A
/// client that sends no name, or an unknown one, gets the default.
///
/// [`Self::update`] changes the set at once: handshakes that begin later take the new one. Live
/// connections keep what they have, and a client that resumes a session is shown no certificate at all.
#[derive(Debug)]
pub struct CertificateStore {
    set: RwLock<Arc<Set>>,
}

#[derive(Debug)]
struct Set {
    default: DefaultIdentity,
    /// By name in lower case; wildcards with their star.
    by_host: Arc<HashMap<String, Identity>>,
}

/// What a client gets that names no host, or an unknown one.
#[derive(Clone, Debug)]
pub enum DefaultIdentity {
    /// This one.
    Given(Identity),
    /// One for development, renewed before it ends.
    Development(Arc<DevelopmentIdentity>),
}

impl DefaultIdentity {
    fn current(&self) -> Identity {
        match self {
            Self::Given(identity) => identity.clone(),
            Self::Development(development) => development.current(),
        }
    }
}

impl From<Identity> for DefaultIdentity {
    fn from(identity: Identity) -> Self {
        Self::Given(identity)
    }
}

impl CertificateStore {
    /// Makes a store of a default and of identities by name.
    ///
    /// # Errors
    /// When a name cannot be a server name, or is given twice.
    pub fn new(
        default: impl Into<DefaultIdentity>,
        by_host: impl IntoIterator<Item = (String, Identity)>,
    ) -> Result<Self, TlsError> {
        let set = Set {
            default: default.into(),
            by_host: by_name(by_host)?,
        };
        Ok(Self {
            set: RwLock::new(Arc::new(set)),
        })
    }

    /// Puts what is given in the place of the old: the default, all identities by name, or both in one step.
    ///
    /// # Errors
    /// As [`Self::new`]; nothing is changed then.
    pub fn update(
        &self,
        default: Option<Identity>,
        by_host: Option<Vec<(String, Identity)>>,
    ) -> Result<(), TlsError> {
        let by_host = by_host.map(by_name).transpose()?;
        // Only whole sets are ever stored, so a poisoned lock still guards a good one.
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        *set = Arc::new(Set {
            default: default.map_or_else(|| set.default.clone(), DefaultIdentity::Given),
            by_host: by_host.unwrap_or_else(|| set.by_host.clone()),
        });
        Ok(())
    }

    /// The identity that a client without a server name gets.
    pub fn default_identity(&self) -> Identity {
        self.current().default.current()
    }

    /// The identity for a server name.
    pub fn identity_for(&self, host: Option<&str>) -> Identity {
        let set = self.current();
        match host.and_then(|host| set.find(host)) {
            Some(identity) => identity.clone(),
            None => set.default.current(),
        }
    }

    fn current(&self) -> Arc<Set> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            self.identity_for(client_hello.server_name()).certified_key(),
        ))
    }
}

fn by_name(
    identities: impl IntoIterator<Item = (String, Identity)>,
) -> Result<Arc<HashMap<String, Identity>>, TlsError> {
    let mut by_host = HashMap::new();
    for (host, identity) in identities {
        let host = normalize(&host)?;
        if by_host.contains_key(&host) {
            return Err(TlsError::DuplicateHostname { host });
        }
        by_host.insert(host, identity);
    }
    Ok(Arc::new(by_host))
}

impl Set {
    fn find(&self, host: &str) -> Option<&Identity> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.by_host.get(&host).or_else(|| {
            let (_, parent) = host.split_once('.')?;
            self.by_host.get(&format!("*.{parent}"))
        })
    }
}

/// Lower case, without a dot at the end.
fn normalize(host: &str) -> Result<String, TlsError> {
    let bad = |reason| TlsError::BadHostname {
        host: host.to_owned(),
        reason,
    };
    if host == "*" {
        return Err(bad("every other name already gets the default certificate"));
    }
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(bad(
            "clients send no server name for an address (RFC 6066 §3): use the default certificate",
        ));
    }
    if !host.is_ascii() {
        return Err(bad("expected the \"xn--\" form of an international name"));
    }
    let (star, name) = host.strip_prefix("*.").map_or(("", host), |name| ("*.", name));
    if name.contains('*') {
        return Err(bad(
            "a wildcard is the whole first label, as in \"*.example.com\"",
        ));
    }
    let name =
        DnsName::try_from(name).map_err(|_| bad("expected a DNS name without scheme, port or path"))?;
    Ok(format!("{star}{}", name.to_lowercase_owned().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::DevCertificate;

    fn identity() -> Identity {
        let made = DevCertificate::generate(&[]).unwrap();
        Identity::from_pem_or_der(&made.cert_der, &made.key_der).unwrap()
    }

    fn named(hosts: &[(&str, &Identity)]) -> Vec<(String, Identity)> {
        hosts
            .iter()
            .map(|(host, identity)| ((*host).to_owned(), (*identity).clone()))
            .collect()
    }

    #[test]
    fn exact_names_beat_wildcards_of_one_label_and_the_rest_is_default() {
        let [default, exact, wildcard] = std::array::from_fn(|_| identity());
        let hosts = named(&[("A.Example.com.", &exact), ("*.EXAMPLE.com", &wildcard)]);
        let store = CertificateStore::new(default.clone(), hosts).unwrap();
        let chosen = |host| store.identity_for(host).leaf_sha256();
        assert_eq!(chosen(Some("a.example.com")), exact.leaf_sha256());
        assert_eq!(chosen(Some("A.EXAMPLE.COM.")), exact.leaf_sha256());
        assert_eq!(chosen(Some("b.Example.com")), wildcard.leaf_sha256());
        for host in [
            Some("example.com"),
            Some("a.b.example.com"),
            Some(""),
            Some("."),
            Some("com"),
            None,
        ] {
            assert_eq!(chosen(host), default.leaf_sha256(), "{host:?}");
        }
    }

    #[test]
    fn what_no_client_can_ask_for_is_refused() {
        let identity = identity();
        let hosts = [
            ("*", "default certificate"),
            ("127.0.0.1", "no server name for an address"),
            ("::1", "no server name for an address"),
            ("[::1]", "no server name for an address"),
            ("b\u{fc}cher.example", "xn--"),
            ("a.*.example", "first label"),
            ("a*.example", "first label"),
            ("https://a.example", "without scheme"),
            ("a.example:443", "without scheme"),
            ("", "expected a DNS name"),
            ("*.", "expected a DNS name"),
        ];
        for (host, hint) in hosts {
            let error = CertificateStore::new(identity.clone(), named(&[(host, &identity)])).unwrap_err();
            assert!(
                matches!(&error, TlsError::BadHostname { host: named, .. } if named == host),
                "{error}"
            );
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn a_name_given_twice_is_refused_and_the_old_set_stays() {
        let [default, other] = std::array::from_fn(|_| identity());
        let store = CertificateStore::new(default.clone(), Vec::new()).unwrap();
        let twice = named(&[("a.example", &other), ("A.example.", &other)]);
        let error = store.update(Some(other.clone()), Some(twice)).unwrap_err();
        assert!(
            matches!(&error, TlsError::DuplicateHostname { host } if host == "a.example"),
            "{error}"
        );
        assert_eq!(store.default_identity().leaf_sha256(), default.leaf_sha256());
        store.update(Some(other.clone()), None).unwrap();
        assert_eq!(store.default_identity().leaf_sha256(), other.leaf_sha256());
    }

    #[test]
    fn what_an_update_does_not_name_stays() {
        let [default, exact, new] = std::array::from_fn(|_| identity());
        let store = CertificateStore::new(default.clone(), named(&[("a.example", &exact)])).unwrap();
        let chosen = |host| store.identity_for(host).leaf_sha256();
        store.update(Some(new.clone()), None).unwrap();
        assert_eq!(chosen(Some("a.example")), exact.leaf_sha256());
        assert_eq!(chosen(None), new.leaf_sha256());
        store
            .update(None, Some(named(&[("b.example", &default)])))
            .unwrap();
        assert_eq!(chosen(Some("a.example")), new.leaf_sha256());
        assert_eq!(chosen(Some("b.example")), default.leaf_sha256());
    }
}
