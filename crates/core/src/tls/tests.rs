//! Whole handshakes, in memory.

use std::io;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::*;
use crate::certificate::{DevCertificate, sha256};

/// A client's and a server's messages in one handshake are far fewer.
const MOST_TURNS: usize = 20;

/// An authority and what it issues.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, host: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        (
            params.signed_by(&key, &self.issuer).unwrap().der().clone(),
            key.into(),
        )
    }

    fn identity(&self, host: &str) -> Identity {
        let (certificate, key) = self.issue(host);
        Identity::from_der(vec![certificate], key).unwrap()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        trust_roots(self.certificate.pem().as_bytes()).unwrap()
    }
}

struct Connected {
    client: ClientConnection,
    server: ServerConnection,
}

impl Connected {
    fn certificate_sha256(&self) -> [u8; 32] {
        sha256(&self.client.peer_certificates().unwrap()[0])
    }

    /// The first message that the server sends to the application goes through both ends, tickets before it.
    fn still_works(&mut self) {
        io::Write::write_all(&mut self.server.writer(), b"ping").unwrap();
        exchange(&mut self.client, &mut self.server).unwrap();
        let mut text = [0; 4];
        io::Read::read_exact(&mut self.client.reader(), &mut text).unwrap();
        assert_eq!(&text, b"ping");
    }
}

fn client_config(roots: Arc<RootCertStore>, alpn: &[u8]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

fn connect(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    host: &str,
) -> Result<Connected, rustls::Error> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    exchange(&mut client, &mut server)?;
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Connected { client, server })
}

/// Carries bytes to and fro until neither end has any left.
fn exchange(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), rustls::Error> {
    for _ in 0..MOST_TURNS {
        if !client.wants_write() && !server.wants_write() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets()?;
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets()?;
        }
    }
    panic!("the two ends still talk after {MOST_TURNS} turns");
}

fn server(store: &Arc<CertificateStore>, options: TlsOptions) -> Arc<ServerConfig> {
    Arc::new(server_config(Arc::clone(store), vec![b"h3".to_vec(), b"raw".to_vec()], options).unwrap())
}

fn single(authority: &Authority) -> Arc<CertificateStore> {
    Arc::new(CertificateStore::new(authority.identity("a.example"), Vec::new()).unwrap())
}

#[test]
fn the_server_name_chooses_the_certificate() {
    let authority = Authority::new();
    let identity = |host: &str| authority.identity(host);
    let (default, exact, wild) = (
        identity("a.example"),
        identity("b.example"),
        identity("*.c.example"),
    );
    let by_host = vec![
        ("B.example".to_owned(), exact.clone()),
        ("*.c.example".to_owned(), wild.clone()),
    ];
    let store = Arc::new(CertificateStore::new(default.clone(), by_host).unwrap());
    let server = server(&store, TlsOptions::default());
    let client = Arc::new(client_config(authority.roots(), b"h3"));
    let shown = |host| connect(&server, &client, host).unwrap().certificate_sha256();
    assert_eq!(shown("a.example"), default.leaf_sha256());
    assert_eq!(shown("b.EXAMPLE"), exact.leaf_sha256());
    assert_eq!(shown("x.c.example"), wild.leaf_sha256());
    assert!(
        connect(&server, &client, "unknown.example").is_err(),
        "the default is not for this name"
    );
}

#[test]
fn a_client_that_names_an_address_gets_the_default() {
    let made = DevCertificate::generate(&[]).unwrap();
    let identity = Identity::from_pem_or_der(made.cert_pem.as_bytes(), made.key_pem.as_bytes()).unwrap();
    let store = Arc::new(CertificateStore::new(identity.clone(), Vec::new()).unwrap());
    let client = Arc::new(client_config(trust_roots(&made.cert_der).unwrap(), b"h3"));
    for host in ["127.0.0.1", "::1", "localhost"] {
        let connected = connect(&server(&store, TlsOptions::default()), &client, host).unwrap();
        assert_eq!(connected.certificate_sha256(), identity.leaf_sha256());
    }
}

