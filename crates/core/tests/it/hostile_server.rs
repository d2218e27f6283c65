//! What our client does when a server breaks the rules: the reach that the standard names, a reason for the request, and the
//! next request is served.

use std::time::Duration;

use trilane_core::client::RequestError;
use trilane_core::{BodyError, ExchangeId};

use crate::caller::Caller;
use crate::raw::{End, frame, headers, varint};
use crate::support::soon;
use crate::villain::{Plot, Villain, control};

const STREAM_CREATION_ERROR: u64 = 0x103;
const CLOSED_CRITICAL_STREAM: u64 = 0x104;
const FRAME_UNEXPECTED: u64 = 0x105;
const FRAME_ERROR: u64 = 0x106;
const DATAGRAM_ERROR: u64 = 0x33;
const EXCESSIVE_LOAD: u64 = 0x107;
const ID_ERROR: u64 = 0x108;
const SETTINGS_ERROR: u64 = 0x109;
const MISSING_SETTINGS: u64 = 0x10a;
const REQUEST_CANCELLED: u64 = 0x10c;
const MESSAGE_ERROR: u64 = 0x10e;
const ENCODER_STREAM_ERROR: u64 = 0x201;
const DECODER_STREAM_ERROR: u64 = 0x202;
const DECOMPRESSION_FAILED: u64 = 0x200;

fn ok() -> Vec<u8> {
    headers(&[(":status", "200")])
}

fn early_hints() -> Vec<u8> {
    headers(&[(":status", "103"), ("link", "</a>")])
}

fn trailers() -> Vec<u8> {
    headers(&[("x-sum", "1")])
}

fn data(content: &[u8]) -> Vec<u8> {
    frame(0, content)
}

/// How the request to a villain ends.
#[derive(Debug)]
enum Ending {
    Response(u16),
    /// The head came, the body did not.
    Cut(BodyError),
    Failed(RequestError),
}

async fn ending(caller: &Caller, id: ExchangeId) -> Ending {
    match caller.outcome(id).await {
        Err(error) => return Ending::Failed(error),
        Ok(heard) if heard.body.is_some() => return Ending::Response(heard.status),
        Ok(_) => {}
    }
    let mut body = caller.client.exchanges().take_body(id).unwrap();
    loop {
        match soon("the end of a body", body.next()).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ending::Response(200),
            Err(error) => return Ending::Cut(error),
        }
    }
}

/// After whatever happened, a request is served, on a connection of this number.
async fn serves_on(villain: &Villain, caller: &Caller, connections: usize, case: &str) {
    let heard = caller.get("/next").await;
    assert_eq!(heard.status, 200, "{case}");
    assert_eq!(villain.connections(), connections, "{case}: connections");
    assert_eq!(caller.client.stats().requests_active, 0, "{case}: open requests");
}

fn is_protocol(ending: &Ending) -> bool {
    matches!(
        ending,
        Ending::Failed(RequestError::Malformed(_)) | Ending::Cut(BodyError::Malformed { .. })
    )
}

