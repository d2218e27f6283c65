//! The connections of a client, by origin, and the requests that wait for one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

use super::addresses::Target;
use super::order::Order;
use super::pooled_connection::PooledConnection;
use super::request_error::RequestError;
use super::state::ClientState;

/// Which connections a client has and makes.
pub(crate) struct Pool {
    max_per_origin: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Takes no more requests.
    closed: bool,
    /// By what they are called in requests.
    origins: HashMap<Arc<str>, PerOrigin>,
}

#[derive(Default)]
struct PerOrigin {
    connections: Vec<Arc<PooledConnection>>,
    /// Handshakes under way.
    dialing: usize,
    /// Requests that wait for the first connection.
    waiting: VecDeque<Box<Order>>,
}

/// What is to be done for a request.
enum Placed {
    /// It waits for a connection that is being made.
    Waits,
    /// It was given to a connection, which is to be woken.
    Given(Arc<PooledConnection>),
    /// A connection has to be made; the request waits for it.
    Dial(Target),
    /// The client was closed.
    Refused(Box<Order>),
}

impl Pool {
    /// `max_per_origin`: connections at once to one origin, handshakes included; at least 1.
    pub(super) fn new(max_per_origin: usize) -> Self {
        Self {
            max_per_origin: max_per_origin.max(1),
            state: Mutex::default(),
        }
    }

    fn place(&self, order: Box<Order>) -> Placed {
        let mut state = lock(&self.state);
        if state.closed {
            return Placed::Refused(order);
        }
        // RFC9114-3.3-origin-validated: no other origin is served by a connection, whatever its certificate names.
        let entry = state.origins.entry(order.target.authority().clone()).or_default();
        let order = match entry.give(order, self.max_per_origin) {
            Ok(connection) => return Placed::Given(connection),
            Err(order) => order,
        };
        let target = order.target.clone();
        entry.waiting.push_back(order);
        // One handshake at a time: what waits for it may all find room there.
        if entry.dialing > 0 {
            return Placed::Waits;
        }
        entry.dialing += 1;
        Placed::Dial(target)
    }

    /// A connection takes no more requests.
    pub(super) fn forget(&self, connection: &Arc<PooledConnection>) {
        lock(&self.state).origins.retain(|_, entry| {
            entry.connections.retain(|one| !Arc::ptr_eq(one, connection));
            !entry.is_empty()
        });
    }

    /// Whether another connection may be made beside this one, and none is being made.
    fn may_grow(&self, target: &Target) -> bool {
        let state = lock(&self.state);
        let entry = state.origins.get(target.authority());
        entry.is_some_and(|entry| entry.dialing == 0 && entry.connections.len() < self.max_per_origin)
    }

    /// A handshake is over: those who wait go to the new connection.
    fn opened(&self, target: &Target, connection: &Arc<PooledConnection>) {
        let waiting = {
            let mut state = lock(&self.state);
            if state.closed {
                // Those who waited have been told.
                drop(state);
                return connection.seal();
            }
            let entry = state.origins.entry(target.authority().clone()).or_default();
            entry.dialing = entry.dialing.saturating_sub(1);
            entry.connections.push(connection.clone());
            std::mem::take(&mut entry.waiting)
        };
        for order in waiting {
            // It was made a moment ago and nobody has retired it.
            let _ = connection.give(order);
        }
        connection.state.idle();
    }

    /// No connection could be made: those who wait are returned, unless there is another way for them.
    fn failed(&self, target: &Target) -> VecDeque<Box<Order>> {
        let mut state = lock(&self.state);
        let Some(entry) = state.origins.get_mut(target.authority()) else {
            return VecDeque::new();
        };
        entry.dialing = entry.dialing.saturating_sub(1);
        let waiting = std::mem::take(&mut entry.waiting);
        // A connection that is busy is better than none.
        let left = waiting
            .into_iter()
            .filter_map(|order| match entry.give(order, 0) {
                Ok(connection) => {
                    connection.state.idle();
                    None
                }
                Err(order) => Some(order),
            })
            .collect();
        if entry.is_empty() {
            state.origins.remove(target.authority());
        }
        left
    }

