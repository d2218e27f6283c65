//! What our client does when a server breaks the rules beside its responses, or nearly does.

use std::time::Duration;

use trilane_core::client::RequestError;

use crate::hostile_scene::{
    CLOSED_CRITICAL_STREAM, DATAGRAM_ERROR, DECODER_STREAM_ERROR, ENCODER_STREAM_ERROR, EXCESSIVE_LOAD,
    Ending, FRAME_ERROR, FRAME_UNEXPECTED, ID_ERROR, MISSING_SETTINGS, SETTINGS_ERROR, STREAM_CREATION_ERROR,
    data, early_hints, ending, ok, serves_on, trailers,
};
use crate::raw::{End, frame, headers, varint};
use crate::villain::{Plot, Villain, control};

/// RFC9114-6.2.1-first-frame, RFC9114-7.2.4-settings-repeated, RFC9114-5.2-goaway-grows,
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
        let id = caller.begin("GET", "/");
        let ending = ending(&caller, id).await;
        assert_eq!(villain.closed().await, code, "{case}");
        assert!(
            matches!(&ending, Ending::Failed(RequestError::ServerBroke(_))),
            "{case}: {ending:?}"
        );
        serves_on(&villain, &caller, 2, case).await;
    }
}

/// RFC9114-7.2.8-reserved-frames, RFC9114-6.2-unknown-type, RFC9114-4.1-unknown-frames, RFC9114-7.2.4-unknown-setting
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
        let id = caller.begin("GET", "/");
        let ending = ending(&caller, id).await;
        assert!(matches!(ending, Ending::Response(200)), "{case}: {ending:?}");
        serves_on(&villain, &caller, 1, case).await;
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
        let id = caller.begin("GET", "/");
        let ending = ending(&caller, id).await;
        assert!(!matches!(ending, Ending::Response(_)), "{case}: {ending:?}");
        assert_eq!(villain.closed().await, EXCESSIVE_LOAD, "{case}");
        serves_on(&villain, &caller, 2, case).await;
    }
}

/// RFC9297-2.1-receive-side-closed, RFC9297-2.1-stream-beyond-limit: datagrams of requests that are over, or that want none, are nobody's.
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
        let id = caller.begin("GET", "/");
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
