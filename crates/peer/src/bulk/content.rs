//! The content of a message, counted frame by frame.

use crate::wire;

/// How much content came, and how it began.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The payload of all DATA frames.
    pub(crate) bytes: u64,
    /// Their first bytes.
    pub(crate) beginning: Vec<u8>,
}

/// Reads the frames of a message (RFC 9114 §7.1) in whatever pieces they come.
pub(crate) struct Content {
    keep: usize,
    counted: Counted,
    /// What is there of a frame's type and length: at most 16 bytes.
    header: Vec<u8>,
    is_data: bool,
    /// What is still to come of the frame's payload.
    left: u64,
}

impl Content {
    /// Keeps so many bytes of the beginning.
    pub(crate) fn keeping(keep: usize) -> Self {
        Self {
            keep,
            counted: Counted::default(),
            header: Vec::with_capacity(16),
            is_data: false,
            left: 0,
        }
    }

    /// Takes the next piece of the stream.
    pub(crate) fn take(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.left > 0 {
                let length = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (payload, rest) = piece.split_at(length);
                self.payload(payload);
                self.left -= length as u64;
                piece = rest;
                continue;
            }
            let (first, rest) = piece.split_at(1);
            self.header.extend_from_slice(first);
            piece = rest;
            if let Some((kind, length)) = frame_header(&self.header) {
                self.is_data = kind == wire::DATA;
                self.left = length;
                self.header.clear();
            }
        }
    }

    fn payload(&mut self, payload: &[u8]) {
        if !self.is_data {
            return;
        }
        self.counted.bytes += payload.len() as u64;
        let room = self.keep.saturating_sub(self.counted.beginning.len());
        self.counted
            .beginning
            .extend_from_slice(&payload[..payload.len().min(room)]);
    }

    /// What came; an error if the stream ended inside a frame.
    pub(crate) fn finish(self) -> Result<Counted, &'static str> {
        if self.left > 0 || !self.header.is_empty() {
            return Err("the answer ends inside a frame");
        }
        Ok(self.counted)
    }
}

/// Type and length of a frame, if both are complete.
fn frame_header(bytes: &[u8]) -> Option<(u64, u64)> {
    let (kind, rest) = varint(bytes)?;
    Some((kind, varint(rest)?.0))
}

/// A variable-length integer (RFC 9000 §16) and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let (integer, rest) = bytes.split_at_checked(1 << (first >> 6))?;
    let value = integer[1..].iter().fold(u64::from(first & 0x3f), |value, byte| {
        value << 8 | u64::from(*byte)
    });
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Vec<u8> {
        let mut out = bytes::BytesMut::new();
        wire::frame(&mut out, wire::HEADERS, b"\x00\x00\xd9");
        wire::frame(&mut out, wire::DATA, &[b'a'; 100]);
        wire::frame(&mut out, wire::reserved(7), b"grease");
        wire::frame(&mut out, wire::DATA, &[b'b'; 20_000]);
        out.to_vec()
    }

    #[test]
    fn content_is_counted_the_same_in_whatever_pieces_it_comes() {
        for size in [1, 2, 3, 7, 99, 4096, usize::MAX] {
            let mut content = Content::keeping(102);
            for piece in message().chunks(size) {
                content.take(piece);
            }
            let counted = content.finish().unwrap();
            assert_eq!(counted.bytes, 20_100, "in pieces of {size}");
            assert_eq!(counted.beginning, [&[b'a'; 100][..], b"bb"].concat());
        }
    }

    #[test]
    fn a_message_that_ends_inside_a_frame_is_not_whole() {
        let mut content = Content::keeping(0);
        let message = message();
        content.take(&message[..message.len() - 1]);
        assert!(content.finish().is_err());
    }
}
