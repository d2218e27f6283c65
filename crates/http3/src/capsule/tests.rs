//! Capsules there and back, and every rule broken once.

use super::*;
use crate::Scope;

const LIMIT: usize = 100;

fn capsule(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::write_header(&mut out, kind, payload.len() as u64);
    out.extend_from_slice(payload);
    out.to_vec()
}

/// Reads `wire` in pieces of `piece` bytes, and its end.
fn read_all(wire: &[u8], piece: usize) -> Result<Vec<Capsule>, Error> {
    let mut reader = CapsuleReader::new(LIMIT);
    let mut capsules = Vec::new();
    for chunk in wire.chunks(piece) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(capsule) = reader.read(&mut chunk)? {
            capsules.push(capsule);
        }
        assert!(chunk.is_empty());
    }
    reader.finish().map(|()| capsules)
}

fn refusal(wire: &[u8]) -> Error {
    let error = read_all(wire, wire.len()).unwrap_err();
    assert_eq!(read_all(wire, 1), Err(error));
    error
}

#[test]
fn every_capsule_survives_a_round_trip_however_it_is_cut() {
    let capsules = [
        Capsule::Datagram(Bytes::new()),
        Capsule::Datagram(Bytes::from_static(b"datagram")),
        Capsule::DrainSession,
        Capsule::MaxData(1 << 40),
        Capsule::MaxStreamsBidi(1),
        Capsule::MaxStreamsUni(2),
        Capsule::DataBlocked(3),
        Capsule::StreamsBlockedBidi(4),
        Capsule::StreamsBlockedUni(5),
        Capsule::CloseSession {
            code: 0xdead_beef,
            reason: Bytes::from_static("gr\u{fc}n".as_bytes()),
        },
    ];
    let mut wire = BytesMut::new();
    for capsule in &capsules {
        write_capsule(&mut wire, capsule);
    }
    for piece in 1..=wire.len() {
        assert_eq!(read_all(&wire, piece).unwrap(), capsules);
    }
}

#[test]
fn a_datagram_in_one_chunk_is_a_view_of_it() {
    let wire = Bytes::from(capsule(DATAGRAM, b"payload"));
    let Ok(Some(Capsule::Datagram(payload))) = CapsuleReader::new(LIMIT).read(&mut wire.clone()) else {
        panic!("no datagram")
    };
    assert_eq!(payload.as_ptr(), wire[2..].as_ptr());
}

/// RFC9297-3.2-unknown-capsule, RFC9297-3.5-datagram-limits, RFC9297-3.2-not-accumulated
#[test]
fn unknown_capsules_and_oversized_datagrams_are_skipped_without_being_held() {
    let wire = [
        capsule(0x17, &[0; 500]),
        capsule(DATAGRAM, &[0; LIMIT + 1]),
        capsule(DATAGRAM, &[7; LIMIT]),
    ]
    .concat();
    let mut reader = CapsuleReader::new(LIMIT);
    let mut read = Vec::new();
    for chunk in wire.chunks(9) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(capsule) = reader.read(&mut chunk).unwrap() {
            read.push(capsule);
        }
        assert!(reader.gathered.capacity() <= 2 * LIMIT);
    }
    assert_eq!(read, [Capsule::Datagram(Bytes::from(vec![7; LIMIT]))]);
    assert_eq!(reader.dropped_datagrams(), 1);
}

