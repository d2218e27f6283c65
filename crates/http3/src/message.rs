//! One message on a request stream: HEADERS, then any DATA, then perhaps HEADERS with the trailers (RFC 9114
//! §4.1).
//!
//! [`MessageFrames`] knows the order and the sizes of frames; the readers of requests and responses, built on
//! it, know what is in them.

mod frames;

pub(crate) use frames::{Content, Event, MessageFrames};

use bytes::Bytes;

use crate::code::Code;
use crate::error::Error;
use crate::qpack::DecodeError;

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A head was decoded into the head given to `read`.
    Head,
    /// Content: never empty, and a view of the chunk.
    Data(Bytes),
    /// The trailers were decoded into the section given to `read`. Nothing but unknown frames follows.
    Trailers,
}

/// Why a message cannot be read. After any of them the reader stays failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The head exceeds the limits: a server answers 431 (RFC 9114 §4.2.2).
    #[error("the head of the message exceeds the limits")]
    HeadTooLarge,
    /// The trailers exceed the limits.
    #[error("the trailers of the message exceed the limits")]
    TrailersTooLarge,
    /// A rule was broken.
    #[error(transparent)]
    Protocol(#[from] Error),
}

/// What a failed field section means for its message; `too_large` says which section it is.
pub(crate) fn section_error(error: DecodeError, too_large: MessageError) -> MessageError {
    match error {
        DecodeError::TooLarge => too_large,
        // RFC9204-6-field-section
        DecodeError::Encoding(reason) => Error::connection(Code::QPACK_DECOMPRESSION_FAILED, reason).into(),
        // RFC9204-7.4-integer-too-large
        DecodeError::Integer => Error::stream(
            Code::QPACK_DECOMPRESSION_FAILED,
            "integer too large in a field section",
        )
        .into(),
        // RFC9114-4.1.2-malformed-request, RFC9114-4.1.2-malformed-response
        DecodeError::Malformed(reason) => Error::malformed(reason).into(),
    }
}
