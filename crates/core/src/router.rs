//! Routing: which of the given routes answers a request.
//!
//! The routes are compiled once into a tree of segments. A lookup visits each node of the tree at most once,
//! because the depth of a node says which segment of the path it looks at: the routes bound the work, never
//! the path beyond one pass over its bytes.

use std::convert::Infallible;
use std::sync::Arc;

mod methods;
mod pattern;
mod segment;
#[cfg(test)]
mod tests;
mod tree;

pub use methods::{MethodError, Methods};
pub use pattern::{MAX_SEGMENTS, Pattern, PatternError, PatternProblem};

use methods::is_token;
use segment::SplitPath;
use tree::{Conflict, Key, Tree};

/// One line of the routing table.
#[derive(Clone, Debug)]
pub struct Route {
    /// The methods it answers.
    pub methods: Methods,
    /// The paths it answers.
    pub pattern: Pattern,
    /// The `:protocol` of the extended CONNECT it answers (RFC 9220 §3); needs CONNECT among the methods,
    /// whose other entries it does not concern. Compared without regard to ASCII case, as upgrade tokens are
    /// (RFC 9110 §7.8).
    pub protocol: Option<String>,
}

/// Which route: its index in the list given to [`Router::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// The bytes of one parameter in the path given to [`Router::find`], still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamSpan {
    /// Offset of its first byte.
    pub start: u32,
    /// Offset behind its last byte.
    pub end: u32,
}

/// What [`Router::find`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Match {
    /// This route answers.
    Route(RouteId),
    /// The path is known, the method is not: 405.
    MethodNotAllowed {
        /// Value of the `Allow` header (RFC 9110 §15.5.6): every method that a matching pattern answers,
        /// sorted.
        allow: String,
    },
    /// No route has this path: 404.
    NotFound,
    /// A plain CONNECT, or an extended one whose `:protocol` no route names: 501 unless a fallback answers
    /// (RFC 9220 §3).
    ProtocolNotSupported,
}

/// Why a list of routes was refused. Routes are counted from 0, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouterError {
    /// Two routes answer the same requests.
    #[error(
        "routes {first} and {second} both answer {method} {pattern:?}: remove one, or change its method or pattern \
         (names of parameters make no difference)"
    )]
    Duplicate {
        /// The earlier route.
        first: usize,
        /// The later route.
        second: usize,
        /// The method, with the protocol if the route has one.
        method: String,
        /// The pattern of the later route.
        pattern: String,
    },
    /// A protocol without CONNECT could never be asked for.
    #[error(
        "route {route} has the protocol {protocol:?} but not the method CONNECT: list the method \"CONNECT\""
    )]
    ProtocolWithoutConnect {
        /// The route.
        route: usize,
        /// Its protocol.
        protocol: String,
    },
    /// A plain CONNECT has no path (RFC 9114 §4.4), so no pattern can match it.
    #[error(
        "route {route} has the method CONNECT but no protocol: name the `:protocol` it answers, or remove CONNECT"
    )]
    ConnectWithoutProtocol {
        /// The route.
        route: usize,
    },
    /// A protocol that is no token.
    #[error("route {route} has the protocol {protocol:?}: expected a token such as \"connect-udp\"")]
    BadProtocol {
        /// The route.
        route: usize,
        /// Its protocol.
        protocol: String,
    },
    /// More routes than ids.
    #[error("more than 4294967295 routes: use patterns with parameters")]
    TooManyRoutes,
}

/// A compiled list of routes.
#[derive(Debug)]
pub struct Router {
    tree: Tree,
    /// As they were written, by route id.
    patterns: Vec<Arc<str>>,
    /// What each route takes from the path, by route id.
    captures: Vec<Captures>,
    /// Every `:protocol` that some route names.
    protocols: Vec<String>,
}

#[derive(Debug)]
struct Captures {
    names: Vec<String>,
    /// Indices of the segments, in the order of `names`.
    segments: Vec<usize>,
    /// Where the wildcard begins, if there is one.
    rest: Option<usize>,
}

impl Router {
    /// Compiles `routes`; their order has no influence on what matches.
    ///
    /// # Errors
    /// When two routes answer the same requests, or a route could never answer any.
    pub fn new(routes: Vec<Route>) -> Result<Self, RouterError> {
        let mut router = Self {
            tree: Tree::default(),
            patterns: Vec::with_capacity(routes.len()),
            captures: Vec::with_capacity(routes.len()),
            protocols: Vec::new(),
        };
        for (index, route) in routes.into_iter().enumerate() {
            check_protocol(index, &route)?;
            router.insert(index, route)?;
        }
        Ok(router)
    }

