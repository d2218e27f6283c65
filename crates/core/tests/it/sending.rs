//! Requests of our client to our server.

use bytes::Bytes;
use trilane_core::client::{OutgoingBody, RequestError};
use trilane_core::{BodyMode, Exchange, ExchangeId, Notify, Stop};
use trilane_http3::Code;

use crate::caller::{Caller, caller, caller_of};
use crate::support::{
    Script, Setup, TestServer, answer, found, keeping, kept_id, next_id, soon, start, start_waiting, whole,
};
use std::time::Duration;

/// A server that sends the content of requests back.
fn echoing(setup: Setup) -> TestServer {
    start(
        setup,
        Script::new(|request, exchange| answer(exchange, whole(request))),
    )
}

/// A GET that has come to its server and is not answered: its name at the client, and at the server.
async fn unanswered() -> (TestServer, Caller, ExchangeId, ExchangeId) {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let caller = caller(&server);
    let id = caller.begin("GET", "/");
    let at_server = next_id(&ids).await;
    (server, caller, id, at_server)
}

#[tokio::test]
async fn a_request_gets_its_response_and_the_next_one_uses_the_same_connection() {
    let server = start(
        Setup::default(),
        Script::new(|request, exchange| {
            let text = String::from_utf8_lossy(request.head.path()).into_owned();
            exchange
                .respond(200, [(&b"x-a"[..], &b"1"[..])].into_iter(), text.into())
                .unwrap();
        }),
    );
    let caller = caller(&server);
    let heard = caller.get("/one?x=1").await;
    assert_eq!(
        (heard.status, heard.body.as_deref()),
        (200, Some(&b"/one?x=1"[..]))
    );
    assert!(heard.fields.contains(&("x-a".to_owned(), "1".to_owned())));
    assert_eq!(caller.get("/two").await.body.as_deref(), Some(&b"/two"[..]));
    assert_eq!(caller.client.stats().connections_total, 1);
    assert_eq!(caller.client.stats().requests, 2);
    found("no open request", || {
        (caller.client.stats().requests_active == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn trailers_behind_a_whole_response_come_with_it() {
    let (server, caller, id, at_server) = unanswered().await;
    let exchanges = server.server.exchanges();
    exchanges.start(at_server, 200, std::iter::empty()).unwrap();
    exchanges.write(at_server, "all".into(), Notify::Never).unwrap();
    let trailers = [(&b"x-sum"[..], &b"3"[..])].into_iter();
    exchanges.finish_with_trailers(at_server, trailers).unwrap();
    let heard = caller.response(id).await;
    match heard.body {
        Some(body) => {
            assert_eq!(&body[..], b"all");
            assert_eq!(heard.trailers, [("x-sum".to_owned(), "3".to_owned())]);
        }
        // The first piece left before the rest was written.
        None => assert_eq!(caller.rest(id).await, b"all"),
    }
}

#[tokio::test]
async fn many_requests_at_once_share_a_connection_beyond_the_servers_stream_limit() {
    let mut setup = Setup::default();
    setup.limits.max_concurrent_streams = 10;
    let server = echoing(setup);
    let caller = caller(&server);
    let ids: Vec<_> = (0..200)
        .map(|index| {
            let mut order = caller.order("POST", "/echo");
            order.body = OutgoingBody::Whole(Bytes::from(format!("body {index}")));
            caller.client.request(order).unwrap()
        })
        .collect();
    for (index, id) in ids.into_iter().enumerate() {
        let (status, body) = caller.body(id).await;
        assert_eq!((status, body), (200, format!("body {index}").into_bytes()));
    }
    assert_eq!(caller.client.stats().connections_total, 1);
}

#[tokio::test]
async fn a_large_body_goes_out_whole_and_comes_back_in_pieces() {
    let mut setup = Setup::default();
    setup.limits.max_body_bytes = 16 << 20;
    let server = echoing(setup);
    let caller = caller(&server);
    let body: Vec<u8> = (0..5_000_000_u32).map(|index| (index * 7) as u8).collect();
    let mut order = caller.order("POST", "/echo");
    order.body = OutgoingBody::Whole(body.clone().into());
    let id = caller.client.request(order).unwrap();
    assert!(caller.body(id).await == (200, body));
}

#[tokio::test]
async fn a_streamed_body_is_written_piece_by_piece() {
    let server = echoing(Setup::default());
    let caller = caller(&server);
    let mut order = caller.order("POST", "/echo");
    order.body = OutgoingBody::Streaming;
    let id = caller.client.request(order).unwrap();
    for piece in ["one, ", "two, ", "three"] {
        caller
            .client
            .exchanges()
            .write(id, piece.into(), Notify::Never)
            .unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    caller.client.exchanges().finish(id).unwrap();
    assert_eq!(caller.body(id).await, (200, b"one, two, three".to_vec()));
}

/// RFC9114-4.1.2-own-content-length
#[tokio::test]
async fn a_streamed_body_of_another_length_than_announced_is_no_request() {
    let (server, _ids) = start_waiting(BodyMode::Streaming);
    let caller = caller(&server);
    let mut order = caller.order("POST", "/");
    order.fields = &[(b"content-length", b"5")];
    order.body = OutgoingBody::Streaming;
    let id = caller.client.request(order).unwrap();
    caller
        .client
        .exchanges()
        .write(id, "abc".into(), Notify::Never)
        .unwrap();
    caller.client.exchanges().finish(id).unwrap();
    assert!(matches!(caller.failure(id).await, RequestError::BodyLength));
}

/// RFC9114-4.1.1-client-code
#[tokio::test]
async fn a_request_that_is_given_up_is_cancelled_at_the_server() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler.clone());
    let caller = caller(&server);
    let id = caller.begin("GET", "/");
    kept_id(&kept).await;
    caller
        .client
        .exchanges()
        .reset(id, Code::H3_REQUEST_CANCELLED)
        .unwrap();
    assert_eq!(handler.aborted().await, Some(Code::H3_REQUEST_CANCELLED.value()));
    assert_eq!(caller.client.stats().requests_active, 0);
}

/// RFC9114-4.1.1-partial-response
#[tokio::test]
async fn a_response_that_is_reset_is_never_taken_for_a_whole_one() {
    let (server, caller, id, at_server) = unanswered().await;
    let exchanges = server.server.exchanges();
    exchanges.start(at_server, 200, std::iter::empty()).unwrap();
    exchanges.write(at_server, "part".into(), Notify::Never).unwrap();
    assert_eq!(caller.response(id).await.body, None);
    let mut body = caller.client.exchanges().take_body(id).unwrap();
    assert_eq!(
        soon("a piece", body.next()).await.unwrap().as_deref(),
        Some(&b"part"[..])
    );
    exchanges.reset(at_server, Code::H3_INTERNAL_ERROR).unwrap();
    let error = soon("an error", body.next()).await.unwrap_err();
    assert_eq!(
        error,
        trilane_core::BodyError::Reset(Code::H3_INTERNAL_ERROR.value())
    );
}

/// RFC9114-4.1-complete-response-used
#[tokio::test]
async fn a_response_that_comes_before_the_request_has_ended_is_used() {
    let server = start(
        Setup {
            mode: BodyMode::Streaming,
            ..Setup::default()
        },
        Script::new(|_, exchange: Exchange| answer(exchange, "no need")),
    );
    let caller = caller(&server);
    let mut order = caller.order("POST", "/");
    order.body = OutgoingBody::Streaming;
    let id = caller.client.request(order).unwrap();
    let _ = caller
        .client
        .exchanges()
        .write(id, "some of it".into(), Notify::Never);
    assert_eq!(caller.body(id).await, (200, b"no need".to_vec()));
}

/// RFC9114-5.2-goaway-received, RFC9114-4.1.1-retry
#[tokio::test]
async fn a_server_that_stops_is_left_and_requests_under_way_are_finished() {
    let (server, caller, id, at_server) = unanswered().await;
    let stopping = tokio::spawn(server.server.stop(Stop::Graceful(Duration::from_secs(5))));
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.answer(at_server, "late");
    assert_eq!(caller.body(id).await, (200, b"late".to_vec()));
    soon("the stop", stopping).await.unwrap();
    caller.without_connections().await;
}

#[tokio::test]
async fn a_connection_that_is_lost_fails_its_requests() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let caller = caller(&server);
    let mut order = caller.order("POST", "/");
    order.body = OutgoingBody::Whole("x".into());
    let id = caller.client.request(order).unwrap();
    next_id(&ids).await;
    server.server.stop(Stop::Now).await;
    let RequestError::ConnectionLost(loss) = caller.failure(id).await else {
        panic!("another failure");
    };
    assert_eq!((loss.remote, loss.code), (true, Some(Code::H3_NO_ERROR.value())));
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_the_requests_that_wait_for_it() {
    let (server, _ids) = start_waiting(BodyMode::Buffered);
    server.server.stop(Stop::Now).await;
    let caller = caller_of(&server.certificate, server.address.port(), |config| {
        config.dial.connect_timeout = Duration::from_millis(500);
    });
    let ids: Vec<_> = (0..3).map(|_| caller.begin("GET", "/")).collect();
    for id in ids {
        assert!(matches!(caller.failure(id).await, RequestError::Dial(_)));
    }
}

#[tokio::test]
async fn a_response_that_does_not_come_in_time_is_given_up() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler.clone());
    let caller = caller_of(&server.certificate, server.address.port(), |config| {
        config.response_timeout = Some(Duration::from_millis(50));
    });
    let id = caller.begin("GET", "/");
    kept_id(&kept).await;
    assert!(matches!(caller.failure(id).await, RequestError::TimedOut));
    assert_eq!(handler.aborted().await, Some(Code::H3_REQUEST_CANCELLED.value()));
}

#[tokio::test]
async fn a_client_that_is_closed_finishes_what_is_under_way_and_takes_nothing_more() {
    let (server, caller, id, at_server) = unanswered().await;
    let closing = tokio::spawn(caller.client.close());
    let refused = caller.begin("GET", "/");
    assert!(matches!(caller.failure(refused).await, RequestError::Closed));
    server.answer(at_server, "done");
    assert_eq!(caller.body(id).await, (200, b"done".to_vec()));
    soon("the close", closing).await.unwrap();
    assert_eq!(caller.client.stats().connections_active, 0);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_and_one_with_a_slow_answer_is_not() {
    let mut setup = Setup::default();
    setup.limits.idle_timeout = Duration::from_millis(400);
    let (kept, handler) = keeping();
    let server = start(setup, handler);
    let caller = caller_of(&server.certificate, server.address.port(), |config| {
        config.dial.limits.idle_timeout = Duration::from_millis(400);
    });
    let id = caller.begin("GET", "/slow");
    let at_server = kept_id(&kept).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    server.answer(at_server, "at last");
    assert_eq!(caller.body(id).await, (200, b"at last".to_vec()));
    caller.without_connections().await;
    // Closed by us, not lost.
    let events = caller.ear.connections.lock().unwrap();
    assert!(events.iter().any(|(_, event)| matches!(
        event,
        trilane_core::ConnectionEvent::Closed(cause) if !cause.remote
    )));
}

/// RFC9114-3.3-origin-validated: the certificate may be good for both names, and is believed for both.
#[tokio::test]
async fn a_connection_is_used_for_its_own_origin_only() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange: Exchange| answer(exchange, "here")),
    );
    let caller = caller_of(&server.certificate, server.address.port(), |config| {
        config.dial.tls.trust = trilane_core::client::Trust::Insecure;
    });
    for host in ["localhost", "other.example", "localhost", "other.example"] {
        let mut order = caller.order("GET", "/");
        order.target = trilane_core::client::Target::new(host, server.address.port())
            .unwrap()
            .at(vec![server.address.ip()])
            .unwrap();
        let id = caller.client.request(order).unwrap();
        assert_eq!(caller.body(id).await.0, 200);
    }
    assert_eq!(caller.client.stats().connections_total, 2);
}
