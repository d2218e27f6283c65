//! Patterns of routes and the paths that clients ask for.

use trilane_core::router::{Match, Methods, Pattern, Route, Router};

/// Routes beside those of the input, so that every kind of segment is there.
const FIXED: [&str; 6] = ["/", "/a/:b", "/a/:b/c", "/a/*", "/:x/%2f/:y", "/é"];

/// The input is a path, a line feed, and a pattern on each further line: compiling them and looking the path up never fails in
/// another way than by an error, and parameters are pieces of the path, in its order.
pub(crate) fn routes(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let path = lines.next().unwrap_or_default();
    let mut router = Router::new(FIXED.iter().filter_map(|text| route(text)).collect()).expect("they differ");
    find(&router, path);
    let own: Vec<Route> = lines
        .filter_map(|line| route(std::str::from_utf8(line).ok()?))
        .take(8)
        .collect();
    if let Ok(compiled) = Router::new(own) {
        router = compiled;
        find(&router, path);
    }
}

fn route(text: &str) -> Option<Route> {
    let pattern = Pattern::parse(text).ok()?;
    assert_eq!(pattern.as_str(), text);
    Some(Route {
        methods: Methods::parse(&["GET"]).expect("GET is a method"),
        pattern,
        protocol: None,
    })
}

fn find(router: &Router, path: &[u8]) {
    let mut params = Vec::new();
    let found = router.find(b"GET", None, path, &mut params);
    // A path beyond one pass is refused the same for every method.
    let refused = router.find(b"POST", None, path, &mut Vec::new());
    assert_eq!(
        matches!(found, Match::Route(_)),
        matches!(refused, Match::MethodNotAllowed { .. })
    );
    let Match::Route(id) = found else { return };
    assert_eq!(
        router.find(b"HEAD", None, path, &mut Vec::new()),
        Match::Route(id)
    );
    let names = router.param_names(id);
    assert_eq!(names.len(), params.len());
    let mut behind = 0;
    for (name, span) in names.iter().zip(&params) {
        assert!(behind <= span.start && span.start <= span.end && span.end as usize <= path.len());
        let text = &path[span.start as usize..span.end as usize];
        // A parameter is one whole segment; only the wildcard may be empty or hold slashes.
        assert!(name == "*" || !text.is_empty() && !text.contains(&b'/'));
        assert!(!text.contains(&b'?'));
        behind = span.end;
    }
}
