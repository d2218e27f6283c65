//! Every rule of the control stream, each broken once.

use super::*;
use crate::Scope;

const SETTINGS: &[u8] = &[0x04, 0x00];

fn control_frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::write_header(&mut out, kind, payload.len() as u64);
    out.extend_from_slice(payload);
    out.to_vec()
}

/// Reads `wire` in pieces of `piece` bytes.
fn read_all(role: Role, wire: &[u8], piece: usize) -> Result<Vec<ControlFrame>, Error> {
    let mut reader = ControlReader::new(role);
    let mut frames = Vec::new();
    for chunk in wire.chunks(piece) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(frame) = reader.read(&mut chunk)? {
            frames.push(frame);
        }
        assert!(chunk.is_empty());
    }
    Ok(frames)
}

/// The code that `frames`, behind an empty SETTINGS frame, close the connection with, however they are cut.
fn refusal(role: Role, frames: &[Vec<u8>]) -> Code {
    let wire = [SETTINGS, &frames.concat()].concat();
    let error = read_all(role, &wire, wire.len()).unwrap_err();
    assert_eq!(error.scope, Scope::Connection);
    assert_eq!(read_all(role, &wire, 1), Err(error));
    error.code
}

#[test]
fn frames_of_a_client_are_read_however_they_are_cut() {
    let mut settings = BytesMut::new();
    let expected = Settings {
        h3_datagram: true,
        ..Settings::default()
    };
    expected.encode(&mut settings);
    let wire = [
        control_frame(frame::SETTINGS, &settings),
        control_frame(0x21, b"grease"),
        control_frame(frame::MAX_PUSH_ID, &[5]),
        control_frame(frame::PRIORITY_UPDATE_REQUEST, b"\x08u=1, i"),
        control_frame(0x40_0021, &[]),
        control_frame(frame::GOAWAY, &[0x40, 0x09]),
    ]
    .concat();
    for piece in 1..=wire.len() {
        let frames = read_all(Role::Server, &wire, piece).unwrap();
        let priority = ControlFrame::PriorityUpdate {
            stream: 8,
            value: Bytes::from_static(b"u=1, i"),
        };
        assert_eq!(
            frames,
            [
                ControlFrame::Settings(expected.clone()),
                ControlFrame::MaxPushId(5),
                priority,
                ControlFrame::Goaway(9)
            ]
        );
    }
}

#[test]
fn a_first_frame_other_than_settings_closes_the_connection() {
    let kinds = [
        // RFC9114-6.2.1-first-frame
        frame::DATA,
        frame::HEADERS,
        frame::CANCEL_PUSH,
        frame::PUSH_PROMISE,
        frame::GOAWAY,
        frame::MAX_PUSH_ID,
        frame::PRIORITY_UPDATE_REQUEST,
        // RFC9114-9-unknown-first-frame
        0x21,
        0xabcd,
    ];
    for role in [Role::Server, Role::Client] {
        for kind in kinds {
            let error = read_all(role, &control_frame(kind, &[0]), 100).unwrap_err();
            let missing = (Code::H3_MISSING_SETTINGS, Scope::Connection);
            assert_eq!((error.code, error.scope), missing, "{kind:#x}");
        }
    }
}

/// RFC9114-7.2.4-settings-repeated
#[test]
fn a_second_settings_frame_closes_the_connection() {
    for role in [Role::Server, Role::Client] {
        assert_eq!(refusal(role, &[SETTINGS.to_vec()]), Code::H3_FRAME_UNEXPECTED);
        let later = [control_frame(0x21, &[]), SETTINGS.to_vec()];
        assert_eq!(refusal(role, &later), Code::H3_FRAME_UNEXPECTED);
    }
}

#[test]
fn broken_settings_close_the_connection() {
    let error = read_all(Role::Server, &control_frame(frame::SETTINGS, &[0x02, 0x00]), 100).unwrap_err();
    assert_eq!(error.code, Code::H3_SETTINGS_ERROR);
}

/// draft-ietf-webtrans-http3-16 §3.1.
#[test]
fn a_client_refuses_wt_enabled_above_one() {
    let mut payload = BytesMut::new();
    let mut settings = Settings::default();
    settings.webtransport.enabled = 2;
    settings.encode(&mut payload);
    let wire = control_frame(frame::SETTINGS, &payload);
    assert_eq!(
        read_all(Role::Client, &wire, 100).unwrap_err().code,
        Code::H3_SETTINGS_ERROR
    );
    assert!(read_all(Role::Server, &wire, 100).is_ok());
}

