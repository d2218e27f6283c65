//! What a client of ours dials: QUIC servers with certificates of every kind, and sockets that are no servers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::UdpSocket;
use trilane_core::client::{ClientTls, DialError, DialOptions, Dialed, Dialer, Target, Trust};
use trilane_core::tls::crypto_provider;

use crate::support::soon;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority of a test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    /// One with a name of its own.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Self::named(&format!("authority {}", COUNT.fetch_add(1, Relaxed)))
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::authorities(&[&self.der]).unwrap()
    }

    /// Issues what `made` describes.
    pub(crate) fn issue(&self, made: &Made) -> CertifiedKey {
        let key = KeyPair::generate_for(made.algorithm).unwrap();
        let der = made.params().signed_by(&key, &self.issuer).unwrap().der().clone();
        certified(der, &key)
    }
}

impl Authority {
    /// A certificate for a client with `key`.
    pub(crate) fn sign_client(&self, key: &KeyPair) -> CertificateDer<'static> {
        let made = Made {
            names: vec!["client.example"],
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            ..Made::default()
        };
        made.params().signed_by(key, &self.issuer).unwrap().der().clone()
    }
}

/// A certificate to be made. The default is good: for localhost, valid 10 days, ECDSA P-256.
pub(crate) struct Made {
    pub(crate) names: Vec<&'static str>,
    /// Days from now.
    pub(crate) valid: (i64, i64),
    pub(crate) algorithm: &'static SignatureAlgorithm,
    pub(crate) is_authority: bool,
    pub(crate) usage: ExtendedKeyUsagePurpose,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            names: vec!["localhost"],
            valid: (-1, 9),
            algorithm: &PKCS_ECDSA_P256_SHA256,
            is_authority: false,
            usage: ExtendedKeyUsagePurpose::ServerAuth,
        }
    }
}

impl Made {
    fn params(&self) -> CertificateParams {
        let names: Vec<String> = self.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        let at = |days: i64| {
            let epoch = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
            match days {
                ..0 => epoch - DAY * days.unsigned_abs() as u32,
                _ => epoch + DAY * days as u32,
            }
        };
        (params.not_before, params.not_after) = (at(self.valid.0), at(self.valid.1));
        params.extended_key_usages = vec![self.usage.clone()];
        if self.is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    /// Signed by itself.
    pub(crate) fn self_signed(&self) -> CertifiedKey {
        let key = KeyPair::generate_for(self.algorithm).unwrap();
        certified(self.params().self_signed(&key).unwrap().der().clone(), &key)
    }
}

fn certified(der: CertificateDer<'static>, key: &KeyPair) -> CertifiedKey {
    signed(der, key.serialize_der())
}

/// A certificate with its key, PKCS#8 DER.
pub(crate) fn signed(der: CertificateDer<'static>, key: Vec<u8>) -> CertifiedKey {
    let key = key.try_into().unwrap();
    let key = crypto_provider().key_provider.load_private_key(key).unwrap();
    CertifiedKey::new(vec![der], key)
}

/// Shows one certificate to everyone, whether or not it fits its key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The TLS of a server that shows `identity`, speaks h3 and asks for no client certificate.
pub(crate) fn tls(identity: CertifiedKey) -> rustls::ServerConfig {
    let mut tls = rustls::ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(identity))));
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls
}

/// What a server does with those who come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// Takes them in until they leave.
    Keep,
    /// CONNECTION_REFUSED.
    Refuse,
    /// Gives up in the middle of the handshake.
    Abandon,
}

/// A QUIC server of quinn's, on a free port of 127.0.0.1.
pub(crate) fn serve(tls: rustls::ServerConfig) -> SocketAddr {
    serve_as(tls, (Ipv4Addr::LOCALHOST, 0).into(), Welcome::Keep)
}

pub(crate) fn serve_as(tls: rustls::ServerConfig, address: SocketAddr, welcome: Welcome) -> SocketAddr {
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::server(config, address).unwrap();
    let address = endpoint.local_addr().unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            match welcome {
                Welcome::Refuse => incoming.refuse(),
                Welcome::Abandon => drop(incoming.accept().unwrap()),
                Welcome::Keep => {
                    tokio::spawn(async move {
                        if let Ok(quic) = incoming.await {
                            quic.closed().await;
                        }
                    });
                }
            }
        }
    });
    address
}

/// A server for one connection, and the name by which its client asks for it.
pub(crate) fn serve_one_name(
    tls: rustls::ServerConfig,
    address: SocketAddr,
) -> (SocketAddr, tokio::sync::oneshot::Receiver<Option<String>>) {
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::server(config, address).unwrap();
    let address = endpoint.local_addr().unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let quic = endpoint.accept().await.unwrap().await.unwrap();
        let data = quic.handshake_data().unwrap();
        let data = data.downcast::<quinn::crypto::rustls::HandshakeData>().unwrap();
        let _ = tell.send(data.server_name);
        quic.closed().await;
    });
    (address, told)
}

/// A socket that never answers.
pub(crate) async fn silent(address: &str) -> UdpSocket {
    UdpSocket::bind(address).await.unwrap()
}

pub(crate) fn options(trust: Trust) -> DialOptions {
    DialOptions {
        tls: ClientTls {
            trust,
            ..ClientTls::default()
        },
        ..DialOptions::default()
    }
}

pub(crate) fn target(host: &str, address: SocketAddr) -> Target {
    Target::new(host, address.port())
        .unwrap()
        .at(vec![address.ip()])
        .unwrap()
}

/// Dials `address` by the name localhost.
pub(crate) async fn dial(options: DialOptions, address: SocketAddr) -> Result<Dialed, DialError> {
    let dialer = Dialer::new(options).unwrap();
    soon("the end of a dial", dialer.dial(&target("localhost", address))).await
}

/// Dials `address` by the name localhost, believing `trust`.
pub(crate) async fn dial_as(trust: Trust, address: SocketAddr) -> Result<Dialed, DialError> {
    dial(options(trust), address).await
}
