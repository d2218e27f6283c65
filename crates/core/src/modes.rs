//! How requests of each route reach their handler.

use crate::router::RouteId;

/// How the body of a request reaches its handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyMode {
    /// Collected first, up to [`Limits::max_body_bytes`](crate::Limits::max_body_bytes).
    #[default]
    Buffered,
    /// Read by the handler, at its own pace, without a limit.
    Streaming,
}

/// The mode of each route, by id, and of the fallback.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    /// By route id; a route beyond the list is buffered.
    pub routes: Vec<BodyMode>,
    /// Of requests that no route matches.
    pub fallback: BodyMode,
}

impl Modes {
    pub(crate) fn of(&self, route: Option<RouteId>) -> BodyMode {
        match route {
            Some(route) => self.routes.get(route.0 as usize).copied().unwrap_or_default(),
            None => self.fallback,
        }
    }
}

/// Which routes begin WebTransport sessions, by route id.
#[derive(Clone, Debug, Default)]
pub struct SessionRoutes(pub Vec<bool>);

impl SessionRoutes {
    pub(crate) fn has(&self, route: Option<RouteId>) -> bool {
        route.is_some_and(|route| self.0.get(route.0 as usize).copied().unwrap_or(false))
    }

    /// Whether any does.
    pub(crate) fn any(&self) -> bool {
        self.0.contains(&true)
    }
}
