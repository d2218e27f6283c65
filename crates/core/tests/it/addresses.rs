//! Clients that may not be where they say, seen from their side of the socket (RFC 9000 §8.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::ConnectionError;
use tokio::net::UdpSocket;
use trilane_core::{AddressValidation, Limits};

use crate::client::{endpoint, tls};
use crate::relay::{Relay, Way};
use crate::support::{Script, Setup, TestServer, answer, soon, start};

/// Long enough for an answer over the loopback, were there one.
const SILENCE: Duration = Duration::from_millis(300);

fn server(setup: Setup) -> TestServer {
    start(setup, Script::new(|_, exchange| answer(exchange, "")))
}

async fn connect(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
) -> Result<quinn::Connection, ConnectionError> {
    let connecting = endpoint.connect(address, "localhost").unwrap();
    soon("a handshake or its failure", connecting).await
}

/// What the server answers to one datagram, if anything.
async fn ask(server: &TestServer, datagram: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(datagram, server.address).await.unwrap();
    let mut answer = vec![0; 2048];
    let length = tokio::time::timeout(SILENCE, socket.recv(&mut answer))
        .await
        .ok()?;
    answer.truncate(length.unwrap());
    Some(answer)
}

/// A long header of `version`, with connection ids of these lengths, filled up to `length` bytes.
fn long_header(version: u32, destination: usize, source: usize, length: usize) -> Vec<u8> {
    let mut packet = vec![0xc0];
    packet.extend(version.to_be_bytes());
    packet.push(destination as u8);
    packet.extend(vec![0xdd; destination]);
    packet.push(source as u8);
    packet.extend(vec![0x55; source]);
    // No token, and a length that covers the rest.
    packet.push(0);
    let rest = length - packet.len() - 2;
    packet.extend((0x4000 | rest as u16).to_be_bytes());
    packet.resize(length, 0x77);
    packet
}

/// RFC 9000 §6.1
#[tokio::test]
async fn an_unknown_version_is_answered_with_the_one_that_is_spoken() {
    let server = server(Setup::default());
    let answer = ask(&server, &long_header(0x5a5a_5a5a, 9, 5, 1200)).await.unwrap();
    assert_eq!(answer[0] & 0x80, 0x80);
    assert_eq!(answer[1..5], [0; 4], "version negotiation");
    assert_eq!((answer[5], &answer[6..11]), (5, &[0x55; 5][..]));
    assert_eq!((answer[11], &answer[12..21]), (9, &[0xdd; 9][..]));
    let versions: Vec<_> = answer[21..]
        .chunks(4)
        .map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()))
        .collect();
    assert!(versions.contains(&1), "{versions:x?}");
    // Beside it only a reserved one, so that clients keep ignoring what they do not know (RFC 9000 §6.3).
    let others: Vec<_> = versions.iter().filter(|version| **version != 1).collect();
    assert!(
        others.iter().all(|version| *version & 0x0f0f_0f0f == 0x0a0a_0a0a),
        "{others:x?}"
    );
    assert!(answer.len() < 100);
}

/// RFC 9000 §6.1: a smaller datagram gets no answer, which could be larger than it.
#[tokio::test]
async fn an_unknown_version_in_a_small_datagram_is_not_answered() {
    let server = server(Setup::default());
    assert_eq!(ask(&server, &long_header(0x5a5a_5a5a, 9, 5, 1199)).await, None);
}

/// RFC 9000 §14.1. An id shorter than 8 bytes is an error that is answered, so silence is for the size.
#[tokio::test]
async fn an_initial_packet_in_a_small_datagram_is_ignored() {
    let server = server(Setup::default());
    assert!(ask(&server, &long_header(1, 7, 5, 1200)).await.is_some());
    assert_eq!(ask(&server, &long_header(1, 7, 5, 1199)).await, None);
}

#[tokio::test]
async fn initial_packets_of_garbage_are_ignored() {
    let server = server(Setup::default());
    for _ in 0..50 {
        assert_eq!(
            tokio::time::timeout(
                Duration::from_millis(5),
                ask(&server, &long_header(1, 8, 8, 1200))
            )
            .await
            .unwrap_or(None),
            None
        );
    }
    let endpoint = endpoint("127.0.0.1:0", tls(&server));
    assert!(connect(&endpoint, server.address).await.is_ok());
}

