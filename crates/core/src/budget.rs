//! How much of one connection's buffered bodies may be unfinished at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// Shared by the readers of one connection. Above the limit only the oldest stream goes on: it always can, so the
/// readers never wait for each other in a circle.
pub(crate) struct BodyBudget {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: usize,
    readers: BTreeMap<u64, Option<Waker>>,
}

impl BodyBudget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::default(),
        })
    }

    /// Whether so many bytes more would not be too many.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        lock(&self.state).used + bytes <= self.limit
    }

    /// A share for the reader of stream `index`.
    pub(crate) fn share(self: &Arc<Self>, index: u64) -> Share {
        lock(&self.state).readers.insert(index, None);
        Share {
            budget: self.clone(),
            index,
            used: 0,
        }
    }
}

/// What one reader holds; given back when dropped.
pub(crate) struct Share {
    budget: Arc<BodyBudget>,
    index: u64,
    used: usize,
}

impl Share {
    /// Waits until more may be read.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.budget.state);
        let oldest = state
            .readers
            .first_key_value()
            .is_some_and(|(index, _)| *index == self.index);
        if oldest || state.used < self.budget.limit {
            return Poll::Ready(());
        }
        state.readers.insert(self.index, Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Counts what is held now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let mut state = lock(&self.budget.state);
        state.used = state.used - self.used + bytes;
        self.used = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = lock(&self.budget.state);
        state.used -= self.used;
        state.readers.remove(&self.index);
        for waker in state.readers.values_mut().filter_map(Option::take) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_the_limit_only_the_oldest_reader_goes_on() {
        let mut cx = Context::from_waker(Waker::noop());
        let budget = BodyBudget::new(10);
        let mut first = budget.share(0);
        let second = budget.share(4);
        assert!(second.poll_ready(&mut cx).is_ready());
        first.set(3);
        assert!(budget.has_room(7) && !budget.has_room(8));
        first.set(10);
        assert!(second.poll_ready(&mut cx).is_pending());
        assert!(first.poll_ready(&mut cx).is_ready());
        drop(first);
        assert!(second.poll_ready(&mut cx).is_ready());
    }
}