/// RFC9114-4.1.2-malformed-response, RFC9114-4.1-response-incomplete, RFC9114-10.3-response-fields,
/// RFC9114-4.1-second-response
#[tokio::test]
async fn a_malformed_response_fails_its_request_and_the_connection_goes_on() {
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("nothing at all", vec![]),
        ("only an interim response", vec![early_hints()]),
        ("no status", vec![headers(&[("server", "x")])]),
        ("a status of two digits", vec![headers(&[(":status", "20")])]),
        ("a status that is no number", vec![headers(&[(":status", "2xx")])]),
        ("status 101", vec![headers(&[(":status", "101")])]),
        (
            "two statuses",
            vec![headers(&[(":status", "200"), (":status", "200")])],
        ),
        (
            "a status behind a field",
            vec![headers(&[("a", "b"), (":status", "200")])],
        ),
        (
            "a pseudo-header of requests",
            vec![headers(&[(":status", "200"), (":path", "/")])],
        ),
        (
            "an unknown pseudo-header",
            vec![headers(&[(":status", "200"), (":x", "1")])],
        ),
        (
            "an upper-case name",
            vec![headers(&[(":status", "200"), ("Server", "x")])],
        ),
        (
            "a name with a space",
            vec![headers(&[(":status", "200"), ("a b", "x")])],
        ),
        ("an empty name", vec![headers(&[(":status", "200"), ("", "x")])]),
        (
            "a line feed in a value",
            vec![headers(&[(":status", "200"), ("a", "x\ny")])],
        ),
        (
            "a NUL in a value",
            vec![headers(&[(":status", "200"), ("a", "x\0y")])],
        ),
        (
            "connection",
            vec![headers(&[(":status", "200"), ("connection", "close")])],
        ),
        (
            "transfer-encoding",
            vec![headers(&[(":status", "200"), ("transfer-encoding", "chunked")])],
        ),
        (
            "a malformed interim response",
            vec![headers(&[(":status", "103"), ("A", "b")]), ok()],
        ),
        (
            "two lengths",
            vec![
                headers(&[(":status", "200"), ("content-length", "1, 2")]),
                data(b"x"),
            ],
        ),
        (
            "a length that is no number",
            vec![headers(&[(":status", "200"), ("content-length", "-1")])],
        ),
        (
            "less than content-length",
            vec![
                headers(&[(":status", "200"), ("content-length", "3")]),
                data(b"x"),
            ],
        ),
        (
            "more than content-length",
            vec![
                headers(&[(":status", "200"), ("content-length", "1")]),
                data(b"xyz"),
            ],
        ),
        (
            "204 with content",
            vec![headers(&[(":status", "204")]), data(b"x")],
        ),
        (
            "304 with content",
            vec![headers(&[(":status", "304")]), data(b"x")],
        ),
        ("a second response", vec![ok(), data(b"x"), ok()]),
        (
            "an interim response behind the final one",
            vec![ok(), early_hints()],
        ),
        (
            "a pseudo-header in trailers",
            vec![ok(), data(b"x"), headers(&[("a", "b"), (":path", "/")])],
        ),
    ];
    for (case, frames) in cases {
        let villain = Villain::start(Plot::answering(frames.concat(), End::Fin));
        let caller = villain.caller();
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let ending = ending(&caller, id).await;
        assert!(is_protocol(&ending), "{case}: {ending:?}");
        serves_on(&villain, &caller, 1, case).await;
    }
}

/// The reset of an answer that is not at its end carries the code.
#[tokio::test]
async fn the_server_is_told_by_a_stop_with_the_code() {
    let cases = [
        (
            "malformed",
            headers(&[(":status", "200"), ("A", "b")]),
            MESSAGE_ERROR,
        ),
        (
            "too large",
            headers(&[(":status", "200"), ("a", &"x".repeat(100_000))]),
            EXCESSIVE_LOAD,
        ),
        ("given up", Vec::new(), REQUEST_CANCELLED),
    ];
    for (case, bytes, code) in cases {
        let villain = Villain::start(Plot::answering(bytes, End::Open));
        let caller = villain.caller_with(|config| config.response_timeout = Some(Duration::from_millis(500)));
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let ending = ending(&caller, id).await;
        let is_right = match case {
            "malformed" => is_protocol(&ending),
            "too large" => matches!(ending, Ending::Failed(RequestError::HeadTooLarge)),
            _ => matches!(ending, Ending::Failed(RequestError::TimedOut)),
        };
        assert!(is_right, "{case}: {ending:?}");
        assert_eq!(villain.stopped().await, code, "{case}");
        serves_on(&villain, &caller, 1, case).await;
    }
}

