//! Early data of our client: what leaves before the handshake ends, and what becomes of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use trilane_core::certificate::DevCertificate;
use trilane_core::client::{DialErrorKind, OutgoingBody, RequestError};
use trilane_core::tls::{Resumption, TlsOptions};
use trilane_core::{ExchangeId, Stop};
use trilane_http3::Settings;

use crate::caller::{Caller, caller_of};
use crate::dial_scene::{signed, tls};
use crate::raw::{End, close_code, frame, headers, tell};
use crate::support::{Script, Setup, TestServer, answer, found, start};

/// What came: the path, and whether it was early.
type Seen = Arc<Mutex<Vec<(String, bool)>>>;

fn server(address: SocketAddr, status_of_early: u16) -> (TestServer, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let setup = Setup {
        address,
        tls: TlsOptions {
            resumption: Resumption::EarlyData,
            ..TlsOptions::default()
        },
        ..Setup::default()
    };
    let handler = Script::new(move |request, exchange| {
        let path = String::from_utf8_lossy(request.head.path()).into_owned();
        kept.lock().unwrap().push((path, request.early_data));
        match request.early_data {
            true => exchange
                .respond(status_of_early, std::iter::empty(), "early".into())
                .unwrap(),
            false => answer(exchange, "late"),
        }
    });
    (start(setup, handler), seen)
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A client that sends early data, with a session of the server at `port` and no connection.
async fn returning(certificate: &[u8], port: u16) -> Caller {
    let caller = caller_of(certificate, port, |config| {
        config.dial.tls.resumption = Resumption::EarlyData;
        config.dial.connect_timeout = Duration::from_secs(1);
    });
    assert_eq!(caller.get("/visit").await.status, 200);
    leave(&caller).await;
    caller
}

async fn leave(caller: &Caller) {
    for info in caller.client.connections() {
        caller.client.close_connection(info.name, 0x100, b"");
    }
    found("no connection", || {
        (caller.client.stats().connections_active == 0).then_some(())
    })
    .await;
}

fn send(caller: &Caller, method: &str, path: &str, may_be_early: bool) -> ExchangeId {
    let mut order = caller.order(method, path);
    order.may_be_early = may_be_early;
    if method == "POST" {
        order.body = OutgoingBody::Whole("x".into());
    }
    caller.client.request(order).unwrap()
}

/// RFC 8470 §2: nothing leaves early but what may be processed twice, however long the handshake takes.
#[tokio::test]
async fn only_what_may_be_early_leaves_before_the_handshake_ends() {
    let (server, seen) = server(anywhere(), 200);
    let caller = returning(&server.certificate, server.address.port()).await;
    let ids = [
        send(&caller, "POST", "/late", false),
        send(&caller, "GET", "/early", true),
        send(&caller, "GET", "/also-late", false),
    ];
    for id in ids {
        assert_eq!(caller.response(id).await.status, 200);
    }
    let seen = seen.lock().unwrap().clone();
    let of = |path: &str| {
        seen.iter()
            .filter(|(seen, _)| seen == path)
            .map(|(_, early)| *early)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("/late"), of("/early"), of("/also-late")),
        (vec![false], vec![true], vec![false]),
        "{seen:?}"
    );
}

/// RFC 8470 §5.2
#[tokio::test]
async fn a_request_that_is_too_early_is_sent_again_and_a_late_425_is_an_answer() {
    let (server, seen) = server(anywhere(), 425);
    let caller = returning(&server.certificate, server.address.port()).await;
    let id = send(&caller, "GET", "/early", true);
    assert_eq!(caller.body(id).await, (200, b"late".to_vec()));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        seen[1..],
        [("/early".to_owned(), true), ("/early".to_owned(), false)]
    );
    assert_eq!(caller.client.stats().requests_retried, 1);
}

