//! A bad path: a relay between a sound client and the server that changes whole UDP datagrams.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use fastrand::Rng;
use tokio::{net::UdpSocket, time::Instant};
use trilane_fuzz::mutation;

use super::{Report, honest, random_of};
use crate::{failure::Failure, target::Target};

/// Largest datagram that is carried.
const LARGEST: usize = 65_536;
/// Longest time that a datagram is held back, in milliseconds: others overtake it.
const LONGEST_DELAY_MS: u64 = 20;

/// Fewest and most datagrams of 256 that something happens to, each way.
const HARM: std::ops::Range<u8> = 2..64;

/// Runs an honest client over a path that harms datagrams. Whether it is served is counted; that it gets a wrong answer is a
/// failure.
pub(super) async fn through_bad_path(target: &Target, seed: u64, number: u64) -> Result<Report, Failure> {
    let mut random = random_of(seed, number);
    let path = Path::new(target)
        .await
        .map_err(|error| Failure::new("setup", error))?;
    let mut report = Report::default();
    let client_seed = random.u64(..);
    let served = tokio::select! {
        served = honest::check(target, path.address, client_seed) => served,
        never = path.carry(&mut random, &mut report) => match never {},
    };
    report.ending = match served {
        Ok(()) => "served".to_owned(),
        // A slow path may cost a client its time (408), or its connection; never may it cost it a byte.
        Err(failure) if matches!(failure.kind, "wrong_answer" | "setup") => return Err(failure),
        Err(failure) => failure.label(),
    };
    Ok(report)
}

/// The sockets between a client and the server.
struct Path {
    towards_client: UdpSocket,
    towards_server: UdpSocket,
    /// Another port of the same host: what comes from it looks as if the client had moved (RFC 9000 §9). Nobody reads it.
    elsewhere: UdpSocket,
    /// Where the client finds this.
    address: SocketAddr,
}

/// A datagram on its way.
struct Carried {
    way: Way,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    /// As if from another port.
    UpFromElsewhere,
    Down,
}

impl Path {
    async fn new(target: &Target) -> std::io::Result<Self> {
        let any_port = crate::endpoint::any_port_towards(target.address);
        let towards_client = UdpSocket::bind("127.0.0.1:0").await?;
        let towards_server = UdpSocket::bind(any_port).await?;
        towards_server.connect(target.address).await?;
        let elsewhere = UdpSocket::bind(any_port).await?;
        elsewhere.connect(target.address).await?;
        let address = towards_client.local_addr()?;
        Ok(Self {
            towards_client,
            towards_server,
            elsewhere,
            address,
        })
    }

    /// Carries datagrams both ways until dropped.
    async fn carry(&self, random: &mut Rng, report: &mut Report) -> Infallible {
        let harm = random.u8(HARM);
        let (mut up, mut down) = (vec![0; LARGEST], vec![0; LARGEST]);
        let mut client: Option<SocketAddr> = None;
        // The one datagram that is held back.
        let mut held: Option<(Instant, Carried)> = None;
        loop {
            let due = held.as_ref().map(|(until, _)| *until);
            let arrived = tokio::select! {
                received = self.towards_client.recv_from(&mut up) => received.map(|(length, from)| {
                    client = Some(from);
                    (Way::Up, up[..length].to_vec())
                }),
                received = self.towards_server.recv(&mut down) => {
                    received.map(|length| (Way::Down, down[..length].to_vec()))
                }
                () = sleep_until(due) => {
                    if let Some((_, carried)) = held.take() {
                        self.send(&carried, client).await;
                    }
                    continue;
                }
            };
            // A refusal of an earlier datagram (ICMP) is no event of this path.
            let Ok((way, bytes)) = arrived else { continue };
            for (delay, carried) in fate(way, bytes, harm, random, report) {
                report.bytes += carried.bytes.len() as u64;
                if delay.is_zero() || held.is_some() {
                    self.send(&carried, client).await;
                } else {
                    held = Some((Instant::now() + delay, carried));
                }
            }
        }
    }

    async fn send(&self, Carried { way, bytes }: &Carried, client: Option<SocketAddr>) {
        // What the kernel refuses is lost, as on any path.
        let _ = match (way, client) {
            (Way::Up, _) => self.towards_server.send(bytes).await,
            (Way::UpFromElsewhere, _) => self.elsewhere.send(bytes).await,
            (Way::Down, Some(client)) => self.towards_client.send_to(bytes, client).await,
            (Way::Down, None) => Ok(0),
        };
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What becomes of a datagram: nothing, it, two of it, or something like it, now or later.
fn fate(
    way: Way,
    mut bytes: Vec<u8>,
    harm: u8,
    random: &mut Rng,
    report: &mut Report,
) -> Vec<(Duration, Carried)> {
    let now = |way, bytes| (Duration::ZERO, Carried { way, bytes });
    if random.u8(..) >= harm {
        return vec![now(way, bytes)];
    }
    report.mutations += 1;
    let later = Duration::from_millis(random.u64(1..=LONGEST_DELAY_MS));
    match random.u8(0..9) {
        0 => Vec::new(),
        1 => vec![now(way, bytes.clone()), (later, Carried { way, bytes })],
        2 => vec![(later, Carried { way, bytes })],
        3 => {
            bytes.truncate(random.usize(0..=bytes.len()));
            vec![now(way, bytes)]
        }
        4 => {
            let donor = bytes.clone();
            mutation::mutate(&mut bytes, &donor, random);
            vec![now(way, bytes)]
        }
        // A forged one beside the true one: what an attacker off the path can do.
        5 => {
            let mut forged = bytes.clone();
            flip(&mut forged, random);
            vec![now(way, forged), now(way, bytes)]
        }
        // The true one from another port, first: what an attacker on the path can do.
        6 if way == Way::Up => vec![now(Way::UpFromElsewhere, bytes.clone()), now(way, bytes)],
        _ => {
            flip(&mut bytes, random);
            vec![now(way, bytes)]
        }
    }
}

/// One to four bits, most likely in the header.
fn flip(bytes: &mut [u8], random: &mut Rng) {
    for _ in 0..random.usize(1..=4) {
        let near = if random.bool() {
            bytes.len().min(30)
        } else {
            bytes.len()
        };
        if near > 0 {
            bytes[random.usize(0..near)] ^= 1 << random.u8(0..8);
        }
    }
}
