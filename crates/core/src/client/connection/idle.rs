//! A connection without requests: it is closed after a while, since QUIC's own signs of life keep it open.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

use super::Task;

/// How long there has been no request.
pub(super) struct Idle {
    since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    pub(super) fn new() -> Self {
        Self {
            since: None,
            timer: Box::pin(sleep_until(Instant::now())),
        }
    }
}

impl Task {
    /// A connection on which nothing is asked for takes no more requests after a while, and so ends.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) {
        let Some(limit) = self.client.without_requests else {
            return;
        };
        let is_busy = self.state.exchanges.load(SeqCst) > 0 || self.connection.waiting() != Some(0);
        if self.over || is_busy {
            self.idle.since = None;
            return;
        }
        let end = *self.idle.since.get_or_insert_with(Instant::now) + limit;
        while self.idle.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                for order in self.client.retire(&self.connection) {
                    self.client.again(order);
                }
                return;
            }
            self.idle.timer.as_mut().reset(end);
        }
    }
}
