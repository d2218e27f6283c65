//! A UDP relay between a client and a server that can hold back what the client sends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::sync::watch;

/// Of a long header: the form bits and the type 0-RTT (RFC 9000 §17.2.3).
const ZERO_RTT: u8 = 0xd0;

/// A relay for one client.
pub(crate) struct HoldingRelay {
    /// Where the client is to connect.
    pub(crate) address: SocketAddr,
    holds: watch::Sender<bool>,
    first_flight: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl HoldingRelay {
    /// A relay that holds back what the client sends once the server has answered, early data apart: so the handshake
    /// stays incomplete until [`release`](Self::release).
    pub(crate) async fn holding(server: SocketAddr) -> Self {
        Self::new(server, true).await
    }

    /// A relay that lets everything through until [`hold`](Self::hold).
    pub(crate) async fn open(server: SocketAddr) -> Self {
        Self::new(server, false).await
    }

    async fn new(server: SocketAddr, hold: bool) -> Self {
        let (front, back) = (loopback().await, loopback().await);
        back.connect(server).await.unwrap();
        let address = front.local_addr().unwrap();
        let (holds, held) = watch::channel(hold);
        let first_flight = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        tokio::spawn(carry(front, back, held, first_flight.clone()));
        Self {
            address,
            holds,
            first_flight,
        }
    }

    /// Holds back what the client sends from now on, acknowledgements above all.
    pub(crate) fn hold(&self) {
        self.holds.send_replace(true);
    }

    /// Lets everything through from now on, and what was held back first.
    pub(crate) fn release(&self) {
        self.holds.send_replace(false);
    }

    /// What the client sent before the server answered, and its early data.
    pub(crate) fn first_flight(&self) -> Vec<Vec<u8>> {
        self.first_flight.lock().unwrap().clone()
    }
}

pub(crate) async fn loopback() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

async fn carry(
    front: UdpSocket,
    back: UdpSocket,
    mut holds: watch::Receiver<bool>,
    first_flight: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let (mut client, mut answered, mut kept) = (None, false, Vec::new());
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok((length, sender)) = front.recv_from(&mut from_client) => {
                client = Some(sender);
                let datagram = from_client[..length].to_vec();
                let is_first = !answered || datagram[0] & 0xf0 == ZERO_RTT;
                if is_first {
                    first_flight.lock().unwrap().push(datagram.clone());
                }
                if is_first || !*holds.borrow() {
                    back.send(&datagram).await.unwrap();
                } else {
                    kept.push(datagram);
                }
            }
            Ok(length) = back.recv(&mut from_server) => {
                answered = true;
                // The server answers nobody before the client has spoken.
                front.send_to(&from_server[..length], client.unwrap()).await.unwrap();
            }
            changed = holds.changed() => {
                if changed.is_err() {
                    return;
                }
                if *holds.borrow_and_update() {
                    continue;
                }
                for datagram in kept.drain(..) {
                    back.send(&datagram).await.unwrap();
                }
            }
        }
    }
}
