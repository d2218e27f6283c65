//! Capsules and the limits that some of them carry.

use bytes::{Bytes, BytesMut};
use trilane_http3::webtransport::PeerFlowLimits;
use trilane_http3::{Capsule, CapsuleReader, Error, MAX_CLOSE_REASON, Settings, write_capsule};

use crate::pieces::{same_in_any_pieces, split_off_cuts};

/// Small, so that datagrams above it are found.
const MAX_PAYLOAD: usize = 100;

/// Everything that a reader says of a stream.
#[derive(Debug, PartialEq)]
struct Reading {
    capsules: Vec<Capsule>,
    dropped: u64,
    end: Result<(), Error>,
}

/// RFC 9297 §3.
pub(crate) fn capsules(input: &[u8]) {
    let (cuts, wire) = split_off_cuts(input);
    let reading = same_in_any_pieces(wire, cuts, read);
    assert!(reading.capsules.len() * 2 <= wire.len());
    let mut again = BytesMut::new();
    for (index, capsule) in reading.capsules.iter().enumerate() {
        match capsule {
            Capsule::Datagram(payload) => assert!(payload.len() <= MAX_PAYLOAD),
            Capsule::CloseSession { reason, .. } => {
                assert!(reason.len() <= MAX_CLOSE_REASON && std::str::from_utf8(reason).is_ok());
                assert_eq!(index + 1, reading.capsules.len(), "nothing follows the close");
            }
            _ => {}
        }
        write_capsule(&mut again, capsule);
    }
    assert!(again.len() <= wire.len());
    let expected = Reading {
        capsules: reading.capsules,
        dropped: 0,
        end: Ok(()),
    };
    assert_eq!(read(vec![again.freeze()]), expected);
    limits_only_grow(&expected.capsules);
}

fn read(chunks: Vec<Bytes>) -> Reading {
    let mut reader = CapsuleReader::new(MAX_PAYLOAD);
    let mut capsules = Vec::new();
    let mut error = None;
    'stream: for mut chunk in chunks {
        loop {
            match reader.read(&mut chunk) {
                Ok(Some(capsule)) => capsules.push(capsule),
                Ok(None) => break,
                Err(found) => {
                    error = Some(found);
                    break 'stream;
                }
            }
        }
        assert!(chunk.is_empty());
    }
    Reading {
        capsules,
        dropped: reader.dropped_datagrams(),
        end: error.map_or_else(|| reader.finish(), Err),
    }
}

/// draft-ietf-webtrans-http3-16 §5.6.
fn limits_only_grow(capsules: &[Capsule]) {
    let mut limits = PeerFlowLimits::new(&Settings::default());
    let all = |limits: &PeerFlowLimits| {
        [
            limits.max_data(),
            limits.max_streams_bidi(),
            limits.max_streams_uni(),
        ]
    };
    for capsule in capsules {
        let before = all(&limits);
        let applied = limits.apply(capsule);
        for (before, after) in before.into_iter().zip(all(&limits)) {
            assert!(if applied.is_ok() {
                before <= after
            } else {
                before == after
            });
        }
        assert!(limits.max_streams_bidi() <= 1 << 60 && limits.max_streams_uni() <= 1 << 60);
    }
}