#[tokio::test]
async fn early_data_that_is_refused_is_sent_again() {
    let (first, _) = server(anywhere(), 200);
    let address = first.address;
    // Another process with the same certificate would refuse the tickets: here the certificate is another one, too.
    let caller = caller_of(&first.certificate, address.port(), |config| {
        config.dial.tls.resumption = Resumption::EarlyData;
        config.dial.tls.trust = trilane_core::client::Trust::Insecure;
    });
    assert_eq!(caller.get("/visit").await.status, 200);
    leave(&caller).await;
    first.server.stop(Stop::Now).await;
    drop(first);
    found("a free port", || std::net::UdpSocket::bind(address).ok()).await;
    let (_second, seen) = server(address, 200);
    let ids = [
        send(&caller, "GET", "/early", true),
        send(&caller, "POST", "/late", false),
    ];
    for id in ids {
        assert_eq!(caller.body(id).await, (200, b"late".to_vec()));
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn early_data_for_a_server_that_is_gone_fails_with_the_reason_of_the_dial() {
    for silent in [false, true] {
        let (server, _) = server(anywhere(), 200);
        let caller = returning(&server.certificate, server.address.port()).await;
        let address = server.address;
        server.server.stop(Stop::Now).await;
        drop(server);
        let socket = found("a free port", || std::net::UdpSocket::bind(address).ok()).await;
        let _silence = silent.then_some(socket);
        let ids = [
            send(&caller, "GET", "/early", true),
            send(&caller, "POST", "/late", false),
        ];
        for id in ids {
            let error = caller.failure(id).await;
            let expected = if silent {
                DialErrorKind::TimedOut
            } else {
                DialErrorKind::Refused
            };
            assert!(
                matches!(&error, RequestError::Dial(dial) if dial.kind() == expected),
                "{error:?}"
            );
        }
    }
}

/// A server that takes early data, and says other settings from its second connection on.
struct Fickle {
    certificate: Vec<u8>,
    port: u16,
    /// With which code the client closed the second connection.
    closed: Arc<Mutex<Option<u64>>>,
}

fn fickle(first: Settings, then: Settings) -> Fickle {
    let made = DevCertificate::generate(&[]).unwrap();
    let mut tls = tls(signed(made.cert_der.clone().into(), made.key_der.clone()));
    tls.max_early_data_size = u32::MAX;
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::server(config, anywhere()).unwrap();
    let port = endpoint.local_addr().unwrap().port();
    let closed = Arc::<Mutex<Option<u64>>>::default();
    let kept = closed.clone();
    let count = AtomicUsize::new(0);
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let settings = if count.fetch_add(1, SeqCst) == 0 {
                first.clone()
            } else {
                then.clone()
            };
            let Ok((quic, _)) = incoming.accept().unwrap().into_0rtt() else {
                continue;
            };
            let kept = (count.load(SeqCst) == 2).then(|| kept.clone());
            tokio::spawn(async move {
                let mut payload = bytes::BytesMut::new();
                settings.encode(&mut payload);
                let _control = tell(&quic, &[&[0], &frame(4, &payload)[..]].concat(), End::Open).await;
                while let Ok((mut send, mut recv)) = quic.accept_bi().await {
                    tokio::spawn(async move {
                        let _ = recv.read_to_end(1 << 20).await;
                        let _ = send.write_all(&headers(&[(":status", "200")])).await;
                        let _ = send.finish();
                    });
                }
                if let Some(kept) = kept {
                    *kept.lock().unwrap() = Some(close_code(&quic).await);
                }
            });
        }
    });
    Fickle {
        certificate: made.cert_der,
        port,
        closed,
    }
}

fn settings(section: u64, datagrams: bool) -> Settings {
    Settings {
        max_field_section_size: Some(section),
        h3_datagram: datagrams,
        ..Settings::default()
    }
}

/// RFC9114-7.2.4.2-reduced-settings, RFC9297-2.1.1-client-0rtt
#[tokio::test]
async fn settings_that_take_back_what_early_data_went_by_close_the_connection() {
    let before = settings(10_000, true);
    let cases = [
        (settings(10_000, true), false),
        (settings(20_000, true), false),
        (settings(9_999, true), true),
        (settings(10_000, false), true),
        (
            Settings {
                max_field_section_size: None,
                ..settings(0, true)
            },
            true,
        ),
        (
            Settings {
                enable_connect_protocol: true,
                ..settings(10_000, true)
            },
            false,
        ),
    ];
    for (then, is_breach) in cases {
        let server = fickle(before.clone(), then.clone());
        let caller = returning(&server.certificate, server.port).await;
        let id = send(&caller, "GET", "/early", true);
        let _ = caller.outcome(id).await;
        if is_breach {
            let code = found("a close", || *server.closed.lock().unwrap()).await;
            assert_eq!(code, 0x109, "{then:?}");
            // What was remembered is forgotten: the next one is served, without early data.
        }
        assert_eq!(caller.get("/next").await.status, 200);
        assert_eq!(
            caller.client.stats().connections_total,
            if is_breach { 3 } else { 2 },
            "{then:?}"
        );
    }
}

/// RFC9114-7.2.4.2-remembered-settings
#[tokio::test]
async fn early_data_obeys_the_settings_that_are_remembered() {
    let server = fickle(settings(300, true), settings(300, true));
    let caller = returning(&server.certificate, server.port).await;
    let value = "x".repeat(300);
    let fields = [(&b"x-large"[..], value.as_bytes())];
    let mut order = caller.order("GET", "/early");
    order.may_be_early = true;
    order.fields = &fields;
    let id = caller.client.request(order).unwrap();
    assert!(matches!(
        caller.failure(id).await,
        RequestError::OwnHeadTooLarge { most: 300, .. }
    ));
}
