//! Requests without fault, by hand, on a connection that also carries others.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream};

use crate::{failure::Failure, wire};

/// A request that takes longer counts as an error.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// As much of an answer as is looked at for its status.
const LOOK_AT: usize = 64;

const USER_AGENT: (&[u8], &[u8]) = (b"user-agent", b"peer");

/// The HEADERS frame of a request without content.
pub(super) fn head(method: &str, url: &http::Uri) -> Bytes {
    let mut bytes = BytesMut::new();
    wire::frame(
        &mut bytes,
        wire::HEADERS,
        &wire::request(method, url, &[USER_AGENT]),
    );
    bytes.freeze()
}

/// Sends a request of one write and waits for the end of its answer, both within [`ANSWER_WITHIN`].
///
/// `priority` orders the streams of this client against each other, before the server sees anything of them.
pub(super) async fn exchange(quic: &Connection, request: &[u8], priority: i32) -> Result<(), Failure> {
    let exchanged = async {
        let (mut send, mut receive) = quic.open_bi().await?;
        let _ = send.set_priority(priority);
        send.write_all(request).await?;
        let _ = send.finish();
        read_answer(&mut receive, |_| ()).await
    };
    tokio::time::timeout(ANSWER_WITHIN, exchanged)
        .await
        .unwrap_or_else(|_| Err(Failure::new("deadline", "no answer within 5 s")))
}

/// Reads an answer to its end; its status has to be one of success. Every piece is reported with its length.
pub(super) async fn read_answer(
    receive: &mut RecvStream,
    mut arrived: impl FnMut(usize),
) -> Result<(), Failure> {
    let mut seen = Vec::with_capacity(LOOK_AT);
    let mut status = None;
    while let Some(chunk) = receive.read_chunk(usize::MAX, true).await? {
        if status.is_none() {
            let room = LOOK_AT.saturating_sub(seen.len());
            seen.extend_from_slice(&chunk.bytes[..chunk.bytes.len().min(room)]);
            status = wire::status(&seen);
            refuse_failure(status)?;
        }
        arrived(chunk.bytes.len());
    }
    status
        .map(|_| ())
        .ok_or_else(|| Failure::new("incomplete", "the answer ended without a status"))
}

fn refuse_failure(status: Option<u16>) -> Result<(), Failure> {
    let status = status.and_then(|status| http::StatusCode::from_u16(status).ok());
    match status {
        Some(status) if !status.is_success() => Err(Failure::status(status)),
        _ => Ok(()),
    }
}
