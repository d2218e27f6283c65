//! The tree of segments that a router searches.

use super::RouteId;
use super::pattern::{Pattern, Segment};
use super::segment::SplitPath;

/// Patterns that share their first segments share their first nodes. Node 0 is the root.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    depth: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// Children by literal segment in normal form, sorted.
    literals: Vec<(Box<[u8]>, usize)>,
    parameter: Option<usize>,
    /// Routes that end here.
    here: Endpoint,
    /// Routes that take the rest of the path, if only an empty segment.
    rest: Endpoint,
}

/// What a route answers, or a request asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    /// Every method but CONNECT; only for a route.
    Any,
    /// This method.
    Method(&'a [u8]),
    /// An extended CONNECT with this `:protocol`.
    Connect(&'a [u8]),
}

/// The route that already answers what another wants to answer.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) first: RouteId,
}

/// The routes of one pattern.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    methods: Vec<(String, RouteId)>,
    connect: Vec<(String, RouteId)>,
    any: Option<RouteId>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            depth: 0,
        }
    }
}

impl Tree {
    /// How many segments the deepest node is from the root, at most `MAX_SEGMENTS`.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Where the routes of `pattern` belong; makes the nodes that are missing.
    pub(super) fn endpoint_mut(&mut self, pattern: &Pattern) -> &mut Endpoint {
        let mut node = 0;
        for (depth, segment) in pattern.segments().iter().enumerate() {
            node = match segment {
                Segment::Literal(literal) => self.literal_child(node, literal),
                Segment::Parameter(_) => self.parameter_child(node),
                Segment::Wildcard => return &mut self.nodes[node].rest,
            };
            self.depth = self.depth.max(depth + 1);
        }
        &mut self.nodes[node].here
    }

    /// Shows `visit` the endpoints that match `path`, the most specific first, until it returns something.
    pub(super) fn search<'t, T>(
        &'t self,
        path: &SplitPath<'_>,
        visit: &mut impl FnMut(&'t Endpoint) -> Option<T>,
    ) -> Option<T> {
        self.search_from(0, 0, path, visit)
    }

    /// Recursion is as deep as the deepest pattern, at most `MAX_SEGMENTS`.
    fn search_from<'t, T>(
        &'t self,
        node: usize,
        depth: usize,
        path: &SplitPath<'_>,
        visit: &mut impl FnMut(&'t Endpoint) -> Option<T>,
    ) -> Option<T> {
        let node = &self.nodes[node];
        if depth == path.count() {
            return visit(&node.here);
        }
        if let Ok(index) = node
            .literals
            .binary_search_by(|(literal, _)| path.compare(depth, literal).reverse())
        {
            let found = self.search_from(node.literals[index].1, depth + 1, path, visit);
            if found.is_some() {
                return found;
            }
        }
        if let Some(child) = node.parameter.filter(|_| !path.is_empty(depth)) {
            let found = self.search_from(child, depth + 1, path, visit);
            if found.is_some() {
                return found;
            }
        }
        visit(&node.rest)
    }

    fn literal_child(&mut self, node: usize, literal: &[u8]) -> usize {
        let new = self.nodes.len();
        let literals = &mut self.nodes[node].literals;
        match literals.binary_search_by(|(known, _)| (**known).cmp(literal)) {
            Ok(index) => literals[index].1,
            Err(index) => {
                literals.insert(index, (literal.into(), new));
                self.nodes.push(Node::default());
                new
            }
        }
    }

    fn parameter_child(&mut self, node: usize) -> usize {
        let new = self.nodes.len();
        let child = *self.nodes[node].parameter.get_or_insert(new);
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }
}

impl Endpoint {
    /// Lets `route` answer `key`, unless another route does.
    pub(super) fn insert(&mut self, key: Key<'_>, route: RouteId) -> Result<(), Conflict> {
        let taken = match key {
            Key::Any => self.any,
            Key::Method(method) => self.method(method),
            Key::Connect(protocol) => self.protocol(protocol),
        };
        if let Some(first) = taken {
            return Err(Conflict { first });
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        match key {
            Key::Any => self.any = Some(route),
            Key::Method(method) => self.methods.push((text(method), route)),
            Key::Connect(protocol) => self.connect.push((text(protocol), route)),
        }
        Ok(())
    }

    /// The route that answers a request for `key`.
    pub(super) fn route(&self, key: Key<'_>) -> Option<RouteId> {
        match key {
            Key::Any => self.any,
            // RFC9110-9.1-get-and-head, RFC9110-9.3.2-head-fields: HEAD is GET without the content.
            Key::Method(b"HEAD") => self.method(b"HEAD").or_else(|| self.method(b"GET")).or(self.any),
            Key::Method(method) => self.method(method).or(self.any),
            Key::Connect(protocol) => self.protocol(protocol),
        }
    }

    /// Appends the methods that are listed here.
    pub(super) fn collect_methods<'a>(&'a self, into: &mut Vec<&'a str>) {
        into.extend(self.methods.iter().map(|(method, _)| method.as_str()));
        if !self.connect.is_empty() {
            into.push("CONNECT");
        }
    }

    fn method(&self, method: &[u8]) -> Option<RouteId> {
        let found = self.methods.iter().find(|(known, _)| known.as_bytes() == method);
        found.map(|(_, route)| *route)
    }

    fn protocol(&self, protocol: &[u8]) -> Option<RouteId> {
        let found = self
            .connect
            .iter()
            .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(protocol));
        found.map(|(_, route)| *route)
    }
}