/// RFC 9000 §8.1
#[tokio::test]
async fn a_client_that_falls_silent_gets_three_times_what_it_sent_at_most() {
    let server = server(Setup {
        chain: 12,
        ..Setup::default()
    });
    let relay = Relay::start(server.address, |way, number| way == Way::ToServer && number == 0).await;
    let endpoint = endpoint("127.0.0.1:0", tls(&server));
    let _connecting = endpoint.connect(relay.address, "localhost").unwrap();
    // The first flight, and some rounds of sending it again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let answered = relay.shared.from_server.bytes();
    assert!((1_201..=3 * 1_200).contains(&answered), "{answered}");
}

/// RFC 9000 §8.1.2, §8.1.3
#[tokio::test]
async fn every_new_client_is_asked_and_returning_ones_are_not() {
    let server = server(Setup {
        address_validation: AddressValidation::Always,
        ..Setup::default()
    });
    let relay = Relay::start(server.address, |_, _| true).await;
    let client = endpoint("127.0.0.1:0", tls(&server));
    let first = connect(&client, relay.address).await.unwrap();
    let packet = relay.shared.first_answer.lock().unwrap()[0];
    assert_eq!(packet & 0xf0, 0xf0, "a Retry packet");
    assert_eq!(server.server.stats().retries_sent, 1);
    // A stream that is answered: NEW_TOKEN has come before.
    let (mut send, mut recv) = first.open_bi().await.unwrap();
    send.write_all(&[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'])
        .await
        .unwrap();
    send.finish().unwrap();
    soon("an answer", recv.read_to_end(1_000)).await.unwrap();
    connect(&client, relay.address).await.unwrap();
    assert_eq!(
        server.server.stats().retries_sent,
        1,
        "the second brought a token"
    );
}

/// RFC 9000 §8.1.4: a token of another address proves nothing.
#[tokio::test]
async fn a_token_does_not_travel() {
    let server = server(Setup {
        address_validation: AddressValidation::Always,
        ..Setup::default()
    });
    let mut here = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut there = quinn::Endpoint::client("127.0.0.2:0".parse().unwrap()).unwrap();
    // Tokens are kept by the configuration.
    let config = quinn::ClientConfig::new(Arc::new(tls(&server)));
    here.set_default_client_config(config.clone());
    there.set_default_client_config(config);
    let first = connect(&here, server.address).await.unwrap();
    let _control = soon("a control stream", first.accept_uni()).await.unwrap();
    connect(&there, server.address).await.unwrap();
    assert_eq!(server.server.stats().retries_sent, 2);
}

#[tokio::test]
async fn many_new_clients_a_second_are_asked() {
    let limits = Limits {
        retry_above_handshakes_per_second: 1,
        ..Limits::default()
    };
    let server = server(Setup {
        limits,
        ..Setup::default()
    });
    for _ in 0..6 {
        let endpoint = endpoint("127.0.0.1:0", tls(&server));
        connect(&endpoint, server.address).await.unwrap();
    }
    let retries = server.server.stats().retries_sent;
    assert!((1..=4).contains(&retries), "{retries}");
}

#[tokio::test]
async fn one_address_has_its_limit_and_another_its_own() {
    let limits = Limits {
        max_connections_per_ip: 1,
        ..Limits::default()
    };
    let server = server(Setup {
        limits,
        ..Setup::default()
    });
    let (here, there) = (
        endpoint("127.0.0.1:0", tls(&server)),
        endpoint("127.0.0.2:0", tls(&server)),
    );
    let first = connect(&here, server.address).await.unwrap();
    let refused = connect(&here, server.address).await.unwrap_err();
    let ConnectionError::ConnectionClosed(close) = refused else {
        panic!("{refused}")
    };
    assert_eq!(close.error_code, quinn::TransportErrorCode::CONNECTION_REFUSED);
    assert!(connect(&there, server.address).await.is_ok());
    assert_eq!(server.server.stats().connections_refused, 1);
    first.close(0u32.into(), b"");
    soon("room", async {
        while connect(&here, server.address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
