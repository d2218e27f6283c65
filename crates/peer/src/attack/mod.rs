//! `peer attack`: bounded hostile loads, each against one promise of the server.
//!
//! Every kind has a count, an overall deadline (`--seconds`) and a seed, goes to loopback addresses only, and ends by printing
//! what became of each of its parts: `answered:431`, `reset:0x107`, `closed:0x107`, `silence` and so on, with how often.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lexopt::prelude::*;
use serde_json::json;

use crate::{Outcome, arguments, output, target::Target};

mod connections;
mod headers;
mod hostile;
mod packets;
mod streams;

/// The command line of `peer attack`.
pub(crate) struct Options {
    kind: Kind,
    plan: Plan,
}

/// What is attacked, how much and how long.
struct Plan {
    target: Target,
    /// Connections at the same time.
    connections: usize,
    /// Streams, packets or handshakes in all, as the kind has it.
    count: usize,
    /// The size of one part, as the kind has it.
    bytes: usize,
    /// Between two bytes, packets or handshakes.
    interval: Duration,
    /// How long the attacker waits for an answer, and how long it stays when it has fallen silent.
    hold: Duration,
    /// The end, whatever happens.
    deadline: Duration,
    seed: u64,
    tally: Tally,
}

/// What became of the parts of an attack.
#[derive(Default)]
struct Tally {
    outcomes: Mutex<BTreeMap<String, u64>>,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Tally {
    /// Counts the outcome of one part.
    fn note(&self, outcome: impl Into<String>) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        *outcomes.entry(outcome.into()).or_default() += 1;
    }

    fn sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn received(&self, bytes: usize) {
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    HugeHeaders,
    ManyFields,
    Trickle,
    HalfRequests,
    GarbageStreams,
    OpenReset,
    GarbageUdp,
    ConnectChurn,
    Vanish,
}

/// Name, connections, count, bytes per part, interval in ms.
const KINDS: [(&str, Kind, usize, usize, usize, u64); 9] = [
    ("huge-headers", Kind::HugeHeaders, 1, 1, 64 << 20, 0),
    ("many-fields", Kind::ManyFields, 1, 1, 100_000, 0),
    ("trickle", Kind::Trickle, 1, 50, 100, 20),
    ("half-requests", Kind::HalfRequests, 1, 1_000, 0, 0),
    ("garbage-streams", Kind::GarbageStreams, 4, 1_000, 2_048, 0),
    ("open-reset", Kind::OpenReset, 1, 10_000, 0, 0),
    ("garbage-udp", Kind::GarbageUdp, 1, 20_000, 1_200, 0),
    ("connect-churn", Kind::ConnectChurn, 8, 300, 0, 0),
    ("vanish", Kind::Vanish, 10, 10, 10_000, 0),
];

impl Options {
    /// Reads the command line: the kind, the URL, and what differs from the kind's defaults.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let name = parser.value()?.string()?;
        let Some(&(_, kind, connections, count, bytes, interval)) = KINDS.iter().find(|row| row.0 == name)
        else {
            let names: Vec<_> = KINDS.iter().map(|row| row.0).collect();
            return Err(format!("no attack {name}; there are {}", names.join(", ")).into());
        };
        let target: Target = parser.value()?.string()?.parse()?;
        target.require_loopback()?;
        let mut plan = Plan {
            target,
            connections,
            count,
            bytes,
            interval: Duration::from_millis(interval),
            hold: Duration::from_secs(3),
            deadline: Duration::from_secs(60),
            seed: 1,
            tally: Tally::default(),
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("connections") => plan.connections = arguments::value(parser)?,
                Long("count") => plan.count = arguments::value(parser)?,
                Long("bytes") => plan.bytes = arguments::value(parser)?,
                Long("interval-ms") => plan.interval = Duration::from_millis(arguments::value(parser)?),
                Long("hold") => plan.hold = arguments::seconds(parser)?,
                Long("seconds") => plan.deadline = arguments::seconds(parser)?,
                Long("seed") => plan.seed = arguments::value(parser)?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self { kind, plan })
    }
}

/// Runs the attack and prints one line.
pub(crate) async fn run(options: Options) -> Outcome {
    let Options { kind, plan } = options;
    let (plan, begun) = (Arc::new(plan), Instant::now());
    let attack = async {
        match kind {
            Kind::HugeHeaders => headers::huge(&plan).await,
            Kind::ManyFields => headers::many_fields(&plan).await,
            Kind::Trickle => headers::trickle(&plan).await,
            Kind::HalfRequests => streams::half_requests(&plan).await,
            Kind::GarbageStreams => streams::garbage(&plan).await,
            Kind::OpenReset => streams::open_reset(&plan).await,
            Kind::GarbageUdp => packets::garbage(&plan).await,
            Kind::ConnectChurn => connections::churn(&plan).await,
            Kind::Vanish => connections::vanish(&plan).await,
        }
    };
    let ended = tokio::time::timeout(plan.deadline, attack).await;
    let failure = match &ended {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure.to_json()),
        Err(_) => Some(json!({ "kind": "deadline" })),
    };
    let outcomes = plan
        .tally
        .outcomes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    output::line(&json!({
        "attack": KINDS[kind as usize].0,
        "connections": plan.connections,
        "count": plan.count,
        "seed": plan.seed,
        "outcomes": outcomes,
        "bytes_sent": plan.tally.bytes_sent.load(Ordering::Relaxed),
        "bytes_received": plan.tally.bytes_received.load(Ordering::Relaxed),
        "elapsed_ms": begun.elapsed().as_millis() as u64,
        "error": failure,
    }));
    Ok(())
}
