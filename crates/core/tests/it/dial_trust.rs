//! Which servers our client believes, and what it says of the others.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{ExtendedKeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use trilane_core::certificate::{DevCertificate, sha256};
use trilane_core::client::{
    CertificateFault, ClientTls, DialError, DialErrorKind, Dialer, Trust, TrustError,
};
use trilane_core::tls::{Identity, crypto_provider};

use crate::dial_scene::{Authority, Made, dial, dial_as, options, serve, signed, target, tls};
use crate::scratch::Scratch;
use crate::support::soon;

/// What a client that trusts `authority` finds wrong with what `made` describes.
async fn fault(made: &Made) -> CertificateFault {
    let authority = Authority::new();
    let address = serve(tls(authority.issue(made)));
    refused(dial_as(authority.trust(), address).await.unwrap_err())
}

fn refused(error: DialError) -> CertificateFault {
    match error {
        DialError::Certificate { host, fault } => {
            assert_eq!(host, "localhost");
            fault
        }
        other => panic!("{other:?}"),
    }
}

/// RFC9114-3.1-certificate-checked.
#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_the_host_is_believed() {
    let authority = Authority::new();
    let made = Made {
        names: vec!["localhost", "127.0.0.1"],
        ..Made::default()
    };
    let address = serve(tls(authority.issue(&made)));
    for host in ["localhost", "LOCALHOST.", "127.0.0.1"] {
        let dialer = Dialer::new(options(authority.trust())).unwrap();
        let dialed = soon("a handshake", dialer.dial(&target(host, address)))
            .await
            .unwrap();
        assert_eq!(dialed.alpn.as_deref(), Some(&b"h3"[..]), "{host}");
        assert_eq!(dialed.remote_address, address);
        assert!(!dialed.is_resumed);
    }
}

/// RFC9114-3.1-certificate-checked.
#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let address = serve(tls(Authority::new().issue(&Made::default())));
    let error = dial_as(Authority::new().trust(), address).await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::UnknownIssuer);
    assert!(error.to_string().contains("\"ca\""), "{error}");
    let system = dial_as(Trust::System, address).await.unwrap_err();
    assert_eq!(system.kind(), DialErrorKind::UnknownIssuer, "{system}");
}

/// The environment is that of a process: the rest of this test runs in one of its own.
#[test]
fn an_authority_that_the_system_trusts_is_believed() {
    let scratch = Scratch::new();
    let server = DevCertificate::generate(&[]).unwrap();
    let certificate = scratch.file("cert.pem", &server.cert_pem);
    let key = scratch.file("key.der", &server.key_der);
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "dial_trust::with_the_authorities_of_the_environment",
        ])
        .env("SSL_CERT_FILE", &certificate)
        .env("TRILANE_TEST_KEY", &key)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "runs in the process that an_authority_that_the_system_trusts_is_believed begins"]
async fn with_the_authorities_of_the_environment() {
    let certificate = std::fs::read(std::env::var("SSL_CERT_FILE").unwrap()).unwrap();
    let key = std::fs::read(std::env::var("TRILANE_TEST_KEY").unwrap()).unwrap();
    let certificate = CertificateDer::from_pem_slice(&certificate).unwrap();
    let address = serve(tls(signed(certificate, key)));
    dial_as(Trust::System, address).await.unwrap();
}

