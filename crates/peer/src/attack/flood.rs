//! One cheap thing again and again, on one connection after the other as the server ends them.

use std::time::Instant;

use super::{
    BEFORE_RECONNECT, Plan,
    hostile::{Character, Hostile},
    http_flood,
    kind::Kind,
    quic_flood,
    raw_frames::RawFrames,
    windows,
};
use crate::failure::Failure;

/// A round ends when all but this many of its bytes have arrived.
const SEND_WINDOW: u32 = 32 * 1024;

/// Rounds until `plan.lasting` has passed since `begun`, at least one.
///
/// A connection that ends is counted with how it ended, and replaced, at most `plan.reconnects` times; one that is still there
/// at the end has `survived`.
pub(super) async fn run(kind: Kind, plan: &Plan, begun: Instant) -> Result<(), Failure> {
    // A round of this one is made of connections.
    let least = if kind == Kind::SettingsChurn {
        plan.count
    } else {
        1
    };
    for connection in 1..=plan.reconnects.saturating_add(1) {
        let character = character(kind);
        // A server under attack may refuse a client: an outcome, and no reason to give up.
        match Hostile::connect_as(plan, &character).await {
            Ok(hostile) => on_one(kind, plan, hostile, &character, begun).await,
            Err(failure) => plan.tally.note(format!("connecting {}", failure.label())),
        }
        if connection >= least && begun.elapsed() >= plan.lasting {
            return Ok(());
        }
        tokio::time::sleep(BEFORE_RECONNECT).await;
    }
    plan.tally.note("no reconnects left");
    Ok(())
}

/// Rounds on one connection, and how it ended.
async fn on_one(kind: Kind, plan: &Plan, mut hostile: Hostile, character: &Character, begun: Instant) {
    let ended = rounds(kind, plan, &mut hostile, character, begun).await;
    match (hostile.quic.close_reason(), ended) {
        (Some(reason), _) => plan.tally.ended(Failure::from(reason).label()),
        (None, ended) => {
            plan.tally.ended("survived");
            if let Err(failure) = ended {
                plan.tally.note(failure.label());
            }
        }
    }
    plan.tally.packets(hostile.quic.stats().udp_tx.datagrams);
    // Whom the server has sent away has nothing to say any more, and comes back sooner.
    if hostile.quic.close_reason().is_none() {
        hostile.close().await;
    }
}

async fn rounds(
    kind: Kind,
    plan: &Plan,
    hostile: &mut Hostile,
    character: &Character,
    begun: Instant,
) -> Result<(), Failure> {
    loop {
        let round = Instant::now();
        match (kind, &character.raw_frames) {
            (_, Some(frames)) => quic_flood::round(kind, plan, hostile, frames).await?,
            (Kind::EmptyData, _) => http_flood::empty_data(plan, hostile).await?,
            (Kind::UnknownFrames, _) => http_flood::unknown_frames(plan, hostile).await?,
            (Kind::UnknownStreams, _) => http_flood::unknown_streams(plan, hostile).await?,
            (Kind::PriorityUpdate, _) => http_flood::priority_update(plan, hostile).await?,
            (Kind::SettingsChurn, _) => return http_flood::second_settings(plan, hostile).await,
            (Kind::StopSending, _) => http_flood::stop_sending(plan, hostile).await?,
            (Kind::TinyWindows, _) => windows::byte_by_byte(plan, hostile).await?,
            _ => windows::never(plan, hostile).await?,
        }
        if begun.elapsed() >= plan.lasting {
            return Ok(());
        }
        plan.next_round(kind, round).await;
    }
}

fn character(kind: Kind) -> Character {
    Character {
        control: match kind {
            Kind::SettingsChurn => http_flood::settings_of_unknown(),
            _ => Character::default().control,
        },
        raw_frames: kind.is_below_http().then(RawFrames::new),
        stream_window: kind.stream_window(),
        send_window: Some(SEND_WINDOW),
    }
}
