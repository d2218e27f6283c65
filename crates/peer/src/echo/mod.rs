//! `peer echo`: datagrams and streams to a server that sends everything back, and how much came back.
//!
//! Each connection keeps `--window` datagrams under way, or writes `--streams` streams as fast as it is let; what comes back
//! makes room for more. A datagram that 64 later ones have overtaken, or that is out for 200 ms, is lost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lexopt::prelude::*;
use serde_json::json;
use tokio::task::JoinSet;

use self::{link::Link, tally::Tally};
use crate::{Outcome, arguments, output, target::Target};

mod datagrams;
mod link;
mod streams;
mod tally;

/// What is echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// QUIC datagrams on a connection with ALPN `echo`.
    Raw,
    /// HTTP datagrams of one `POST /datagrams` for each connection (RFC 9297).
    Http,
    /// Datagrams of one WebTransport session on `/echo` for each connection.
    WebTransport,
    /// Bidirectional streams of such a session.
    Streams,
}

impl Kind {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "raw" => Ok(Self::Raw),
            "http" => Ok(Self::Http),
            "webtransport" => Ok(Self::WebTransport),
            "streams" => Ok(Self::Streams),
            other => Err(format!(
                "expected raw, http, webtransport or streams, got {other}"
            )),
        }
    }
}

/// The command line of `peer echo`.
pub(crate) struct Options {
    kind: Kind,
    target: Target,
    connections: usize,
    window: usize,
    streams: usize,
    size: usize,
    duration: Duration,
}

impl Options {
    /// Reads the command line; a kind and a URL are needed, the rest has defaults.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (mut kind, mut target) = (None, None);
        let (mut connections, mut window, mut streams, mut size) = (4, 64, 4, 64);
        let mut duration = Duration::from_secs(3);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) if kind.is_none() => kind = Some(Kind::parse(&name.string()?)?),
                Value(url) => target = Some(url.string()?.parse::<Target>()?),
                Long("connections") => connections = arguments::value(parser)?,
                Long("window") => window = arguments::value(parser)?,
                Long("streams") => streams = arguments::value(parser)?,
                Long("size") => size = arguments::value(parser)?,
                Long("seconds") => duration = arguments::seconds(parser)?,
                other => return Err(other.unexpected().into()),
            }
        }
        if connections == 0 || window == 0 || streams == 0 || size < datagrams::NUMBER_BYTES {
            return Err("--connections, --window and --streams are at least 1, --size at least 8".into());
        }
        Ok(Self {
            kind: kind.ok_or("expected a kind and a URL")?,
            target: target.ok_or("expected a URL")?,
            connections,
            window,
            streams,
            size,
            duration,
        })
    }
}

/// Runs the load and prints one line.
pub(crate) async fn run(options: Options) -> Outcome {
    let options = Arc::new(options);
    let mut links = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        links.push(Link::open(&options).await?);
    }
    let end = Instant::now() + options.duration;
    let mut running = JoinSet::new();
    for link in links {
        let options = options.clone();
        running.spawn(async move {
            match options.kind {
                Kind::Streams => streams::echo(&link, options.streams, end).await,
                _ => datagrams::echo(&link, &options, end).await,
            }
        });
    }
    let mut tally = Tally::new();
    while let Some(part) = running.join_next().await {
        match part {
            Ok(part) => tally.merge(&part),
            Err(_) => tally.failed("a connection's task ended"),
        }
    }
    let seconds = options.duration.as_secs_f64();
    output::line(&json!({
        "sent": tally.sent,
        "received": tally.received,
        "lost": tally.lost,
        "per_s": (tally.received as f64 / seconds).round(),
        "bytes_received": tally.bytes,
        "mb_per_s": (tally.bytes as f64 / seconds / 1e4).round() / 100.0,
        "p50_us": tally.latency.quantile(0.5),
        "p99_us": tally.latency.quantile(0.99),
        "failure": tally.failure,
        "seconds": seconds,
    }));
    Ok(())
}
