//! A well-behaved user of the attacked connection itself.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::MissedTickBehavior,
};

use super::well_formed;
use crate::{load::tally::Tally, target::Target};

/// From one request to the next.
const BEAT: Duration = Duration::from_millis(5);

/// How long the neighbour is alone before the attack begins.
pub(super) const ALONE: Duration = Duration::from_secs(1);

/// Requests in flight; above it the beat is skipped and counted. Below the streams that servers allow at once, so that the
/// neighbour of an attack that stalls does not starve itself.
const MOST_IN_FLIGHT: usize = 50;

/// Ahead of the attack's own streams in this client's queue: it is the server that is measured.
const PRIORITY: i32 = 1;

/// One request every [`BEAT`], whether or not the earlier ones have been answered, so that a stall shows in the latencies.
pub(super) struct Neighbour {
    request: Bytes,
    alone: Mutex<Phase>,
    attacked: Mutex<Phase>,
    under_attack: AtomicBool,
    leaving: AtomicBool,
}

struct Phase {
    tally: Tally,
    skipped: u64,
}

impl Neighbour {
    /// A neighbour that asks for the target's URL and has not begun.
    pub(super) fn new(target: &Target) -> Arc<Self> {
        Arc::new(Self {
            request: well_formed::head("GET", &target.url),
            alone: Phase::empty(),
            attacked: Phase::empty(),
            under_attack: false.into(),
            leaving: false.into(),
        })
    }

    /// Sends requests on this connection until it ends or [`leave`](Self::leave) is called.
    pub(super) fn move_in(self: &Arc<Self>, quic: &quinn::Connection) -> JoinHandle<()> {
        tokio::spawn(self.clone().keep_asking(quic.clone()))
    }

    /// From here on requests count as sent under attack.
    pub(super) fn attack_begins(&self) {
        self.under_attack.store(true, Ordering::Relaxed);
    }

    /// Sends no further request; the tasks that [`move_in`](Self::move_in) returned end when those in flight have.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// `{idle, attacked}`, each with counts and latencies.
    pub(super) fn report(&self) -> Value {
        let of = |phase: &Mutex<Phase>| phase.lock().unwrap_or_else(PoisonError::into_inner).report();
        json!({ "idle": of(&self.alone), "attacked": of(&self.attacked) })
    }

    async fn keep_asking(self: Arc<Self>, quic: quinn::Connection) {
        let mut open = JoinSet::new();
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while quic.close_reason().is_none() && !self.leaving.load(Ordering::Relaxed) {
            beat.tick().await;
            while open.try_join_next().is_some() {}
            if open.len() < MOST_IN_FLIGHT {
                open.spawn(self.clone().ask(quic.clone()));
            } else {
                self.count(self.phase(), |phase| phase.skipped += 1);
            }
        }
        while open.join_next().await.is_some() {}
    }

    async fn ask(self: Arc<Self>, quic: quinn::Connection) {
        let (phase, begun) = (self.phase(), Instant::now());
        let result = well_formed::exchange(&quic, &self.request, PRIORITY).await;
        self.count(phase, |phase| match result {
            Ok(()) => phase.tally.latency.record(begun.elapsed()),
            Err(failure) => phase.tally.failed(failure.label()),
        });
    }

    fn phase(&self) -> &Mutex<Phase> {
        if self.under_attack.load(Ordering::Relaxed) {
            &self.attacked
        } else {
            &self.alone
        }
    }

    fn count(&self, phase: &Mutex<Phase>, change: impl FnOnce(&mut Phase)) {
        change(&mut phase.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Phase {
    fn empty() -> Mutex<Self> {
        Mutex::new(Self {
            tally: Tally::new(),
            skipped: 0,
        })
    }

    fn report(&self) -> Value {
        let Self { tally, skipped } = self;
        json!({
            "requests": tally.latency.count(),
            "errors": tally.errors_total(),
            "errors_by_kind": tally.errors,
            "p50_us": tally.latency.quantile(0.5),
            "p99_us": tally.latency.quantile(0.99),
            "max_us": tally.latency.max(),
            "skipped": skipped,
        })
    }
}
