//! Looks at the QUIC counters of every connection from time to time: a flood of frames below HTTP/3 wakes no task of ours.

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use trilane_http3::{Code, Error};

use crate::connection::Outcome;
use crate::connections::Connections;
use crate::intake::Intake;

/// How often connections are looked at while little comes.
const PERIOD: Duration = Duration::from_millis(250);

/// The same after one was found that spends more than it earns.
const ALERT_PERIOD: Duration = Duration::from_millis(4);

/// How long after that.
const ALERT: Duration = Duration::from_secs(5);

/// Connections looked at in a period, 0.1 µs each; more have their turn in the next. With 10,000 connections each is looked at
/// once a second, which costs a thousandth of a core.
const LOOKS_PER_PERIOD: usize = 2_500;

/// Connections looked at when much has come, which may be often.
const LOOKS_AT_ONCE: usize = 100;

/// Has connections closed that send more frames without content than `limits.max_overhead_frames_per_second` allows, until
/// it is dropped. Sleeps while there is no connection.
pub(crate) async fn run(connections: Arc<Connections>, intake: Arc<Intake>) {
    let mut from = 0;
    let mut alert_until = Instant::now();
    loop {
        connections.some_open().await;
        let is_alert = Instant::now() < alert_until;
        intake.shorten(is_alert);
        let looks = match timeout(if is_alert { ALERT_PERIOD } else { PERIOD }, intake.look()).await {
            Ok(()) => LOOKS_AT_ONCE,
            Err(_) => LOOKS_PER_PERIOD,
        };
        let sampled = connections.sample(from, looks, |connection| {
            // Closed by its own task, which counts it.
            connection.adopt(ready(Outcome::Fatal(Error::connection(
                Code::H3_EXCESSIVE_LOAD,
                "too many QUIC frames without content",
            ))));
        });
        from = sampled.next;
        if sampled.is_suspicious {
            alert_until = Instant::now() + ALERT;
        }
    }
}
