//! A request and its response, both of which may go on for as long as a script likes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use data_encoding::BASE64;
use h3::{client::RequestStream, error::Code};
use http::HeaderMap;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    Reply,
    body::{Body, Pace},
    connection::Connections,
    inbound::{Inbound, Until},
    quic, request, within,
};
use crate::failure::{Direction, Failure};

type SendHalf = RequestStream<quic::Sending<Bytes>, Bytes>;

/// quinn forgets what it has not sent when a stream is reset; this lets the bytes before a reset arrive.
const BEFORE_RESET: Duration = Duration::from_millis(20);

/// Both halves of a request stream; each is held by one command at a time.
pub(super) struct Exchange {
    pub(super) outbound: Arc<Mutex<Outbound>>,
    pub(super) inbound: Mutex<Inbound>,
}

/// The sending half of a request stream. Dropped before its end it is reset: quinn would end it as if the request were complete.
pub(super) struct Outbound {
    stream: SendHalf,
    quic: quinn::Connection,
    ended: bool,
}

impl Outbound {
    /// The half behind a header block that has been sent.
    pub(super) fn new(stream: SendHalf, quic: quinn::Connection) -> Self {
        Self {
            stream,
            quic,
            ended: false,
        }
    }

    /// Sends a body at a pace.
    pub(super) async fn send(&mut self, body: &Body, pace: &Pace) -> Result<(), Failure> {
        let limit = pace.reset.map_or(body.len(), |(limit, _)| limit.min(body.len()));
        let mut offset = 0;
        while offset < limit {
            let chunk = body.chunk(offset, pace.chunk_size.min((limit - offset) as usize));
            offset += chunk.len() as u64;
            let sent = self.stream.send_data(chunk).await;
            self.check(sent)?;
            if let Some(pause) = pace.pause {
                tokio::time::sleep(pause).await;
            }
        }
        if let Some((_, code)) = pace.reset {
            tokio::time::sleep(BEFORE_RESET).await;
            self.reset(code);
        }
        Ok(())
    }

    /// Ends the request, with trailers if there are any.
    pub(super) async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        let finished = match trailers {
            // h3 does not end a stream behind its trailers.
            Some(trailers) => match self.stream.send_trailers(trailers).await {
                Ok(()) => self.stream.finish().await,
                Err(error) => Err(error),
            },
            None => self.stream.finish().await,
        };
        self.check(finished)?;
        self.ended = true;
        Ok(())
    }

    /// Ends the request abruptly.
    pub(super) fn reset(&mut self, code: Code) {
        if !self.ended {
            self.stream.stop_stream(code);
            self.ended = true;
        }
    }

    fn check(&self, result: Result<(), h3::error::StreamError>) -> Result<(), Failure> {
        result.map_err(|error| Failure::from_h3(&error, &self.quic, Direction::Sending))
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.reset(Code::H3_REQUEST_CANCELLED);
    }
}

/// `send`: more of a request that was left open.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    conn: String,
    request: String,
    body_base64: Option<String>,
    trailers: Option<Vec<(String, String)>>,
    #[serde(default)]
    fin: bool,
}

/// Sends more of a request that was left open.
pub(super) async fn send(
    connections: &Connections,
    arguments: Send,
    patience: Duration,
) -> Result<Reply, Failure> {
    let exchange = connections
        .get(&arguments.conn)?
        .exchanges
        .get(&arguments.request)?;
    let bytes = BASE64.decode(arguments.body_base64.unwrap_or_default().as_bytes());
    let body = Body::Given(bytes.map_err(Failure::usage)?.into());
    let trailers = arguments
        .trailers
        .as_deref()
        .map(request::header_map)
        .transpose()?;
    within(patience, "credit to send", async {
        let mut outbound = exchange.outbound.lock().await;
        outbound
            .send(
                &body,
                &Pace {
                    chunk_size: usize::MAX,
                    pause: None,
                    reset: None,
                },
            )
            .await?;
        if arguments.fin || trailers.is_some() {
            outbound.finish(trailers).await?;
        }
        Ok(Reply::new())
    })
    .await
}

/// `read`: more of a response that was left open.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    conn: String,
    request: String,
    /// Come back when so many bytes are here; at the end unless given.
    min_bytes: Option<u64>,
}

/// Reads more of a response that was left open. Running out of time is told beside what was read.
pub(super) async fn read(
    connections: &Connections,
    arguments: Read,
    patience: Duration,
) -> Result<Reply, Failure> {
    let exchange = connections
        .get(&arguments.conn)?
        .exchanges
        .get(&arguments.request)?;
    let mut inbound = exchange.inbound.lock().await;
    let until = Until {
        stop: None,
        enough: arguments.min_bytes,
        pause: None,
    };
    let result = within(patience, "the response", async {
        inbound.head().await?;
        inbound.body(until).await
    });
    let failure = result.await.err();
    let mut reply = inbound.report();
    if let Some(failure) = failure {
        reply.insert("error".to_owned(), failure.to_json());
    }
    Ok(reply)
}

/// `cancel`: both directions end abruptly (RFC 9114 §4.1.1).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    conn: String,
    request: String,
    /// H3_REQUEST_CANCELLED unless given.
    code: Option<u64>,
}

/// Cancels a request that was left open.
pub(super) async fn cancel(
    connections: &Connections,
    arguments: Cancel,
    patience: Duration,
) -> Result<Reply, Failure> {
    let exchange = connections
        .get(&arguments.conn)?
        .exchanges
        .get(&arguments.request)?;
    let code = arguments.code.map_or(Code::H3_REQUEST_CANCELLED, Code::from);
    within(patience, "commands that still use the request", async {
        exchange.outbound.lock().await.reset(code);
        exchange.inbound.lock().await.stop(code);
        Ok(Reply::new())
    })
    .await
}
