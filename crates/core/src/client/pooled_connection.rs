//! A connection as the pool knows it: what it carries, and what waits for it.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::connection_state::ConnectionState;
use crate::sync::lock;

use super::order::Order;

/// A connection as the pool knows it.
pub(crate) struct PooledConnection {
    pub(crate) state: Arc<ConnectionState>,
    orders: Mutex<Orders>,
    /// The server allows no more streams for now.
    is_full: AtomicBool,
}

struct Orders {
    /// Requests that wait for a stream.
    waiting: VecDeque<Box<Order>>,
    takes_more: bool,
}

impl PooledConnection {
    pub(super) fn new(state: Arc<ConnectionState>) -> Arc<Self> {
        Arc::new(Self {
            state,
            orders: Mutex::new(Orders {
                waiting: VecDeque::new(),
                takes_more: true,
            }),
            is_full: AtomicBool::new(false),
        })
    }

    /// Takes a request, or gives it back if the connection takes no more. Whoever gives it wakes the connection afterwards.
    pub(super) fn give(&self, order: Box<Order>) -> Result<(), Box<Order>> {
        let mut orders = lock(&self.orders);
        if !orders.takes_more {
            return Err(order);
        }
        orders.waiting.push_back(order);
        Ok(())
    }

    /// Requests that wait for a stream; `None`: it takes no more.
    pub(super) fn waiting(&self) -> Option<usize> {
        let orders = lock(&self.orders);
        orders.takes_more.then(|| orders.waiting.len())
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    /// Whether that is news.
    pub(super) fn set_full(&self, is_full: bool) -> bool {
        self.is_full.swap(is_full, Relaxed) != is_full
    }

    /// Gives back the requests that wait for a stream, unless they have nowhere else to go.
    pub(super) fn take_waiting(&self) -> VecDeque<Box<Order>> {
        let mut orders = lock(&self.orders);
        match orders.takes_more {
            true => std::mem::take(&mut orders.waiting),
            false => VecDeque::new(),
        }
    }

    /// Takes no more requests than it has: it ends with the last of them.
    pub(super) fn seal(&self) {
        lock(&self.orders).takes_more = false;
    }

    /// Takes no more requests; returns those that wait.
    pub(super) fn retire(&self) -> VecDeque<Box<Order>> {
        let mut orders = lock(&self.orders);
        orders.takes_more = false;
        std::mem::take(&mut orders.waiting)
    }

    /// Whether it takes no more requests and none waits.
    pub(super) fn is_finished(&self) -> bool {
        let orders = lock(&self.orders);
        !orders.takes_more && orders.waiting.is_empty()
    }

    /// The requests that wait for a stream.
    pub(super) fn orders(&self) -> impl DerefMut<Target = VecDeque<Box<Order>>> {
        Waiting(lock(&self.orders))
    }
}

struct Waiting<'a>(MutexGuard<'a, Orders>);

impl Deref for Waiting<'_> {
    type Target = VecDeque<Box<Order>>;

    fn deref(&self) -> &Self::Target {
        &self.0.waiting
    }
}

impl DerefMut for Waiting<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0.waiting
    }
}
