//! How our client comes back to a server: sessions and early data.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use trilane_core::certificate::sha256;
use trilane_core::client::{ClientTls, DialErrorKind, DialOptions, Dialed, Dialer, Trust};
use trilane_core::tls::{Resumption, TlsOptions};

use crate::dial_scene::{options, target};
use crate::support::{Script, Setup, TestServer, answer, found, soon, start};

const GET: &[u8] = &[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];

/// For each request that came, whether it was early.
type Seen = Arc<Mutex<Vec<bool>>>;

fn server(resumption: Resumption, address: SocketAddr) -> (TestServer, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let setup = Setup {
        address,
        tls: TlsOptions {
            resumption,
            ..TlsOptions::default()
        },
        ..Setup::default()
    };
    let handler = Script::new(move |request, exchange| {
        kept.lock().unwrap().push(request.early_data);
        answer(exchange, "served");
    });
    (start(setup, handler), seen)
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn client(resumption: Resumption, trust: Trust) -> Dialer {
    Dialer::new(DialOptions {
        tls: ClientTls {
            resumption,
            trust,
            ..ClientTls::default()
        },
        ..options(Trust::Insecure)
    })
    .unwrap()
}

async fn come(client: &Dialer, address: SocketAddr) -> Dialed {
    soon("a dial", client.dial(&target("localhost", address)))
        .await
        .unwrap()
}

async fn get(dialed: &Dialed) -> Result<String, quinn::ReadToEndError> {
    let (mut send, mut recv) = soon("a stream", dialed.quic.open_bi()).await.unwrap();
    let _ = send.write_all(GET).await;
    let _ = send.finish();
    let answer = soon("an answer", recv.read_to_end(10_000)).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A visit that leaves a session behind: tickets come behind the handshake.
async fn visit(client: &Dialer, address: SocketAddr) -> Dialed {
    let dialed = come(client, address).await;
    assert!(dialed.early.is_none());
    assert!(get(&dialed).await.unwrap().contains("served"));
    dialed.quic.close(0_u32.into(), b"");
    dialed
}

#[tokio::test]
async fn a_session_is_resumed_by_the_client_that_has_it() {
    let (server, _) = server(Resumption::Tickets, anywhere());
    let first = client(Resumption::Tickets, Trust::Insecure);
    assert!(!visit(&first, server.address).await.is_resumed);
    assert!(visit(&first, server.address).await.is_resumed);
    let second = client(Resumption::Tickets, Trust::Insecure);
    assert!(!visit(&second, server.address).await.is_resumed);
}

#[tokio::test]
async fn a_session_belongs_to_its_port() {
    let (one, _) = server(Resumption::Tickets, anywhere());
    let (other, _) = server(Resumption::Tickets, anywhere());
    let client = client(Resumption::Tickets, Trust::Insecure);
    visit(&client, one.address).await;
    assert!(!visit(&client, other.address).await.is_resumed);
    assert!(visit(&client, one.address).await.is_resumed);
    assert!(visit(&client, other.address).await.is_resumed);
}

#[tokio::test]
async fn nothing_is_resumed_where_that_is_off_or_the_certificate_is_pinned() {
    let (server, _) = server(Resumption::EarlyData, anywhere());
    let pinned = Trust::pinned(&[sha256(&server.certificate)]).unwrap();
    for client in [
        client(Resumption::Off, Trust::Insecure),
        client(Resumption::EarlyData, pinned),
    ] {
        for _ in 0..2 {
            let dialed = visit(&client, server.address).await;
            assert!(!dialed.is_resumed && dialed.early.is_none());
        }
    }
}

#[tokio::test]
async fn early_data_arrives_before_the_handshake_is_over() {
    let (server, seen) = server(Resumption::EarlyData, anywhere());
    let client = client(Resumption::EarlyData, Trust::Insecure);
    visit(&client, server.address).await;
    let mut dialed = come(&client, server.address).await;
    let early = dialed.early.take().expect("early data");
    assert!(dialed.alpn.is_none() && dialed.is_resumed);
    assert!(get(&dialed).await.unwrap().contains("served"));
    assert!(soon("the handshake", early.accepted()).await.unwrap());
    assert!(get(&dialed).await.unwrap().contains("served"));
    assert_eq!(*seen.lock().unwrap(), [false, true, false]);
}

#[tokio::test]
async fn early_data_that_is_refused_can_be_sent_again() {
    let (first, _) = server(Resumption::EarlyData, anywhere());
    let client = client(Resumption::EarlyData, Trust::Insecure);
    visit(&client, first.address).await;
    let address = first.address;
    first.server.stop(trilane_core::Stop::Now).await;
    drop(first);
    // Another process on the same port: it knows nothing of the session.
    found("a free port", || std::net::UdpSocket::bind(address).ok()).await;
    let (_second, seen) = server(Resumption::EarlyData, address);
    let mut dialed = come(&client, address).await;
    let early = dialed.early.take().expect("early data");
    let refused = get(&dialed).await;
    assert!(!soon("the handshake", early.accepted()).await.unwrap());
    assert!(
        matches!(
            refused,
            Err(quinn::ReadToEndError::Read(quinn::ReadError::ZeroRttRejected))
        ),
        "{refused:?}"
    );
    assert!(get(&dialed).await.unwrap().contains("served"));
    assert_eq!(*seen.lock().unwrap(), [false]);
}

#[tokio::test]
async fn early_data_for_a_server_that_is_gone_ends_with_the_reason() {
    let (server, _) = server(Resumption::EarlyData, anywhere());
    let client = client(Resumption::EarlyData, Trust::Insecure);
    visit(&client, server.address).await;
    let address = server.address;
    server.server.stop(trilane_core::Stop::Now).await;
    drop(server);
    found("a free port", || std::net::UdpSocket::bind(address).ok()).await;
    let mut dialed = come(&client, address).await;
    let early = dialed.early.take().expect("early data");
    let error = soon("the failure", early.accepted()).await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Refused, "{error}");
    soon("the end", dialed.quic.closed()).await;
}

/// A refused attempt must not spend the session on an address where nobody is: early data goes where it was taken before.
#[tokio::test]
async fn early_data_goes_first_to_the_address_that_answered_before() {
    let (server, _) = server(Resumption::EarlyData, anywhere());
    let client = client(Resumption::EarlyData, Trust::Insecure);
    let target = trilane_core::client::Target::new("localhost", server.address.port())
        .unwrap()
        .at(vec![[127, 0, 0, 2].into(), server.address.ip()])
        .unwrap();
    for has_session in [false, true] {
        let dialed = soon("a dial", client.dial(&target)).await.unwrap();
        assert_eq!(dialed.remote_address, server.address);
        assert_eq!(dialed.early.is_some(), has_session);
        assert!(get(&dialed).await.unwrap().contains("served"));
        dialed.quic.close(0_u32.into(), b"");
    }
}
