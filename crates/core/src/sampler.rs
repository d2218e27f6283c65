//! Looks at the QUIC counters of every connection from time to time: a flood of frames below HTTP/3 wakes no task of ours.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use trilane_http3::{Code, Error};

use crate::connection::Outcome;
use crate::connections::Connections;

/// How often connections are looked at.
const PERIOD: Duration = Duration::from_millis(250);

/// Connections looked at in one go, 0.1 µs each; more have their turn in the next. With 10,000 connections each is looked
/// at once a second, which costs a thousandth of a core.
pub(crate) const LOOKS_PER_PERIOD: usize = 2_500;

/// Has connections closed that send more frames without content than `limits.max_overhead_frames_per_second` allows, until
/// it is dropped. Sleeps while there is no connection.
pub(crate) async fn run(connections: Arc<Connections>) {
    let mut from = 0;
    loop {
        connections.some_open().await;
        tokio::time::sleep(PERIOD).await;
        from = connections.sample(from, |connection| {
            // Closed by its own task, which counts it.
            connection.adopt(ready(Outcome::Fatal(Error::connection(
                Code::H3_EXCESSIVE_LOAD,
                "too many QUIC frames without content",
            ))));
        });
    }
}
