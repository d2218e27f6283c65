//! The connections a script has opened, by the names it gave them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Reply, exchange::Exchange, http3::Http3, raw::RawStream, reply, within};
use crate::{
    failure::{self, Failure},
    silent_socket::SilentSocket,
};

/// Things by name, shared by commands that run at the same time.
pub(super) struct Named<T> {
    what: &'static str,
    entries: Mutex<HashMap<String, Arc<T>>>,
}

impl<T> Named<T> {
    /// No entries; `what` is for messages.
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            entries: Mutex::default(),
        }
    }

    /// The entry of this name.
    pub(super) fn get(&self, name: &str) -> Result<Arc<T>, Failure> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .get(name)
            .cloned()
            .ok_or_else(|| Failure::usage(format!("no {} {name}", self.what)))
    }

    /// Adds an entry, in place of one of the same name.
    pub(super) fn insert(&self, name: String, entry: T) -> Arc<T> {
        let entry = Arc::new(entry);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(name, entry.clone());
        entry
    }

    fn all(&self) -> Vec<Arc<T>> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}

/// All connections of a script. One that has ended stays, so that its end can be asked for.
pub(super) struct Connections(pub(super) Named<Connection>);

impl Default for Connections {
    fn default() -> Self {
        Self(Named::new("connection"))
    }
}

impl Connections {
    /// The connection of this name.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Connection>, Failure> {
        self.0.get(name)
    }

    /// Closes what is open and gives the last packets a moment to leave.
    pub(super) async fn close_all(&self) {
        let all = self.0.all();
        for connection in &all {
            connection.quic.close(0x100_u32.into(), b"the client ends");
        }
        let idle = async {
            for connection in &all {
                connection.endpoint.wait_idle().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(200), idle).await;
    }
}

/// One connection on a socket of its own.
pub(super) struct Connection {
    /// The QUIC connection; the raw commands work on it whether or not h3 does too.
    pub(super) quic: quinn::Connection,
    pub(super) endpoint: quinn::Endpoint,
    pub(super) socket: Arc<SilentSocket>,
    /// `None` for a raw connection.
    pub(super) http3: Option<Http3>,
    /// Whether the server took the early data; `None` if there was none.
    pub(super) early_data: Option<bool>,
    /// The raw streams of this connection.
    pub(super) streams: Named<RawStream>,
    /// The requests of this connection that were left open.
    pub(super) exchanges: Named<Exchange>,
}

impl Connection {
    /// h3's part of the connection.
    pub(super) fn http3(&self) -> Result<&Http3, Failure> {
        self.http3
            .as_ref()
            .ok_or_else(|| Failure::usage("this connection is raw: it has no h3"))
    }
}

/// A command that names a connection and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    pub(super) conn: String,
}

/// `close` and `raw_close`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Close {
    conn: String,
    /// H3_NO_ERROR unless given.
    #[serde(default = "no_error")]
    code: u64,
    #[serde(default)]
    reason: String,
}

fn no_error() -> u64 {
    h3::error::Code::H3_NO_ERROR.value()
}

/// Closes a connection with an application error code.
pub(super) fn close(connections: &Connections, arguments: Close) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    connection
        .quic
        .close(failure::code(arguments.code)?, arguments.reason.as_bytes());
    Ok(Reply::new())
}

/// Makes the peer vanish: nothing more is sent or heard, and the server is not told.
pub(super) fn vanish(connections: &Connections, arguments: Which) -> Result<Reply, Failure> {
    connections.get(&arguments.conn)?.socket.silence();
    Ok(Reply::new())
}

/// Waits for the end of a connection and says how it came.
pub(super) async fn wait_closed(
    connections: &Connections,
    arguments: Which,
    patience: Duration,
) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    let end = within(patience, "the end of the connection", async {
        Ok(Failure::from(connection.quic.closed().await))
    })
    .await?;
    // When h3 itself found fault, quinn only knows that this side closed.
    let fault = connection.http3.as_ref().and_then(Http3::fault);
    let by_h3: Value = fault.map_or(Value::Null, |fault| fault.to_json());
    Ok(reply([
        ("closed", end.to_json()),
        ("h3_fault", by_h3),
        ("rtt_us", json!(rtt(&connection))),
    ]))
}

fn rtt(connection: &Connection) -> u64 {
    connection.quic.rtt().as_micros().try_into().unwrap_or(u64::MAX)
}