#[tokio::test]
async fn an_authority_of_the_same_name_is_another_one() {
    let address = serve(tls(Authority::named("one").issue(&Made::default())));
    let fault = refused(
        dial_as(Authority::named("one").trust(), address)
            .await
            .unwrap_err(),
    );
    assert_eq!(fault, CertificateFault::BadSignature);
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_last_day() {
    let made = Made {
        valid: (-10, -1),
        ..Made::default()
    };
    let fault = fault(&made).await;
    assert!(
        matches!(fault, CertificateFault::Expired { not_after: Some(at) } if at.elapsed().unwrap() < Duration::from_secs(90_000)),
        "{fault:?}"
    );
    assert!(fault.to_string().contains("GMT"), "{fault}");
}

#[tokio::test]
async fn a_certificate_of_the_future_is_refused() {
    let made = Made {
        valid: (1, 9),
        ..Made::default()
    };
    let fault = fault(&made).await;
    assert!(
        matches!(fault, CertificateFault::NotYetValid { not_before: Some(_) }),
        "{fault:?}"
    );
}

#[tokio::test]
async fn a_certificate_for_other_hosts_is_refused_and_they_are_named() {
    let made = Made {
        names: vec!["a.example", "*.b.example", "192.0.2.7"],
        ..Made::default()
    };
    let CertificateFault::WrongHost { presented } = fault(&made).await else {
        panic!("another fault");
    };
    assert_eq!(presented, ["a.example", "*.b.example", "192.0.2.7"]);
}

#[tokio::test]
async fn a_server_may_have_any_number_of_names_and_a_message_does_not() {
    let made = Made {
        names: vec!["a.example"; 200],
        ..Made::default()
    };
    let CertificateFault::WrongHost { presented } = fault(&made).await else {
        panic!("another fault");
    };
    assert_eq!(presented.len(), 16);
}

#[tokio::test]
async fn an_address_must_stand_in_the_certificate_as_one() {
    let authority = Authority::new();
    let address = serve(tls(authority.issue(&Made::default())));
    let dialer = Dialer::new(options(authority.trust())).unwrap();
    let error = soon("a refusal", dialer.dial(&target("127.0.0.1", address)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::WrongHost, "{error}");
    assert!(error.to_string().contains("localhost"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_is_not_for_servers_is_refused() {
    let made = Made {
        usage: ExtendedKeyUsagePurpose::ClientAuth,
        ..Made::default()
    };
    let fault = fault(&made).await;
    assert!(
        matches!(fault, CertificateFault::NotForServers { .. }),
        "{fault:?}"
    );
}

/// What `openssl req -x509` makes.
#[tokio::test]
async fn a_certificate_that_says_it_is_an_authority_is_refused_with_advice() {
    let identity = Made {
        is_authority: true,
        ..Made::default()
    }
    .self_signed();
    let trust = Trust::authorities(&identity.cert).unwrap();
    let fault = refused(dial_as(trust, serve(tls(identity))).await.unwrap_err());
    assert!(fault.to_string().contains("CA:TRUE"), "{fault}");
}

#[tokio::test]
async fn a_server_without_the_key_of_its_certificate_is_refused_by_everyone() {
    let authority = Authority::new();
    let mut identity = authority.issue(&Made::default());
    identity.cert = authority.issue(&Made::default()).cert;
    let pinned = Trust::pinned(&[sha256(&identity.cert[0])]).unwrap();
    let address = serve(tls(identity));
    for trust in [authority.trust(), pinned, Trust::Insecure] {
        let fault = refused(dial_as(trust, address).await.unwrap_err());
        assert_eq!(fault, CertificateFault::KeyNotHeld);
    }
}

#[tokio::test]
async fn a_pinned_certificate_is_believed_whoever_signed_it_and_for_any_host() {
    let identity = Made {
        names: vec!["elsewhere.example"],
        ..Made::default()
    }
    .self_signed();
    let hash = sha256(&identity.cert[0]);
    let address = serve(tls(identity));
    dial_as(Trust::pinned(&[[7; 32], hash]).unwrap(), address)
        .await
        .unwrap();
    let error = dial_as(Trust::pinned(&[[7; 32]]).unwrap(), address)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::PinMismatch);
    let expected = CertificateFault::PinMismatch {
        actual: hash,
        expected: vec![[7; 32]],
    };
    assert_eq!(refused(error), expected);
}

/// <https://www.w3.org/TR/webtransport/#custom-certificate-requirements>
#[tokio::test]
async fn a_pinned_certificate_keeps_the_rules_of_webtransport() {
    let cases: [(Made, DialErrorKind); 6] = [
        (
            Made {
                valid: (-1, 14),
                ..Made::default()
            },
            DialErrorKind::PinUnsuitable,
        ),
        (
            Made {
                algorithm: &PKCS_ECDSA_P384_SHA384,
                ..Made::default()
            },
            DialErrorKind::PinUnsuitable,
        ),
        (
            Made {
                algorithm: &PKCS_ED25519,
                ..Made::default()
            },
            DialErrorKind::PinUnsuitable,
        ),
        (
            Made {
                valid: (-9, -1),
                ..Made::default()
            },
            DialErrorKind::PinExpired,
        ),
        (
            Made {
                valid: (1, 9),
                ..Made::default()
            },
            DialErrorKind::PinExpired,
        ),
        (
            // Longer than 14 days, and over: its time counts first.
            Made {
                valid: (-30, -1),
                ..Made::default()
            },
            DialErrorKind::PinExpired,
        ),
    ];
    for (made, kind) in cases {
        let identity = made.self_signed();
        let trust = Trust::pinned(&[sha256(&identity.cert[0])]).unwrap();
        let error = dial_as(trust, serve(tls(identity))).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    // 14 days sharp.
    let identity = Made {
        valid: (-1, 13),
        ..Made::default()
    }
    .self_signed();
    let trust = Trust::pinned(&[sha256(&identity.cert[0])]).unwrap();
    dial_as(trust, serve(tls(identity))).await.unwrap();
}

#[tokio::test]
async fn without_checks_any_certificate_will_do() {
    let made = Made {
        names: vec!["elsewhere.example"],
        valid: (-9, -1),
        ..Made::default()
    };
    dial_as(Trust::Insecure, serve(tls(made.self_signed())))
        .await
        .unwrap();
}

#[test]
fn authorities_and_hashes_that_are_none_are_refused_at_once() {
    let nobody: [&[u8]; 0] = [];
    assert!(matches!(Trust::authorities(&nobody), Err(TrustError::Nobody)));
    assert!(matches!(Trust::pinned(&[]), Err(TrustError::NoHash)));
    let good = Made::default().self_signed().cert[0].clone();
    let inputs: [&[u8]; 2] = [&good, b"no certificate"];
    let error = Trust::authorities(&inputs).unwrap_err();
    assert!(
        matches!(error, TrustError::Unreadable { position: 2, .. }),
        "{error}"
    );
    let damaged: [&[u8]; 1] = [&good[..good.len() / 2]];
    let error = Trust::authorities(&damaged).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::Unusable {
                position: 1,
                certificate: 1,
                ..
            }
        ),
        "{error}"
    );
}

/// A server's TLS that demands a certificate of `authority`.
fn demanding(authority: &Authority, server: &Authority) -> rustls::ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto_provider())
        .build()
        .unwrap();
    let plain = tls(server.issue(&Made::default()));
    let mut tls = rustls::ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(plain.cert_resolver.clone());
    tls.alpn_protocols = plain.alpn_protocols.clone();
    tls
}

fn client_identity(authority: &Authority) -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    let der = authority.sign_client(&key);
    Identity::from_der(vec![der], key.serialize_der().try_into().unwrap()).unwrap()
}

