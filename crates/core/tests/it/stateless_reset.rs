//! A server that is killed, and the one that comes after it on the same port (RFC 9000 §10.3).

use std::net::SocketAddr;
use std::time::Duration;

use quinn::ConnectionError;
use trilane_core::StatelessResetKey;

use crate::client::quic;
use crate::support::{Script, Setup, TestServer, answer, soon, start};

fn server(address: SocketAddr, key: u8) -> TestServer {
    let setup = Setup {
        address,
        stateless_reset_key: Some(StatelessResetKey::new(&[key; 32]).unwrap()),
        ..Setup::default()
    };
    start(setup, Script::new(|_, exchange| answer(exchange, "")))
}

/// A client whose server was killed.
struct Survivor {
    connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
    /// Dropped, it would be stopped, and the connection closed for it.
    _control: quinn::RecvStream,
    _successor: TestServer,
}

/// A connection to a server with `former` as its key, which is then killed, and its successor with `later`.
async fn survivor(former: u8, later: u8) -> Survivor {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let killed = {
        let _inside = runtime.enter();
        server("127.0.0.1:0".parse().unwrap(), former)
    };
    let (connection, endpoint) = quic(&killed).await;
    let control = soon("a control stream", connection.accept_uni()).await.unwrap();
    let address = killed.address;
    // Nothing is said to the client: the tasks are dropped where they are, and the socket with them.
    runtime.shutdown_background();
    let bound = || std::net::UdpSocket::bind(address).is_err();
    soon("a free port", async {
        while bound() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    Survivor {
        connection,
        _endpoint: endpoint,
        _control: control,
        _successor: server(address, later),
    }
}

#[tokio::test]
async fn a_successor_with_the_same_key_resets_the_connections_of_the_former() {
    let survivor = survivor(1, 1).await;
    let connection = &survivor.connection;
    // Any packet will do, also one that the client had still to send.
    if let Ok(mut stream) = connection.open_uni().await {
        let _ = stream.write_all(&[0x21; 100]).await;
    }
    assert_eq!(
        soon("the reset", connection.closed()).await,
        ConnectionError::Reset
    );
}

#[tokio::test]
async fn a_successor_with_another_key_does_not() {
    let survivor = survivor(1, 2).await;
    let connection = &survivor.connection;
    assert_eq!(connection.close_reason(), None);
    let mut stream = connection.open_uni().await.unwrap();
    let _ = stream.write_all(&[0x21; 100]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(connection.close_reason(), None);
}
