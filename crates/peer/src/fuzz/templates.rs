//! What a sound client sends on one stream, as bytes in pieces: a piece is what a mutation moves, repeats or leaves out.

use bytes::BytesMut;
use fastrand::Rng;

use crate::wire;

/// Which direction a stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bidi,
    Uni,
}

/// A stream and its pieces: stream types, frames, capsules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) kind: Kind,
    pub(super) pieces: Vec<Vec<u8>>,
    /// Whether a sound client ends it.
    pub(super) ends: bool,
}

/// Longest piece of content, in bytes; an upload has up to 16.
const LONGEST_CONTENT: usize = 8192;

/// Stream types of QPACK (RFC 9204 §4.2): one of each to a connection.
const ENCODER: u8 = 0x2;
const DECODER: u8 = 0x3;

const SETTINGS: u64 = 0x4;
const GOAWAY: u64 = 0x7;
const MAX_PUSH_ID: u64 = 0xd;
const PRIORITY_UPDATE: u64 = 0xf0700;
const WT_BIDI: u64 = 0x41;
const WT_UNI: u64 = 0x54;
const CLOSE_SESSION: u64 = 0x2843;
const DRAIN_SESSION: u64 = 0x78ae;
const MAX_DATA: u64 = 0x190b_4d3d;

/// The control stream: most conversations begin with it.
pub(super) fn control(random: &mut Rng) -> Template {
    let mut pieces = vec![vec![0], frame(SETTINGS, &settings(random))];
    for _ in 0..random.usize(0..4) {
        pieces.push(match random.u8(0..5) {
            0 => frame(GOAWAY, &integer(0)),
            1 => frame(MAX_PUSH_ID, &integer(8)),
            2 => frame(
                PRIORITY_UPDATE,
                &[&integer(4 * random.u64(0..8))[..], b"u=1, i"].concat(),
            ),
            3 => frame(grease(random), b"reserved"),
            _ => frame(PRIORITY_UPDATE, &integer(0)),
        });
    }
    Template {
        kind: Kind::Uni,
        pieces,
        ends: false,
    }
}

/// Any other stream.
pub(super) fn any(random: &mut Rng) -> Template {
    match random.u8(0..16) {
        0..=2 => request(
            random,
            &["GET", "HEAD", "DELETE"],
            &["/hello", "/nothing", "/users/7?a=b"],
            &[],
        ),
        3..=4 => with_body(random, "/echo"),
        5..=6 => with_body(random, "/sink"),
        7 => request(random, &["GET"], &["/source"], &[]),
        8 => request(
            random,
            &["OPTIONS", "TRACE", "PUT"],
            &["*", "/hello"],
            &[("te", "trailers")],
        ),
        9 => compressed_request(),
        10 => tunnel(random),
        11..=12 => session(random),
        13 => qpack(random),
        14 => webtransport_stream(random),
        _ => uni(vec![integer(grease(random)), content(random)]),
    }
}

/// Whether there may be only one such stream beside the control stream.
pub(super) fn is_single(template: &Template) -> bool {
    template.kind == Kind::Uni && matches!(template.pieces[0][..], [ENCODER] | [DECODER])
}

/// A QUIC datagram for some request stream (RFC 9297 §2.1).
pub(super) fn datagram(random: &mut Rng) -> Vec<u8> {
    let payload = content(random);
    [&integer(random.u64(0..8))[..], &payload[..payload.len().min(900)]].concat()
}

fn request(random: &mut Rng, methods: &[&str], paths: &[&str], fields: &[(&str, &str)]) -> Template {
    let method = methods[random.usize(0..methods.len())];
    let path = paths[random.usize(0..paths.len())];
    let mut all = vec![
        (":method", method),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
    ];
    all.extend([("user-agent", "fuzz"), ("cookie", "a=b"), ("accept", "*/*")]);
    all.extend(fields);
    bidi(vec![headers(&all)])
}

fn with_body(random: &mut Rng, path: &str) -> Template {
    let count = random.usize(0..16);
    let contents: Vec<_> = (0..count).map(|_| content(random)).collect();
    let length = contents.iter().map(Vec::len).sum::<usize>().to_string();
    let told = [("content-length", length.as_str())];
    let fields: &[(&str, &str)] = if random.bool() { &told } else { &[] };
    let mut template = request(random, &["POST", "PUT"], &[path], fields);
    for content in contents {
        template.pieces.push(frame(wire::DATA, &content));
        if random.u8(0..8) == 0 {
            template.pieces.push(frame(grease(random), b"between"));
        }
    }
    if random.bool() {
        template
            .pieces
            .push(headers(&[("x-checksum", "1"), ("grpc-status", "0")]));
    }
    template
}