/// RFC9114-4.1-data-before-head, RFC9114-4.1-data-after-interim, RFC9114-7.1-truncated-response,
/// RFC9114-7.2.5-push-promise-not-allowed
#[tokio::test]
async fn a_breach_in_a_response_that_reaches_the_connection_closes_it() {
    let cut = {
        let whole = [ok(), data(b"xyz")].concat();
        whole[..whole.len() - 1].to_vec()
    };
    let cases: Vec<(&str, Vec<u8>, u64)> = vec![
        ("DATA first", [data(b"x"), ok()].concat(), FRAME_UNEXPECTED),
        (
            "DATA behind an interim response",
            [early_hints(), data(b"x")].concat(),
            FRAME_UNEXPECTED,
        ),
        (
            "DATA behind trailers",
            [ok(), data(b"x"), trailers(), data(b"y")].concat(),
            FRAME_UNEXPECTED,
        ),
        (
            "HEADERS behind trailers",
            [ok(), data(b"x"), trailers(), trailers()].concat(),
            FRAME_UNEXPECTED,
        ),
        ("an end inside HEADERS", ok()[..4].to_vec(), FRAME_ERROR),
        ("an end inside DATA", cut, FRAME_ERROR),
        ("an end inside a frame type", vec![0x40], FRAME_ERROR),
        ("PUSH_PROMISE", [frame(5, &[0, 0, 0]), ok()].concat(), ID_ERROR),
        ("CANCEL_PUSH", [frame(3, &[0]), ok()].concat(), FRAME_UNEXPECTED),
        ("SETTINGS", [frame(4, &[]), ok()].concat(), FRAME_UNEXPECTED),
        ("GOAWAY", [ok(), frame(7, &[0])].concat(), FRAME_UNEXPECTED),
        ("MAX_PUSH_ID", [ok(), frame(0xd, &[0])].concat(), FRAME_UNEXPECTED),
        (
            "PRIORITY of HTTP/2",
            [ok(), frame(2, &[0])].concat(),
            FRAME_UNEXPECTED,
        ),
        (
            "PING of HTTP/2",
            [frame(6, &[0]), ok()].concat(),
            FRAME_UNEXPECTED,
        ),
        (
            "a reference to the dynamic table",
            frame(1, &[0, 0, 0x80]),
            DECOMPRESSION_FAILED,
        ),
        (
            "a section that needs insertions",
            frame(1, &[2, 0, 0xc0]),
            DECOMPRESSION_FAILED,
        ),
    ];
    for (case, bytes, code) in cases {
        let villain = Villain::start(Plot::answering(bytes, End::Fin));
        let caller = villain.caller();
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let ending = ending(&caller, id).await;
        assert!(is_protocol(&ending), "{case}: {ending:?}");
        assert_eq!(villain.closed().await, code, "{case}");
        serves_on(&villain, &caller, 2, case).await;
    }
}