#[test]
fn a_payload_longer_or_shorter_than_its_fields_is_malformed() {
    let cases = [
        (
            "RFC9297-3.3-payload-too-short",
            capsule(CLOSE_SESSION, &[0, 0, 0]),
        ),
        ("RFC9297-3.3-payload-too-long", capsule(DRAIN_SESSION, &[0])),
        ("RFC9297-3.3-payload-too-short", capsule(MAX_DATA, &[])),
        ("RFC9297-3.3-payload-too-short", capsule(MAX_DATA, &[0x40])),
        ("RFC9297-3.3-payload-too-long", capsule(MAX_STREAMS_BIDI, &[0, 0])),
        (
            "RFC9297-3.3-payload-too-long",
            capsule(STREAMS_BLOCKED_UNI, &[0; 9]),
        ),
        (
            "RFC9297-3.3-payload-too-long",
            capsule(STREAMS_BLOCKED_BIDI, &[0xc0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ),
    ];
    for (rule, wire) in cases {
        let error = refusal(&wire);
        assert_eq!(
            (error.code, error.scope),
            (Code::H3_MESSAGE_ERROR, Scope::Stream),
            "{rule}: {wire:x?}"
        );
    }
}

/// RFC9297-3.2-not-accumulated
#[test]
fn a_capsule_of_impossible_length_is_refused_or_skipped_by_its_header_alone() {
    let header = |kind| {
        let mut out = BytesMut::new();
        frame::write_header(&mut out, kind, varint::MAX);
        out.freeze()
    };
    for kind in [CLOSE_SESSION, DRAIN_SESSION, MAX_DATA] {
        let refused = CapsuleReader::new(LIMIT).read(&mut header(kind));
        assert_eq!(refused.unwrap_err().code, Code::H3_MESSAGE_ERROR);
    }
    for kind in [DATAGRAM, 0x17] {
        let mut reader = CapsuleReader::new(LIMIT);
        assert_eq!(reader.read(&mut header(kind)), Ok(None));
        assert_eq!(reader.read(&mut Bytes::from(vec![0; 5000])), Ok(None));
        assert_eq!(reader.gathered.capacity(), 0);
        assert_eq!(reader.finish().unwrap_err().code, Code::H3_MESSAGE_ERROR);
    }
}

/// RFC9297-3.3-truncated
#[test]
fn a_stream_that_ends_inside_a_capsule_is_malformed() {
    for kind in [DATAGRAM, CLOSE_SESSION, 0x17] {
        let wire = capsule(kind, b"12345");
        for cut in 1..wire.len() {
            assert_eq!(refusal(&wire[..cut]).code, Code::H3_MESSAGE_ERROR, "cut at {cut}");
        }
    }
    assert_eq!(read_all(&[], 1), Ok(vec![]));
}

/// draft-ietf-webtrans-http3-16 §6.
#[test]
fn a_close_reason_that_is_too_long_or_not_utf8_is_malformed() {
    let close = |reason: &[u8]| capsule(CLOSE_SESSION, &[&[0, 0, 0, 1], reason].concat());
    assert!(read_all(&close(&[b'a'; MAX_CLOSE_REASON]), 7).is_ok());
    for reason in [&[b'a'; MAX_CLOSE_REASON + 1][..], &[0xff], &[0xc3]] {
        assert_eq!(refusal(&close(reason)).code, Code::H3_MESSAGE_ERROR);
    }
}

/// draft-ietf-webtrans-http3-16 §6.
#[test]
fn anything_after_the_close_of_a_session_is_malformed() {
    let wire = [capsule(CLOSE_SESSION, &[0; 4]), capsule(DRAIN_SESSION, &[])].concat();
    assert_eq!(refusal(&wire).code, Code::H3_MESSAGE_ERROR);
}

/// draft-ietf-webtrans-http3-16 §6.
#[test]
fn a_close_reason_is_cut_at_a_character() {
    let reason = format!("a{}", "\u{20ac}".repeat(MAX_CLOSE_REASON));
    let mut wire = BytesMut::new();
    write_capsule(
        &mut wire,
        &Capsule::CloseSession {
            code: 1,
            reason: Bytes::from(reason.clone()),
        },
    );
    let [
        Capsule::CloseSession {
            code: 1,
            reason: read,
        },
    ] = &read_all(&wire, 100).unwrap()[..]
    else {
        panic!("not closed")
    };
    assert_eq!(read.len(), 1024);
    assert!(reason.as_bytes().starts_with(read));
    let reason = format!("ab{}", "\u{20ac}".repeat(MAX_CLOSE_REASON));
    assert_eq!(shorten(reason.as_bytes()).len(), 1022);
}

/// draft-ietf-webtrans-http3-16 §5.4.
#[test]
fn flow_control_of_single_streams_ends_the_session() {
    for kind in [MAX_STREAM_DATA, STREAM_DATA_BLOCKED] {
        let error = refusal(&capsule(kind, &[0, 0]));
        assert_eq!(
            (error.code, error.scope),
            (Code::from(WT_FLOW_CONTROL_ERROR), Scope::Stream)
        );
    }
}

/// RFC 9114 §10.5.
#[test]
fn every_capsule_but_datagrams_is_counted() {
    let mut wire = BytesMut::new();
    write_capsule(&mut wire, &Capsule::Datagram(Bytes::from_static(b"d")));
    write_capsule(&mut wire, &Capsule::DrainSession);
    write_capsule(&mut wire, &Capsule::MaxData(1));
    wire.extend_from_slice(&[0x21, 0]);
    let (mut reader, mut wire) = (CapsuleReader::new(100), wire.freeze());
    while reader.read(&mut wire).unwrap().is_some() {}
    assert_eq!((reader.take_overhead(), reader.take_overhead()), (3, 0));
}

/// RFC 9297 §3.2: what another protocol does not define is skipped, even if sessions know it.
#[test]
fn a_tunnel_of_datagrams_skips_the_capsules_of_sessions() {
    let mut bytes = BytesMut::new();
    for capsule in [
        Capsule::DrainSession,
        Capsule::Datagram(Bytes::from_static(b"one")),
        Capsule::MaxData(5),
        Capsule::CloseSession {
            code: 1,
            reason: Bytes::new(),
        },
        Capsule::Datagram(Bytes::new()),
    ] {
        write_capsule(&mut bytes, &capsule);
    }
    // WT_MAX_STREAM_DATA ends a session.
    bytes.extend_from_slice(b"\x99\x0b\x4d\x3e\x01\x00");
    let mut chunk = bytes.freeze();
    let mut reader = CapsuleReader::of_datagrams(100);
    let mut read = Vec::new();
    while let Some(capsule) = reader.read(&mut chunk).unwrap() {
        read.push(capsule);
    }
    assert_eq!(
        read,
        [
            Capsule::Datagram(Bytes::from_static(b"one")),
            Capsule::Datagram(Bytes::new())
        ]
    );
    assert_eq!(reader.finish(), Ok(()));
}
