//! `peer load`: as many requests as the server answers, or a steady rate of them, and how it went.
//!
//! `--connections` × `--streams` workers, each with one request in flight. What starts during the warm-up is checked but not
//! measured. The end is hard: a request that is still open two seconds after the last second is counted as `unfinished`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use lexopt::prelude::*;
use serde_json::json;
use tokio::task::JoinSet;

use self::{
    tally::Tally,
    worker::{Plan, Worker},
};
use crate::{Outcome, arguments, endpoint, failure::Failure, output, target::Target};

mod document;
pub(crate) mod tally;
pub(crate) mod worker;

/// How long requests in flight may take after the last second.
const GRACE: Duration = Duration::from_secs(2);

/// How long a handshake may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The command line of `peer load`.
pub(crate) struct Options {
    target: Target,
    connections: usize,
    streams: usize,
    duration: Duration,
    warmup: Duration,
    method: http::Method,
    headers: http::HeaderMap,
    body: Bytes,
    echoes: bool,
    rate: Option<u32>,
    announce: bool,
}

impl Options {
    /// Reads the command line; a URL is needed, the rest has defaults.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (mut target, mut connections, mut streams, mut rate) = (None, 8, 16, None);
        let (mut body, mut echoes, mut announce) = (Bytes::new(), false, false);
        let (mut duration, mut warmup) = (Duration::from_secs(3), Duration::from_millis(500));
        let mut method = http::Method::GET;
        let mut headers = http::HeaderMap::new();
        headers.insert("user-agent", http::HeaderValue::from_static("load"));
        headers.insert("accept", http::HeaderValue::from_static("*/*"));
        while let Some(argument) = parser.next()? {
            match argument {
                Value(url) => target = Some(url.string()?.parse::<Target>()?),
                Long("connections") => connections = arguments::value(parser)?,
                Long("streams") => streams = arguments::value(parser)?,
                Long("seconds") => duration = arguments::seconds(parser)?,
                Long("warmup") => warmup = arguments::seconds(parser)?,
                Long("method") => method = arguments::value(parser)?,
                Long("body") => body = Bytes::from(vec![b'x'; arguments::value(parser)?]),
                Long("json") => body = document::of_length(arguments::value(parser)?)?,
                Long("echoes") => echoes = true,
                Long("announce") => announce = true,
                Long("rate") => rate = Some(arguments::value(parser)?),
                Long("header") => {
                    let (name, value) = arguments::header(parser)?;
                    headers.append(name, value);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let target = target.ok_or("expected a URL")?;
        if connections == 0 || streams == 0 || rate == Some(0) {
            return Err("--connections, --streams and --rate are at least 1".into());
        }
        Ok(Self {
            target,
            connections,
            streams,
            duration,
            warmup,
            method,
            headers,
            body,
            echoes,
            rate,
            announce,
        })
    }
}

/// Runs the load and prints one line.
pub(crate) async fn run(options: Options) -> Outcome {
    let endpoint = endpoint::trusting_client(options.target.address)?;
    let mut tally = Tally::new();
    let mut opened = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        match connect(&endpoint, &options.target).await {
            Ok(connection) => opened.push(connection),
            Err(failure) => tally.failed(format!("connect:{}", failure.label())),
        }
    }
    let connected = opened.len();
    let plan = Arc::new(plan(&options));
    let mut workers = JoinSet::new();
    for (quic, sender) in &opened {
        for _ in 0..options.streams {
            let worker = Worker::new(plan.clone(), quic.clone(), sender.clone());
            workers.spawn(worker.run());
        }
    }
    if options.announce {
        tokio::spawn(announce(plan.measured_from));
    }
    let hard_end = tokio::time::Instant::from_std(plan.end + GRACE);
    let unfinished = loop {
        match tokio::time::timeout_at(hard_end, workers.join_next()).await {
            Ok(Some(Ok(part))) => tally.merge(&part),
            Ok(Some(Err(_))) => tally.failed("worker".to_owned()),
            Ok(None) => break 0,
            Err(_) => break workers.len(),
        }
    };
    for _ in 0..unfinished {
        tally.failed("unfinished".to_owned());
    }
    workers.abort_all();
    report(&options, &tally, connected);
    for (quic, _) in &opened {
        quic.close(h3::error::Code::H3_NO_ERROR.value().try_into()?, b"done");
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
    Ok(())
}

/// Says when the measuring begins, for somebody who reads the server's clock then: connections are open, the warm-up is over.
async fn announce(at: Instant) {
    tokio::time::sleep_until(at.into()).await;
    output::line(&json!({ "measuring": true }));
}

/// h3's handle for requests on one connection.
pub(crate) type Requests = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// Opens one HTTP/3 connection whose control streams a task of its own looks after.
pub(crate) async fn connect(
    endpoint: &quinn::Endpoint,
    target: &Target,
) -> Result<(quinn::Connection, Requests), Failure> {
    let connecting = endpoint
        .connect(target.address, &target.name)
        .map_err(|error| Failure::new("connect", error))?;
    let quic = tokio::time::timeout(CONNECT_WITHIN, connecting)
        .await
        .map_err(|_| Failure::new("deadline", "no handshake within 10 s"))??;
    let (mut driver, requests) = h3::client::builder()
        .send_grease(false)
        .build(h3_quinn::Connection::new(quic.clone()))
        .await
        .map_err(|error| Failure::from_h3_connection(&error, &quic))?;
    tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
    Ok((quic, requests))
}

fn plan(options: &Options) -> Plan {
    let start = Instant::now();
    let mut headers = options.headers.clone();
    if !options.body.is_empty() {
        headers.insert("content-length", options.body.len().into());
    }
    let measured_from = start + options.warmup;
    Plan {
        method: options.method.clone(),
        url: options.target.url.clone(),
        headers,
        body: options.body.clone(),
        echoes: options.echoes,
        start,
        measured_from,
        end: measured_from + options.duration,
        interval: options.rate.map(|rate| Duration::from_secs(1) / rate),
        tickets: 0.into(),
    }
}

/// A GET that whoever drives it sends when it likes.
pub(crate) fn one_request(target: &Target) -> Plan {
    let now = Instant::now();
    Plan {
        method: http::Method::GET,
        url: target.url.clone(),
        headers: http::HeaderMap::from_iter([(
            http::header::USER_AGENT,
            http::HeaderValue::from_static("load"),
        )]),
        body: Bytes::new(),
        echoes: false,
        start: now,
        measured_from: now,
        end: now,
        interval: None,
        tickets: 0.into(),
    }
}

fn report(options: &Options, tally: &Tally, connected: usize) {
    let seconds = options.duration.as_secs_f64();
    output::line(&json!({
        "requests": tally.latency.count(),
        "requests_with_warmup": tally.answered,
        "errors": tally.errors_total(),
        "errors_by_kind": tally.errors,
        "req_per_s": (tally.latency.count() as f64 / seconds).round(),
        "p50_us": tally.latency.quantile(0.5),
        "p99_us": tally.latency.quantile(0.99),
        "max_us": tally.latency.max(),
        "bytes_in": tally.bytes_in,
        "bytes_out": tally.bytes_out,
        "connections": connected,
        "streams": options.streams,
        "seconds": seconds,
        "late": tally.late,
    }));
}