    /// Takes no more requests. Returns the connections, and the requests that wait for one.
    pub(super) fn close(&self) -> (Vec<Arc<PooledConnection>>, VecDeque<Box<Order>>) {
        let mut state = lock(&self.state);
        state.closed = true;
        let mut connections = Vec::new();
        let mut waiting = VecDeque::new();
        for (_, entry) in state.origins.drain() {
            connections.extend(entry.connections);
            waiting.extend(entry.waiting);
        }
        (connections, waiting)
    }

    fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }
}

impl PerOrigin {
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.dialing == 0 && self.waiting.is_empty()
    }

    /// Gives a request to the connection that has the least to do, unless none has a stream left and there may be one more.
    /// Returns the connection, which is to be woken, or the request.
    fn give(&mut self, order: Box<Order>, max: usize) -> Result<Arc<PooledConnection>, Box<Order>> {
        let may_grow = self.connections.len() + self.dialing < max;
        let least = self
            .connections
            .iter()
            .filter_map(|connection| {
                let load = connection.waiting()? + connection.state.exchanges.load(SeqCst);
                Some((connection.is_full(), load, connection))
            })
            .min_by_key(|(is_full, load, _)| (*is_full, *load));
        match least {
            Some((is_full, _, connection)) if !(is_full && may_grow) => {
                connection.give(order)?;
                Ok(connection.clone())
            }
            _ => Err(order),
        }
    }
}

impl ClientState {
    /// Finds a connection for a request, or makes one.
    pub(super) fn submit(self: &Arc<Self>, order: Box<Order>) {
        self.submit_all(std::iter::once(order));
    }

    /// The same for several. A connection is woken behind the last of its requests: awake, it would contend for every one of them.
    pub(super) fn submit_all(self: &Arc<Self>, orders: impl Iterator<Item = Box<Order>>) {
        let mut given: Option<Arc<PooledConnection>> = None;
        for order in orders {
            let Some(connection) = self.place(order) else {
                continue;
            };
            match &given {
                Some(one) if Arc::ptr_eq(one, &connection) => {}
                _ => {
                    if let Some(other) = given.replace(connection) {
                        other.state.idle();
                    }
                }
            }
        }
        if let Some(connection) = given {
            connection.state.idle();
        }
    }

    /// The connection that the request was given to, which is to be woken; `None`: it has none yet.
    fn place(self: &Arc<Self>, order: Box<Order>) -> Option<Arc<PooledConnection>> {
        if order.dedicated {
            self.dial_alone(order);
            return None;
        }
        match self.pool.place(order) {
            Placed::Given(connection) => return Some(connection),
            Placed::Waits => {}
            Placed::Refused(order) => self.fail(order.id, RequestError::Closed),
            Placed::Dial(target) => {
                let client = self.clone();
                tokio::spawn(async move {
                    match client.connect(&target).await {
                        Ok((connection, opening)) => {
                            client.pool.opened(&target, &connection);
                            client.run(connection, opening).await;
                        }
                        Err(error) => {
                            for order in client.pool.failed(&target) {
                                client.fail(order.id, RequestError::Dial(error.clone()));
                            }
                        }
                    }
                });
            }
        }
        None
    }

    /// The server allows a connection no more streams: what waits there looks for another one, if there may be one.
    pub(super) fn spread(self: &Arc<Self>, connection: &Arc<PooledConnection>) {
        let target = connection.orders().front().map(|order| order.target.clone());
        if target.is_some_and(|target| self.pool.may_grow(&target)) {
            for order in connection.take_waiting() {
                self.submit(order);
            }
        }
    }

    /// A connection for this request alone, which ends with it.
    fn dial_alone(self: &Arc<Self>, order: Box<Order>) {
        if self.pool.is_closed() {
            return self.fail(order.id, RequestError::Closed);
        }
        let client = self.clone();
        tokio::spawn(async move {
            match client.connect(&order.target).await {
                Ok((connection, opening)) => {
                    let _ = connection.give(order);
                    connection.seal();
                    client.run(connection, opening).await;
                }
                Err(error) => client.fail(order.id, RequestError::Dial(error)),
            }
        });
    }
}
