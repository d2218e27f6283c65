//! `peer attack`: bounded hostile loads, each against one promise of the server.
//!
//! Every kind has a count, an overall deadline (`--seconds`) and a seed, goes to loopback addresses only, and ends by printing
//! what became of each of its parts: `answered:431`, `reset:0x107`, `closed:0x107`, `silence` and so on, with how often.

use std::{sync::Arc, time::Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub(crate) use self::plan::Options;
use self::{
    hostile::Hostile,
    kind::{Kind, Scope},
    neighbour::Neighbour,
    plan::Plan,
};
use crate::{Outcome, failure::Failure, output};

mod connections;
mod fairness;
mod flood;
mod headers;
mod hostile;
mod http_flood;
mod kind;
mod neighbour;
mod packets;
mod plan;
mod progress;
mod quic_flood;
mod quic_frame;
mod raw_frames;
mod streams;
mod tally;
mod well_formed;
mod windows;

/// Between two connections of a repeated attack whose server ends them.
const BEFORE_RECONNECT: std::time::Duration = std::time::Duration::from_millis(10);

/// Runs the attack and prints one line when it is over; one that is watched also prints one when it begins.
pub(crate) async fn run(options: Options) -> Outcome {
    let Options {
        kind,
        plan,
        neighbour,
    } = options;
    let plan = Arc::new(plan);
    let begun = Instant::now();
    let mut report = json!({
        "attack": kind.name(),
        "connections": plan.connections,
        "count": plan.count,
        "seed": plan.seed,
    });
    let ended = tokio::time::timeout(plan.deadline, attack(kind, &plan, neighbour.as_ref())).await;
    let failure = match ended {
        Ok(Ok(classes)) => {
            report["classes"] = classes;
            None
        }
        Ok(Err(failure)) => Some(failure.to_json()),
        Err(_) => Some(json!({ "kind": "deadline" })),
    };
    report["outcomes"] = json!(plan.tally.outcomes());
    if kind.is_flood() {
        report["ends"] = json!(plan.tally.ends());
        report["frames_sent"] = plan.tally.frames_sent().into();
        report["packets_sent"] = plan.tally.packets_sent().into();
    }
    report["bytes_sent"] = plan.tally.bytes_sent().into();
    report["bytes_received"] = plan.tally.bytes_received().into();
    report["elapsed_ms"] = (begun.elapsed().as_millis() as u64).into();
    report["error"] = json!(failure);
    report["neighbour"] = match (neighbour, kind.scope()) {
        (None, _) => Value::Null,
        (Some(_), Scope::Elsewhere(reason)) => json!({ "none": reason }),
        (Some(neighbour), Scope::OneConnection) => neighbour.report(),
    };
    output::line(&report);
    Ok(())
}

/// What `fairness` found out of its classes; nothing for the other kinds.
async fn attack(kind: Kind, plan: &Arc<Plan>, neighbour: Option<&Arc<Neighbour>>) -> Result<Value, Failure> {
    match (kind.scope(), &plan.bulk) {
        (_, Some(bulk)) => {
            begins(plan);
            fairness::run(plan, bulk).await
        }
        (Scope::OneConnection, None) => on_one_connection(kind, plan, neighbour)
            .await
            .map(|()| Value::Null),
        (Scope::Elsewhere(_), None) => elsewhere(kind, plan).await.map(|()| Value::Null),
    }
}

/// Rounds on one connection until `plan.lasting` is over, and on another if the server ends that one.
async fn on_one_connection(
    kind: Kind,
    plan: &Arc<Plan>,
    neighbour: Option<&Arc<Neighbour>>,
) -> Result<(), Failure> {
    let mut first_round = None;
    loop {
        let hostile = Hostile::connect(plan).await?;
        let neighbours = neighbour.map(|neighbour| neighbour.move_in(&hostile.quic));
        if let (Some(neighbour), None) = (neighbour, first_round) {
            tokio::time::sleep(neighbour::ALONE).await;
            neighbour.attack_begins();
        }
        let begun = *first_round.get_or_insert_with(|| {
            begins(plan);
            Instant::now()
        });
        let ended = rounds(kind, plan, &hostile, begun).await;
        let lost = hostile.quic.close_reason().is_some();
        part(neighbour.filter(|_| !lost), neighbours).await;
        hostile.close().await;
        match ended {
            Err(failure) if lost && !plan.lasting.is_zero() => plan.tally.note(failure.label()),
            ended => return ended,
        }
        if begun.elapsed() >= plan.lasting {
            return Ok(());
        }
        tokio::time::sleep(BEFORE_RECONNECT).await;
    }
}

/// Lets a neighbour finish what it has in flight.
async fn part(leaving: Option<&Arc<Neighbour>>, asking: Option<JoinHandle<()>>) {
    if let Some(neighbour) = leaving {
        neighbour.leave();
    }
    if let Some(asking) = asking {
        let _ = asking.await;
    }
}

/// At least one round; more until `plan.lasting` has passed since `begun`.
async fn rounds(kind: Kind, plan: &Arc<Plan>, hostile: &Hostile, begun: Instant) -> Result<(), Failure> {
    loop {
        let round = Instant::now();
        match kind {
            Kind::HugeHeaders => headers::huge(plan, hostile).await?,
            Kind::ManyFields => headers::many_fields(plan, hostile).await?,
            Kind::Trickle => headers::trickle(plan, hostile).await?,
            Kind::HalfRequests => streams::half_requests(plan, hostile).await?,
            _ => streams::open_reset(plan, hostile).await?,
        }
        if let Some(reason) = hostile.quic.close_reason() {
            return Err(reason.into());
        }
        if begun.elapsed() >= plan.lasting {
            return Ok(());
        }
        plan.next_round(kind, round).await;
    }
}

/// Rounds of a kind that makes its own connections, or needs none.
async fn elsewhere(kind: Kind, plan: &Arc<Plan>) -> Result<(), Failure> {
    begins(plan);
    let begun = Instant::now();
    loop {
        let round = Instant::now();
        match kind {
            Kind::GarbageStreams => streams::garbage(plan).await?,
            Kind::GarbageUdp => packets::garbage(plan).await?,
            Kind::ConnectChurn => connections::churn(plan).await?,
            kind if kind.is_flood() => return flood::run(kind, plan, begun).await,
            _ => connections::vanish(plan).await?,
        }
        if begun.elapsed() >= plan.lasting {
            return Ok(());
        }
        plan.next_round(kind, round).await;
    }
}

/// Tells who watches the server that from here on it is under attack.
fn begins(plan: &Plan) {
    if plan.is_watched {
        output::line(&json!({ "begins": true }));
    }
}
