//! QUIC datagrams, on connections with h3 or without.

use std::time::Duration;

use bytes::BytesMut;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Reply,
    connection::{Connection, Connections},
    raw::unhex,
};
use crate::{failure::Failure, wire};

/// `raw_datagram`: `quarter_stream_id`, if given, is put before the bytes (RFC 9297 §2.1).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    conn: String,
    quarter_stream_id: Option<u64>,
    #[serde(default)]
    hex: String,
    /// So many of the same.
    #[serde(default = "one")]
    count: u32,
}

fn one() -> u32 {
    1
}

/// Queues QUIC datagrams. quinn drops the oldest when its queue of 1 MiB is full.
pub(super) fn send(connections: &Connections, arguments: Send) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    let mut payload = BytesMut::new();
    if let Some(id) = arguments.quarter_stream_id {
        wire::varint(&mut payload, id);
    }
    payload.extend_from_slice(&unhex(&arguments.hex)?);
    let payload = payload.freeze();
    for _ in 0..arguments.count {
        let sent = connection.quic.send_datagram(payload.clone());
        sent.map_err(|error| Failure::new("datagram", error))?;
    }
    Ok(Reply::new())
}

/// `raw_read_datagram`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    conn: String,
    /// Comes back with so many, or with what came in time.
    #[serde(default = "one")]
    count: u32,
}

/// Waits for QUIC datagrams. Running out of patience is no error: `timed_out` says so.
pub(super) async fn read(
    connections: &Connections,
    arguments: Read,
    patience: Duration,
) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    let mut datagrams: Vec<Value> = Vec::new();
    let reading = collect(&connection, arguments.count, &mut datagrams);
    let outcome = tokio::time::timeout(patience, reading).await;
    let timed_out = outcome.is_err();
    let mut reply = Reply::new();
    if let Ok(Err(failure)) = outcome {
        reply.insert("error".to_owned(), failure.to_json());
    }
    reply.insert("datagrams".to_owned(), datagrams.into());
    reply.insert("timed_out".to_owned(), timed_out.into());
    Ok(reply)
}

async fn collect(connection: &Connection, count: u32, into: &mut Vec<Value>) -> Result<(), Failure> {
    while into.len() < count as usize {
        let datagram = connection.quic.read_datagram().await?;
        into.push(HEXLOWER.encode(&datagram).into());
    }
    Ok(())
}
