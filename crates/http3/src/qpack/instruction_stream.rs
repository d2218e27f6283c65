//! The peer's QPACK streams (RFC 9204 §4.3 and §4.4), for an endpoint that offers no dynamic table and uses
//! none: almost every instruction is an error.

use super::integer::{Continuation, Progress};
use crate::code::Code;
use crate::error::Error;

/// Reads the peer's encoder stream. Without a table only "Set Dynamic Table Capacity" with the value 0 is
/// possible.
#[derive(Clone, Debug, Default)]
pub struct EncoderStream {
    capacity: Option<Continuation>,
    overhead: u32,
}

impl EncoderStream {
    /// A stream at its beginning, behind the stream type.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads all of `chunk`.
    ///
    /// # Errors
    /// QPACK_ENCODER_STREAM_ERROR, connection: a capacity above the 0 we allow (RFC 9204 §4.3.1), or an
    /// insertion or duplication, which such a table cannot hold (§3.2.2).
    pub fn read(&mut self, chunk: &[u8]) -> Result<(), Error> {
        for byte in chunk {
            self.read_byte(*byte)
                .map_err(|reason| Error::connection(Code::QPACK_ENCODER_STREAM_ERROR, reason))?;
        }
        Ok(())
    }

    /// Instructions read since the last call: each is allowed, and many are a load (RFC 9114 §10.5).
    pub fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    /// The stream ended or was reset.
    pub fn ended(&self) -> Error {
        closed_critical_stream()
    }

    fn read_byte(&mut self, byte: u8) -> Result<(), &'static str> {
        const ABOVE: &str = "dynamic table capacity above the limit";
        const INSERTION: &str = "insertion into a dynamic table that was not offered";
        if let Some(capacity) = &mut self.capacity {
            // The prefix alone was 31, so whatever follows the capacity is not 0.
            return match capacity.push(byte) {
                Progress::More => Ok(()),
                Progress::Done(_) => Err(ABOVE),
                // RFC9204-7.4-encoder-stream-integer
                Progress::Overflow => Err("integer too large on the encoder stream"),
            };
        }
        match byte {
            // RFC9204-4.3.1-capacity-zero
            0b0010_0000 => {
                self.overhead = self.overhead.saturating_add(1);
                Ok(())
            }
            0b0011_1111 => {
                self.capacity = Some(Continuation::new(31));
                Ok(())
            }
            // RFC9204-4.3.1-capacity-above-limit
            0b0010_0001..=0b0011_1110 => Err(ABOVE),
            // RFC9204-3.2.2-insert-static-name, whatever the index (RFC9204-3.1-encoder-stream)
            0b1100_0000.. => Err(INSERTION),
            // RFC9204-2.2.3-insert-dynamic-name
            0b1000_0000.. => Err(INSERTION),
            // RFC9204-3.2.2-insert-literal-name
            0b0100_0000.. => Err(INSERTION),
            // RFC9204-2.2.3-duplicate
            _ => Err("duplication in a dynamic table that was not offered"),
        }
    }
}

/// Reads the peer's decoder stream. Since we never refer to a dynamic entry, only "Stream Cancellation" is
/// possible.
#[derive(Clone, Debug, Default)]
pub struct DecoderStream {
    cancelled_stream: Option<Continuation>,
    overhead: u32,
}

impl DecoderStream {
    /// A stream at its beginning, behind the stream type.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads all of `chunk`.
    ///
    /// # Errors
    /// QPACK_DECODER_STREAM_ERROR, connection: an acknowledgment or insert count increment for something
    /// never sent (RFC 9204 §4.4.1 and §4.4.3), or a stream id above 62 bits.
    pub fn read(&mut self, chunk: &[u8]) -> Result<(), Error> {
        for byte in chunk {
            self.read_byte(*byte)
                .map_err(|reason| Error::connection(Code::QPACK_DECODER_STREAM_ERROR, reason))?;
        }
        Ok(())
    }

    /// Instructions read since the last call: each is allowed, and many are a load (RFC 9114 §10.5).
    pub fn take_overhead(&mut self) -> u32 {
        std::mem::take(&mut self.overhead)
    }

    /// The stream ended or was reset.
    pub fn ended(&self) -> Error {
        closed_critical_stream()
    }

    fn read_byte(&mut self, byte: u8) -> Result<(), &'static str> {
        if let Some(stream) = &mut self.cancelled_stream {
            match stream.push(byte) {
                Progress::More => {}
                Progress::Done(_) => self.cancelled_stream = None,
                // RFC9204-7.4-decoder-stream-integer
                Progress::Overflow => return Err("integer too large on the decoder stream"),
            }
            return Ok(());
        }
        self.overhead = self.overhead.saturating_add(1);
        match byte {
            // RFC9204-4.4.1-acknowledgment
            0b1000_0000.. => Err("acknowledgment of a section without dynamic references"),
            // RFC9204-4.4.2-cancellation
            0b0111_1111 => {
                self.cancelled_stream = Some(Continuation::new(63));
                Ok(())
            }
            0b0100_0000.. => Ok(()),
            // RFC9204-4.4.3-increment-zero
            0 => Err("insert count increment of 0"),
            // RFC9204-4.4.3-increment-beyond
            _ => Err("insert count increment beyond what was inserted"),
        }
    }
}

