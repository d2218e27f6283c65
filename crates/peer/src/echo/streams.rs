//! Streams of a session, written as fast as they are taken, and read back.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};

use super::{link::Link, tally::Tally};
use crate::wire;

/// The type of a bidirectional stream of a session (draft-ietf-webtrans-http3-16 §4.3).
const BIDI_STREAM: u64 = 0x41;

/// What one write hands over.
const CHUNK: usize = 64 * 1024;

/// How long the rest of a stream may take; some servers never end theirs.
const GRACE: Duration = Duration::from_secs(1);

/// Writes `count` streams until `end`, and counts what comes back until then.
pub(super) async fn echo(link: &Link, count: usize, end: Instant) -> Tally {
    let mut tally = Tally::new();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..count {
        match link.quic.open_bi().await {
            Ok((send, recv)) => {
                running.spawn(write(send, end));
                running.spawn(read(recv, end));
            }
            Err(error) => tally.failed(error),
        }
    }
    while let Some(part) = running.join_next().await {
        match part {
            Ok(part) => tally.merge(&part),
            Err(_) => tally.failed("a stream's task ended"),
        }
    }
    tally
}

async fn write(mut send: SendStream, end: Instant) -> Tally {
    let mut tally = Tally::new();
    let mut prefix = BytesMut::new();
    wire::varint(&mut prefix, BIDI_STREAM);
    wire::varint(&mut prefix, 0);
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let written = async {
        send.write_all(&prefix).await?;
        while Instant::now() < end {
            send.write_chunk(chunk.clone()).await?;
            tally.sent += 1;
        }
        Ok::<_, quinn::WriteError>(())
    };
    if let Err(error) = written.await {
        tally.failed(error);
    }
    let _ = send.finish();
    tally
}

async fn read(mut recv: RecvStream, end: Instant) -> Tally {
    let mut tally = Tally::new();
    let reading = async {
        loop {
            match recv.read_chunk(usize::MAX, true).await {
                Ok(Some(chunk)) if Instant::now() < end => {
                    tally.received += 1;
                    tally.bytes += chunk.bytes.len() as u64;
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => return tally.failed(error),
            }
        }
    };
    let _ = tokio::time::timeout_at((end + GRACE).into(), reading).await;
    tally
}