/// GET / of a browser: static rows and Huffman codes (RFC 9204 appendix A, RFC 7541 appendix B).
fn compressed_request() -> Template {
    let section = b"\0\0\xd1\xd7\x50\x01a\xc1\xdd\x2f\x01\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x82\x64\x02";
    bidi(vec![frame(wire::HEADERS, section)])
}

fn tunnel(random: &mut Rng) -> Template {
    let head = headers(&[(":method", "CONNECT"), (":authority", "localhost:1")]);
    bidi(vec![head, frame(wire::DATA, &content(random))])
}

/// An extended CONNECT whose content is capsules (RFC 9220, RFC 9297 §3).
fn session(random: &mut Rng) -> Template {
    let protocol = ["webtransport", "webtransport-h3", "connect-udp"][random.usize(0..3)];
    let head = headers(&[
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/session"),
        ("capsule-protocol", "?1"),
    ]);
    let mut pieces = vec![head];
    for _ in 0..random.usize(0..5) {
        let capsule = match random.u8(0..6) {
            0 => frame(0, &content(random)[..]),
            1 => frame(DRAIN_SESSION, b""),
            2 => frame(CLOSE_SESSION, b"\0\0\0\x07enough"),
            kind => frame(MAX_DATA + u64::from(kind), &integer(random.u64(0..1000))),
        };
        pieces.push(frame(wire::DATA, &capsule));
    }
    bidi(pieces)
}

fn webtransport_stream(random: &mut Rng) -> Template {
    let session = integer(4 * random.u64(0..4));
    let (kind, of) = if random.bool() {
        (Kind::Bidi, WT_BIDI)
    } else {
        (Kind::Uni, WT_UNI)
    };
    Template {
        kind,
        pieces: vec![integer(of), session, content(random)],
        ends: true,
    }
}

/// An encoder or decoder stream, and what may be said on it without a dynamic table (RFC 9204 §4.3 and §4.4).
fn qpack(random: &mut Rng) -> Template {
    let (kind, said): (u8, &[u8]) = match random.u8(0..4) {
        0 => (ENCODER, b""),
        1 => (ENCODER, b"\x20"),
        2 => (DECODER, b"\x44"),
        _ => (DECODER, b"\x7f\x01"),
    };
    uni(vec![vec![kind], said.to_vec()])
}

/// Known settings of browsers and an unknown one.
fn settings(random: &mut Rng) -> Vec<u8> {
    let known = [
        (0x1, 0),
        (0x6, 16_384),
        (0x7, 0),
        (0x8, 1),
        (0x33, 1),
        (0x2b60_3742, 1),
        (0x2c7c_f000, 1),
        (0x14e9_cd29, 1),
        (0x2b61, 65_536),
    ];
    let mut out = BytesMut::new();
    for (id, value) in known.into_iter().filter(|_| random.bool()) {
        wire::varint(&mut out, id);
        wire::varint(&mut out, value);
    }
    wire::varint(&mut out, grease(random));
    wire::varint(&mut out, 1);
    out.to_vec()
}

fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    frame(wire::HEADERS, &wire::field_section(fields))
}

fn content(random: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; random.usize(0..=LONGEST_CONTENT) >> random.u8(0..10)];
    random.fill(&mut bytes);
    bytes
}

/// A type reserved so that others are ignored (RFC 9114 §7.2.8).
fn grease(random: &mut Rng) -> u64 {
    0x21 + 0x1f * random.u64(0..1 << 20)
}

fn integer(value: u64) -> Vec<u8> {
    let mut out = BytesMut::new();
    wire::varint(&mut out, value);
    out.to_vec()
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    wire::frame(&mut out, kind, payload);
    out.to_vec()
}

fn bidi(pieces: Vec<Vec<u8>>) -> Template {
    Template {
        kind: Kind::Bidi,
        pieces,
        ends: true,
    }
}

fn uni(pieces: Vec<Vec<u8>>) -> Template {
    Template {
        kind: Kind::Uni,
        pieces,
        ends: false,
    }
}
