use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::*;

fn route(methods: &[&str], pattern: &str) -> Route {
    Route {
        methods: Methods::parse(methods).unwrap(),
        pattern: Pattern::parse(pattern).unwrap(),
        protocol: None,
    }
}

fn connect(protocol: &str, pattern: &str) -> Route {
    Route {
        protocol: Some(protocol.to_owned()),
        ..route(&["CONNECT"], pattern)
    }
}

fn gets(patterns: &[&str]) -> Router {
    Router::new(patterns.iter().map(|pattern| route(&["GET"], pattern)).collect()).unwrap()
}

/// The index of the route and the texts of its parameters.
fn find<'p>(router: &Router, method: &str, path: &'p str) -> Option<(u32, Vec<&'p str>)> {
    let mut params = Vec::new();
    match router.find(method.as_bytes(), None, path.as_bytes(), &mut params) {
        Match::Route(id) => {
            assert_eq!(params.len(), router.param_names(id).len());
            let text = |span: &ParamSpan| &path[span.start as usize..span.end as usize];
            Some((id.0, params.iter().map(text).collect()))
        }
        _ => {
            assert!(params.is_empty(), "nothing matched, so there are no parameters");
            None
        }
    }
}

fn allow(router: &Router, method: &str, path: &str) -> String {
    match router.find(method.as_bytes(), None, path.as_bytes(), &mut Vec::new()) {
        Match::MethodNotAllowed { allow } => allow,
        other => panic!("{method} {path}: {other:?}"),
    }
}

#[test]
fn the_most_specific_pattern_wins_whatever_the_order() {
    let mut patterns = [
        "/*",
        "/:a/:b",
        "/users/*",
        "/users/:id",
        "/users/me",
        "/:a/me",
        "/:a",
    ];
    for _ in 0..patterns.len() {
        patterns.rotate_left(1);
        let router = gets(&patterns);
        let winner = |path| find(&router, "GET", path).map(|(id, _)| patterns[id as usize]);
        assert_eq!(winner("/users/me"), Some("/users/me"));
        assert_eq!(winner("/users/7"), Some("/users/:id"));
        assert_eq!(winner("/users/7/x"), Some("/users/*"));
        assert_eq!(winner("/users/"), Some("/users/*"));
        assert_eq!(winner("/users"), Some("/:a"));
        assert_eq!(winner("/groups/me"), Some("/:a/me"));
        assert_eq!(winner("/groups/7"), Some("/:a/:b"));
        assert_eq!(winner("/groups/7/x"), Some("/*"));
        assert_eq!(winner("/"), Some("/*"));
    }
}

#[test]
fn a_literal_that_leads_nowhere_does_not_hide_a_parameter() {
    let router = gets(&["/a/b/c", "/a/:x/d", "/:y/b/e", "/a/*"]);
    assert_eq!(find(&router, "GET", "/a/b/c"), Some((0, vec![])));
    assert_eq!(find(&router, "GET", "/a/b/d"), Some((1, vec!["b"])));
    assert_eq!(find(&router, "GET", "/a/b/e"), Some((3, vec!["b/e"])));
    assert_eq!(find(&router, "GET", "/x/b/e"), Some((2, vec!["x"])));
}

#[test]
fn parameters_come_in_the_order_of_their_names_and_stay_encoded() {
    let router = gets(&["/:org/repo/:name/tree/*"]);
    assert_eq!(router.param_names(RouteId(0)), ["org", "name", "*"]);
    assert!(router.param_names(RouteId(1)).is_empty());
    let found = find(&router, "GET", "/a%2Fb/repo/%C3%A9/tree/src/x.rs?raw=1/2");
    assert_eq!(found, Some((0, vec!["a%2Fb", "%C3%A9", "src/x.rs"])));
    assert_eq!(
        find(&router, "GET", "/a/repo/b/tree/"),
        Some((0, vec!["a", "b", ""]))
    );
    assert_eq!(find(&router, "GET", "/a/repo/b/tree"), None);
}

#[test]
fn a_parameter_never_matches_an_empty_segment() {
    let router = gets(&["/a/:b", "/a/:b/c"]);
    assert_eq!(find(&router, "GET", "/a/"), None);
    assert_eq!(find(&router, "GET", "/a//c"), None);
    assert_eq!(find(&router, "GET", "//b"), None);
    assert_eq!(find(&router, "GET", "/a/?b"), None);
}