#[test]
fn frames_of_request_streams_and_of_http2_close_the_connection() {
    let kinds = [
        0x0, // RFC9114-7.2.1-data-on-control
        0x1, // RFC9114-7.2.2-headers-on-control
        0x5, // RFC9114-7.2.5-push-promise-on-control
        0x2, 0x6, 0x8, 0x9, // RFC9114-7.2.8-http2-on-control
    ];
    for kind in kinds {
        for role in [Role::Server, Role::Client] {
            assert_eq!(
                refusal(role, &[control_frame(kind, &[])]),
                Code::H3_FRAME_UNEXPECTED,
                "{kind:#x}"
            );
        }
    }
}

/// draft-ietf-webtrans-http3-16 §4.3.
#[test]
fn a_webtransport_signal_closes_the_connection() {
    assert_eq!(
        refusal(Role::Server, &[control_frame(0x41, &[])]),
        Code::H3_FRAME_ERROR
    );
}

/// RFC9114-7.2.7-max-push-id-from-server, RFC 9218 §7.2.
#[test]
fn frames_that_only_clients_send_close_the_connection_of_a_client() {
    for kind in [
        frame::MAX_PUSH_ID,
        frame::PRIORITY_UPDATE_REQUEST,
        frame::PRIORITY_UPDATE_PUSH,
    ] {
        assert_eq!(
            refusal(Role::Client, &[control_frame(kind, &[0])]),
            Code::H3_FRAME_UNEXPECTED
        );
    }
}

/// RFC9114-5.2-goaway-grows
#[test]
fn a_goaway_that_grows_closes_the_connection() {
    let goaway = |id| control_frame(frame::GOAWAY, &[id]);
    for role in [Role::Server, Role::Client] {
        assert_eq!(refusal(role, &[goaway(8), goaway(12)]), Code::H3_ID_ERROR);
        let wire = [SETTINGS, &goaway(8), &goaway(8), &goaway(4)].concat();
        assert_eq!(read_all(role, &wire, 3).unwrap().len(), 4);
    }
}

/// RFC9114-7.2.6-goaway-id
#[test]
fn a_goaway_of_a_server_names_a_request_stream() {
    for id in [1, 2, 3] {
        let goaway = control_frame(frame::GOAWAY, &[id]);
        assert_eq!(
            refusal(Role::Client, std::slice::from_ref(&goaway)),
            Code::H3_ID_ERROR
        );
        // A client's names a push.
        assert!(read_all(Role::Server, &[SETTINGS, &goaway].concat(), 100).is_ok());
    }
}

/// RFC9114-7.2.7-max-push-id-shrinks
#[test]
fn a_max_push_id_that_shrinks_closes_the_connection() {
    let max = |id| control_frame(frame::MAX_PUSH_ID, &[id]);
    assert_eq!(refusal(Role::Server, &[max(5), max(4)]), Code::H3_ID_ERROR);
    assert!(read_all(Role::Server, &[SETTINGS, &max(5), &max(5), &max(6)].concat(), 100).is_ok());
}

#[test]
fn a_cancel_push_closes_the_connection_because_no_push_exists() {
    let cancel = |id| control_frame(frame::CANCEL_PUSH, &[id]);
    // RFC9114-7.2.3-cancel-push-unpromised
    assert_eq!(refusal(Role::Server, &[cancel(0)]), Code::H3_ID_ERROR);
    let allowed = control_frame(frame::MAX_PUSH_ID, &[5]);
    assert_eq!(refusal(Role::Server, &[allowed, cancel(5)]), Code::H3_ID_ERROR);
    // RFC9114-7.2.3-cancel-push-not-allowed
    assert_eq!(refusal(Role::Client, &[cancel(0)]), Code::H3_ID_ERROR);
}

/// RFC 9218 §7.2.
#[test]
fn a_priority_of_a_push_or_of_no_request_stream_closes_the_connection() {
    let push = control_frame(frame::PRIORITY_UPDATE_PUSH, b"\0u=1");
    assert_eq!(refusal(Role::Server, &[push]), Code::H3_ID_ERROR);
    let unidirectional = control_frame(frame::PRIORITY_UPDATE_REQUEST, b"\x02u=1");
    assert_eq!(refusal(Role::Server, &[unidirectional]), Code::H3_ID_ERROR);
}

