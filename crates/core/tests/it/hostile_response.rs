//! What our client does when a response breaks the rules: the reach that the standard names, a reason for the request, and the
//! next request is served.

use std::time::Duration;

use trilane_core::client::RequestError;

use crate::hostile_scene::{
    DECOMPRESSION_FAILED, EXCESSIVE_LOAD, Ending, FRAME_ERROR, FRAME_UNEXPECTED, ID_ERROR, MESSAGE_ERROR,
    REQUEST_CANCELLED, data, early_hints, ending, is_protocol, ok, serves_on, trailers,
};
use crate::raw::{End, frame, headers};
use crate::villain::{Plot, Villain};

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
        let id = caller.begin("GET", "/");
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
        let id = caller.begin("GET", "/");
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
        let id = caller.begin("GET", "/");
        let ending = ending(&caller, id).await;
        assert!(is_protocol(&ending), "{case}: {ending:?}");
        assert_eq!(villain.closed().await, code, "{case}");
        serves_on(&villain, &caller, 2, case).await;
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
        let id = caller.begin("GET", "/");
        let first = ending(&caller, id).await;
        assert!(
            matches!(first, Ending::Failed(RequestError::Reset(with)) if with == code),
            "{code:#x}: {first:?}"
        );
        serves_on(&villain, &caller, 1, "a reset").await;
    }
}
