//! `peer connect`: short connections, each with a whole handshake, one request, and a close.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lexopt::prelude::*;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Outcome, arguments, endpoint,
    failure::Failure,
    load::{
        self,
        tally::Tally,
        worker::{Plan, exchange},
    },
    output,
    target::Target,
    trust::{self, Trust},
};

/// The command line of `peer connect`.
pub(crate) struct Options {
    target: Target,
    duration: Duration,
    at_once: usize,
    rate: Option<u32>,
}

impl Options {
    /// Reads the command line; a URL is needed.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (mut target, mut at_once, mut rate) = (None, 8, None);
        let mut duration = Duration::from_secs(3);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(url) => target = Some(url.string()?.parse::<Target>()?),
                Long("seconds") => duration = arguments::seconds(parser)?,
                Long("at-once") => at_once = arguments::value(parser)?,
                Long("rate") => rate = Some(arguments::value(parser)?),
                other => return Err(other.unexpected().into()),
            }
        }
        if at_once == 0 || rate == Some(0) {
            return Err("--at-once and --rate are at least 1".into());
        }
        Ok(Self {
            target: target.ok_or("expected a URL")?,
            duration,
            at_once,
            rate,
        })
    }
}

/// Connects until the time is over, as fast as it goes or `--rate` times a second, and prints one line.
pub(crate) async fn run(options: Options) -> Outcome {
    let mut tls = trust::client_config(Trust::Anything, None)?;
    tls.alpn_protocols = vec![endpoint::ALPN.to_vec()];
    // Without it every connection but the first would be a shorter one.
    tls.resumption = rustls::client::Resumption::disabled();
    let mut client = endpoint::load_client(options.target.address)?;
    client.set_default_client_config(endpoint::client_config(Arc::new(tls))?);

    let plan = Arc::new(load::one_request(&options.target));
    let begun = Instant::now();
    let end = begun + options.duration;
    let mut beat = options
        .rate
        .map(|rate| tokio::time::interval(Duration::from_secs(1) / rate));
    let mut tally = Tally::new();
    let mut running = JoinSet::new();
    while Instant::now() < end {
        if let Some(beat) = &mut beat {
            beat.tick().await;
        }
        while running.len() >= options.at_once {
            join(&mut running, &mut tally).await;
        }
        running.spawn(once(client.clone(), options.target.clone(), plan.clone()));
    }
    while !running.is_empty() {
        join(&mut running, &mut tally).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    output::line(&json!({
        "connections": tally.latency.count(),
        "per_s": tally.latency.count() as f64 / seconds,
        "errors": tally.errors_total(),
        "errors_by_kind": tally.errors,
        "p50_us": tally.latency.quantile(0.5),
        "p99_us": tally.latency.quantile(0.99),
        "seconds": seconds,
    }));
    let _ = tokio::time::timeout(Duration::from_secs(1), client.wait_idle()).await;
    Ok(())
}

async fn join(running: &mut JoinSet<Result<Duration, Failure>>, tally: &mut Tally) {
    match running.join_next().await {
        Some(Ok(Ok(duration))) => tally.latency.record(duration),
        Some(Ok(Err(failure))) => tally.failed(failure.label()),
        Some(Err(_)) => tally.failed("task".to_owned()),
        None => {}
    }
}

/// One connection, from its first packet to its answer; its close is not waited for.
async fn once(client: quinn::Endpoint, target: Target, plan: Arc<Plan>) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let (quic, mut requests) = load::connect(&client, &target).await?;
    exchange(&mut requests, &plan, &quic).await?;
    let took = begun.elapsed();
    quic.close(0x100_u32.into(), b"done");
    Ok(took)
}
