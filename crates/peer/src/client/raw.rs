//! Bare QUIC streams, with bytes of any kind, on connections with h3 or without.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use quinn::{ReadError, RecvStream, SendStream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Reply, connection::Connections, reply, within};
use crate::{
    failure::{self, Failure},
    wire,
};

/// The most bytes of one `raw_read`, and the default.
const MOST: usize = 1 << 20;

/// The most bytes of one `raw_write`.
const MOST_WRITTEN: u64 = 1 << 30;

/// A stream as QUIC has it. Each half is held by one command at a time.
pub(super) struct RawStream {
    send: Mutex<Option<SendStream>>,
    receive: Mutex<Option<RecvStream>>,
}

impl RawStream {
    /// A stream with the halves that it has.
    pub(super) fn new(send: Option<SendStream>, receive: Option<RecvStream>) -> Self {
        Self {
            send: Mutex::new(send),
            receive: Mutex::new(receive),
        }
    }
}

/// Which kind of stream.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Bidi,
    Uni,
}

/// `raw_open` and `raw_accept`: `stream` is the name to give.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    conn: String,
    kind: Kind,
    stream: String,
}

/// Opens a stream; nothing is sent before the first `raw_write`.
pub(super) async fn open(
    connections: &Connections,
    arguments: Open,
    patience: Duration,
) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    let (id, stream) = within(patience, "credit to open a stream", async {
        Ok(match arguments.kind {
            Kind::Bidi => {
                let (send, receive) = connection.quic.open_bi().await?;
                (send.id(), RawStream::new(Some(send), Some(receive)))
            }
            Kind::Uni => {
                let send = connection.quic.open_uni().await?;
                (send.id(), RawStream::new(Some(send), None))
            }
        })
    })
    .await?;
    connection.streams.insert(arguments.stream, stream);
    Ok(reply([("stream_id", json!(u64::from(id)))]))
}

/// Waits for a stream from the server. On a connection with h3, h3 takes them first.
pub(super) async fn accept(
    connections: &Connections,
    arguments: Open,
    patience: Duration,
) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    let (id, stream) = within(patience, "a stream from the server", async {
        Ok(match arguments.kind {
            Kind::Bidi => {
                let (send, receive) = connection.quic.accept_bi().await?;
                (send.id(), RawStream::new(Some(send), Some(receive)))
            }
            Kind::Uni => {
                let receive = connection.quic.accept_uni().await?;
                (receive.id(), RawStream::new(None, Some(receive)))
            }
        })
    })
    .await?;
    connection.streams.insert(arguments.stream, stream);
    Ok(reply([("stream_id", json!(u64::from(id)))]))
}

/// Bytes given as hexadecimal, so many times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    hex: String,
    count: u64,
}

/// `raw_write`: `headers` makes a HEADERS frame of literals, whatever the names and values; then `hex`, then `repeat`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Write {
    conn: String,
    stream: String,
    headers: Option<Vec<(String, String)>>,
    #[serde(default)]
    hex: String,
    repeat: Option<Repeat>,
    #[serde(default)]
    fin: bool,
    /// Every byte in a packet of its own, with this pause after it.
    byte_by_byte_delay_ms: Option<u64>,
}

/// Writes bytes, as far as the server gives credit.
pub(super) async fn write(
    connections: &Connections,
    arguments: Write,
    patience: Duration,
) -> Result<Reply, Failure> {
    let stream = connections.get(&arguments.conn)?.streams.get(&arguments.stream)?;
    let mut first = BytesMut::new();
    if let Some(fields) = &arguments.headers {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        wire::frame(&mut first, wire::HEADERS, &wire::field_section(fields));
    }
    first.extend_from_slice(&unhex(&arguments.hex)?);
    let (unit, count) = match &arguments.repeat {
        Some(repeat) => (unhex(&repeat.hex)?, repeat.count),
        None => (Bytes::new(), 0),
    };
    if (unit.len() as u64).saturating_mul(count) > MOST_WRITTEN {
        return Err(Failure::usage(format!("at most {MOST_WRITTEN} bytes")));
    }
    let delay = arguments.byte_by_byte_delay_ms.map(Duration::from_millis);
    within(patience, "credit to write", async {
        let mut half = stream.send.lock().await;
        let send = half
            .as_mut()
            .ok_or_else(|| Failure::usage("this stream has no sending half"))?;
        write_paced(send, first.freeze(), delay).await?;
        // Small units are gathered, so that a million bytes are not a million writes.
        let gather = if delay.is_some() {
            1
        } else {
            (16 * 1024 / unit.len().max(1)).max(1) as u64
        };
        let gathered = Bytes::from(unit.repeat(gather.min(count) as usize));
        for _ in 0..count / gather {
            write_paced(send, gathered.clone(), delay).await?;
        }
        write_paced(
            send,
            gathered.slice(..unit.len() * (count % gather) as usize),
            delay,
        )
        .await?;
        if arguments.fin {
            send.finish().map_err(|error| Failure::new("stream", error))?;
        }
        Ok(Reply::new())
    })
    .await
}