#[test]
fn a_trailing_slash_counts() {
    let router = gets(&["/a", "/b/", "/"]);
    assert_eq!(find(&router, "GET", "/a"), Some((0, vec![])));
    assert_eq!(find(&router, "GET", "/a/"), None);
    assert_eq!(find(&router, "GET", "/b"), None);
    assert_eq!(find(&router, "GET", "/b/"), Some((1, vec![])));
    assert_eq!(find(&router, "GET", "/"), Some((2, vec![])));
    assert_eq!(find(&router, "GET", "//"), None);
}

#[test]
fn the_query_is_not_part_of_the_path() {
    let router = gets(&["/a", "/:x/b", "/"]);
    assert_eq!(find(&router, "GET", "/a?/b"), Some((0, vec![])));
    assert_eq!(find(&router, "GET", "/q?r/b"), None);
    assert_eq!(find(&router, "GET", "/?"), Some((2, vec![])));
    assert_eq!(find(&router, "GET", "/q%3Fr/b"), Some((1, vec!["q%3Fr"])));
}

/// RFC 3986 §6.2.2.
#[test]
fn literals_match_in_every_equivalent_spelling() {
    let router = gets(&["/~a b/x", "/a%2fb", "/a/b", "/caf\u{e9}"]);
    assert_eq!(find(&router, "GET", "/%7ea%20b/%78"), Some((0, vec![])));
    assert_eq!(find(&router, "GET", "/a%2Fb"), Some((1, vec![])));
    assert_eq!(find(&router, "GET", "/%61/b"), Some((2, vec![])));
    assert_eq!(find(&router, "GET", "/caf%c3%a9"), Some((3, vec![])));
    assert_eq!(find(&router, "GET", "/A/b"), None, "paths are case-sensitive");
    assert_eq!(find(&router, "GET", "/%2561/b"), None, "decoded once only");
}

#[test]
fn what_is_no_path_matches_nothing() {
    let router = gets(&["/*", "/"]);
    for path in ["", "*", "a", "https://a/", "?", "%2F"] {
        assert_eq!(find(&router, "GET", path), None, "{path:?}");
    }
    assert_eq!(
        Router::new(Vec::new())
            .unwrap()
            .find(b"GET", None, b"/", &mut Vec::new()),
        Match::NotFound
    );
}

/// RFC 9110 §9.3.2.
/// RFC9110-9.1-get-and-head
#[test]
fn head_falls_back_to_get_on_the_same_pattern() {
    let router = Router::new(vec![
        route(&["GET"], "/a"),
        route(&["GET"], "/b"),
        route(&["HEAD"], "/b"),
        route(&["GET"], "/c"),
        route(&["*"], "/c"),
        route(&["POST"], "/d"),
        route(&["GET"], "/*"),
    ])
    .unwrap();
    let head = |path| find(&router, "HEAD", path).map(|(id, _)| id);
    assert_eq!(head("/a"), Some(0));
    assert_eq!(head("/b"), Some(2));
    assert_eq!(head("/c"), Some(3));
    assert_eq!(
        head("/d"),
        Some(6),
        "a POST route does not hide the GET of a wildcard"
    );
}

#[test]
fn a_listed_method_beats_any() {
    let router = Router::new(vec![route(&["*"], "/a"), route(&["PUT", "POST"], "/a")]).unwrap();
    assert_eq!(find(&router, "POST", "/a"), Some((1, vec![])));
    assert_eq!(find(&router, "BREW", "/a"), Some((0, vec![])));
    assert_eq!(
        find(&router, "post", "/a"),
        Some((0, vec![])),
        "methods are case-sensitive (RFC 9110 §9.1)"
    );
}

#[test]
fn a_less_specific_pattern_answers_a_method_that_the_most_specific_does_not() {
    let router = Router::new(vec![
        route(&["GET"], "/users/me"),
        route(&["PUT"], "/users/:id"),
        route(&["DELETE"], "/*"),
    ])
    .unwrap();
    assert_eq!(find(&router, "PUT", "/users/me"), Some((1, vec!["me"])));
    assert_eq!(find(&router, "DELETE", "/users/me"), Some((2, vec!["users/me"])));
}

/// RFC 9110 §15.5.6.
#[test]
fn allow_lists_every_method_of_every_pattern_that_matches() {
    let router = Router::new(vec![
        route(&["PUT", "GET"], "/a"),
        route(&["POST", "GET"], "/:x"),
        route(&["DELETE"], "/b"),
        connect("connect-udp", "/b"),
    ])
    .unwrap();
    assert_eq!(allow(&router, "PATCH", "/a"), "GET, HEAD, POST, PUT");
    assert_eq!(allow(&router, "PATCH", "/z"), "GET, HEAD, POST");
    assert_eq!(allow(&router, "PATCH", "/b"), "CONNECT, DELETE, GET, HEAD, POST");
    assert_eq!(find(&router, "PATCH", "/a/b"), None);
    assert_eq!(
        router.find(b"PATCH", None, b"/a/b", &mut Vec::new()),
        Match::NotFound
    );
}

