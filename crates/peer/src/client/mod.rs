//! `peer client`: a client that test suites in any language drive over standard input and output.
//!
//! One JSON object per line in, one per line out. A command has an `id` (anything) and a `command`; the reply carries the `id`,
//! and an `error` of `{kind, code, reason}` if it failed. Commands run at the same time, so a name (`conn`, `stream`, `request`)
//! may be used once the reply that introduced it is there. Every wait ends after `timeout_ms`, 10,000 unless given.
//! `README.md` beside this crate lists the commands.

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::{sync::mpsc, task::JoinSet};

use self::connection::Connections;
use crate::{Outcome, failure::Failure, output};

mod body;
mod connection;
mod datagram;
mod dial;
mod exchange;
mod http3;
mod inbound;
mod quic;
mod raw;
mod request;
mod session;

/// The fields of a reply beside its `id`.
type Reply = Map<String, Value>;

/// Every wait ends after this unless the command says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines read ahead of the commands that run.
const READ_AHEAD: usize = 64;

/// Reads commands until standard input closes, then closes every connection.
pub(crate) async fn run() -> Outcome {
    let connections = Arc::new(Connections::default());
    let mut lines = read_lines();
    let mut running = JoinSet::new();
    while let Some(line) = lines.recv().await {
        while running.try_join_next().is_some() {}
        match Command::parse(&line) {
            Ok(command) => drop(running.spawn(answer(command, connections.clone()))),
            Err(failure) => output::line(&json!({ "id": null, "error": failure.to_json() })),
        }
    }
    running.abort_all();
    connections.close_all().await;
    Ok(())
}

/// A thread of its own reads: a blocked read must not hold up the end of the runtime.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { break };
            if !line.trim().is_empty() && sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

struct Command {
    id: Value,
    name: String,
    patience: Duration,
    fields: Value,
}

impl Command {
    fn parse(line: &str) -> Result<Self, Failure> {
        let mut fields: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| Failure::usage(format!("{error} in {line}")))?;
        let id = fields.remove("id").unwrap_or_default();
        let patience = match fields.remove("timeout_ms") {
            Some(value) => Duration::from_millis(
                value
                    .as_u64()
                    .ok_or_else(|| Failure::usage("timeout_ms is a whole number"))?,
            ),
            None => PATIENCE,
        };
        let Some(Value::String(name)) = fields.remove("command") else {
            return Err(Failure::usage(format!("no command in {line}")));
        };
        Ok(Self {
            id,
            name,
            patience,
            fields: Value::Object(fields),
        })
    }
}

async fn answer(command: Command, connections: Arc<Connections>) {
    let Command {
        id,
        name,
        patience,
        fields,
    } = command;
    let mut reply = match dispatch(&name, fields, patience, &connections).await {
        Ok(reply) => reply,
        Err(failure) => Map::from_iter([("error".to_owned(), failure.to_json())]),
    };
    reply.insert("id".to_owned(), id);
    output::line(&Value::Object(reply));
}

async fn dispatch(
    name: &str,
    fields: Value,
    patience: Duration,
    connections: &Arc<Connections>,
) -> Result<Reply, Failure> {
    match name {
        "connect" => dial::connect(connections, arguments(fields)?, patience).await,
        "raw_connect" => dial::raw_connect(connections, arguments(fields)?, patience).await,
        "close" | "raw_close" => connection::close(connections, arguments(fields)?),
        "raw_drop" => connection::vanish(connections, arguments(fields)?),
        "wait_closed" => connection::wait_closed(connections, arguments(fields)?, patience).await,
        "goaway" => http3::goaway(connections, arguments(fields)?, patience).await,
        "request" => request::run(connections, arguments(fields)?, patience).await,
        "send" => exchange::send(connections, arguments(fields)?, patience).await,
        "read" => exchange::read(connections, arguments(fields)?, patience).await,
        "cancel" => exchange::cancel(connections, arguments(fields)?, patience).await,
        "raw_open" => raw::open(connections, arguments(fields)?, patience).await,
        "raw_accept" => raw::accept(connections, arguments(fields)?, patience).await,
        "raw_write" => raw::write(connections, arguments(fields)?, patience).await,
        "raw_read" => raw::read(connections, arguments(fields)?, patience).await,
        "raw_reset" => raw::reset(connections, arguments(fields)?, patience).await,
        "raw_stop" => raw::stop(connections, arguments(fields)?, patience).await,
        "raw_stopped" => raw::stopped(connections, arguments(fields)?, patience).await,
        "raw_datagram" => datagram::send(connections, arguments(fields)?),
        "raw_read_datagram" => datagram::read(connections, arguments(fields)?, patience).await,
        _ => Err(Failure::usage(format!("no command {name}"))),
    }
}

/// The fields of a command; unknown ones are an error, so that a misspelt option cannot pass for a default.
fn arguments<T: DeserializeOwned>(fields: Value) -> Result<T, Failure> {
    serde_json::from_value(fields).map_err(Failure::usage)
}

/// Waits for something for as long as the command allows.
async fn within<T>(
    patience: Duration,
    what: &str,
    wait: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(patience, wait).await.unwrap_or_else(|_| {
        Err(Failure::new(
            "deadline",
            format!("waited {} ms for {what}", patience.as_millis()),
        ))
    })
}

/// A reply with these fields.
fn reply<const N: usize>(fields: [(&str, Value); N]) -> Reply {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
