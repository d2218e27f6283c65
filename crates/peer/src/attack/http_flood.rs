//! Floods of HTTP/3 frames, streams and requests, each of which is allowed once (RFC 9114 §10.5).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};

use super::{
    Plan,
    hostile::{self, Hostile},
    well_formed,
};
use crate::{failure::Failure, wire};

/// As much as is handed to QUIC at once.
const SLAB: usize = 16 * 1024;

/// Settings of one SETTINGS frame, as many as a server that takes 4 KiB of them has to read.
const SETTINGS: u64 = 600;

/// DATA frames of length 0, `plan.count` of them on one request, which then ends.
pub(super) async fn empty_data(plan: &Plan, hostile: &mut Hostile) -> Result<(), Failure> {
    let mut unit = BytesMut::new();
    wire::frame(&mut unit, wire::DATA, b"");
    let (mut send, receive) = begin("POST", plan, hostile).await?;
    pour(plan, &mut send, &unit, 1, plan.count).await?;
    end(plan, send, receive).await
}

/// Frames of reserved types, empty and of a few bytes, half of them on a request, half on the control stream (RFC 9114 §7.2.8).
pub(super) async fn unknown_frames(plan: &Plan, hostile: &mut Hostile) -> Result<(), Failure> {
    let mut unit = BytesMut::new();
    wire::frame(&mut unit, wire::reserved(0), b"");
    wire::frame(&mut unit, wire::reserved(1), b"grease");
    let (mut send, receive) = begin("POST", plan, hostile).await?;
    pour(plan, &mut send, &unit, 2, plan.count / 2).await?;
    pour(plan, &mut hostile.control, &unit, 2, plan.count / 2).await?;
    end(plan, send, receive).await
}

/// PRIORITY_UPDATE for streams that are open, were, and may be (RFC 9218 §7.2).
pub(super) async fn priority_update(plan: &Plan, hostile: &mut Hostile) -> Result<(), Failure> {
    let mut unit = BytesMut::new();
    for stream in 0..100 {
        let mut payload = BytesMut::new();
        wire::varint(&mut payload, 4 * stream);
        payload.extend_from_slice(b"u=0, i");
        wire::frame(&mut unit, wire::PRIORITY_UPDATE, &payload);
    }
    pour(plan, &mut hostile.control, &unit, 100, plan.count).await?;
    let (send, receive) = begin("GET", plan, hostile).await?;
    end(plan, send, receive).await
}

/// `plan.count` unidirectional streams of reserved types, as fast as there is credit (RFC 9114 §6.2.3).
pub(super) async fn unknown_streams(plan: &Plan, hostile: &mut Hostile) -> Result<(), Failure> {
    for number in 0..plan.count {
        let opened = tokio::time::timeout(plan.hold, hostile.quic.open_uni()).await;
        let Ok(opened) = opened else {
            return Err(Failure::new("no_credit", "the server allows no further stream"));
        };
        let mut send = opened?;
        let mut bytes = BytesMut::new();
        wire::varint(&mut bytes, wire::reserved(number as u64 % 100));
        bytes.extend_from_slice(b"?");
        // A server may well have stopped it already (RFC 9114 §6.2.3).
        match write(plan, &mut send, &bytes).await {
            Err(failure) if failure.kind != "stopped" => return Err(failure),
            _ => plan.tally.frames(1),
        }
        let _ = match number % 2 {
            0 => send.finish(),
            _ => send.reset(0x10c_u32.into()),
        };
    }
    let (send, receive) = begin("GET", plan, hostile).await?;
    end(plan, send, receive).await
}

/// `plan.count` whole requests, each of which is told at once that nobody wants its answer (RFC 9000 §19.5).
pub(super) async fn stop_sending(plan: &Plan, hostile: &mut Hostile) -> Result<(), Failure> {
    let request = well_formed::head("GET", &plan.target.url);
    for _ in 0..plan.count {
        let (mut send, mut receive) = hostile::open_request(plan, &hostile.quic).await?;
        write(plan, &mut send, &request).await?;
        let _ = send.finish();
        let _ = receive.stop(0x10c_u32.into());
        plan.tally.frames(1);
    }
    let (send, receive) = begin("GET", plan, hostile).await?;
    end(plan, send, receive).await
}

/// A control stream that begins with settings nobody knows (RFC 9114 §7.2.4.1).
pub(super) fn settings_of_unknown() -> Bytes {
    let mut payload = BytesMut::new();
    for number in 0..SETTINGS {
        wire::varint(&mut payload, wire::reserved(number));
        wire::varint(&mut payload, number);
    }
    let mut control = BytesMut::from(&b"\x00"[..]);
    wire::frame(&mut control, wire::SETTINGS, &payload);
    control.freeze()
}

/// A second SETTINGS frame, which ends the connection (RFC 9114 §7.2.4).
pub(super) async fn second_settings(plan: &Plan, hostile: &mut Hostile) -> Result<(), Failure> {
    let mut again = BytesMut::new();
    wire::frame(&mut again, wire::SETTINGS, b"");
    write(plan, &mut hostile.control, &again).await?;
    plan.tally.frames(2);
    let _ = tokio::time::timeout(plan.hold, hostile.quic.closed()).await;
    Ok(())
}

/// Opens a request and sends its header block.
async fn begin(method: &str, plan: &Plan, hostile: &Hostile) -> Result<(SendStream, RecvStream), Failure> {
    let (mut send, receive) = hostile::open_request(plan, &hostile.quic).await?;
    write(plan, &mut send, &well_formed::head(method, &plan.target.url)).await?;
    Ok((send, receive))
}

/// Ends a request and notes what became of it: whether the server has got through what came before.
async fn end(plan: &Plan, mut send: SendStream, mut receive: RecvStream) -> Result<(), Failure> {
    let _ = send.finish();
    let verdict = hostile::verdict(plan, &mut receive).await;
    let _ = receive.stop(0x10c_u32.into());
    // How the connection ended is told beside the parts.
    if !verdict.starts_with("closed") {
        plan.tally.note(verdict);
    }
    Ok(())
}

/// Writes `count` frames; `unit` holds `frames` of them.
async fn pour(
    plan: &Plan,
    send: &mut SendStream,
    unit: &[u8],
    frames: usize,
    count: usize,
) -> Result<(), Failure> {
    let units_at_once = (SLAB / unit.len()).max(1);
    let slab = unit.repeat(units_at_once);
    let mut left = count.div_ceil(frames);
    while left > 0 {
        let now = left.min(units_at_once);
        write(plan, send, &slab[..now * unit.len()]).await?;
        plan.tally.frames(now * frames);
        left -= now;
    }
    Ok(())
}

/// Writes everything; a server that takes nothing for `plan.hold` is a failure of kind `stalled`.
async fn write(plan: &Plan, send: &mut SendStream, bytes: &[u8]) -> Result<(), Failure> {
    let patience = plan.hold.max(Duration::from_millis(1));
    tokio::time::timeout(patience, hostile::write(plan, send, bytes))
        .await
        .unwrap_or_else(|_| Err(Failure::new("stalled", "the server takes no more of a stream")))
}
