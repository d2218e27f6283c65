//! Streams that stay half open, carry garbage, or are reset as soon as they are opened.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::task::JoinSet;

use super::{
    Plan,
    hostile::{self, Hostile},
};
use crate::{failure::Failure, wire};

/// `plan.count` requests that stop in the middle of their header block, held open.
pub(super) async fn half_requests(plan: &Plan, hostile: &Hostile) -> Result<(), Failure> {
    let mut bytes = BytesMut::new();
    wire::frame(
        &mut bytes,
        wire::HEADERS,
        &wire::request("GET", &plan.target.url, &[]),
    );
    let half = &bytes[..bytes.len() / 2];
    let mut open = Vec::new();
    for _ in 0..plan.count {
        match hostile::open_request(plan, &hostile.quic).await {
            Ok((mut send, receive)) => {
                hostile::write(plan, &mut send, half).await?;
                open.push((send, receive));
            }
            Err(failure) => {
                plan.tally.note(failure.label());
                break;
            }
        }
    }
    tokio::time::sleep(plan.hold).await;
    for (mut send, mut receive) in open {
        let verdict =
            tokio::time::timeout(std::time::Duration::ZERO, hostile::verdict(plan, &mut receive)).await;
        plan.tally.note(verdict.unwrap_or_else(|_| "silence".to_owned()));
        // Dropping a sending half would end it cleanly, which a half request never does.
        let _ = send.reset(0x10c_u32.into());
    }
    Ok(())
}

/// `plan.count` streams of both kinds with up to `plan.bytes` random bytes each, on `plan.connections` connections.
///
/// Every offence may cost the connection; then there is a new one.
pub(super) async fn garbage(plan: &Arc<Plan>) -> Result<(), Failure> {
    let mut workers = JoinSet::new();
    for number in 0..plan.connections {
        let share = plan.count / plan.connections + usize::from(number < plan.count % plan.connections);
        let random = fastrand::Rng::with_seed(plan.seed.wrapping_add(number as u64));
        let plan = plan.clone();
        workers.spawn(async move { garbage_on_one(&plan, share, random).await });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap_or_else(|_| Err(Failure::new("worker", "a worker panicked")))?;
    }
    Ok(())
}

async fn garbage_on_one(plan: &Plan, share: usize, mut random: fastrand::Rng) -> Result<(), Failure> {
    let mut hostile = Hostile::connect(plan).await?;
    for _ in 0..share {
        if let Err(failure) = one_garbage_stream(plan, &hostile, &mut random).await {
            plan.tally.note(failure.label());
        }
        if hostile.quic.close_reason().is_some() {
            hostile = Hostile::connect(plan).await?;
        }
        tokio::time::sleep(plan.interval).await;
    }
    hostile.close().await;
    Ok(())
}

async fn one_garbage_stream(
    plan: &Plan,
    hostile: &Hostile,
    random: &mut fastrand::Rng,
) -> Result<(), Failure> {
    let mut bytes = vec![0; random.usize(1..=plan.bytes.max(1))];
    random.fill(&mut bytes);
    // Half of the streams begin like the real thing, so that the garbage gets past the first byte.
    if random.bool() {
        bytes[0] = random.u8(0..=3);
    }
    let (mut send, receive) = if random.bool() {
        let (send, receive) = hostile::open_request(plan, &hostile.quic).await?;
        (send, Some(receive))
    } else {
        let opened = tokio::time::timeout(plan.hold, hostile.quic.open_uni()).await;
        (
            opened.map_err(|_| Failure::new("no_credit", "the server allows no further stream"))??,
            None,
        )
    };
    hostile::write(plan, &mut send, &bytes).await?;
    match random.u8(0..4) {
        0 => drop(send.reset(random.u32(..).into())),
        _ => drop(send.finish()),
    }
    let Some(mut receive) = receive else { return Ok(()) };
    if random.bool() {
        plan.tally.note(hostile::verdict(plan, &mut receive).await);
    }
    Ok(())
}

/// `plan.count` streams opened and reset: every other one when its request has left, which is the attack known as rapid reset,
/// the others at once, so that the server hears of the stream only that it was reset.
pub(super) async fn open_reset(plan: &Plan, hostile: &Hostile) -> Result<(), Failure> {
    let mut bytes = BytesMut::new();
    wire::frame(
        &mut bytes,
        wire::HEADERS,
        &wire::request("GET", &plan.target.url, &[]),
    );
    for number in 0..plan.count {
        let done = async {
            let (mut send, mut receive) = hostile::open_request(plan, &hostile.quic).await?;
            if number % 2 == 0 {
                hostile::write(plan, &mut send, &bytes).await?;
                // quinn forgets what it has not sent when a stream is reset; this lets it send.
                tokio::task::yield_now().await;
            }
            let _ = send.reset(0x10c_u32.into());
            let _ = receive.stop(0x10c_u32.into());
            Ok::<_, Failure>(())
        };
        match done.await {
            Ok(()) => plan.tally.note("reset by us"),
            Err(failure) => {
                plan.tally.note(failure.label());
                break;
            }
        }
    }
    Ok(())
}
