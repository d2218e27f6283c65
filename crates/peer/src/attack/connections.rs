//! Connections that come and go, or go without a word.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::BytesMut;
use tokio::task::JoinSet;

use super::{
    Plan,
    hostile::{self, Hostile},
};
use crate::{endpoint, failure::Failure, wire};

/// `plan.count` handshakes, `plan.connections` at a time: closed at once, given up half-way, or left in silence.
pub(super) async fn churn(plan: &Arc<Plan>) -> Result<(), Failure> {
    let endpoint =
        endpoint::trusting_client(plan.target.address).map_err(|error| Failure::new("setup", error))?;
    let number = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..plan.connections {
        let (plan, endpoint, number) = (plan.clone(), endpoint.clone(), number.clone());
        workers.spawn(async move {
            loop {
                let number = number.fetch_add(1, Ordering::Relaxed);
                if number >= plan.count {
                    break;
                }
                let outcome = match number % 10 {
                    0..=4 => complete_and_close(&plan, &endpoint).await,
                    5..=8 => give_up_half_way(&plan, &endpoint).await,
                    _ => complete_and_vanish(&plan).await,
                };
                plan.tally
                    .note(outcome.map_or_else(|failure| failure.label(), str::to_owned));
                tokio::time::sleep(plan.interval).await;
            }
        });
    }
    while workers.join_next().await.is_some() {}
    let _ = tokio::time::timeout(plan.hold, endpoint.wait_idle()).await;
    Ok(())
}

async fn complete_and_close(plan: &Plan, endpoint: &quinn::Endpoint) -> Result<&'static str, Failure> {
    let connection = start(plan, endpoint)?.await?;
    connection.close(0x100_u32.into(), b"");
    Ok("closed by us")
}

async fn give_up_half_way(plan: &Plan, endpoint: &quinn::Endpoint) -> Result<&'static str, Failure> {
    // Long enough for the Initial to leave, too short for the handshake to complete with certainty.
    let _ = tokio::time::timeout(std::time::Duration::from_micros(300), start(plan, endpoint)?).await;
    Ok("given up")
}

async fn complete_and_vanish(plan: &Plan) -> Result<&'static str, Failure> {
    let hostile = Hostile::connect(plan).await?;
    hostile.socket.silence();
    Ok("vanished")
}

fn start(plan: &Plan, endpoint: &quinn::Endpoint) -> Result<quinn::Connecting, Failure> {
    endpoint
        .connect(plan.target.address, &plan.target.name)
        .map_err(|error| Failure::new("setup", error))
}

/// `plan.connections` connections with `plan.count` requests each, of whose bodies only half comes; then silence for `plan.hold`.
pub(super) async fn vanish(plan: &Plan) -> Result<(), Failure> {
    let length = plan.bytes.to_string();
    let mut bytes = BytesMut::new();
    let section = wire::request(
        "POST",
        &plan.target.url,
        &[(b"content-length", length.as_bytes())],
    );
    wire::frame(&mut bytes, wire::HEADERS, &section);
    wire::varint(&mut bytes, wire::DATA);
    wire::varint(&mut bytes, plan.bytes as u64);
    bytes.resize(bytes.len() + plan.bytes / 2, b'v');
    let mut gone = Vec::new();
    for _ in 0..plan.connections {
        let hostile = Hostile::connect(plan).await?;
        let mut open = Vec::new();
        for _ in 0..plan.count {
            match hostile::open_request(plan, &hostile.quic).await {
                Ok((mut send, receive)) => {
                    hostile::write(plan, &mut send, &bytes).await?;
                    open.push((send, receive));
                }
                Err(failure) => {
                    plan.tally.note(failure.label());
                    break;
                }
            }
        }
        gone.push((hostile, open));
    }
    // What was written has to leave before the silence begins.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    for (hostile, open) in &gone {
        hostile.socket.silence();
        open.iter().for_each(|_| plan.tally.note("left half-sent"));
    }
    tokio::time::sleep(plan.hold).await;
    Ok(())
}
