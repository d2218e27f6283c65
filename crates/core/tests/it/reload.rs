//! Other routes for a server that runs.

use trilane_core::router::{Methods, Pattern, Route, Router};
use trilane_core::{Modes, ReloadError, Routing, SessionRoutes};

use crate::support::{Script, Setup, start};

fn routing(pattern: &str, is_session: bool, takes_datagrams: bool) -> Routing {
    let route = Route {
        methods: Methods::parse(&["GET"]).unwrap(),
        pattern: Pattern::parse(pattern).unwrap(),
        protocol: None,
    };
    Routing {
        router: Router::new(vec![route]).unwrap(),
        modes: Modes::default(),
        has_fallback: false,
        sessions: SessionRoutes(vec![is_session]),
        datagrams: vec![takes_datagrams],
    }
}

#[tokio::test]
async fn a_routing_that_nobody_uses_is_over_with_the_reload() {
    let script = Script::new(|_, _| {});
    let server = start(Setup::default(), script.clone());
    for number in 1..=1000 {
        assert_eq!(server.server.reload(routing("/", false, false)), Ok(number));
    }
    let over = script.routings_over.lock().unwrap().clone();
    assert_eq!(over, (0..1000).collect::<Vec<_>>());
}

/// RFC9114-7.2.4.2-early-data-settings
#[tokio::test]
async fn what_was_not_offered_cannot_be_reloaded() {
    let script = Script::new(|_, _| {});
    let server = start(Setup::default(), script.clone());
    let sessions = server.server.reload(routing("/", true, false));
    assert_eq!(sessions, Err(ReloadError::SessionsNotOffered));
    let datagrams = server.server.reload(routing("/", false, true));
    assert_eq!(datagrams, Err(ReloadError::DatagramsNotOffered));
    assert!(script.routings_over.lock().unwrap().is_empty());
    assert_eq!(server.server.reload(routing("/", false, false)), Ok(1));
}