/// RFC 9220 §3.
#[test]
fn a_connect_that_no_route_names_is_not_supported() {
    let router = Router::new(vec![
        connect("connect-udp", "/udp/:host/:port"),
        connect("webtransport", "/udp/:host/:port"),
        connect("webtransport", "/wt"),
        route(&["*"], "/*"),
    ])
    .unwrap();
    let find = |protocol: Option<&str>, path: &str| {
        router.find(
            b"CONNECT",
            protocol.map(str::as_bytes),
            path.as_bytes(),
            &mut Vec::new(),
        )
    };
    assert_eq!(find(Some("connect-udp"), "/udp/h/1"), Match::Route(RouteId(0)));
    assert_eq!(find(Some("webtransport"), "/udp/h/1"), Match::Route(RouteId(1)));
    assert_eq!(
        find(Some("WebTransport"), "/wt?a"),
        Match::Route(RouteId(2)),
        "RFC 9110 §7.8"
    );
    assert_eq!(
        find(Some("connect-udp"), "/wt"),
        Match::NotFound,
        "known protocol, other path"
    );
    assert_eq!(find(Some("connect-ip"), "/wt"), Match::ProtocolNotSupported);
    assert_eq!(find(None, ""), Match::ProtocolNotSupported);
    assert_eq!(find(None, "/wt"), Match::ProtocolNotSupported);
}

#[test]
fn a_protocol_concerns_only_the_connect_of_its_route() {
    let both = Route {
        protocol: Some("chat".to_owned()),
        ..route(&["GET", "CONNECT"], "/chat")
    };
    let router = Router::new(vec![both]).unwrap();
    assert_eq!(find(&router, "GET", "/chat"), Some((0, vec![])));
    assert_eq!(
        router.find(b"CONNECT", Some(b"chat"), b"/chat", &mut Vec::new()),
        Match::Route(RouteId(0))
    );
}

#[test]
fn two_routes_for_the_same_requests_are_refused() {
    let error = Router::new(vec![
        route(&["GET"], "/"),
        route(&["GET", "PUT"], "/users/:id"),
        route(&["POST", "PUT"], "/%75sers/:name"),
    ])
    .unwrap_err();
    assert_eq!(
        error,
        RouterError::Duplicate {
            first: 1,
            second: 2,
            method: "PUT".to_owned(),
            pattern: "/%75sers/:name".to_owned()
        }
    );
    assert!(
        error.to_string().contains("routes 1 and 2 both answer PUT"),
        "{error}"
    );
    assert!(Router::new(vec![route(&["*"], "/*"), route(&["*"], "/*")]).is_err());
    assert!(Router::new(vec![connect("a", "/"), connect("A", "/")]).is_err());
    assert!(Router::new(vec![connect("a", "/"), connect("b", "/"), route(&["*"], "/")]).is_ok());
}

#[test]
fn a_route_that_could_never_answer_is_refused() {
    let without = Router::new(vec![route(&["CONNECT"], "/")]).unwrap_err();
    assert_eq!(without, RouterError::ConnectWithoutProtocol { route: 0 });
    for methods in [&["GET"], &["*"]] {
        let route = Route {
            protocol: Some("x".to_owned()),
            ..route(methods, "/")
        };
        let error = Router::new(vec![route]).unwrap_err();
        assert_eq!(
            error,
            RouterError::ProtocolWithoutConnect {
                route: 0,
                protocol: "x".to_owned()
            }
        );
    }
    let error = Router::new(vec![connect("two words", "/")]).unwrap_err();
    assert_eq!(
        error,
        RouterError::BadProtocol {
            route: 0,
            protocol: "two words".to_owned()
        }
    );
}

#[test]
fn the_vector_is_emptied_and_used_again() {
    let router = gets(&["/:a/:b"]);
    let mut params = Vec::with_capacity(2);
    let pointer = params.as_ptr();
    for _ in 0..3 {
        assert_eq!(
            router.find(b"GET", None, b"/x/y", &mut params),
            Match::Route(RouteId(0))
        );
        assert_eq!(
            params,
            [ParamSpan { start: 1, end: 2 }, ParamSpan { start: 3, end: 4 }]
        );
        assert_eq!(params.as_ptr(), pointer);
    }
}

