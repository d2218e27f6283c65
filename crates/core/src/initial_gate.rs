//! A flood of first packets, stopped before anything is computed for them.

use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::crypto::{Keys, ServerConfig, Session, UnsupportedVersion};
use quinn_proto::ConnectionId;
use quinn_proto::transport_parameters::TransportParameters;

use crate::rate::Bucket;
use crate::sync::lock;

/// First packets a second that are looked into, twice as many in one burst. Each costs 6 µs for its keys (RFC 9001 §5.2)
/// before it is known to be one, a handshake 280 µs: this is an eighth of a core, and six times as many clients as one
/// core can serve. Beyond it packets are dropped as if the network had; those of open connections are not among them.
const INITIALS_PER_SECOND: u32 = 20_000;

/// The TLS of a server, which derives keys for first packets only so often.
pub(crate) struct InitialGate {
    tls: Arc<QuicServerConfig>,
    bucket: Mutex<Bucket>,
}

impl InitialGate {
    pub(crate) fn new(tls: QuicServerConfig) -> Self {
        Self {
            tls: Arc::new(tls),
            bucket: Mutex::new(Bucket::new(INITIALS_PER_SECOND)),
        }
    }
}

impl ServerConfig for InitialGate {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        if !lock(&self.bucket).take() {
            // quinn drops the packet without an answer, which is all that this error does.
            return Err(UnsupportedVersion);
        }
        self.tls.initial_keys(version, dst_cid)
    }

    fn retry_tag(&self, version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.tls.retry_tag(version, orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, version: u32, params: &TransportParameters) -> Box<dyn Session> {
        self.tls.clone().start_session(version, params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::DevCertificate;
    use crate::tls::{CertificateStore, Identity, TlsOptions, server_config};

    #[test]
    fn a_flood_of_first_packets_is_looked_into_at_a_bounded_rate() {
        let made = DevCertificate::generate(&[]).unwrap();
        let identity = Identity::from_pem_or_der(&made.cert_der, &made.key_der).unwrap();
        let store = Arc::new(CertificateStore::new(identity, []).unwrap());
        let tls = server_config(store, vec![b"h3".to_vec()], TlsOptions::default()).unwrap();
        let gate = InitialGate {
            bucket: Mutex::new(Bucket::new(5)),
            ..InitialGate::new(QuicServerConfig::try_from(tls).unwrap())
        };
        let id = ConnectionId::new(&[1; 8]);
        let keys = (0..100).filter(|_| gate.initial_keys(1, &id).is_ok()).count();
        assert_eq!(keys, 10);
    }
}