/// RFC9114-6.2.1-first-frame, RFC9114-7.2.4-settings-repeated, RFC9114-6.2.2-push-on-client, RFC9114-5.2-goaway-grows,
/// RFC9114-7.2.6-goaway-id, RFC9114-6.1-server-stream
#[tokio::test]
async fn a_breach_on_a_stream_of_the_server_closes_the_connection_and_says_why() {
    let uni = |streams: Vec<(Vec<u8>, End)>| Plot {
        uni: streams,
        ..Plot::silent()
    };
    let on_control = |more: &[u8]| uni(vec![control(more)]);
    let settings = |payload: &[u8]| uni(vec![([&[0], &frame(4, payload)[..]].concat(), End::Open)]);
    let cases: Vec<(&str, Plot, u64)> = vec![
        (
            "no SETTINGS first",
            uni(vec![([&[0], &frame(7, &[0])[..]].concat(), End::Open)]),
            MISSING_SETTINGS,
        ),
        (
            "an unknown frame first",
            uni(vec![([&[0], &frame(0x21, &[])[..]].concat(), End::Open)]),
            MISSING_SETTINGS,
        ),
        ("a second SETTINGS", on_control(&frame(4, &[])), FRAME_UNEXPECTED),
        ("DATA", on_control(&data(b"x")), FRAME_UNEXPECTED),
        ("HEADERS", on_control(&ok()), FRAME_UNEXPECTED),
        (
            "PUSH_PROMISE",
            on_control(&frame(5, &[0, 0, 0])),
            FRAME_UNEXPECTED,
        ),
        ("MAX_PUSH_ID", on_control(&frame(0xd, &[0])), FRAME_UNEXPECTED),
        ("CANCEL_PUSH", on_control(&frame(3, &[0])), ID_ERROR),
        (
            "a frame of HTTP/2",
            on_control(&frame(6, &[0; 8])),
            FRAME_UNEXPECTED,
        ),
        (
            "PRIORITY_UPDATE",
            on_control(&frame(0xf0700, &[0])),
            FRAME_UNEXPECTED,
        ),
        ("a setting of HTTP/2", settings(&[3, 1]), SETTINGS_ERROR),
        ("a setting twice", settings(&[8, 1, 8, 1]), SETTINGS_ERROR),
        ("a setting that is no switch", settings(&[8, 2]), SETTINGS_ERROR),
        ("SETTINGS cut short", settings(&[8]), FRAME_ERROR),
        (
            "SETTINGS without end",
            uni(vec![([&[0, 4], &varint(1 << 20)[..]].concat(), End::Open)]),
            EXCESSIVE_LOAD,
        ),
        (
            "a control stream that ends",
            uni(vec![(control(&[]).0, End::Fin)]),
            CLOSED_CRITICAL_STREAM,
        ),
        (
            "a control stream that is reset",
            uni(vec![(control(&[]).0, End::Reset(0x100))]),
            CLOSED_CRITICAL_STREAM,
        ),
        (
            "two control streams",
            uni(vec![control(&[]), control(&[])]),
            STREAM_CREATION_ERROR,
        ),
        (
            "two encoder streams",
            uni(vec![control(&[]), (vec![2], End::Open), (vec![2], End::Open)]),
            STREAM_CREATION_ERROR,
        ),
        (
            "an encoder stream that ends",
            uni(vec![control(&[]), (vec![2], End::Fin)]),
            CLOSED_CRITICAL_STREAM,
        ),
        (
            "an insertion",
            uni(vec![control(&[]), (vec![2, 0xc0, 1, b'x'], End::Open)]),
            ENCODER_STREAM_ERROR,
        ),
        (
            "an acknowledgment of nothing",
            uni(vec![control(&[]), (vec![3, 0x80], End::Open)]),
            DECODER_STREAM_ERROR,
        ),
        (
            "a push stream",
            uni(vec![control(&[]), (vec![1, 0], End::Open)]),
            ID_ERROR,
        ),
        (
            "GOAWAY for a stream of its own",
            on_control(&frame(7, &[1])),
            ID_ERROR,
        ),
        (
            "GOAWAY that grows",
            on_control(&[frame(7, &[4]), frame(7, &[8])].concat()),
            ID_ERROR,
        ),
        (
            "GOAWAY with more than an id",
            on_control(&frame(7, &[4, 4])),
            FRAME_ERROR,
        ),
        (
            "GOAWAY with half an id",
            on_control(&frame(7, &[0x40])),
            FRAME_ERROR,
        ),
        (
            "a bidirectional stream",
            Plot {
                bidi: vec![(ok(), End::Open)],
                ..Plot::silent()
            },
            STREAM_CREATION_ERROR,
        ),
        (
            "a stream of a session that nobody asked for",
            Plot {
                bidi: vec![([&varint(0x41)[..], &varint(400)].concat(), End::Open)],
                ..Plot::silent()
            },
            ID_ERROR,
        ),
    ];
    for (case, plot, code) in cases {
        let villain = Villain::start(plot);
        let caller = villain.caller();
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let ending = ending(&caller, id).await;
        assert_eq!(villain.closed().await, code, "{case}");
        assert!(
            matches!(&ending, Ending::Failed(RequestError::ServerBroke(_))),
            "{case}: {ending:?}"
        );
        serves_on(&villain, &caller, 2, case).await;
    }
}

