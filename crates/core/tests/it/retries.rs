//! When our client sends a request again, and when it does not.

use trilane_core::BodyError;
use trilane_core::Notify;
use trilane_core::client::{OutgoingBody, RequestError};

use crate::hostile_scene::{Ending, data, early_hints, ending, ok, serves_on};
use crate::raw::{End, frame, varint};
use crate::support::found;
use crate::villain::{Plot, Villain, control};

/// RFC9114-4.1.1-retry
#[tokio::test]
async fn a_request_that_is_rejected_is_sent_again() {
    for method in ["GET", "POST"] {
        let villain = Villain::start(Plot::answering(Vec::new(), End::Reset(0x10b)));
        let caller = villain.caller();
        let id = caller.begin(method, "/");
        assert!(matches!(ending(&caller, id).await, Ending::Response(200)));
        assert_eq!(
            (villain.connections(), caller.client.stats().requests_retried),
            (1, 1)
        );
    }
}

#[tokio::test]
async fn a_server_that_leaves_fails_its_request_whatever_it_says() {
    for code in [0x100, 0x102, 0x107, 0x10b, 0x110, 0, 0xabcd] {
        for answer in [Vec::new(), early_hints(), [ok(), data(b"part")].concat()] {
            let villain = Villain::start(Plot {
                leaves: Some(code),
                ..Plot::answering(answer, End::Open)
            });
            let caller = villain.caller();
            let id = caller.begin("GET", "/");
            let ending = ending(&caller, id).await;
            let is_right = match &ending {
                Ending::Failed(RequestError::ConnectionLost(loss)) => loss.remote && loss.code == Some(code),
                Ending::Cut(BodyError::ConnectionLost) => true,
                _ => false,
            };
            assert!(is_right, "{code:#x}: {ending:?}");
            serves_on(&villain, &caller, 2, "a server that leaves").await;
        }
    }
}

/// RFC9114-4.1-request-ended
#[tokio::test]
async fn a_request_is_ended_before_its_response_is_waited_for() {
    let villain = Villain::start(Plot::default());
    let caller = villain.caller();
    let id = caller.begin("GET", "/");
    // The villain answers behind the end of the request, and not before.
    assert!(matches!(ending(&caller, id).await, Ending::Response(200)));
    assert_eq!(villain.request().await[0], 1, "HEADERS");
}

/// RFC9114-5.2-goaway-received, RFC9114-4.1.1-retry
#[tokio::test]
async fn a_request_at_or_above_the_id_of_a_goaway_is_sent_elsewhere() {
    let villain = Villain::start(Plot {
        uni: vec![control(&frame(7, &[0]))],
        ..Plot::silent()
    });
    let caller = villain.caller();
    for method in ["GET", "POST"] {
        let id = caller.begin(method, "/");
        assert!(
            matches!(ending(&caller, id).await, Ending::Response(200)),
            "{method}"
        );
    }
    assert_eq!(villain.connections(), 2);
}

#[tokio::test]
async fn a_goaway_that_only_announces_itself_lets_the_request_be_answered() {
    let announce = varint((1 << 62) - 4);
    let villain = Villain::start(Plot {
        uni: vec![control(&frame(7, &announce))],
        ..Plot::default()
    });
    let caller = villain.caller();
    assert_eq!(caller.get("/").await.status, 200);
    serves_on(&villain, &caller, 2, "behind the announcement").await;
}

/// RFC9114-4.1-complete-response-used: the rest of the request is not wanted, its answer counts.
#[tokio::test]
async fn an_answer_that_comes_without_the_request_being_read_counts() {
    let villain = Villain::start(Plot {
        listens: false,
        ..Plot::default()
    });
    let caller = villain.caller();
    let mut order = caller.order("POST", "/");
    order.body = trilane_core::client::OutgoingBody::Whole(vec![0; 4 << 20].into());
    let id = caller.client.request(order).unwrap();
    assert!(matches!(ending(&caller, id).await, Ending::Response(200)));
    serves_on(&villain, &caller, 1, "a request that was not read").await;
}

/// RFC9114-5.4-lost-without-goaway: what may have been processed is not sent again on a fresh connection.
#[tokio::test]
async fn a_request_whose_connection_is_lost_without_goaway_is_not_sent_twice() {
    for method in ["GET", "POST"] {
        let villain = Villain::start(Plot {
            leaves: Some(0x100),
            ..Plot::silent()
        });
        let caller = villain.caller();
        let id = caller.begin(method, "/");
        let ending = ending(&caller, id).await;
        assert!(
            matches!(ending, Ending::Failed(RequestError::ConnectionLost(_))),
            "{method}: {ending:?}"
        );
        assert_eq!(
            (villain.connections(), caller.client.stats().requests_retried),
            (1, 0),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_always_rejected_is_sent_three_times() {
    let villain = Villain::start(Plot {
        times: usize::MAX,
        ..Plot::answering(Vec::new(), End::Reset(0x10b))
    });
    let caller = villain.caller();
    let id = caller.begin("GET", "/");
    let ending = ending(&caller, id).await;
    assert!(
        matches!(ending, Ending::Failed(RequestError::Rejected)),
        "{ending:?}"
    );
    assert_eq!((villain.connections(), villain.requests()), (1, 3));
}

#[tokio::test]
async fn a_streamed_body_is_not_sent_twice_and_its_error_says_so() {
    let goaway = vec![control(&frame(7, &[0]))];
    let cases = [
        Plot {
            listens: false,
            ..Plot::answering(Vec::new(), End::Reset(0x10b))
        },
        Plot {
            listens: false,
            uni: goaway,
            ..Plot::silent()
        },
    ];
    for plot in cases {
        let villain = Villain::start(plot);
        let caller = villain.caller();
        let mut order = caller.order("POST", "/");
        order.body = OutgoingBody::Streaming;
        let id = caller.client.request(order).unwrap();
        let _ = caller.client.exchanges().write(id, "piece".into(), Notify::Never);
        let ending = ending(&caller, id).await;
        let Ending::Failed(error @ (RequestError::RejectedStream | RequestError::GoneAway)) = &ending else {
            panic!("{ending:?}");
        };
        assert!(
            error.to_string().contains("cannot be sent a second time"),
            "{error}"
        );
        assert_eq!(caller.client.stats().requests_retried, 0);
    }
}

/// RFC9114-5.2-goaway-received: a pool over a server that answers one request on each connection. A request is sent three
/// times at most.
#[tokio::test]
async fn a_server_that_goes_away_again_and_again_loses_no_request() {
    let villain = Villain::start(Plot {
        uni: vec![control(&frame(7, &[4]))],
        every_connection: true,
        ..Plot::default()
    });
    let caller = villain.caller();
    let ids: Vec<_> = (0..3).map(|_| caller.begin("POST", "/")).collect();
    for id in ids {
        assert!(matches!(ending(&caller, id).await, Ending::Response(200)));
    }
    found("no connection", || {
        (caller.client.stats().connections_active == 0).then_some(())
    })
    .await;
}
