//! `peer probe`: one well-behaved neighbour, to compare an idle server with one under attack.
//!
//! One request every interval on one connection, whether or not the earlier ones have been answered: a stall shows as the
//! latency of everything that fell into it, not as fewer measurements.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use lexopt::prelude::*;
use serde_json::json;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    Outcome, arguments, endpoint,
    failure::Failure,
    load::{
        connect,
        tally::Tally,
        worker::{Plan, exchange},
    },
    output,
    target::Target,
};

/// A request that takes longer counts as an error.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Requests in flight; above it the beat is skipped and counted.
const MOST_IN_FLIGHT: usize = 1000;

/// The command line of `peer probe`.
pub(crate) struct Options {
    target: Target,
    duration: Duration,
    interval: Duration,
}

impl Options {
    /// Reads the command line; a URL is needed.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (mut target, mut duration, mut interval) =
            (None, Duration::from_secs(3), Duration::from_millis(5));
        while let Some(argument) = parser.next()? {
            match argument {
                Value(url) => target = Some(url.string()?.parse::<Target>()?),
                Long("seconds") => duration = arguments::seconds(parser)?,
                Long("interval-ms") => interval = Duration::from_millis(arguments::value(parser)?),
                other => return Err(other.unexpected().into()),
            }
        }
        if interval.is_zero() {
            return Err("--interval-ms is at least 1".into());
        }
        Ok(Self {
            target: target.ok_or("expected a URL")?,
            duration,
            interval,
        })
    }
}

/// Probes until the time is over and prints one line.
pub(crate) async fn run(options: Options) -> Outcome {
    let endpoint = endpoint::trusting_client(options.target.address)?;
    let (mut tally, mut skipped) = (Tally::new(), 0_u64);
    let connected = connect(&endpoint, &options.target).await;
    if let Err(failure) = &connected {
        tally.failed(format!("connect:{}", failure.label()));
    }
    if let Ok((quic, requests)) = &connected {
        let plan = Arc::new(plan(&options));
        let mut open = JoinSet::new();
        let mut beat = tokio::time::interval(options.interval);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while Instant::now() < plan.end && quic.close_reason().is_none() {
            beat.tick().await;
            while let Some(Ok(result)) = open.try_join_next() {
                count(&mut tally, result);
            }
            if open.len() >= MOST_IN_FLIGHT {
                skipped += 1;
                continue;
            }
            let (mut requests, plan, quic) = (requests.clone(), plan.clone(), quic.clone());
            open.spawn(async move {
                let begun = Instant::now();
                tokio::time::timeout(ANSWER_WITHIN, exchange(&mut requests, &plan, &quic))
                    .await
                    .unwrap_or_else(|_| Err(Failure::new("deadline", "no answer within 5 s")))
                    .map(|_| begun.elapsed())
            });
        }
        while let Some(Ok(result)) = open.join_next().await {
            count(&mut tally, result);
        }
        quic.close(h3::error::Code::H3_NO_ERROR.value().try_into()?, b"done");
    }
    output::line(&json!({
        "requests": tally.latency.count(),
        "errors": tally.errors_total(),
        "errors_by_kind": tally.errors,
        "p50_us": tally.latency.quantile(0.5),
        "p99_us": tally.latency.quantile(0.99),
        "max_us": tally.latency.max(),
        "skipped": skipped,
    }));
    let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
    Ok(())
}

fn count(tally: &mut Tally, result: Result<Duration, Failure>) {
    match result {
        Ok(duration) => tally.latency.record(duration),
        Err(failure) => tally.failed(failure.label()),
    }
}

fn plan(options: &Options) -> Plan {
    let start = Instant::now();
    Plan {
        method: http::Method::GET,
        url: options.target.url.clone(),
        headers: http::HeaderMap::from_iter([(
            http::header::USER_AGENT,
            http::HeaderValue::from_static("probe"),
        )]),
        body: Bytes::new(),
        echoes: false,
        start,
        measured_from: start,
        end: start + options.duration,
        interval: None,
        tickets: 0.into(),
    }
}
