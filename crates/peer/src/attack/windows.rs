//! Clients that take their answers in crumbs, or not at all (RFC 9000 §21.6).

use quinn::RecvStream;
use tokio::task::JoinSet;

use super::{
    Plan,
    hostile::{self, Hostile},
    well_formed,
};
use crate::failure::Failure;

/// `plan.count` answers read byte by byte, `plan.bytes` of each, through windows of a few bytes: each byte is a frame that
/// allows the next.
pub(super) async fn byte_by_byte(plan: &Plan, hostile: &Hostile) -> Result<(), Failure> {
    let before = updates(hostile);
    let mut reading = JoinSet::new();
    for receive in ask(plan, hostile).await? {
        reading.spawn(crumbs(plan.bytes, plan.hold, receive));
    }
    while let Some(read) = reading.join_next().await {
        let read = read.unwrap_or_else(|_| Err(Failure::new("worker", "a reader panicked")));
        plan.tally
            .note(read.map_or_else(|failure| failure.label(), str::to_owned));
    }
    plan.tally.frames((updates(hostile) - before) as usize);
    Ok(())
}

/// `plan.count` answers of which nothing is read for `plan.hold`.
pub(super) async fn never(plan: &Plan, hostile: &Hostile) -> Result<(), Failure> {
    let unread = ask(plan, hostile).await?;
    plan.tally.frames(unread.len());
    let closed = tokio::time::timeout(plan.hold, hostile.quic.closed()).await;
    for mut receive in unread {
        let reset = tokio::time::timeout(std::time::Duration::ZERO, receive.received_reset()).await;
        plan.tally.note(match reset {
            Ok(Ok(Some(code))) => format!("reset:{:#x}", code.into_inner()),
            Ok(Err(quinn::ResetError::ConnectionLost(_))) => "gone".to_owned(),
            _ => "silence".to_owned(),
        });
        let _ = receive.stop(0x10c_u32.into());
    }
    closed.map_or(Ok(()), |reason| Err(reason.into()))
}

/// Sends `plan.count` requests, or as many as there is credit for.
async fn ask(plan: &Plan, hostile: &Hostile) -> Result<Vec<RecvStream>, Failure> {
    let request = well_formed::head("GET", &plan.target.url);
    let mut answers = Vec::new();
    for _ in 0..plan.count {
        match hostile::open_request(plan, &hostile.quic).await {
            Ok((mut send, receive)) => {
                hostile::write(plan, &mut send, &request).await?;
                let _ = send.finish();
                answers.push(receive);
            }
            Err(failure) if failure.kind == "no_credit" => {
                plan.tally.note(failure.label());
                break;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(answers)
}

async fn crumbs(
    most: usize,
    patience: std::time::Duration,
    mut receive: RecvStream,
) -> Result<&'static str, Failure> {
    for _ in 0..most {
        match tokio::time::timeout(patience, receive.read_chunk(1, true)).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return Ok("finished"),
            Ok(Err(lost)) => return Err(lost.into()),
            Err(_) => return Ok("silence"),
        }
    }
    let _ = receive.stop(0x10c_u32.into());
    Ok("stopped by us")
}

fn updates(hostile: &Hostile) -> u64 {
    hostile.quic.stats().frame_tx.max_stream_data
}
