//! Floods of QUIC frames, each of which is allowed once or costs the sender nothing (RFC 9000 §21.9).

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};

use super::{
    Plan,
    hostile::{self, Hostile},
    kind::Kind,
    quic_frame,
    raw_frames::RawFrames,
    well_formed,
};
use crate::{failure::Failure, wire};

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
    let unfinished = unfinished_request(plan, hostile).await?;
    let mut source = Source {
        kind,
        payload: vec![0; plan.bytes.max(1)],
        stream: unfinished.0.id().into(),
        retired: 0,
    };
    let longest = LONGEST.max(plan.bytes + 8);
    let mut packet = BytesMut::new();
    let mut in_packet = 0;
    for number in 1..=plan.count {
        source.append(&mut packet, number as u64, frames);
        in_packet += 1;
        if packet.len() + longest > frames.room(&hostile.quic) || number == plan.count {
            frames.send(&hostile.quic, &packet).await?;
            plan.tally.frames(in_packet);
            plan.tally.sent(packet.len());
            packet.clear();
            in_packet = 0;
        }
    }
    let (mut send, _receive) = unfinished;
    let _ = send.reset(0x10c_u32.into());
    answers(plan, hostile).await
}

/// A request that is never whole, for frames that have to name a stream.
async fn unfinished_request(
    plan: &Plan,
    hostile: &Hostile,
) -> Result<(quinn::SendStream, quinn::RecvStream), Failure> {
    let (mut send, receive) = hostile::open_request(plan, &hostile.quic).await?;
    hostile::write(plan, &mut send, &[wire::HEADERS as u8]).await?;
    Ok((send, receive))
}

/// Where the frames of a round come from.
struct Source {
    kind: Kind,
    /// Of a DATAGRAM frame.
    payload: Vec<u8>,
    /// A stream that is open.
    stream: u64,
    /// The last of the server's connection ids that was given back.
    retired: u64,
}

impl Source {
    /// Appends the frame of this number, from 1.
    fn append(&mut self, packet: &mut BytesMut, number: u64, frames: &RawFrames) {
        match self.kind {
            Kind::PingFlood => packet.put_u8(quic_frame::PING),
            Kind::PathChallenge => quic_frame::path_challenge(packet, number),
            Kind::CidChurn => self.churn(packet, number, frames.issued()),
            Kind::FlowFrames => quic_frame::flow_control(packet, number),
            Kind::Datagrams => {
                // A quarter stream id (RFC 9297 §2.1) of a stream that is open, was, or never will be.
                self.payload[0] = (number % 64) as u8;
                quic_frame::datagram(packet, &self.payload);
            }
            Kind::StreamFrames => quic_frame::empty_stream(packet, self.stream),
            Kind::AckFlood => match frames.received() {
                Some(received) => quic_frame::ack(packet, received),
                None => packet.put_u8(quic_frame::PING),
            },
            // Every other byte is missing, so that nothing can be handed on.
            _ => quic_frame::crypto(packet, 2 * number, b"c"),
        }
    }

    /// Gives an id back that the server has issued, and gets another for it (RFC 9000 §5.1.1); where there is none to give
    /// back, repeats itself or offers ids of its own again and again. The ids in use stay: 0 of the server, 0 or 1 of quinn.
    fn churn(&mut self, packet: &mut BytesMut, number: u64, issued: u64) {
        if self.retired < issued {
            self.retired += 1;
            quic_frame::retire_connection_id(packet, self.retired);
        } else if number.is_multiple_of(2) && issued > 0 {
            quic_frame::retire_connection_id(packet, self.retired);
        } else {
            quic_frame::new_connection_id(packet, 2 + number % 3, number);
        }
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
