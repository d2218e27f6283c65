//! A UDP relay between one client and the server: counts what passes, holds it back, or drops it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What was received from one side, passed on or not.
#[derive(Default)]
pub(crate) struct Tally {
    datagrams: AtomicUsize,
    bytes: AtomicUsize,
}

impl Tally {
    pub(crate) fn datagrams(&self) -> usize {
        self.datagrams.load(SeqCst)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(SeqCst)
    }
}

pub(crate) struct Relay {
    /// Where the client finds the server.
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    task: JoinHandle<()>,
}

pub(crate) struct Shared {
    pub(crate) from_client: Tally,
    pub(crate) from_server: Tally,
    /// The first datagram of the server.
    pub(crate) first_answer: Mutex<Vec<u8>>,
    holding: AtomicBool,
    held: Mutex<Vec<Vec<u8>>>,
    back: UdpSocket,
}

impl Relay {
    /// Passes datagrams on for which `passes(way, number)` holds, counted from 0 in each direction.
    pub(crate) async fn start(
        server: SocketAddr,
        passes: impl Fn(Way, usize) -> bool + Send + 'static,
    ) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = front.local_addr().unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        back.connect(server).await.unwrap();
        let shared = Arc::new(Shared {
            from_client: Tally::default(),
            from_server: Tally::default(),
            first_answer: Mutex::default(),
            holding: AtomicBool::new(false),
            held: Mutex::default(),
            back,
        });
        let task = tokio::spawn(run(front, shared.clone(), passes));
        Self {
            address,
            shared,
            task,
        }
    }

    /// From now on datagrams of the client are kept, and those of the server are dropped.
    pub(crate) fn hold(&self) {
        self.shared.holding.store(true, SeqCst);
    }

    /// Datagrams held.
    pub(crate) fn held(&self) -> usize {
        self.shared.held.lock().unwrap().len()
    }

    /// Sends up to `count` of the datagrams held to the server, oldest first.
    pub(crate) async fn release(&self, count: usize) -> usize {
        let datagrams: Vec<_> = {
            let mut held = self.shared.held.lock().unwrap();
            let count = count.min(held.len());
            held.drain(..count).collect()
        };
        for datagram in &datagrams {
            let _ = self.shared.back.send(datagram).await;
        }
        datagrams.len()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(front: UdpSocket, shared: Arc<Shared>, passes: impl Fn(Way, usize) -> bool) {
    let (mut up, mut down) = ([0; 2048], [0; 2048]);
    let mut client = None;
    loop {
        tokio::select! {
            Ok((length, from)) = front.recv_from(&mut up) => {
                client = Some(from);
                let number = shared.from_client.datagrams.fetch_add(1, SeqCst);
                shared.from_client.bytes.fetch_add(length, SeqCst);
                if shared.holding.load(SeqCst) {
                    shared.held.lock().unwrap().push(up[..length].to_vec());
                } else if passes(Way::ToServer, number) {
                    let _ = shared.back.send(&up[..length]).await;
                }
            }
            Ok(length) = shared.back.recv(&mut down) => {
                let number = shared.from_server.datagrams.fetch_add(1, SeqCst);
                shared.from_server.bytes.fetch_add(length, SeqCst);
                if number == 0 {
                    *shared.first_answer.lock().unwrap() = down[..length].to_vec();
                }
                if let Some(client) = client
                    && !shared.holding.load(SeqCst)
                    && passes(Way::ToClient, number)
                {
                    let _ = front.send_to(&down[..length], client).await;
                }
            }
        }
    }
}
