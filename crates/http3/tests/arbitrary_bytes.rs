//! Whatever arrives, in whatever pieces: no reader panics, and the pieces make no difference.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use trilane_http3::{
    Capsule, CapsuleReader, ControlReader, DecoderStream, EncoderStream, FieldLimits, FieldSection,
    MessageError, Part, RequestHead, RequestReader, ResponseHead, ResponseReader, ResponseTo, Role, Settings,
    classify_bidi, classify_uni, datagram, huffman, varint, write_capsule, write_data_header,
    write_request_head, write_trailers,
};

const LIMITS: FieldLimits = FieldLimits {
    max_bytes: 2000,
    max_fields: 20,
};

/// `wire` cut at the given places.
fn pieces(wire: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| cut % (wire.len() + 1))
        .chain([wire.len()])
        .collect();
    ends.sort_unstable();
    let mut start = 0;
    let cut = |end: usize| {
        let piece = Bytes::copy_from_slice(&wire[start..end]);
        start = end;
        piece
    };
    ends.into_iter().map(cut).collect()
}

/// Everything that a request reader says, with adjacent content joined.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    heads: Vec<String>,
    content: Vec<u8>,
    trailers: Vec<String>,
    error: Option<MessageError>,
}

fn read_request(chunks: Vec<Bytes>) -> Outcome {
    let mut reader = RequestReader::new(LIMITS);
    let (mut head, mut section, mut outcome) = (RequestHead::new(), FieldSection::new(), Outcome::default());
    for mut chunk in chunks {
        loop {
            match reader.read(&mut chunk, &mut head, &mut section) {
                Ok(None) => break,
                Ok(Some(Part::Head)) => {
                    let fields: Vec<_> = head.fields().collect();
                    outcome.heads.push(format!(
                        "{:?} {:?} {:?} {fields:?}",
                        head.method(),
                        head.authority(),
                        head.path()
                    ));
                }
                Ok(Some(Part::Data(data))) => {
                    assert!(!data.is_empty());
                    outcome.content.extend_from_slice(&data);
                }
                Ok(Some(Part::Trailers)) => outcome
                    .trailers
                    .extend(section.iter().map(|field| format!("{field:?}"))),
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
        assert!(chunk.is_empty());
    }
    outcome.error = reader.finish().err();
    outcome
}

fn read_response(chunks: Vec<Bytes>) -> Option<MessageError> {
    let mut reader = ResponseReader::new(LIMITS, ResponseTo::Other);
    let (mut head, mut section) = (ResponseHead::new(), FieldSection::new());
    for mut chunk in chunks {
        loop {
            match reader.read(&mut chunk, &mut head, &mut section) {
                Ok(None) => break,
                Ok(Some(_)) => assert!(head.status() >= 100),
                Err(error) => return Some(error),
            }
        }
    }
    reader.finish().err()
}

fn read_control(role: Role, chunks: Vec<Bytes>) -> String {
    let (mut reader, mut log) = (ControlReader::new(role), String::new());
    for mut chunk in chunks {
        loop {
            match reader.read(&mut chunk) {
                Ok(None) => break,
                Ok(Some(frame)) => log.push_str(&format!("{frame:?};")),
                Err(error) => return log + &error.to_string(),
            }
        }
        assert!(chunk.is_empty());
    }
    log
}

fn read_capsules(chunks: Vec<Bytes>) -> String {
    let (mut reader, mut log) = (CapsuleReader::new(100), String::new());
    for mut chunk in chunks {
        loop {
            match reader.read(&mut chunk) {
                Ok(None) => break,
                Ok(Some(capsule)) => log.push_str(&format!("{capsule:?};")),
                Err(error) => return log + &error.to_string(),
            }
        }
        assert!(chunk.is_empty());
    }
    log + &format!("{:?}", reader.finish())
}

/// Bytes that look like frames or capsules more often than chance would have it.
fn framed(kinds: &'static [u64]) -> impl Strategy<Value = Vec<u8>> {
    let frame =
        (prop::sample::select(kinds), vec(any::<u8>(), 0..40), 0..4usize).prop_map(|(kind, payload, cut)| {
            let mut out = BytesMut::new();
            varint::encode(&mut out, kind);
            varint::encode(&mut out, payload.len() as u64);
            out.extend_from_slice(&payload);
            // Now and then the length is wrong.
            out.truncate(out.len() - if cut == 3 { out.len() / 3 } else { 0 });
            out.to_vec()
        });
    vec(frame, 0..6).prop_map(|frames| frames.concat())
}

const FRAME_KINDS: &[u64] = &[0, 1, 3, 4, 5, 7, 0xd, 0x21, 0x41, 0xf0700, 0xf0701];
const CAPSULE_KINDS: &[u64] = &[
    0,
    0x17,
    0x2843,
    0x78ae,
    0x190b_4d3d,
    0x190b_4d3f,
    0x190b_4d40,
    0x190b_4d41,
];

/// Field lines that decode, whatever they say: a mix of valid and invalid heads.
fn section() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        (0u8..63).prop_map(|index| vec![0xc0 | index]),
        (0u8..15, vec(any::<u8>(), 0..10))
            .prop_map(|(index, value)| { [&[0x50 | index, value.len() as u8][..], &value].concat() }),
        (vec(any::<u8>(), 0..7), vec(any::<u8>(), 0..10)).prop_map(|(name, value)| {
            [
                &[0x20 | name.len() as u8][..],
                &name,
                &[value.len() as u8],
                &value,
            ]
            .concat()
        }),
        (vec(any::<u8>(), 0..9)).prop_map(|value| [&[0x51, 0x80 | value.len() as u8][..], &value].concat()),
    ];
    vec(line, 0..8).prop_map(|lines| {
        let payload = [&[0, 0][..], &[0xd1, 0xd7, 0x50, 1, b'a', 0xc1], &lines.concat()].concat();
        [&[1, 0x40, payload.len() as u8][..], &payload].concat()
    })
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let field = ("x-[a-z0-9-]{0,20}", "[!-~]([ -~]{0,30}[!-~])?");
    (
        vec(field, 0..8),
        vec(vec(any::<u8>(), 0..200), 0..5),
        vec(field, 0..4),
    )
        .prop_map(|(fields, contents, trailers)| {
            fn bytes_of(fields: &[(String, String)]) -> impl Iterator<Item = (&[u8], &[u8])> {
                fields
                    .iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            }
            let mut out = BytesMut::new();
            write_request_head(
                &mut out,
                b"POST",
                b"https",
                b"example.com",
                b"/p",
                None,
                bytes_of(&fields),
            );
            for content in contents {
                write_data_header(&mut out, content.len() as u64);
                out.extend_from_slice(&content);
            }
            write_trailers(&mut out, bytes_of(&trailers));
            out.to_vec()
        })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_make_a_reader_panic(wire in vec(any::<u8>(), 0..300), cuts in vec(any::<usize>(), 0..6)) {
        read_request(pieces(&wire, &cuts));
        read_response(pieces(&wire, &cuts));
        read_control(Role::Server, pieces(&wire, &cuts));
        read_control(Role::Client, pieces(&wire, &cuts));
        read_capsules(pieces(&wire, &cuts));
        let _ = Settings::decode(&wire);
        let _ = classify_bidi(&wire);
        let _ = classify_uni(&wire);
        let _ = datagram::decode(Bytes::copy_from_slice(&wire));
        let _ = EncoderStream::new().read(&wire);
        let _ = DecoderStream::new().read(&wire);
        let _ = varint::decode(&wire);
        let _ = huffman::decode(&wire, &mut Vec::new());
    }

    #[test]
    fn frames_say_the_same_however_they_are_cut(wire in framed(FRAME_KINDS), cuts in vec(any::<usize>(), 0..8)) {
        prop_assert_eq!(read_request(pieces(&wire, &cuts)), read_request(pieces(&wire, &[])));
        prop_assert_eq!(read_response(pieces(&wire, &cuts)), read_response(pieces(&wire, &[])));
        let control = [&[4, 0][..], &wire].concat();
        for role in [Role::Client, Role::Server] {
            prop_assert_eq!(read_control(role, pieces(&control, &cuts)), read_control(role, pieces(&control, &[])));
        }
    }

    #[test]
    fn heads_say_the_same_however_they_are_cut(wire in section(), cuts in vec(any::<usize>(), 0..8)) {
        prop_assert_eq!(read_request(pieces(&wire, &cuts)), read_request(pieces(&wire, &[])));
    }

    #[test]
    fn a_valid_request_says_the_same_however_it_is_cut(wire in request(), cuts in vec(any::<usize>(), 0..8)) {
        let whole = read_request(pieces(&wire, &[]));
        prop_assert_eq!(whole.error, None);
        prop_assert_eq!(read_request(pieces(&wire, &cuts)), whole);
    }

    #[test]
    fn capsules_say_the_same_however_they_are_cut(wire in framed(CAPSULE_KINDS), cuts in vec(any::<usize>(), 0..8)) {
        prop_assert_eq!(read_capsules(pieces(&wire, &cuts)), read_capsules(pieces(&wire, &[])));
    }

    #[test]
    fn any_text_survives_huffman(text in vec(any::<u8>(), 0..200)) {
        let mut encoded = BytesMut::new();
        huffman::encode(&text, &mut encoded);
        prop_assert_eq!(encoded.len(), huffman::encoded_len(&text));
        let mut decoded = Vec::new();
        huffman::decode(&encoded, &mut decoded).unwrap();
        prop_assert_eq!(decoded, text);
    }

    #[test]
    fn any_datagram_survives_a_round_trip(id in 0u64..1 << 60, payload in vec(any::<u8>(), 0..100)) {
        let wire = datagram::encode(id * 4, &payload);
        prop_assert_eq!(datagram::decode(wire).unwrap(), (id * 4, Bytes::from(payload)));
    }

    #[test]
    fn any_close_reason_arrives_as_text(reason in ".{0,600}") {
        let mut wire = BytesMut::new();
        write_capsule(&mut wire, &Capsule::CloseSession { code: 7, reason: Bytes::from(reason.clone()) });
        let capsule = CapsuleReader::new(0).read(&mut wire.freeze()).unwrap();
        let Some(Capsule::CloseSession { code: 7, reason: read }) = capsule else { panic!("{capsule:?}") };
        prop_assert!(reason.as_bytes().starts_with(&read));
        prop_assert!(read.len() == reason.len() || read.len() > 1020);
    }
}
