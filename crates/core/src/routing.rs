//! Where requests go, and how: all that a reload replaces, as one value.

use std::sync::{Arc, Mutex};

use crate::handler::Handler;
use crate::modes::{BodyMode, Modes, SessionRoutes};
use crate::router::{RouteId, Router};
use crate::sync::lock;

/// Which requests go to which route, and how they reach the handler.
#[derive(Debug)]
pub struct Routing {
    /// Which requests go to which route.
    pub router: Router,
    /// How bodies reach the handler.
    pub modes: Modes,
    /// Whether the handler takes requests that no route matches. If not, they are answered 404, 405 or 501.
    pub has_fallback: bool,
    /// Which routes begin WebTransport sessions; their method is CONNECT and their protocol `webtransport`.
    pub sessions: SessionRoutes,
    /// Whether the requests of each route take HTTP datagrams, by route id.
    pub datagrams: Vec<bool>,
}

/// Why a routing cannot take the place of another. Clients remember the SETTINGS of a server for their early data, and
/// connections that are open have been told: what was not offered from the start cannot be offered later
/// (RFC9114-7.2.4.2-early-data-settings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// A route takes WebTransport sessions, and the first routing had none that did.
    #[error(
        "no route took WebTransport sessions when the server was made, so its SETTINGS do not offer them, and clients may \
         rely on what they were told (RFC 9114 §7.2.4.2): make a new server, or have such a route from the start"
    )]
    SessionsNotOffered,
    /// A route takes HTTP datagrams, and the first routing had none that did.
    #[error(
        "no route took HTTP datagrams when the server was made, so its SETTINGS do not offer them, and clients may rely on \
         what they were told (RFC 9114 §7.2.4.2): make a new server, or have such a route from the start"
    )]
    DatagramsNotOffered,
}

/// A routing in use. It is over when no request that came while it was current is still on its way to the handler, which
/// hears of it then.
pub(crate) struct LiveRouting {
    number: u32,
    routing: Routing,
    handler: Arc<dyn Handler>,
}

impl LiveRouting {
    pub(crate) fn new(number: u32, mut routing: Routing, handler: Arc<dyn Handler>) -> Arc<Self> {
        add_sessions(&mut routing.datagrams, &routing.sessions);
        Arc::new(Self {
            number,
            routing,
            handler,
        })
    }

    /// Tells the routings of a server apart: 0 is the first, each reload counts on.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn router(&self) -> &Router {
        &self.routing.router
    }

    pub(crate) fn has_fallback(&self) -> bool {
        self.routing.has_fallback
    }

    pub(crate) fn mode(&self, route: Option<RouteId>) -> BodyMode {
        self.routing.modes.of(route)
    }

    pub(crate) fn is_session(&self, route: Option<RouteId>) -> bool {
        self.routing.sessions.has(route)
    }

    pub(crate) fn takes_datagrams(&self, route: Option<RouteId>) -> bool {
        route.is_some_and(|route| {
            self.routing
                .datagrams
                .get(route.0 as usize)
                .copied()
                .unwrap_or(false)
        })
    }
}

impl Drop for LiveRouting {
    fn drop(&mut self) {
        self.handler.routing_over(self.number);
    }
}

/// The routing for requests whose head arrives now. The lock is held for the time of a copy of the pointer.
pub(crate) struct CurrentRouting(Mutex<Arc<LiveRouting>>);

impl CurrentRouting {
    pub(crate) fn new(first: Arc<LiveRouting>) -> Self {
        Self(Mutex::new(first))
    }

    pub(crate) fn get(&self) -> Arc<LiveRouting> {
        lock(&self.0).clone()
    }

    /// Puts another in its place and returns its number.
    pub(crate) fn replace(&self, routing: Routing, handler: Arc<dyn Handler>) -> u32 {
        let mut current = lock(&self.0);
        let number = current.number.wrapping_add(1);
        let former = std::mem::replace(&mut *current, LiveRouting::new(number, routing, handler));
        drop(current);
        // Outside the lock: its end may be told to the handler.
        drop(former);
        number
    }
}

/// Sessions have datagrams.
pub(crate) fn add_sessions(datagrams: &mut Vec<bool>, sessions: &SessionRoutes) {
    let count = datagrams.len().max(sessions.0.len());
    datagrams.resize(count, false);
    for (route, is_session) in datagrams.iter_mut().zip(&sessions.0) {
        *route |= *is_session;
    }
}