#[test]
fn a_new_set_is_for_new_handshakes_and_leaves_live_connections_alone() {
    let authority = Authority::new();
    let (old, new) = (authority.identity("a.example"), authority.identity("a.example"));
    let store = Arc::new(CertificateStore::new(old.clone(), Vec::new()).unwrap());
    let server = server(
        &store,
        TlsOptions {
            resumption: Resumption::Off,
            ..TlsOptions::default()
        },
    );
    let client = Arc::new(client_config(authority.roots(), b"h3"));
    let mut live = connect(&server, &client, "a.example").unwrap();
    assert_eq!(live.certificate_sha256(), old.leaf_sha256());
    store.update(Some(new.clone()), None).unwrap();
    let next = connect(&server, &client, "a.example").unwrap();
    assert_eq!(next.certificate_sha256(), new.leaf_sha256());
    live.still_works();
    assert_eq!(live.certificate_sha256(), old.leaf_sha256());
}

#[test]
fn alpn_is_chosen_by_the_server_and_required() {
    let authority = Authority::new();
    let server = server(&single(&authority), TlsOptions::default());
    let connect = |alpn| {
        connect(
            &server,
            &Arc::new(client_config(authority.roots(), alpn)),
            "a.example",
        )
    };
    assert_eq!(
        connect(b"raw").unwrap().server.alpn_protocol(),
        Some(b"raw".as_slice())
    );
    assert!(connect(b"h2").is_err());
}

#[test]
fn quinn_takes_the_configuration() {
    let store = single(&Authority::new());
    for resumption in [Resumption::Off, Resumption::Tickets, Resumption::EarlyData] {
        let options = TlsOptions {
            resumption,
            ..TlsOptions::default()
        };
        let config = server_config(Arc::clone(&store), vec![b"h3".to_vec()], options).unwrap();
        assert!(
            quinn::crypto::rustls::QuicServerConfig::try_from(config).is_ok(),
            "{resumption:?}"
        );
    }
}