/// Compares the tree with a search that tries every pattern, on every path of up to three segments.
#[test]
fn the_tree_agrees_with_trying_every_pattern() {
    let patterns = sequences(&["a", "b", ":", "*"], |parts| {
        !parts[..parts.len() - 1].contains(&"*")
    });
    let paths = sequences(&["a", "b", "c", ""], |_| true);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..200 {
        let mut chosen = Vec::new();
        for pattern in &patterns {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if random >> 62 == 0 {
                chosen.push(pattern);
            }
        }
        let texts: Vec<String> = chosen.iter().map(|parts| named(parts)).collect();
        let router = gets(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for path in &paths {
            let matching = (0..chosen.len()).filter(|&index| matches(chosen[index], path));
            let expected = matching.min_by_key(|&index| ranks(chosen[index]));
            let text = format!("/{}", path.join("/"));
            let found = find(&router, "GET", &text).map(|(id, _)| id as usize);
            assert_eq!(found, expected, "{text} among {texts:?}");
        }
    }
}

fn sequences(parts: &[&'static str], keep: fn(&[&str]) -> bool) -> Vec<Vec<&'static str>> {
    let mut all: Vec<Vec<&'static str>> = Vec::new();
    let mut last = vec![Vec::new()];
    for _ in 0..3 {
        let longer = |shorter: &Vec<&'static str>| -> Vec<Vec<&'static str>> {
            parts
                .iter()
                .map(|part| [shorter.as_slice(), &[*part]].concat())
                .collect()
        };
        last = last
            .iter()
            .flat_map(longer)
            .filter(|sequence| keep(sequence))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn named(parts: &[&str]) -> String {
    let name = |(index, part): (usize, &&str)| {
        if *part == ":" {
            format!("/:p{index}")
        } else {
            format!("/{part}")
        }
    };
    parts.iter().enumerate().map(name).collect()
}

fn matches(pattern: &[&str], path: &[&str]) -> bool {
    let one = |(pattern, segment): (&&str, &&str)| match *pattern {
        ":" => !segment.is_empty(),
        "*" => true,
        literal => literal == *segment,
    };
    let long_enough = match pattern.last() {
        Some(&"*") => path.len() >= pattern.len(),
        _ => path.len() == pattern.len(),
    };
    long_enough && pattern.iter().zip(path).all(one)
}

fn ranks(pattern: &[&str]) -> Vec<Reverse<u8>> {
    let rank = |part: &&str| {
        Reverse(if *part == "*" {
            0
        } else {
            1 + u8::from(*part != ":")
        })
    };
    pattern.iter().map(rank).collect()
}

/// Every node of the tree can be reached by this path, and every comparison is with a long escaped segment.
#[test]
fn a_hostile_path_costs_no_more_than_the_table() {
    let depth = 6;
    let shapes = (0..64_u32).map(|bits| {
        let part = |level: u32| {
            if bits >> level & 1 == 0 {
                "/a".to_owned()
            } else {
                format!("/:p{level}")
            }
        };
        (0..depth).map(part).collect::<String>()
    });
    let mut patterns: Vec<String> = shapes.map(|shape| shape + "/:q/end").collect();
    patterns.extend((0..36).map(|index| format!("/a/:x/{index}/:y/a")));
    let router = gets(&patterns.iter().map(String::as_str).collect::<Vec<_>>());

    let prefix = "/a".repeat(depth as usize);
    let hostile = [
        "/a".repeat(4096),
        "/".repeat(8192),
        prefix.clone() + "/" + &"%61".repeat(2700) + "/no",
        prefix.clone() + "/a/" + &"%65".repeat(2700),
        prefix + "/" + &"%".repeat(8192),
    ];
    let nodes = 1 + patterns
        .iter()
        .map(|pattern| pattern.matches('/').count())
        .sum::<usize>();
    let mut params = Vec::new();
    let begin = Instant::now();
    for path in &hostile {
        let mut visits = 0;
        let split = SplitPath::new(path.as_bytes(), router.tree.depth()).unwrap();
        let found = router.tree.search(&split, &mut |_| {
            visits += 1;
            None::<Infallible>
        });
        assert!(
            found.is_none() && visits <= nodes,
            "{visits} visits, {nodes} nodes at most"
        );
        for _ in 0..20 {
            assert_eq!(
                router.find(b"GET", None, path.as_bytes(), &mut params),
                Match::NotFound
            );
        }
    }
    let each = begin.elapsed() / 100;
    assert!(
        each < Duration::from_millis(5),
        "a lookup took {each:?} in a debug build"
    );
}
