//! Floods of QUIC frames, each of which is allowed once or costs the sender nothing (RFC 9000 §21.9).

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};

use super::{Plan, hostile::Hostile, kind::Kind, quic_frame, raw_frames::RawFrames, well_formed};
use crate::failure::Failure;

/// Bytes of the longest frame here but for DATAGRAM.
const LONGEST: usize = 40;

/// `plan.count` frames of the kind, then a request that tells whether the server still answers.
pub(super) async fn round(
    kind: Kind,
    plan: &Plan,
    hostile: &Hostile,
    frames: &Arc<RawFrames>,
) -> Result<(), Failure> {
    if kind == Kind::Datagrams && !frames.server_takes_datagrams() {
        plan.tally.note("not_negotiated");
    }
    if kind == Kind::CidChurn {
        // A server may turn to any id it is offered. After an exchange it has turned to one that quinn knows.
        answers(plan, hostile).await?;
    }
    let mut payload = vec![0; plan.bytes.max(1)];
    let longest = LONGEST.max(plan.bytes + 8);
    let mut packet = BytesMut::new();
    let (mut number, mut in_packet, mut retired) = (0, 0, 0);
    while number < plan.count {
        let at = number as u64;
        match kind {
            Kind::PingFlood => packet.put_u8(quic_frame::PING),
            Kind::PathChallenge => quic_frame::path_challenge(&mut packet, at),
            Kind::CidChurn => churn(&mut packet, at, &mut retired, frames.issued()),
            Kind::FlowFrames => quic_frame::flow_control(&mut packet, at),
            Kind::Datagrams => {
                // A quarter stream id (RFC 9297 §2.1) of a stream that is open, was, or never will be.
                payload[0] = (at % 64) as u8;
                quic_frame::datagram(&mut packet, &payload);
            }
            // Every other byte is missing, so that nothing can be handed on.
            _ => quic_frame::crypto(&mut packet, 2 * at + 1, b"c"),
        }
        (number, in_packet) = (number + 1, in_packet + 1);
        if packet.len() + longest > frames.room(&hostile.quic) || number == plan.count {
            frames.send(&hostile.quic, &packet).await?;
            plan.tally.frames(in_packet);
            plan.tally.sent(packet.len());
            packet.clear();
            in_packet = 0;
        }
    }
    answers(plan, hostile).await
}

/// Gives an id back that the server has issued, and gets another for it (RFC 9000 §5.1.1); where there is none to give back,
/// repeats itself or offers ids of its own again and again. The ids in use stay: 0 of the server, 0 or 1 of quinn.
fn churn(packet: &mut BytesMut, number: u64, retired: &mut u64, issued: u64) {
    if *retired < issued {
        *retired += 1;
        quic_frame::retire_connection_id(packet, *retired);
    } else if number.is_multiple_of(2) && issued > 0 {
        quic_frame::retire_connection_id(packet, *retired);
    } else {
        quic_frame::new_connection_id(packet, 2 + number % 3, number);
    }
}

/// Sends a request behind the flood.
async fn answers(plan: &Plan, hostile: &Hostile) -> Result<(), Failure> {
    let request = well_formed::head("GET", &plan.target.url);
    let asked = well_formed::exchange(&hostile.quic, &request, 0);
    match tokio::time::timeout(plan.hold, asked).await {
        Ok(Ok(())) => plan.tally.note("answered"),
        Ok(Err(failure)) if hostile.quic.close_reason().is_some() => return Err(failure),
        Ok(Err(failure)) => plan.tally.note(failure.label()),
        Err(_) => plan.tally.note("silence"),
    }
    Ok(())
}