#[tokio::test]
async fn a_server_that_demands_a_client_certificate_gets_it() {
    let (server, clients) = (Authority::new(), Authority::new());
    let address = serve(demanding(&clients, &server));
    let mut options = options(server.trust());
    options.tls.identity = Some(client_identity(&clients));
    let dialed = dial(options, address).await.unwrap();
    // A refusal would come with the next packets.
    let end = tokio::time::timeout(Duration::from_millis(200), dialed.quic.closed()).await;
    assert!(end.is_err(), "{end:?}");
}

/// RFC 8446 §4.4.2: the client's certificate is judged when its handshake is over.
#[tokio::test]
async fn a_client_certificate_that_is_refused_or_missing_shows_in_the_end_of_the_connection() {
    let (server, clients) = (Authority::new(), Authority::named("clients"));
    let address = serve(demanding(&clients, &server));
    let stranger = client_identity(&Authority::new());
    let namesake = client_identity(&Authority::named("clients"));
    for (identity, word) in [
        (None, "certificate_required"),
        (Some(stranger), "unknown_ca"),
        (Some(namesake), "decrypt_error"),
    ] {
        let mut options = options(server.trust());
        options.tls = ClientTls {
            identity,
            ..options.tls
        };
        let dialed = dial(options, address).await.unwrap();
        let end = soon("the refusal", dialed.quic.closed()).await;
        let error = DialError::of_close(&end).unwrap_or_else(|| panic!("{end:?}"));
        assert_eq!(error.kind(), DialErrorKind::ClientCertificate);
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// RFC9114-3.2-server-name.
#[tokio::test]
async fn a_name_is_sent_to_the_server_and_an_address_is_not() {
    let authority = Authority::new();
    let made = Made {
        names: vec!["localhost", "127.0.0.1"],
        ..Made::default()
    };
    for (host, expected) in [("LocalHost.", Some("localhost")), ("127.0.0.1", None)] {
        let (address, name) =
            crate::dial_scene::serve_one_name(tls(authority.issue(&made)), (Ipv4Addr::LOCALHOST, 0).into());
        let dialer = Dialer::new(options(authority.trust())).unwrap();
        let _dialed = soon("a handshake", dialer.dial(&target(host, address)))
            .await
            .unwrap();
        assert_eq!(soon("the name", name).await.unwrap().as_deref(), expected);
    }
}