async fn write_paced(send: &mut SendStream, bytes: Bytes, delay: Option<Duration>) -> Result<(), Failure> {
    let Some(delay) = delay else {
        return Ok(send.write_chunk(bytes).await?);
    };
    for at in 0..bytes.len() {
        send.write_chunk(bytes.slice(at..=at)).await?;
        tokio::time::sleep(delay).await;
    }
    Ok(())
}

/// `raw_read`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    conn: String,
    stream: String,
    /// Comes back with so many bytes at most.
    max: Option<usize>,
    /// Comes back as soon as so many bytes are here; unless given, at the end of the stream or at `max`.
    min: Option<usize>,
}

/// Reads until the end, `max`, `min` or the end of the patience, which is no error: `timed_out` says so.
pub(super) async fn read(
    connections: &Connections,
    arguments: Read,
    patience: Duration,
) -> Result<Reply, Failure> {
    let stream = connections.get(&arguments.conn)?.streams.get(&arguments.stream)?;
    let max = arguments.max.unwrap_or(MOST).min(MOST);
    let enough = arguments.min.unwrap_or(max).min(max);
    let mut half = stream.receive.lock().await;
    let receive = half
        .as_mut()
        .ok_or_else(|| Failure::usage("this stream has no receiving half"))?;
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < enough {
            match receive.read_chunk(max - bytes.len(), true).await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
                Ok(None) => return Ok((true, None)),
                Err(ReadError::Reset(code)) => return Ok((false, Some(code.into_inner()))),
                Err(error) => return Err(Failure::from(error)),
            }
        }
        Ok((false, None))
    };
    let outcome = tokio::time::timeout(patience, reading).await;
    let timed_out = outcome.is_err();
    let (fin, reset_code, error) = match outcome {
        Ok(Ok((fin, reset))) => (fin, reset, None),
        Ok(Err(failure)) => (false, None, Some(failure)),
        Err(_) => (false, None, None),
    };
    let mut reply = reply([
        ("hex", json!(HEXLOWER.encode(&bytes))),
        ("length", json!(bytes.len())),
        ("fin", json!(fin)),
        ("reset_code", json!(reset_code)),
        ("timed_out", json!(timed_out)),
    ]);
    if let Some(failure) = error {
        reply.insert("error".to_owned(), failure.to_json());
    }
    Ok(reply)
}

/// `raw_reset` and `raw_stop`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    conn: String,
    stream: String,
    #[serde(default)]
    code: u64,
}

/// Resets the sending half.
pub(super) async fn reset(
    connections: &Connections,
    arguments: End,
    patience: Duration,
) -> Result<Reply, Failure> {
    let stream = connections.get(&arguments.conn)?.streams.get(&arguments.stream)?;
    let code = failure::code(arguments.code)?;
    within(patience, "a write that still goes on", async {
        let mut half = stream.send.lock().await;
        let send = half
            .as_mut()
            .ok_or_else(|| Failure::usage("this stream has no sending half"))?;
        send.reset(code).map_err(|error| Failure::new("stream", error))?;
        Ok(Reply::new())
    })
    .await
}

/// Sends STOP_SENDING for the receiving half.
pub(super) async fn stop(
    connections: &Connections,
    arguments: End,
    patience: Duration,
) -> Result<Reply, Failure> {
    let stream = connections.get(&arguments.conn)?.streams.get(&arguments.stream)?;
    let code = failure::code(arguments.code)?;
    within(patience, "a read that still goes on", async {
        let mut half = stream.receive.lock().await;
        let receive = half
            .as_mut()
            .ok_or_else(|| Failure::usage("this stream has no receiving half"))?;
        receive
            .stop(code)
            .map_err(|error| Failure::new("stream", error))?;
        Ok(Reply::new())
    })
    .await
}

/// `raw_stopped`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stopped {
    conn: String,
    stream: String,
}

/// Waits for a STOP_SENDING: its code, or `null` when the server took everything up to our end of the stream.
pub(super) async fn stopped(
    connections: &Connections,
    arguments: Stopped,
    patience: Duration,
) -> Result<Reply, Failure> {
    let stream = connections.get(&arguments.conn)?.streams.get(&arguments.stream)?;
    within(patience, "STOP_SENDING", async {
        let wait = match stream.send.lock().await.as_ref() {
            Some(send) => send.stopped(),
            None => return Err(Failure::usage("this stream has no sending half")),
        };
        let code = wait.await.map_err(|error| match error {
            quinn::StoppedError::ConnectionLost(lost) => lost.into(),
            other => Failure::new("stream", other),
        })?;
        Ok(reply([(
            "stopped",
            code.map_or(Value::Null, |code| json!(code.into_inner())),
        )]))
    })
    .await
}

/// Hexadecimal of either case.
pub(super) fn unhex(text: &str) -> Result<Bytes, Failure> {
    Ok(HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(Failure::usage)?
        .into())
}