/// RFC 9204 §4.2
fn closed_critical_stream() -> Error {
    Error::connection(Code::H3_CLOSED_CRITICAL_STREAM, "QPACK stream closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    /// RFC9204-4.3.1-capacity-zero, RFC9204-4.3.1-capacity-above-limit
    #[test]
    fn a_capacity_of_zero_is_accepted_and_any_other_closes_the_connection() {
        let mut stream = EncoderStream::new();
        assert_eq!(stream.read(&[0x20, 0x20]), Ok(()));
        for chunk in [&[0x21][..], &[0x3e], &[0x3f, 0x00], &[0x3f, 0xe1, 0x1f]] {
            let error = EncoderStream::new().read(chunk).unwrap_err();
            assert_eq!(
                (error.code, error.scope),
                (Code::QPACK_ENCODER_STREAM_ERROR, Scope::Connection)
            );
        }
    }

    #[test]
    fn a_capacity_in_pieces_is_judged_when_complete() {
        let mut stream = EncoderStream::new();
        assert_eq!(stream.read(&[0x3f]), Ok(()));
        assert_eq!(stream.read(&[0xe1]), Ok(()));
        assert!(stream.read(&[0x1f]).is_err());
    }

    #[test]
    fn an_insertion_or_duplication_closes_the_connection() {
        let insertion = "insertion into a dynamic table that was not offered";
        let duplication = "duplication in a dynamic table that was not offered";
        let cases = [
            ("RFC9204-3.2.2-insert-static-name", insertion, &[0xc0, 0xe2][..]),
            ("RFC9204-3.1-encoder-stream", insertion, &[0xff]),
            ("RFC9204-2.2.3-insert-dynamic-name", insertion, &[0x80, 0xbf]),
            (
                "RFC9204-3.2.2-insert-literal-name",
                insertion,
                &[0x40, 0x60, 0x7f],
            ),
            ("RFC9204-2.2.3-duplicate", duplication, &[0x00, 0x1f]),
        ];
        for (rule, reason, firsts) in cases {
            for first in firsts {
                let error = EncoderStream::new().read(&[*first]).unwrap_err();
                assert_eq!(
                    error,
                    Error::connection(Code::QPACK_ENCODER_STREAM_ERROR, reason),
                    "{rule}"
                );
            }
        }
    }

    /// RFC9204-7.4-encoder-stream-integer
    #[test]
    fn a_capacity_without_end_closes_the_connection() {
        let mut stream = EncoderStream::new();
        assert_eq!(
            stream.read(&[0x3f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
            Ok(())
        );
        assert_eq!(
            stream.read(&[0x80]),
            Err(Error::connection(
                Code::QPACK_ENCODER_STREAM_ERROR,
                "integer too large on the encoder stream"
            ))
        );
    }

    /// RFC9204-4.4.2-cancellation
    #[test]
    fn stream_cancellations_are_accepted_in_any_pieces() {
        let mut stream = DecoderStream::new();
        assert_eq!(stream.read(&[0x44, 0x7f, 0x81]), Ok(()));
        assert_eq!(stream.read(&[0x01, 0x48]), Ok(()));
    }

    /// RFC 9114 §10.5.
    #[test]
    fn every_instruction_is_counted_once() {
        let (mut encoder, mut decoder) = (EncoderStream::new(), DecoderStream::new());
        encoder.read(&[0x20, 0x20, 0x20]).unwrap();
        decoder.read(&[0x44, 0x7f, 0x81, 0x01, 0x48]).unwrap();
        assert_eq!((encoder.take_overhead(), decoder.take_overhead()), (3, 3));
        assert_eq!((encoder.take_overhead(), decoder.take_overhead()), (0, 0));
    }

    #[test]
    fn an_acknowledgment_or_increment_closes_the_connection() {
        let cases = [
            (
                "RFC9204-4.4.1-acknowledgment",
                "acknowledgment of a section without dynamic references",
                &[0x80, 0xff][..],
            ),
            (
                "RFC9204-4.4.3-increment-zero",
                "insert count increment of 0",
                &[0x00],
            ),
            (
                "RFC9204-4.4.3-increment-beyond",
                "insert count increment beyond what was inserted",
                &[0x01, 0x3f],
            ),
        ];
        for (rule, reason, firsts) in cases {
            for first in firsts {
                let error = DecoderStream::new().read(&[*first]).unwrap_err();
                assert_eq!(
                    error,
                    Error::connection(Code::QPACK_DECODER_STREAM_ERROR, reason),
                    "{rule}"
                );
            }
        }
    }

    /// RFC9204-7.4-decoder-stream-integer
    #[test]
    fn a_stream_id_without_end_closes_the_connection() {
        let mut stream = DecoderStream::new();
        assert_eq!(
            stream.read(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
            Ok(())
        );
        assert!(stream.read(&[0x80]).is_err());
    }

    /// RFC 9204 §4.2
    #[test]
    fn the_end_of_either_stream_closes_the_connection() {
        assert_eq!(EncoderStream::new().ended().code, Code::H3_CLOSED_CRITICAL_STREAM);
        assert_eq!(DecoderStream::new().ended().code, Code::H3_CLOSED_CRITICAL_STREAM);
    }
}
