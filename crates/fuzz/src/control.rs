//! The control stream, its SETTINGS, and the streams of QPACK.

use bytes::{Bytes, BytesMut};
use trilane_http3::{
    ControlFrame, ControlReader, DecoderStream, EncoderStream, Error, Role, Settings, varint,
    write_control_preface, write_goaway,
};

use crate::pieces::{same_in_any_pieces, split_off_cuts};

/// Largest payloads that are ever held (`crates/http3/src/control.rs`).
const MAX_PRIORITY_UPDATE: usize = 1024;

/// RFC 9114 §6.2.1, as both roles.
pub(crate) fn control(input: &[u8]) {
    let (cuts, wire) = split_off_cuts(input);
    for role in [Role::Client, Role::Server] {
        let (frames, error) = same_in_any_pieces(wire, cuts, |chunks| read_control(role, chunks));
        // A frame takes at least a type and a length.
        assert!(frames.len() * 2 <= wire.len());
        for (index, frame) in frames.iter().enumerate() {
            assert_eq!(
                index == 0,
                matches!(frame, ControlFrame::Settings(_)),
                "SETTINGS first and once"
            );
            if let ControlFrame::PriorityUpdate { stream, value } = frame {
                assert!(stream.is_multiple_of(4) && value.len() <= MAX_PRIORITY_UPDATE);
            }
        }
        read_again(role, &frames);
        if let Some(error) = error {
            assert!(!error.reason.is_empty());
        }
    }
}

fn read_control(role: Role, chunks: Vec<Bytes>) -> (Vec<ControlFrame>, Option<Error>) {
    let (mut reader, mut frames) = (ControlReader::new(role), Vec::new());
    for mut chunk in chunks {
        loop {
            match reader.read(&mut chunk) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(chunk.is_empty());
    }
    (frames, None)
}

/// What was accepted, written by our own hand, is accepted again.
fn read_again(role: Role, frames: &[ControlFrame]) {
    let mut out = BytesMut::new();
    let mut expected = Vec::new();
    for frame in frames {
        match frame {
            ControlFrame::Settings(settings) => write_control_preface(&mut out, settings),
            ControlFrame::Goaway(id) => write_goaway(&mut out, *id),
            // A server sends neither of the others.
            _ => continue,
        }
        expected.push(frame.clone());
    }
    if expected.is_empty() {
        return;
    }
    // Behind the stream type, which the preface writes.
    let wire = out.freeze().slice(1..);
    assert_eq!(read_control(role, vec![wire]), (expected, None));
}

/// RFC 9114 §7.2.4: what was understood of the settings survives a round trip.
pub(crate) fn settings(input: &[u8]) {
    let Ok(settings) = Settings::decode(input) else {
        return;
    };
    let mut out = BytesMut::new();
    settings.encode(&mut out);
    // Each known setting was there once, in a form at least as long.
    assert!(out.len() <= input.len());
    assert_eq!(Settings::decode(&out).as_ref(), Ok(&settings));
    // An unknown one changes nothing (RFC 9114 §7.2.4.1).
    varint::encode(&mut out, 0x21 + 0x1f * 7);
    varint::encode(&mut out, varint::MAX);
    assert_eq!(Settings::decode(&out), Ok(settings));
}

/// RFC 9204 §4.3 and §4.4: the pieces make no difference, and after an error nothing is read.
pub(crate) fn qpack_streams(input: &[u8]) {
    let (cuts, wire) = split_off_cuts(input);
    let _ = same_in_any_pieces(wire, cuts, |chunks| {
        let mut stream = EncoderStream::new();
        chunks.iter().try_for_each(|chunk| stream.read(chunk))
    });
    let _ = same_in_any_pieces(wire, cuts, |chunks| {
        let mut stream = DecoderStream::new();
        chunks.iter().try_for_each(|chunk| stream.read(chunk))
    });
}
