//! `peer idle`: connections that have asked once and are silent since, held until nobody wants them any more.

use std::{sync::Arc, time::Duration};

use lexopt::prelude::*;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    Outcome, arguments, endpoint,
    load::{self, Requests, worker::exchange},
    output, serve,
    target::Target,
    trust::Trust,
};

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

/// A silence that the client bears; longer than any measurement.
const PATIENCE: Duration = Duration::from_secs(300);

/// The command line of `peer idle`.
pub(crate) struct Options {
    target: Target,
    connections: usize,
}

impl Options {
    /// Reads the command line; a URL is needed.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (mut target, mut connections) = (None, 1000);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(url) => target = Some(url.string()?.parse::<Target>()?),
                Long("connections") => connections = arguments::value(parser)?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self {
            target: target.ok_or("expected a URL")?,
            connections,
        })
    }
}

/// Opens all of them, prints one line, and holds them until standard input closes; prints another with how many are left.
pub(crate) async fn run(options: Options) -> Outcome {
    let mut config = endpoint::http3_config(Trust::Anything)?;
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(PATIENCE.try_into()?));
    config.transport_config(Arc::new(transport));
    let mut client = endpoint::load_client(options.target.address)?;
    client.set_default_client_config(config);

    let plan = Arc::new(load::one_request(&options.target));
    let (mut open, mut failed) = (Vec::with_capacity(options.connections), 0_usize);
    let mut opening = JoinSet::new();
    let mut left = options.connections;
    while left > 0 || !opening.is_empty() {
        while left > 0 && opening.len() < AT_ONCE {
            left -= 1;
            let (client, target, plan) = (client.clone(), options.target.clone(), plan.clone());
            opening.spawn(async move {
                let (quic, mut requests) = load::connect(&client, &target).await?;
                exchange(&mut requests, &plan, &quic).await?;
                Ok::<(quinn::Connection, Requests), crate::failure::Failure>((quic, requests))
            });
        }
        match opening.join_next().await {
            Some(Ok(Ok(connection))) => open.push(connection),
            _ => failed += 1,
        }
    }
    output::line(&json!({ "open": open.len(), "failed": failed }));
    let _ = serve::standard_input_closes().await;
    let alive = open
        .iter()
        .filter(|(quic, _)| quic.close_reason().is_none())
        .count();
    output::line(&json!({ "alive": alive }));
    client.close(h3::error::Code::H3_NO_ERROR.value().try_into()?, b"done");
    let _ = tokio::time::timeout(Duration::from_secs(2), client.wait_idle()).await;
    Ok(())
}
