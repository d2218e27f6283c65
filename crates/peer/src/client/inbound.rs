//! What comes back on a request stream.

use bytes::{Buf as _, Bytes};
use data_encoding::{BASE64, HEXLOWER};
use h3::{client::RequestStream, error::Code};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{Reply, quic};
use crate::failure::{Direction, Failure};

/// A longer body is told by its length and hash.
const KEEP: usize = 64 * 1024;

type Stream = RequestStream<quic::Receiving, Bytes>;

/// How far to read.
#[derive(Clone, Copy)]
pub(super) struct Until {
    /// Stop sending after so many body bytes, with this code.
    pub(super) stop: Option<(u64, Code)>,
    /// Come back after so many body bytes, with the stream left open.
    pub(super) enough: Option<u64>,
    /// The pause after each chunk: a reader that cannot keep up.
    pub(super) pause: Option<std::time::Duration>,
}

/// The receiving half of a request stream and what it has brought so far.
pub(super) struct Inbound {
    stream: Stream,
    quic: quinn::Connection,
    informational: Vec<Value>,
    response: Option<http::Response<()>>,
    body: Body,
    trailers: Option<HeaderMap>,
    ended: bool,
}

/// Body bytes since the last report.
struct Body {
    kept: Vec<u8>,
    length: u64,
    digest: ring::digest::Context,
}

impl Body {
    fn new() -> Self {
        Self {
            kept: Vec::new(),
            length: 0,
            digest: ring::digest::Context::new(&ring::digest::SHA256),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.digest.update(bytes);
        if self.length <= KEEP as u64 {
            self.kept.extend_from_slice(bytes);
        }
    }
}

impl Inbound {
    /// Nothing read yet.
    pub(super) fn new(stream: Stream, quic: quinn::Connection) -> Self {
        Self {
            stream,
            quic,
            informational: Vec::new(),
            response: None,
            body: Body::new(),
            trailers: None,
            ended: false,
        }
    }

    /// Reads the informational responses and the final one's header block.
    pub(super) async fn head(&mut self) -> Result<(), Failure> {
        while self.response.is_none() {
            let received = self.stream.recv_response().await;
            let response = received.map_err(|error| self.failure(&error))?;
            if response.status().is_informational() {
                self.informational.push(json!({
                    "status": response.status().as_u16(),
                    "headers": fields(response.headers()),
                }));
            } else {
                self.response = Some(response);
            }
        }
        Ok(())
    }

    /// Reads the body, and the trailers after its end.
    pub(super) async fn body(&mut self, until: Until) -> Result<(), Failure> {
        while !self.ended {
            if let Some((limit, code)) = until.stop.filter(|(limit, _)| self.body.length >= *limit) {
                self.stream.stop_sending(code);
                self.ended = true;
                return Err(Failure::new("stopped_by_us", format!("after {limit} bytes")));
            }
            if until.enough.is_some_and(|enough| self.body.length >= enough) {
                return Ok(());
            }
            let received = self.stream.recv_data().await;
            match received {
                Ok(Some(mut chunk)) => {
                    let bytes = chunk.copy_to_bytes(chunk.remaining());
                    self.body.push(&bytes);
                }
                Ok(None) => return self.end().await,
                Err(error) => {
                    self.ended = true;
                    return Err(Failure::from_h3(&error, &self.quic, Direction::Receiving));
                }
            }
            if let Some(pause) = until.pause {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failure> {
        let received = self.stream.recv_trailers().await;
        self.ended = true;
        self.trailers = received.map_err(|error| self.failure(&error))?;
        Ok(())
    }

    /// Asks the server to stop.
    pub(super) fn stop(&mut self, code: Code) {
        if !self.ended {
            self.stream.stop_sending(code);
        }
        self.ended = true;
    }

    /// The response's head, the body bytes since the last report, and the trailers.
    pub(super) fn report(&mut self) -> Reply {
        let mut reply = Reply::new();
        if let Some(response) = &self.response {
            reply.insert("status".to_owned(), response.status().as_u16().into());
            reply.insert("headers".to_owned(), fields(response.headers()));
        }
        reply.insert(
            "informational".to_owned(),
            std::mem::take(&mut self.informational).into(),
        );
        let body = std::mem::replace(&mut self.body, Body::new());
        if body.length <= KEEP as u64 {
            reply.insert("body_base64".to_owned(), BASE64.encode(&body.kept).into());
        }
        reply.insert("body_length".to_owned(), body.length.into());
        let digest = body.digest.finish();
        reply.insert("body_sha256".to_owned(), HEXLOWER.encode(digest.as_ref()).into());
        reply.insert(
            "trailers".to_owned(),
            self.trailers.as_ref().map_or(Value::Null, fields),
        );
        reply.insert("ended".to_owned(), self.ended.into());
        reply
    }

    fn failure(&self, error: &h3::error::StreamError) -> Failure {
        Failure::from_h3(error, &self.quic, Direction::Receiving)
    }
}

/// Fields as pairs, in order, one pair for each line.
fn fields(map: &HeaderMap) -> Value {
    map.iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect()
}
