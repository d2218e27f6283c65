//! `peer fuzz`: valid conversations, changed at random from a seed, against a live server.
//!
//! Each conversation has a number; seed and number alone decide what it sends, so that a failure can be repeated with
//! `--seed S --only N`. Conversations run in batches. After each batch an honest client on a connection of its own must get
//! its own bytes back: that is the judgement of this side. What becomes of the conversations themselves is counted, not judged;
//! memory, panics and leftovers are for whoever started the server.

use std::{collections::BTreeMap, ops::Range, time::Instant};

use serde_json::json;
use tokio::task::{JoinError, JoinSet};

use self::options::Mode;
pub(crate) use self::options::Options;
use crate::{Outcome, failure::Failure, output};

mod conversation;
mod honest;
mod options;
mod player;
mod relay;
mod script;
mod templates;

/// What one conversation did, and what became of it.
#[derive(Default)]
struct Report {
    /// Changes made to the valid conversation.
    mutations: u64,
    /// Bytes of streams and datagrams sent.
    bytes: u64,
    /// How the connection ended.
    ending: String,
    /// How its request streams ended.
    streams: Vec<String>,
}

/// The sum of all reports.
#[derive(Default)]
struct Totals {
    connections: u64,
    mutations: u64,
    bytes: u64,
    honest: u64,
    endings: BTreeMap<String, u64>,
    streams: BTreeMap<String, u64>,
}

/// Runs batches until the time is over, an honest client fails, or all that was asked for is done; prints one line.
pub(crate) async fn run(options: Options) -> Outcome {
    let begun = Instant::now();
    let mut totals = Totals::default();
    let mut failure = None;
    let mut next = options.first;
    while next < options.end && (begun.elapsed() < options.seconds || next == options.first) {
        let batch = next..options.end.min(next.saturating_add(options.batch));
        next = batch.end;
        let judged = match run_batch(&options, batch.clone(), &mut totals).await {
            Ok(()) => honest::check(&options.target, options.target.address, options.seed ^ next)
                .await
                .map_err(|failure| (batch, failure)),
            // A server that is gone is noticed by whoever comes next: any of the batch may be to blame.
            Err((_, failure)) if matches!(failure.kind, "timeout" | "deadline") => Err((batch, failure)),
            Err((number, failure)) => Err((number..number + 1, failure)),
        };
        match judged {
            Ok(()) => totals.honest += 1,
            Err((numbers, error)) => {
                let (first, last) = (numbers.start, numbers.end - 1);
                failure = Some(json!({ "first": first, "last": last, "error": error.to_json() }));
                break;
            }
        }
    }
    output::line(&json!({
        "fuzz": options.mode.name(),
        "seed": options.seed,
        "connections": totals.connections,
        "mutations": totals.mutations,
        "bytes_sent": totals.bytes,
        "honest": totals.honest,
        "outcomes": totals.endings,
        "streams": totals.streams,
        "elapsed_ms": begun.elapsed().as_millis() as u64,
        "failure": failure,
    }));
    Ok(())
}

/// The conversations of `numbers`, `options.parallel` at a time. A failure comes with the number of its conversation.
async fn run_batch(
    options: &Options,
    numbers: Range<u64>,
    totals: &mut Totals,
) -> Result<(), (u64, Failure)> {
    let mut running = JoinSet::new();
    for number in numbers.clone() {
        if running.len() >= options.parallel
            && let Some(ended) = running.join_next().await
        {
            totals.add(numbers.start, ended)?;
        }
        let (target, seed, mode) = (options.target.clone(), options.seed, options.mode);
        running.spawn(async move {
            let report = match mode {
                Mode::Streams => player::play(&target, seed, number).await,
                Mode::Packets => relay::through_bad_path(&target, seed, number).await,
            };
            report.map_err(|failure| (number, failure))
        });
    }
    while let Some(ended) = running.join_next().await {
        totals.add(numbers.start, ended)?;
    }
    Ok(())
}

impl Totals {
    /// Adds what a task reported; one that panicked is blamed on the first of its batch.
    fn add(
        &mut self,
        first: u64,
        ended: Result<Result<Report, (u64, Failure)>, JoinError>,
    ) -> Result<(), (u64, Failure)> {
        let report = ended.map_err(|_| (first, Failure::new("worker", "a worker panicked")))??;
        self.connections += 1;
        self.mutations += report.mutations;
        self.bytes += report.bytes;
        *self.endings.entry(report.ending).or_default() += 1;
        for stream in report.streams {
            *self.streams.entry(stream).or_default() += 1;
        }
        Ok(())
    }
}

/// The source of everything random in conversation `number`: close numbers have nothing in common.
fn random_of(seed: u64, number: u64) -> fastrand::Rng {
    let mut root = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    root.fork()
}