    /// Finds the route for a request. `path` is the `:path` pseudo-header, query included (it is not looked
    /// at).
    ///
    /// The most specific pattern wins: from the left, a literal segment beats a parameter, a parameter beats
    /// a wildcard. On one pattern a listed method beats GET standing in for HEAD (RFC 9110 §9.3.2), which
    /// beats `*`. If the most specific pattern does not answer the method, the next one is tried.
    ///
    /// An extended CONNECT with a known protocol and another path is `NotFound`, never `MethodNotAllowed`.
    /// `protocol` is ignored unless the method is CONNECT.
    ///
    /// `params` is emptied, then filled with one span for each of [`Self::param_names`]; reuse it, and
    /// nothing is allocated unless the answer is `MethodNotAllowed`. The spans are raw: they may hold `%2F`
    /// and, for a wildcard, `..` segments, so decode and check them before they become file names.
    pub fn find(
        &self,
        method: &[u8],
        protocol: Option<&[u8]>,
        path: &[u8],
        params: &mut Vec<ParamSpan>,
    ) -> Match {
        params.clear();
        let key = match (method, protocol) {
            (b"CONNECT", None) => return Match::ProtocolNotSupported,
            (b"CONNECT", Some(protocol)) if !self.knows_protocol(protocol) => {
                return Match::ProtocolNotSupported;
            }
            (b"CONNECT", Some(protocol)) => Key::Connect(protocol),
            (method, _) => Key::Method(method),
        };
        let Some(path) = SplitPath::new(path, self.tree.depth()) else {
            return Match::NotFound;
        };
        match self.tree.search(&path, &mut |endpoint| endpoint.route(key)) {
            Some(route) => {
                self.capture(route, &path, params);
                Match::Route(route)
            }
            None if matches!(key, Key::Connect(_)) => Match::NotFound,
            None => self.refuse(&path),
        }
    }

    /// The names of a route's parameters, in the order of the spans; a wildcard is called `*`.
    /// Empty for an id that is not of this router.
    pub fn param_names(&self, route: RouteId) -> &[String] {
        self.captures
            .get(route.0 as usize)
            .map_or(&[], |captures| &captures.names)
    }

    /// The pattern of a route; `None` for an id that is not of this router.
    pub fn pattern(&self, route: RouteId) -> Option<&Arc<str>> {
        self.patterns.get(route.0 as usize)
    }

    fn insert(&mut self, index: usize, route: Route) -> Result<(), RouterError> {
        let id = RouteId(u32::try_from(index).map_err(|_| RouterError::TooManyRoutes)?);
        let endpoint = self.tree.endpoint_mut(&route.pattern);
        for key in keys(&route) {
            endpoint
                .insert(key, id)
                .map_err(|Conflict { first }| duplicate(first, index, key, &route.pattern))?;
        }
        self.patterns.push(route.pattern.to_string().into());
        self.captures.push(Captures::of(&route.pattern));
        self.protocols.extend(route.protocol);
        Ok(())
    }

    fn knows_protocol(&self, protocol: &[u8]) -> bool {
        self.protocols
            .iter()
            .any(|known| known.as_bytes().eq_ignore_ascii_case(protocol))
    }

    fn capture(&self, route: RouteId, path: &SplitPath<'_>, params: &mut Vec<ParamSpan>) {
        let Some(captures) = self.captures.get(route.0 as usize) else {
            return;
        };
        params.extend(captures.segments.iter().map(|&index| path.span(index)));
        params.extend(captures.rest.map(|index| path.span_from(index)));
    }

    /// No route answers: says whether the path or the method is to blame.
    fn refuse(&self, path: &SplitPath<'_>) -> Match {
        let mut allowed = Vec::new();
        let never = self.tree.search(path, &mut |endpoint| {
            endpoint.collect_methods(&mut allowed);
            None::<Infallible>
        });
        debug_assert!(never.is_none());
        if allowed.is_empty() {
            return Match::NotFound;
        }
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        allowed.dedup();
        Match::MethodNotAllowed {
            allow: allowed.join(", "),
        }
    }
}

impl Captures {
    fn of(pattern: &Pattern) -> Self {
        let (segments, names): (Vec<_>, Vec<_>) = pattern.parameters().unzip();
        let rest = pattern.wildcard();
        let names = names
            .into_iter()
            .chain(rest.map(|_| "*"))
            .map(str::to_owned)
            .collect();
        Self {
            names,
            segments,
            rest,
        }
    }
}

/// The requests that one endpoint must map to `route`.
fn keys(route: &Route) -> impl Iterator<Item = Key<'_>> {
    let any = route.methods.is_any().then_some(Key::Any);
    let listed = route
        .methods
        .listed()
        .iter()
        .map(|method| match (method.as_str(), &route.protocol) {
            ("CONNECT", Some(protocol)) => Key::Connect(protocol.as_bytes()),
            (method, _) => Key::Method(method.as_bytes()),
        });
    any.into_iter().chain(listed)
}

fn check_protocol(index: usize, route: &Route) -> Result<(), RouterError> {
    let connect = route.methods.lists("CONNECT");
    match &route.protocol {
        None if connect => Err(RouterError::ConnectWithoutProtocol { route: index }),
        Some(protocol) if !is_token(protocol) => Err(RouterError::BadProtocol {
            route: index,
            protocol: protocol.clone(),
        }),
        Some(protocol) if !connect => Err(RouterError::ProtocolWithoutConnect {
            route: index,
            protocol: protocol.clone(),
        }),
        _ => Ok(()),
    }
}

fn duplicate(first: RouteId, second: usize, key: Key<'_>, pattern: &Pattern) -> RouterError {
    let method = match key {
        Key::Any => "*".to_owned(),
        Key::Method(method) => String::from_utf8_lossy(method).into_owned(),
        Key::Connect(protocol) => format!("CONNECT ({})", String::from_utf8_lossy(protocol)),
    };
    RouterError::Duplicate {
        first: first.0 as usize,
        second,
        method,
        pattern: pattern.to_string(),
    }
}