/// RFC9114-9-unknown-frames, RFC9114-6.2-unknown-type, RFC9114-4.1-unknown-frames, RFC9114-7.2.4-unknown-setting
#[tokio::test]
async fn what_a_server_may_send_changes_nothing() {
    let grease = frame(0x21, b"grease");
    let greased = [
        grease.clone(),
        early_hints(),
        frame(0xabcd, &[0; 300]),
        ok(),
        grease.clone(),
        data(b"x"),
        trailers(),
    ];
    let cases: Vec<(&str, Plot)> = vec![
        (
            "unknown frames everywhere",
            Plot::answering([greased.concat(), grease.clone()].concat(), End::Fin),
        ),
        (
            "DATA without content",
            Plot::answering([ok(), data(b""), data(b""), trailers()].concat(), End::Fin),
        ),
        (
            "unknown frames on the control stream",
            Plot {
                uni: vec![control(&grease)],
                ..Plot::default()
            },
        ),
        (
            "an unknown setting",
            Plot {
                uni: vec![([&[0], &frame(4, &[0x21, 5])[..]].concat(), End::Open)],
                ..Plot::default()
            },
        ),
        (
            "no control stream",
            Plot {
                uni: Vec::new(),
                ..Plot::default()
            },
        ),
        (
            "unknown streams",
            Plot {
                uni: vec![
                    control(&[]),
                    (vec![0x21, 1, 2], End::Open),
                    (vec![0x21], End::Fin),
                ],
                ..Plot::default()
            },
        ),
        (
            "streams that say nothing",
            Plot {
                uni: vec![control(&[]), (Vec::new(), End::Fin), (vec![0x40], End::Reset(7))],
                ..Plot::default()
            },
        ),
        (
            "QPACK streams without instructions",
            Plot {
                uni: vec![control(&[]), (vec![2], End::Open), (vec![3], End::Open)],
                ..Plot::default()
            },
        ),
        (
            "a capacity of 0",
            Plot {
                uni: vec![control(&[]), (vec![2, 0x20], End::Open)],
                ..Plot::default()
            },
        ),
    ];
    for (case, plot) in cases {
        let villain = Villain::start(plot);
        let caller = villain.caller();
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let ending = ending(&caller, id).await;
        assert!(matches!(ending, Ending::Response(200)), "{case}: {ending:?}");
        serves_on(&villain, &caller, 1, case).await;
    }
}

/// RFC9114-8-unknown-code, RFC9114-4.1.1-partial-response: whatever the code, before the head and behind it.
#[tokio::test]
async fn a_reset_of_the_response_fails_its_request_with_the_code() {
    let codes = (0x100..=0x110)
        .chain(0x200..=0x202)
        .chain([0, 0x21, 0xabcd, (1 << 62) - 1]);
    for code in codes.filter(|code| *code != 0x10b) {
        let villain = Villain::start(Plot::answering(Vec::new(), End::Reset(code)));
        let caller = villain.caller();
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let first = ending(&caller, id).await;
        assert!(
            matches!(first, Ending::Failed(RequestError::Reset(with)) if with == code),
            "{code:#x}: {first:?}"
        );
        serves_on(&villain, &caller, 1, "a reset").await;
    }
}

/// RFC9114-4.1.1-retry
#[tokio::test]
async fn a_request_that_is_rejected_is_sent_again() {
    for method in ["GET", "POST"] {
        let villain = Villain::start(Plot::answering(Vec::new(), End::Reset(0x10b)));
        let caller = villain.caller();
        let id = caller.client.request(caller.order(method, "/")).unwrap();
        assert!(matches!(ending(&caller, id).await, Ending::Response(200)));
        assert_eq!(
            (villain.connections(), caller.client.stats().requests_retried),
            (1, 1)
        );
    }
}

