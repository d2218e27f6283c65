//! What is attacked, how much, how long, and who else is there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lexopt::prelude::*;

use super::{fairness::Bulk, kind::Kind, neighbour::Neighbour, tally::Tally};
use crate::{arguments, target::Target};

/// How long an attack that is watched lasts at least.
const OBSERVED: Duration = Duration::from_secs(3);

/// The command line of `peer attack`.
pub(crate) struct Options {
    pub(super) kind: Kind,
    pub(super) plan: Plan,
    pub(super) neighbour: Option<Arc<Neighbour>>,
}

/// What is attacked, how much and how long.
pub(super) struct Plan {
    pub(super) target: Target,
    /// Connections at the same time.
    pub(super) connections: usize,
    /// Streams, packets or handshakes of one round, as the kind has it.
    pub(super) count: usize,
    /// The size of one part, as the kind has it.
    pub(super) bytes: usize,
    /// Between two bytes, packets or handshakes.
    pub(super) interval: Duration,
    /// How long the attacker waits for an answer, and how long it stays when it has fallen silent.
    pub(super) hold: Duration,
    /// Rounds follow each other until this time is over. Zero: one round.
    pub(super) lasting: Duration,
    /// How often a flood comes back after its connection has ended.
    pub(super) reconnects: usize,
    /// The end, whatever happens.
    pub(super) deadline: Duration,
    pub(super) seed: u64,
    /// Somebody measures the server meanwhile and wants to know when the attack begins.
    pub(super) is_watched: bool,
    /// The transfer of a fairness test, and of nothing else.
    pub(super) bulk: Option<Bulk>,
    pub(super) tally: Tally,
}

impl Options {
    /// Reads the command line: the kind, the URL, and what differs from the kind's defaults.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let kind = Kind::named(&parser.value()?.string()?)?;
        let target: Target = parser.value()?.string()?.parse()?;
        target.require_loopback()?;
        let (mut plan, mut neighbour) = (Plan::of(kind, target), None);
        let (mut count, mut lasting) = (None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("connections") => plan.connections = arguments::value(parser)?,
                Long("count") => count = Some(arguments::value(parser)?),
                Long("bytes") => plan.bytes = arguments::value(parser)?,
                Long("interval-ms") => plan.interval = Duration::from_millis(arguments::value(parser)?),
                Long("hold") => plan.hold = arguments::seconds(parser)?,
                Long("lasting") => lasting = Some(arguments::seconds(parser)?),
                Long("reconnects") => plan.reconnects = arguments::value(parser)?,
                Long("seconds") => plan.deadline = arguments::seconds(parser)?,
                Long("seed") => plan.seed = arguments::value(parser)?,
                Long("neighbour") => neighbour = Some(Neighbour::new(&plan.target)),
                Long("download") => plan.bulk = Some(Bulk::Download(parser.value()?.string()?)),
                Long("upload") => plan.bulk = Some(Bulk::Upload(parser.value()?.string()?)),
                other => return Err(other.unexpected().into()),
            }
        }
        if plan.bulk.is_some() != (kind == Kind::Fairness) {
            return Err("fairness, and no other kind, needs --download PATH or --upload PATH".into());
        }
        if let Some(bulk) = &plan.bulk {
            bulk.head(&plan.target)?;
        }
        if neighbour.is_some() {
            plan.count = plan.count.min(kind.count_beside_a_neighbour());
        }
        plan.count = count.unwrap_or(plan.count);
        plan.is_watched = neighbour.is_some() || kind == Kind::Fairness;
        let least = if plan.is_watched { OBSERVED } else { Duration::ZERO };
        plan.lasting = lasting.unwrap_or(least);
        Ok(Self {
            kind,
            plan,
            neighbour,
        })
    }
}

impl Plan {
    /// The kind's defaults.
    fn of(kind: Kind, target: Target) -> Self {
        let defaults = kind.defaults();
        Self {
            target,
            connections: defaults.connections,
            count: defaults.count,
            bytes: defaults.bytes,
            interval: defaults.interval,
            hold: Duration::from_secs(3),
            lasting: Duration::ZERO,
            reconnects: 1_000,
            deadline: Duration::from_secs(60),
            seed: 1,
            is_watched: false,
            bulk: None,
            tally: Tally::default(),
        }
    }

    /// Waits until a round that follows the one begun at `round` may begin. Rounds of a flood begin `interval` after each other.
    pub(super) async fn next_round(&self, kind: Kind, round: Instant) {
        let pause = if kind.is_flood() {
            self.interval
        } else {
            kind.round()
        };
        tokio::time::sleep_until((round + pause).into()).await;
    }
}