/// RFC9114-10.8-nested-lengths
#[test]
fn a_payload_longer_or_shorter_than_its_fields_closes_the_connection() {
    for kind in [frame::GOAWAY, frame::MAX_PUSH_ID, frame::CANCEL_PUSH] {
        let payloads = [
            // RFC9114-7.1-short-payload
            &[][..],
            &[0x40],
            &[0xc0, 0, 0, 0, 0, 0, 0],
            // RFC9114-7.1-extra-bytes
            &[0, 0],
            &[0x40, 0, 0],
            &[0; 8],
            &[0; 9],
        ];
        for payload in payloads {
            assert_eq!(
                refusal(Role::Server, &[control_frame(kind, payload)]),
                Code::H3_FRAME_ERROR,
                "{payload:?}"
            );
        }
    }
    assert_eq!(
        refusal(
            Role::Server,
            &[control_frame(frame::PRIORITY_UPDATE_REQUEST, &[])]
        ),
        Code::H3_FRAME_ERROR
    );
}

/// RFC9114-10.5-settings-length
#[test]
fn an_oversized_frame_closes_the_connection_before_it_is_held() {
    let header = |kind, length| {
        let mut out = BytesMut::new();
        frame::write_header(&mut out, kind, length);
        out.to_vec()
    };
    assert_eq!(
        read_all(Role::Server, &header(frame::SETTINGS, 4097), 1)
            .unwrap_err()
            .code,
        Code::H3_EXCESSIVE_LOAD
    );
    assert_eq!(
        refusal(Role::Server, &[header(frame::PRIORITY_UPDATE_REQUEST, 1025)]),
        Code::H3_EXCESSIVE_LOAD
    );
    let longest = [header(frame::SETTINGS, 4096), vec![0x21; 4096]].concat();
    assert_eq!(read_all(Role::Server, &longest, 7).unwrap().len(), 1);
    let longest = control_frame(frame::PRIORITY_UPDATE_REQUEST, &[0; 1024]);
    assert_eq!(
        read_all(Role::Server, &[SETTINGS, &longest].concat(), 7)
            .unwrap()
            .len(),
        2
    );
}

/// RFC9114-7.2.8-reserved-frames, RFC9114-7.1-huge-length
#[test]
fn an_unknown_frame_of_any_length_is_skipped_without_being_held() {
    let mut wire = BytesMut::from(SETTINGS);
    frame::write_header(&mut wire, 0x21, varint::MAX);
    let mut reader = ControlReader::new(Role::Server);
    let mut chunk = wire.freeze();
    assert_eq!(
        reader.read(&mut chunk),
        Ok(Some(ControlFrame::Settings(Settings::default())))
    );
    assert_eq!(reader.read(&mut chunk), Ok(None));
    for _ in 0..100 {
        let mut chunk = Bytes::from(vec![0; 1000]);
        assert_eq!(reader.read(&mut chunk), Ok(None));
        assert_eq!(reader.gathered.capacity(), 0);
    }
}

/// RFC9114-6.2.1-control-finished, RFC9114-6.2.1-control-reset
#[test]
fn the_end_of_the_stream_closes_the_connection() {
    let error = ControlReader::new(Role::Server).ended();
    assert_eq!(
        (error.code, error.scope),
        (Code::H3_CLOSED_CRITICAL_STREAM, Scope::Connection)
    );
}

/// RFC 9114 §10.5.
#[test]
fn every_frame_but_settings_is_counted() {
    let mut wire = SETTINGS.to_vec();
    wire.extend(control_frame(frame::GOAWAY, &[0]));
    wire.extend(control_frame(frame::MAX_PUSH_ID, &[1]));
    wire.extend(control_frame(frame::PRIORITY_UPDATE_REQUEST, &[0]));
    wire.extend(control_frame(0x21, b"grease"));
    let (mut reader, mut wire) = (ControlReader::new(Role::Server), Bytes::from(wire));
    while reader.read(&mut wire).unwrap().is_some() {}
    assert_eq!(reader.take_overhead(), 4);
    assert_eq!(reader.take_overhead(), 0);
}
