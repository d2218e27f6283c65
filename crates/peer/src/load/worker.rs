//! One request after the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Buf as _, Bytes};

use super::{Requests, tally::Tally};
use crate::failure::{Direction, Failure};

/// A worker that failed waits this long, so that a dead server does not turn the load into a busy loop.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// A paced request that leaves later than this is counted as late.
const PUNCTUAL: Duration = Duration::from_millis(10);

/// What all workers do, and until when.
pub(crate) struct Plan {
    pub(crate) method: http::Method,
    pub(crate) url: http::Uri,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the answer's content has to be the request's, byte by byte.
    pub(crate) echoes: bool,
    pub(crate) start: Instant,
    /// Requests that start from here on are measured.
    pub(crate) measured_from: Instant,
    /// No request starts after this.
    pub(crate) end: Instant,
    /// Of a `--rate`: the time from one request to the next, over all workers.
    pub(crate) interval: Option<Duration>,
    /// Paced requests handed out so far.
    pub(crate) tickets: AtomicU32,
}

/// One request after the other on one connection.
pub(crate) struct Worker {
    plan: Arc<Plan>,
    quic: quinn::Connection,
    requests: Requests,
    tally: Tally,
}

impl Worker {
    /// A worker that has not begun.
    pub(crate) fn new(plan: Arc<Plan>, quic: quinn::Connection, requests: Requests) -> Self {
        Self {
            plan,
            quic,
            requests,
            tally: Tally::new(),
        }
    }

    /// Sends requests until the plan ends or the connection does.
    pub(crate) async fn run(mut self) -> Tally {
        while self.wait_for_turn().await {
            let begun = Instant::now();
            let measured = begun >= self.plan.measured_from;
            match exchange(&mut self.requests, &self.plan, &self.quic).await {
                Ok(received) => {
                    self.tally.answered += 1;
                    if measured {
                        self.tally.latency.record(begun.elapsed());
                        self.tally.bytes_in += received;
                        self.tally.bytes_out += self.plan.body.len() as u64;
                    }
                }
                Err(failure) => {
                    self.tally.failed(failure.label());
                    if self.quic.close_reason().is_some() {
                        break;
                    }
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
        self.tally
    }

    /// Whether there is a next request; a paced one is waited for.
    async fn wait_for_turn(&mut self) -> bool {
        let now = Instant::now();
        let Some(interval) = self.plan.interval else {
            return now < self.plan.end;
        };
        let turn = self.plan.start + interval * self.plan.tickets.fetch_add(1, Ordering::Relaxed);
        if turn >= self.plan.end || now >= self.plan.end {
            return false;
        }
        if turn > now {
            tokio::time::sleep_until(turn.into()).await;
        } else if now - turn > PUNCTUAL {
            self.tally.late += 1;
        }
        true
    }
}

/// One request and its whole response. Returns the number of body bytes, which agrees with content-length if that was given.
pub(crate) async fn exchange(
    requests: &mut Requests,
    plan: &Plan,
    quic: &quinn::Connection,
) -> Result<u64, Failure> {
    let received = |error| Failure::from_h3(&error, quic, Direction::Receiving);
    let sent = |error| Failure::from_h3(&error, quic, Direction::Sending);
    let mut request = http::Request::new(());
    *request.method_mut() = plan.method.clone();
    *request.uri_mut() = plan.url.clone();
    *request.headers_mut() = plan.headers.clone();
    let mut stream = requests.send_request(request).await.map_err(sent)?;
    if !plan.body.is_empty() {
        stream.send_data(plan.body.clone()).await.map_err(sent)?;
    }
    stream.finish().await.map_err(sent)?;
    let response = loop {
        let response = stream.recv_response().await.map_err(received)?;
        if !response.status().is_informational() {
            break response;
        }
    };
    let mut length = 0;
    let mut is_echo = true;
    while let Some(chunk) = stream.recv_data().await.map_err(received)? {
        let from = length as usize;
        length += chunk.remaining() as u64;
        if plan.echoes {
            is_echo &= plan.body.get(from..length as usize) == Some(chunk.chunk());
        }
    }
    let length = check(&plan.method, &response, length)?;
    if plan.echoes && !(is_echo && length == plan.body.len() as u64) {
        return Err(Failure::new("echo", "the answer is not what was sent"));
    }
    Ok(length)
}

fn check(method: &http::Method, response: &http::Response<()>, length: u64) -> Result<u64, Failure> {
    if !response.status().is_success() {
        return Err(Failure::status(response.status()));
    }
    let announced = response.headers().get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(announced) if announced != length && method != http::Method::HEAD => Err(Failure::new(
            "incomplete",
            format!("{length} of {announced} bytes"),
        )),
        _ => Ok(length),
    }
}
