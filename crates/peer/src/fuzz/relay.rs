//! A bad path: a relay between a sound client and the server that changes whole UDP datagrams.

use std::{net::SocketAddr, time::Duration};

use fastrand::Rng;
use tokio::net::UdpSocket;

use super::{Report, honest, random_of};
use crate::{failure::Failure, target::Target};

/// Largest datagram that is carried.
const LARGEST: usize = 65_536;
/// Longest time that a datagram is held back, in milliseconds: others overtake it.
const LONGEST_DELAY_MS: u64 = 20;

/// Runs an honest client over a path that changes one datagram of `harm` in `HARM_OF`, each way. Whether it is served is
/// counted; that it gets wrong bytes is a failure.
pub(super) async fn through_bad_path(target: &Target, seed: u64, number: u64) -> Result<Report, Failure> {
    let setup = |error: std::io::Error| Failure::new("setup", error);
    let mut random = random_of(seed, number);
    let towards_client = UdpSocket::bind("127.0.0.1:0").await.map_err(setup)?;
    let towards_server = UdpSocket::bind(crate::endpoint::any_port_towards(target.address))
        .await
        .map_err(setup)?;
    towards_server.connect(target.address).await.map_err(setup)?;
    let address = towards_client.local_addr().map_err(setup)?;
    let mut report = Report::default();
    let client_seed = random.u64(..);
    let served = tokio::select! {
        served = honest::check(target, address, client_seed) => served,
        failed = carry(&towards_client, &towards_server, &mut random, &mut report) => failed,
    };
    report.ending = match served {
        Ok(()) => "served".to_owned(),
        Err(failure) if matches!(failure.kind, "wrong_answer" | "setup" | "status") => return Err(failure),
        Err(failure) => failure.label(),
    };
    Ok(report)
}

/// Carries datagrams both ways until dropped.
async fn carry(
    towards_client: &UdpSocket,
    towards_server: &UdpSocket,
    random: &mut Rng,
    report: &mut Report,
) -> Result<(), Failure> {
    // From 2 to 40 of 256 datagrams.
    let harm = random.u8(2..40);
    let (mut up, mut down) = (vec![0; LARGEST], vec![0; LARGEST]);
    let mut client: Option<SocketAddr> = None;
    let mut held: Option<Held> = None;
    loop {
        let due = held.as_ref().map(|held| held.until);
        let arrived = tokio::select! {
            received = towards_client.recv_from(&mut up) => received.map(|(length, from)| {
                client = Some(from);
                (Way::Up, up[..length].to_vec())
            }),
            received = towards_server.recv(&mut down) => received.map(|length| (Way::Down, down[..length].to_vec())),
            () = sleep_until(due) => {
                if let Some(Held { way, bytes, .. }) = held.take() {
                    send(way, &bytes, client, towards_client, towards_server).await;
                }
                continue;
            }
        };
        // A refusal of an earlier datagram (ICMP) is no event of this path.
        let Ok((way, bytes)) = arrived else { continue };
        for (delay, bytes) in fate(bytes, harm, random, report) {
            report.bytes += bytes.len() as u64;
            if delay.is_zero() || held.is_some() {
                send(way, &bytes, client, towards_client, towards_server).await;
            } else {
                let until = tokio::time::Instant::now() + delay;
                held = Some(Held { until, way, bytes });
            }
        }
    }
}

/// The one datagram that is held back.
struct Held {
    until: tokio::time::Instant,
    way: Way,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn send(
    way: Way,
    bytes: &[u8],
    client: Option<SocketAddr>,
    to_client: &UdpSocket,
    to_server: &UdpSocket,
) {
    // What the kernel refuses is lost, as on any path.
    let _ = match (way, client) {
        (Way::Up, _) => to_server.send(bytes).await,
        (Way::Down, Some(client)) => to_client.send_to(bytes, client).await,
        (Way::Down, None) => Ok(0),
    };
}

/// What becomes of a datagram: nothing, it, two of it, or something like it, now or later.
fn fate(mut bytes: Vec<u8>, harm: u8, random: &mut Rng, report: &mut Report) -> Vec<(Duration, Vec<u8>)> {
    if random.u8(..) >= harm {
        return vec![(Duration::ZERO, bytes)];
    }
    report.mutations += 1;
    let later = Duration::from_millis(random.u64(1..=LONGEST_DELAY_MS));
    match random.u8(0..8) {
        0 => Vec::new(),
        1 => vec![(Duration::ZERO, bytes.clone()), (later, bytes)],
        2 => vec![(later, bytes)],
        3 => {
            bytes.truncate(random.usize(0..=bytes.len()));
            vec![(Duration::ZERO, bytes)]
        }
        4 => {
            let donor = bytes.clone();
            trilane_fuzz::mutation::mutate(&mut bytes, &donor, random);
            vec![(Duration::ZERO, bytes)]
        }
        // A forged one beside the true one: what an attacker off the path can do.
        5 => {
            let mut forged = bytes.clone();
            flip(&mut forged, random);
            vec![(Duration::ZERO, forged), (Duration::ZERO, bytes)]
        }
        _ => {
            flip(&mut bytes, random);
            vec![(Duration::ZERO, bytes)]
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