/// RFC9114-10.5-overhead
#[tokio::test]
async fn floods_of_what_brings_nothing_end_the_connection() {
    let cases = [
        (
            "interim responses",
            headers(&[(":status", "103")]).repeat(100_000),
        ),
        ("DATA without content", [ok(), data(b"").repeat(100_000)].concat()),
        ("unknown frames", frame(0x21, b"").repeat(100_000)),
    ];
    for (case, bytes) in cases {
        let villain = Villain::start(Plot::answering(bytes, End::Open));
        let caller = villain.caller();
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let ending = ending(&caller, id).await;
        assert!(!matches!(ending, Ending::Response(_)), "{case}: {ending:?}");
        assert_eq!(villain.closed().await, EXCESSIVE_LOAD, "{case}");
        serves_on(&villain, &caller, 2, case).await;
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
            let id = caller.client.request(caller.order("GET", "/")).unwrap();
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

/// RFC9297-2.1-unknown-stream: datagrams of requests that are over, or that want none, are nobody's.
#[tokio::test]
async fn datagrams_that_nobody_wants_are_dropped_and_impossible_ones_close_the_connection() {
    let speaking = (([&[0], &frame(4, &[0x33, 1])[..]].concat()), End::Open);
    let cases = [
        ("of a request to come", vec![vec![4, 1]], None),
        (
            "of a request without datagrams",
            vec![vec![0, 1, 2]],
            Some(DATAGRAM_ERROR),
        ),
        ("without a stream", vec![vec![0x40]], Some(DATAGRAM_ERROR)),
        ("beyond all streams", vec![varint((1 << 60) - 1)], Some(ID_ERROR)),
    ];
    for (case, datagrams, code) in cases {
        let villain = Villain::start(Plot {
            uni: vec![speaking.clone()],
            datagrams,
            ..Plot::silent()
        });
        let caller = villain.caller_with(|config| config.response_timeout = Some(Duration::from_millis(300)));
        let id = caller.client.request(caller.order("GET", "/")).unwrap();
        let ending = ending(&caller, id).await;
        let connections = match (case, ending) {
            ("of a request without datagrams", Ending::Failed(RequestError::Malformed(_))) => {
                assert_eq!(Some(villain.stopped().await), code, "{case}");
                1
            }
            ("without a stream" | "beyond all streams", Ending::Failed(RequestError::ServerBroke(_))) => {
                assert_eq!(Some(villain.closed().await), code, "{case}");
                2
            }
            (_, Ending::Failed(RequestError::TimedOut)) if code.is_none() => 1,
            (_, ending) => panic!("{case}: {ending:?}"),
        };
        serves_on(&villain, &caller, connections, case).await;
    }
}

/// RFC9114-4.1-request-ended
#[tokio::test]
async fn a_request_is_ended_before_its_response_is_waited_for() {
    let villain = Villain::start(Plot::default());
    let caller = villain.caller();
    let id = caller.client.request(caller.order("GET", "/")).unwrap();
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
        let id = caller.client.request(caller.order(method, "/")).unwrap();
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

/// RFC9114-4.1-stop-sending-no-error and the like: the rest of the request is not wanted, its answer counts.
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
        let id = caller.client.request(caller.order(method, "/")).unwrap();
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

/// RFC8441-3-setting-awaited
#[tokio::test]
async fn an_extended_connect_waits_for_settings_that_allow_it() {
    for (settings, status) in [(&[8, 1][..], Some(200)), (&[], None)] {
        let villain = Villain::start(Plot {
            uni: vec![([&[0], &frame(4, settings)[..]].concat(), End::Open)],
            listens: false,
            ..Plot::answering(ok(), End::Open)
        });
        let caller = villain.caller();
        let mut order = caller.order("CONNECT", "/");
        order.protocol = Some(b"echo");
        let id = caller.client.request(order).unwrap();
        match status {
            Some(status) => assert_eq!(caller.response(id).await.status, status),
            None => assert!(matches!(
                caller.failure(id).await,
                RequestError::NoExtendedConnect
            )),
        }
    }
    let villain = Villain::start(Plot {
        uni: Vec::new(),
        ..Plot::default()
    });
    let caller = villain.caller();
    let mut order = caller.order("CONNECT", "/");
    order.protocol = Some(b"echo");
    let waiting = caller.client.request(order).unwrap();
    assert_eq!(caller.get("/meanwhile").await.status, 200);
    assert!(caller.is_pending(waiting), "sent without SETTINGS");
}
