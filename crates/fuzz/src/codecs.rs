//! Integers, Huffman codes and datagrams: small formats with one reading.

use bytes::{Bytes, BytesMut};
use trilane_http3::{datagram as datagrams, huffman as codes, varint as integers};

/// RFC 9000 §16: what is read has the length it claims, and its shortest form reads as the same.
pub(crate) fn varint(input: &[u8]) {
    let Some((value, length)) = integers::decode(input) else {
        assert!(input.len() < integers::MAX_LEN, "eight bytes are always enough");
        return;
    };
    assert!(value <= integers::MAX && length <= input.len());
    let mut shortest = BytesMut::new();
    integers::encode(&mut shortest, value);
    assert_eq!(shortest.len(), integers::len(value));
    assert!(shortest.len() <= length);
    assert_eq!(integers::decode(&shortest), Some((value, shortest.len())));
    for cut in 0..length {
        assert_eq!(integers::decode(&input[..cut]), None);
    }
}

/// RFC 7541 §5.2: each text has one code, and each accepted code is that of its text.
pub(crate) fn huffman(input: &[u8]) {
    assert_eq!(decoded(&encoded(input)).as_deref(), Some(input));
    if let Some(text) = decoded(input) {
        // The shortest code has five bits.
        assert!(text.len() * 5 <= input.len() * 8);
        assert_eq!(encoded(&text), input);
    }
}

fn decoded(code: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    codes::decode(code, &mut text).ok().map(|()| text)
}

fn encoded(text: &[u8]) -> BytesMut {
    let mut code = BytesMut::new();
    codes::encode(text, &mut code);
    assert_eq!(code.len(), codes::encoded_len(text));
    code
}

/// RFC 9297 §2.1: a datagram names a request stream, and its payload is what is left.
pub(crate) fn datagram(input: &[u8]) {
    let Ok((stream, payload)) = datagrams::decode(Bytes::copy_from_slice(input)) else {
        return;
    };
    assert!(stream.is_multiple_of(4) && stream <= integers::MAX);
    assert!(input.ends_with(&payload) && payload.len() < input.len());
    let again = datagrams::encode(stream, &payload);
    assert_eq!(again.len(), datagrams::overhead(stream) + payload.len());
    assert_eq!(datagrams::decode(again), Ok((stream, payload)));
}
