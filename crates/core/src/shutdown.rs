//! A connection's part in a graceful stop.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Between the two GOAWAYs, long enough for requests that were sent before the first one arrived; and between the second, or
/// the last refusal, and the close, long enough for both to arrive. Two round trips within these bounds.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How long answers that were sent whole may go without any acknowledgement before their client counts as gone. Eight
/// round trips are several probe timeouts (RFC 9002 §6.2); a second covers clients that delay acknowledgements.
const ACKNOWLEDGEMENT_SILENCE: Duration = Duration::from_secs(1);
const ACKNOWLEDGEMENT_ROUND_TRIPS: u32 = 8;

/// The longest time that refusals of late requests keep a connection open after the last GOAWAY.
const LONGEST_FAREWELL: Duration = Duration::from_secs(1);

/// Running, then announced, then decided; one way. RFC 9114 §5.2: the first GOAWAY names no request, so that those
/// on their way are still served; the second names the first that is not.
pub(crate) struct Drain {
    announced: Option<Pin<Box<Sleep>>>,
    first_refused: Option<u64>,
    /// How long the connection stays although nothing is under way: a client that gets the close before the GOAWAY or the
    /// refusal could not tell what was served.
    farewell: Option<Pin<Box<Sleep>>>,
    /// When the wait ends, whatever the client does.
    latest_farewell: Option<Instant>,
    silence: Option<Silence>,
}

/// A wait for acknowledgements, begun anew with each one that comes.
struct Silence {
    unacknowledged: usize,
    timer: Pin<Box<Sleep>>,
}

/// What a connection has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Announce,
    Decide,
    Wait,
}

impl Drain {
    pub(crate) fn new() -> Self {
        Self {
            announced: None,
            first_refused: None,
            farewell: None,
            latest_farewell: None,
            silence: None,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, round_trip: Duration) -> Phase {
        if self.first_refused.is_some() {
            return Phase::Wait;
        }
        let Some(timer) = &mut self.announced else {
            let mut timer = Box::pin(sleep(pause(round_trip)));
            // Registers the waker; a fresh timer is never ready.
            let _ = timer.as_mut().poll(cx);
            self.announced = Some(timer);
            return Phase::Announce;
        };
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Phase::Decide,
            Poll::Pending => Phase::Wait,
        }
    }

    pub(crate) fn decided(&mut self, first_refused: u64, round_trip: Duration) {
        self.first_refused = Some(first_refused);
        self.stay(round_trip);
    }

    /// The client has yet to hear something: the close waits until it can have.
    ///
    /// A client that goes on asking is refused again and again: that extends the wait only for [`LONGEST_FAREWELL`].
    pub(crate) fn stay(&mut self, round_trip: Duration) {
        let latest = *self
            .latest_farewell
            .get_or_insert_with(|| Instant::now() + LONGEST_FAREWELL);
        let until = latest.min(Instant::now() + pause(round_trip));
        self.farewell = Some(Box::pin(sleep_until(until)));
    }

    /// Whether the client can have heard everything.
    pub(crate) fn has_said_farewell(&mut self, cx: &mut Context<'_>) -> bool {
        self.farewell
            .as_mut()
            .is_none_or(|timer| timer.as_mut().poll(cx).is_ready())
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.first_refused.is_some()
    }

    /// Whether a client with this many unacknowledged answers, and nothing else open, counts as gone.
    pub(crate) fn is_silent(
        &mut self,
        cx: &mut Context<'_>,
        unacknowledged: usize,
        round_trip: Duration,
    ) -> bool {
        let patience = ACKNOWLEDGEMENT_SILENCE.max(ACKNOWLEDGEMENT_ROUND_TRIPS * round_trip);
        let silence = self.silence.get_or_insert_with(|| Silence {
            unacknowledged,
            timer: Box::pin(sleep(patience)),
        });
        if unacknowledged != silence.unacknowledged {
            *silence = Silence {
                unacknowledged,
                timer: Box::pin(sleep(patience)),
            };
        }
        silence.timer.as_mut().poll(cx).is_ready()
    }

    /// Whether a request on this stream comes too late (RFC9114-5.2-goaway-served, RFC9114-5.2-goaway-rejected).
    pub(crate) fn refuses(&self, stream: u64) -> bool {
        self.first_refused.is_some_and(|first| stream >= first)
    }
}

fn pause(round_trip: Duration) -> Duration {
    (2 * round_trip).clamp(MIN_PAUSE, MAX_PAUSE)
}
