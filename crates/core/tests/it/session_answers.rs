//! What a server says on the CONNECT stream of a session of our client: capsules, well made and not
//! (draft-ietf-webtrans-http3-16 §4.5, §5.6, §6, RFC 9297 §3).

use bytes::BytesMut;
use trilane_core::client::{OutgoingBody, Tunnel};
use trilane_core::{ExchangeId, SessionEnd, SessionEvent};
use trilane_http3::{Capsule, write_capsule};

use crate::caller::Caller;
use crate::hostile_scene::{MESSAGE_ERROR, data, ok, serves_on};
use crate::raw::{End, frame, varint};
use crate::support::found;
use crate::villain::{Plot, Villain};

const DRAFT02: u64 = 0x2b60_3742;

fn capsule(capsule: &Capsule) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_capsule(&mut out, capsule);
    out.to_vec()
}

fn any(kind: u64, value: &[u8]) -> Vec<u8> {
    frame(kind, value)
}

/// SETTINGS of a server of sessions; with flow control or without.
fn settings(with_flow_control: bool) -> Vec<u8> {
    let mut payload = vec![0x08, 1, 0x33, 1];
    let mut add = |id: u64, value: u64| payload.extend([varint(id), varint(value)].concat());
    add(DRAFT02, 1);
    if with_flow_control {
        add(0x2b61, 100);
        add(0x2b64, 2);
        add(0x2b65, 2);
    }
    [&[0], &frame(4, &payload)[..]].concat()
}

/// A server that accepts the first session, and says `capsules` in it.
fn saying(capsules: &[u8], end: End, with_flow_control: bool) -> Plot {
    let answer = [ok(), data(capsules)].concat();
    Plot {
        uni: vec![(settings(with_flow_control), End::Open)],
        answer: (answer, end),
        listens: false,
        ..Plot::default()
    }
}

/// A session at a server that says `capsules`.
async fn session(capsules: &[u8], end: End, with_flow_control: bool) -> (Villain, Caller, ExchangeId) {
    let villain = Villain::start(saying(capsules, end, with_flow_control));
    let caller = villain.caller();
    let mut order = caller.order("CONNECT", "/wt");
    order.protocol = Some(b"webtransport");
    order.tunnel = Tunnel::Session;
    order.body = OutgoingBody::Streaming;
    order.takes_datagrams = true;
    let id = caller.client.request(order).unwrap();
    assert_eq!(caller.response(id).await.status, 200);
    (villain, caller, id)
}

async fn end(caller: &Caller, id: ExchangeId) -> SessionEnd {
    found("the end of the session", || {
        let events = caller.ear.sessions.lock().unwrap();
        events.iter().find_map(|(of, event)| match event {
            SessionEvent::Closed(end) if *of == id => Some(end.clone()),
            _ => None,
        })
    })
    .await
}

fn clean(code: u32, reason: &str) -> SessionEnd {
    let reason = reason.to_owned();
    SessionEnd::Clean { code, reason }
}

fn close(code: u32, reason: &'static [u8]) -> Vec<u8> {
    let reason = reason.into();
    capsule(&Capsule::CloseSession { code, reason })
}

#[tokio::test]
async fn each_capsule_does_what_it_says_and_unknown_ones_are_skipped() {
    let said = [
        any(0x1f * 7 + 0x21, b"grease"),
        any(0x4_0000, &[9; 1000]),
        capsule(&Capsule::Datagram("by capsule".into())),
        // Not agreed on, they are ignored, whatever they say (§5.1).
        capsule(&Capsule::MaxData(10)),
        capsule(&Capsule::MaxData(5)),
        capsule(&Capsule::DataBlocked(1)),
        capsule(&Capsule::StreamsBlockedUni(1)),
        capsule(&Capsule::DrainSession),
        close(7, b"enough"),
        // Behind its end nothing counts.
        capsule(&Capsule::Datagram("late".into())),
    ]
    .concat();
    let (_villain, caller, id) = session(&said, End::Open, false).await;
    assert_eq!(end(&caller, id).await, clean(7, "enough"));
    let events = caller.ear.sessions.lock().unwrap().clone();
    assert_eq!(events[0].1, SessionEvent::Draining);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(*caller.ear.datagrams.lock().unwrap(), ["by capsule"]);
}

#[tokio::test]
async fn a_clean_end_without_a_capsule_is_code_0() {
    let (villain, caller, id) = session(&[], End::Fin, false).await;
    assert_eq!(end(&caller, id).await, clean(0, ""));
    serves_on(&villain, &caller, 1, "a session that ended").await;
}

/// What is said, what follows it, whether flow control was agreed on, and with what the client stops the stream, if that is seen.
type Case = (&'static str, Vec<u8>, End, bool, Option<u64>);

/// What is malformed breaks the session off; requests go on, on the same connection.
#[tokio::test]
async fn a_malformed_capsule_breaks_the_session_off_and_not_the_connection() {
    let flow_error = trilane_http3::code::WT_FLOW_CONTROL_ERROR;
    let cases: Vec<Case> = vec![
        (
            "a CLOSE too short for its code",
            any(0x2843, &[0; 3]),
            End::Open,
            false,
            Some(MESSAGE_ERROR),
        ),
        (
            "a CLOSE with a reason too long",
            any(0x2843, &[b'a'; 4 + 1025]),
            End::Open,
            false,
            Some(MESSAGE_ERROR),
        ),
        (
            "a CLOSE whose reason is no UTF-8",
            any(0x2843, b"\0\0\0\x01a\xffb"),
            End::Open,
            false,
            Some(MESSAGE_ERROR),
        ),
        (
            "a DRAIN with content",
            any(0x78ae, &[0]),
            End::Open,
            false,
            Some(MESSAGE_ERROR),
        ),
        (
            "a capsule that is cut short",
            vec![0x2a, 0x10, 1, 2],
            End::Fin,
            false,
            None,
        ),
        (
            "a limit of two numbers",
            any(0x190b_4d3d, &[1, 2]),
            End::Open,
            true,
            Some(MESSAGE_ERROR),
        ),
        (
            "a limit that falls",
            [capsule(&Capsule::MaxData(200)), capsule(&Capsule::MaxData(150))].concat(),
            End::Open,
            true,
            Some(flow_error),
        ),
        (
            "a limit of a stream",
            any(0x190b_4d3e, &[0, 1]),
            End::Open,
            true,
            None,
        ),
        (
            "more streams than there can be",
            capsule(&Capsule::MaxStreamsBidi((1 << 60) + 1)),
            End::Open,
            true,
            None,
        ),
    ];
    for (case, said, finish, with_flow_control, code) in cases {
        let (villain, caller, id) = session(&said, finish, with_flow_control).await;
        assert_eq!(end(&caller, id).await, SessionEnd::Abrupt, "{case}");
        if let Some(code) = code {
            assert_eq!(villain.stopped().await, code, "{case}");
        }
        serves_on(&villain, &caller, 1, case).await;
    }
}
