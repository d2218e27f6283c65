//! HTTP/3 written byte by byte: what no library would send.

use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt};
use trilane_http3::{FieldLimits, FieldSection, Part, ResponseHead, ResponseReader, ResponseTo};

use crate::support::soon;

/// What a client does after its last byte on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Fin,
    Reset(u64),
}

/// What a client sees of the server's reaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// An answer with this status, and its clean end.
    Answer(u16),
    /// RESET_STREAM with this code.
    Reset(u64),
    /// CONNECTION_CLOSE with this code.
    Closed(u64),
}

/// A variable-length integer in its shortest form (RFC 9000 §16).
pub(crate) fn varint(value: u64) -> Vec<u8> {
    match value {
        0..=0x3f => vec![value as u8],
        0x40..=0x3fff => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..=0x3fff_ffff => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

pub(crate) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [&varint(kind), &varint(payload.len() as u64), payload].concat()
}

/// A variable-length integer from the front of `bytes`; `None`: there is not all of it.
pub(crate) fn take_varint(bytes: &mut Vec<u8>) -> Option<u64> {
    let length = 1 << (bytes.first()? >> 6);
    if bytes.len() < length {
        return None;
    }
    let first = u64::from(bytes[0] & 0x3f);
    let value = bytes[1..length]
        .iter()
        .fold(first, |value, byte| value << 8 | u64::from(*byte));
    bytes.drain(..length);
    Some(value)
}

/// Types and payloads of the whole frames in `bytes`.
pub(crate) fn frames(mut bytes: Vec<u8>) -> Vec<(u64, Vec<u8>)> {
    let mut frames = Vec::new();
    while let (Some(kind), Some(length)) = (take_varint(&mut bytes), take_varint(&mut bytes)) {
        frames.push((kind, bytes.drain(..length as usize).collect()));
    }
    frames
}

/// A HEADERS frame whose fields are all literals (RFC 9204 §4.5.6), whatever is in them.
pub(crate) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        prefixed(&mut section, 0x20, 3, name.as_bytes());
        prefixed(&mut section, 0, 7, value.as_bytes());
    }
    frame(1, &section)
}

fn prefixed(out: &mut Vec<u8>, pattern: u8, bits: u32, text: &[u8]) {
    let most = (1 << bits) - 1;
    if text.len() < most {
        out.push(pattern | text.len() as u8);
    } else {
        out.push(pattern | most as u8);
        let mut rest = text.len() - most;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text);
}

pub(crate) fn pseudo(method: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        (":method", method),
        (":scheme", "https"),
        (":authority", "a"),
        (":path", "/"),
    ]
}

/// The HEADERS of `method` and more fields.
pub(crate) fn request(method: &'static str, fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    headers(&[&pseudo(method), fields].concat())
}

pub(crate) fn code(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap()
}

/// Writes `bytes` on a new request stream. A server that refuses them early is no failure here.
pub(crate) async fn ask(connection: &Connection, bytes: &[u8], end: End) -> (SendStream, RecvStream) {
    let (mut send, recv) = soon("a stream", connection.open_bi()).await.unwrap();
    write(&mut send, bytes, end).await;
    (send, recv)
}

/// Writes `bytes` on a new unidirectional stream.
pub(crate) async fn tell(connection: &Connection, bytes: &[u8], end: End) -> SendStream {
    let mut send = soon("a stream", connection.open_uni()).await.unwrap();
    write(&mut send, bytes, end).await;
    send
}

pub(crate) async fn write(send: &mut SendStream, bytes: &[u8], end: End) {
    let _ = soon("a write", send.write_all(bytes)).await;
    match end {
        End::Open => {}
        End::Fin => drop(send.finish()),
        End::Reset(with) => drop(send.reset(code(with))),
    }
}

/// What became of the answer.
pub(crate) async fn seen(recv: &mut RecvStream) -> Seen {
    match soon("an answer", recv.read_to_end(1 << 20)).await {
        Ok(bytes) => Seen::Answer(head(&bytes).status()),
        Err(quinn::ReadToEndError::Read(ReadError::Reset(with))) => Seen::Reset(with.into_inner()),
        Err(quinn::ReadToEndError::Read(ReadError::ConnectionLost(lost))) => Seen::Closed(closed_with(&lost)),
        Err(error) => panic!("unexpected: {error}"),
    }
}

/// The code of the server's CONNECTION_CLOSE, whose reason must be short and plain.
pub(crate) async fn close_code(connection: &Connection) -> u64 {
    closed_with(&soon("the close", connection.closed()).await)
}

fn closed_with(lost: &ConnectionError) -> u64 {
    let ConnectionError::ApplicationClosed(close) = lost else {
        panic!("closed by something else than HTTP/3: {lost}")
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" :-_/".contains(byte);
    assert!(
        close.reason.len() <= 60 && close.reason.iter().all(is_plain),
        "{:?}",
        close.reason
    );
    close.error_code.into_inner()
}

/// The code with which the server asked for no more of a request; `None`: it took all of it.
pub(crate) async fn stop_code(send: &SendStream) -> Option<u64> {
    soon("a stop", send.stopped())
        .await
        .unwrap()
        .map(VarInt::into_inner)
}

/// Whether an honest request is served on this connection.
pub(crate) async fn serves(connection: &Connection) -> bool {
    let (_send, mut recv) = ask(connection, &request("GET", &[]), End::Fin).await;
    seen(&mut recv).await == Seen::Answer(200)
}

/// The head of the answer in `bytes`.
pub(crate) fn head(bytes: &[u8]) -> ResponseHead {
    let limits = FieldLimits {
        max_bytes: 1 << 16,
        max_fields: 100,
    };
    let mut reader = ResponseReader::new(limits, ResponseTo::Other);
    let (mut head, mut trailers) = (ResponseHead::new(), FieldSection::new());
    let part = reader.read(&mut bytes.to_vec().into(), &mut head, &mut trailers);
    assert_eq!(part, Ok(Some(Part::Head)));
    head
}
