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

/// How long a client may acknowledge nothing, although it was asked, before it counts as gone. Eight round trips are several
/// probe timeouts (RFC 9002 §6.2); two seconds cover clients that delay acknowledgements, and short interruptions.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_ROUND_TRIPS: u32 = 8;

/// How often it is looked whether a client has acknowledged anything, and one that has not is asked.
const LOOK: Duration = Duration::from_millis(500);

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
    watch: Option<Watch>,
}

/// Looks whether the client is still there.
struct Watch {
    /// ACK frames that had come at the last look.
    acknowledgements: u64,
    /// Since when the client owes an acknowledgement.
    asked: Option<Instant>,
    next: Pin<Box<Sleep>>,
}

/// Whether the client of a connection that waits for it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// As far as is known.
    Here,
    /// Nothing was heard of it, which is no wonder if nothing was sent: it has to be sent something.
    Ask,
    /// It was asked in vain.
    Gone,
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
            watch: None,
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

    /// Whether the client is still there. `acknowledgements` tells how many ACK frames have come so far.
    pub(crate) fn presence(
        &mut self,
        cx: &mut Context<'_>,
        round_trip: Duration,
        acknowledgements: impl Fn() -> u64,
    ) -> Presence {
        let watch = self.watch.get_or_insert_with(|| Watch {
            acknowledgements: acknowledgements(),
            asked: None,
            next: Box::pin(sleep(LOOK)),
        });
        let mut presence = Presence::Here;
        while watch.next.as_mut().poll(cx).is_ready() {
            watch.next.as_mut().reset(Instant::now() + LOOK);
            let heard = acknowledgements();
            if heard != watch.acknowledgements {
                watch.acknowledgements = heard;
                watch.asked = None;
                continue;
            }
            let asked = *watch.asked.get_or_insert_with(Instant::now);
            if asked.elapsed() >= SILENCE.max(SILENCE_ROUND_TRIPS * round_trip) {
                return Presence::Gone;
            }
            presence = Presence::Ask;
        }
        presence
    }

    /// Whether a request on this stream comes too late (RFC9114-5.2-goaway-served, RFC9114-5.2-goaway-rejected).
    pub(crate) fn refuses(&self, stream: u64) -> bool {
        self.first_refused.is_some_and(|first| stream >= first)
    }
}

fn pause(round_trip: Duration) -> Duration {
    (2 * round_trip).clamp(MIN_PAUSE, MAX_PAUSE)
}