/// RFC 9001 §4.2.
#[test]
fn only_tls_1_3_is_spoken() {
    let authority = Authority::new();
    let server = server(&single(&authority), TlsOptions::default());
    let connected = connect(
        &server,
        &Arc::new(client_config(authority.roots(), b"h3")),
        "a.example",
    )
    .unwrap();
    assert_eq!(
        connected.server.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
}

#[test]
fn sessions_resume_with_tickets_only_if_allowed() {
    let authority = Authority::new();
    for (resumption, second) in [
        (Resumption::Off, HandshakeKind::Full),
        (Resumption::Tickets, HandshakeKind::Resumed),
        (Resumption::EarlyData, HandshakeKind::Resumed),
    ] {
        let server = server(
            &single(&authority),
            TlsOptions {
                resumption,
                ..TlsOptions::default()
            },
        );
        let client = Arc::new(client_config(authority.roots(), b"h3"));
        connect(&server, &client, "a.example").unwrap().still_works();
        let again = connect(&server, &client, "a.example").unwrap();
        assert_eq!(again.server.handshake_kind(), Some(second), "{resumption:?}");
    }
}

/// RFC 9001 §4.6.1.
#[test]
fn early_data_is_off_unless_asked_for_and_then_as_quic_wants_it() {
    let authority = Authority::new();
    for (resumption, expected) in [
        (Resumption::Off, 0),
        (Resumption::Tickets, 0),
        (Resumption::EarlyData, 0xffff_ffff),
    ] {
        let server = server(
            &single(&authority),
            TlsOptions {
                resumption,
                ..TlsOptions::default()
            },
        );
        assert_eq!(server.max_early_data_size, expected);
        let mut client = client_config(authority.roots(), b"h3");
        client.enable_early_data = true;
        let client = Arc::new(client);
        connect(&server, &client, "a.example").unwrap().still_works();
        assert_eq!(
            sends_early_data(&server, &client),
            expected != 0,
            "{resumption:?}"
        );
    }
}

/// RFC9114-7.2.4.2-early-data-settings
#[test]
fn early_data_is_refused_by_another_configuration_whose_settings_may_differ() {
    let authority = Authority::new();
    let make = || {
        let options = TlsOptions {
            resumption: Resumption::EarlyData,
            ..TlsOptions::default()
        };
        server(&single(&authority), options)
    };
    let (before, after) = (make(), make());
    let mut client = client_config(authority.roots(), b"h3");
    client.enable_early_data = true;
    let client = Arc::new(client);
    connect(&before, &client, "a.example").unwrap().still_works();
    assert!(!sends_early_data(&after, &client));
    connect(&before, &client, "a.example").unwrap().still_works();
    assert!(sends_early_data(&before, &client));
}

/// Whether a client that comes back may send early data and the server takes it.
fn sends_early_data(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> bool {
    let mut client =
        ClientConnection::new(Arc::clone(client), ServerName::try_from("a.example").unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    if let Some(mut early) = client.early_data() {
        io::Write::write_all(&mut early, b"early").unwrap();
    }
    exchange(&mut client, &mut server).unwrap();
    let mut text = Vec::new();
    if let Some(mut early) = server.early_data() {
        io::Read::read_to_end(&mut early, &mut text).unwrap();
    }
    text == b"early" && client.is_early_data_accepted()
}

#[test]
fn client_certificates_are_refused_optional_or_required() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let with = |options| {
        server(
            &single(&authority),
            TlsOptions {
                client_auth: options,
                ..TlsOptions::default()
            },
        )
    };
    let anonymous = Arc::new(client_config(authority.roots(), b"h3"));
    let showing = |issuer: &Authority| {
        let (certificate, key) = issuer.issue("user.example");
        let builder = ClientConfig::builder_with_provider(crypto_provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(authority.roots());
        let mut config = builder.with_client_auth_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h3".to_vec()];
        Arc::new(config)
    };
    let shown = |server: &Arc<ServerConfig>, client: &Arc<ClientConfig>| {
        connect(server, client, "a.example").map(|connected| connected.server.peer_certificates().is_some())
    };
    let (known, unknown) = (showing(&authority), showing(&stranger));
    let none = with(ClientAuth::None);
    assert_eq!(shown(&none, &known), Ok(false));
    let optional = with(ClientAuth::Optional(authority.roots()));
    assert_eq!(shown(&optional, &anonymous), Ok(false));
    assert_eq!(shown(&optional, &known), Ok(true));
    assert!(shown(&optional, &unknown).is_err());
    let required = with(ClientAuth::Required(authority.roots()));
    assert_eq!(
        shown(&required, &anonymous),
        Err(rustls::Error::NoCertificatesPresented)
    );
    assert_eq!(shown(&required, &known), Ok(true));
    assert!(shown(&required, &unknown).is_err());
}

#[test]
fn client_certificates_without_authorities_are_refused() {
    let store = single(&Authority::new());
    let options = TlsOptions {
        client_auth: ClientAuth::Required(Arc::new(RootCertStore::empty())),
        ..TlsOptions::default()
    };
    let error = server_config(store, Vec::new(), options).unwrap_err();
    assert!(matches!(error, TlsError::BadRoots { .. }), "{error}");
    let error = trust_roots(b"ca.pem").unwrap_err();
    assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
    let error = trust_roots(b"\x30\x00").unwrap_err();
    assert!(error.to_string().contains("certificate 1"), "{error}");
}

#[test]
fn the_key_log_gets_the_secrets_in_the_format_of_wireshark() {
    let folder = std::env::temp_dir().join(format!("trilane-key-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("keys.txt");
    let authority = Authority::new();
    let options = TlsOptions {
        key_log: KeyLogTarget::File(path.clone()),
        ..TlsOptions::default()
    };
    let server = server(&single(&authority), options);
    connect(
        &server,
        &Arc::new(client_config(authority.roots(), b"h3")),
        "a.example",
    )
    .unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o77,
        0
    );
    std::fs::remove_dir_all(&folder).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 "))
        .unwrap();
    let parts: Vec<&str> = line.split(' ').collect();
    assert_eq!((parts.len(), parts[1].len()), (3, 64), "{line}");
    assert!(
        parts[2].len() >= 64 && parts[2].bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{line}"
    );
}

#[test]
fn a_key_log_that_cannot_be_opened_is_an_error() {
    let path = std::env::temp_dir()
        .join("trilane-no-such-folder")
        .join("keys.txt");
    let options = TlsOptions {
        key_log: KeyLogTarget::File(path.clone()),
        ..TlsOptions::default()
    };
    let error = server_config(single(&Authority::new()), Vec::new(), options).unwrap_err();
    assert!(
        matches!(&error, TlsError::KeyLog { path: named, .. } if *named == path),
        "{error}"
    );
}
