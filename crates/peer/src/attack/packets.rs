//! UDP packets that are not QUIC, or only look like it.

use std::time::Duration;

use tokio::net::UdpSocket;

use super::Plan;
use crate::{endpoint, failure::Failure};

/// Packets in a row before the sender lets others run.
const BURST: usize = 32;

/// `plan.count` packets of up to `plan.bytes`: noise, broken Initials, unknown versions, short headers for nobody.
pub(super) async fn garbage(plan: &Plan) -> Result<(), Failure> {
    let setup = |error: std::io::Error| Failure::new("setup", error);
    let socket = UdpSocket::bind(endpoint::any_port_towards(plan.target.address))
        .await
        .map_err(setup)?;
    socket.connect(plan.target.address).await.map_err(setup)?;
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut packet = vec![0; plan.bytes.max(32)];
    for number in 0..plan.count {
        let (name, length) = fill(&mut packet, &mut random);
        match socket.send(&packet[..length]).await {
            Ok(sent) => {
                plan.tally.sent(sent);
                plan.tally.note(name);
            }
            Err(error) => plan.tally.note(format!("refused: {:?}", error.kind())),
        }
        if number % BURST == BURST - 1 {
            count_replies(plan, &socket);
            tokio::time::sleep(plan.interval.max(Duration::from_millis(1))).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    count_replies(plan, &socket);
    Ok(())
}

fn count_replies(plan: &Plan, socket: &UdpSocket) {
    let mut buffer = [0; 2048];
    while let Ok(length) = socket.try_recv(&mut buffer) {
        plan.tally.received(length);
        plan.tally.note("reply");
    }
}

/// Makes the next packet; returns what it is and how long.
fn fill(packet: &mut [u8], random: &mut fastrand::Rng) -> (&'static str, usize) {
    random.fill(packet);
    let any_length = random.usize(1..=packet.len());
    match random.u8(0..4) {
        0 => ("noise", any_length),
        1 => {
            // A short header packet with a connection id that nobody has (RFC 9000 §17.3.1).
            packet[0] = 0x40 | packet[0] & 0x3f;
            ("short header", any_length.max(22))
        }
        2 => {
            long_header(packet, random.u32(2..));
            ("unknown version", packet.len())
        }
        _ => {
            // A full-sized Initial whose protection cannot be removed (RFC 9000 §17.2.2).
            long_header(packet, 1);
            ("broken initial", packet.len())
        }
    }
}

fn long_header(packet: &mut [u8], version: u32) {
    packet[0] = 0xc0 | packet[0] & 0x0f;
    packet[1..5].copy_from_slice(&version.to_be_bytes());
    // Destination id of 8 bytes, source id of 0, no token, a length that covers the rest.
    packet[5] = 8;
    packet[14] = 0;
    packet[15] = 0;
    let rest = packet.len() - 18;
    packet[16..18].copy_from_slice(&(0x4000 | rest as u16 & 0x3fff).to_be_bytes());
}
