//! The wire knowledge of HTTP/3: every byte and rule of RFC 9114, RFC 9204 (static table), RFC 9297 and RFC
//! 9220, and the prefixes, capsules and error codes of WebTransport (draft-ietf-webtrans-http3-16).
//!
//! Nothing here reads a socket, waits or spawns. Readers take chunks as they arrive and say what was in them;
//! writers append to a buffer. Whatever the peer sends, memory is bounded by the limits given and work is
//! linear in the bytes received.
//!
//! - a bidirectional stream: [`classify_bidi`], then [`RequestReader`] or [`ResponseReader`]
//! - a unidirectional stream: [`classify_uni`], [`PeerStreams`], then [`ControlReader`], [`EncoderStream`],
//!   [`DecoderStream`]
//! - a QUIC datagram: [`datagram`]; the data stream of an extended CONNECT: [`CapsuleReader`]
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use trilane_http3::{FieldLimits, FieldSection, Part, RequestHead, RequestReader};
//! use trilane_http3::{write_data_header, write_response_head};
//!
//! // A HEADERS frame: GET https://a/ with every field from the static table but the authority.
//! let mut chunk = Bytes::from_static(&[0x01, 0x08, 0, 0, 0xd1, 0xd7, 0x50, 1, b'a', 0xc1]);
//! let mut reader = RequestReader::new(FieldLimits { max_bytes: 16_384, max_fields: 100 });
//! let (mut head, mut trailers) = (RequestHead::new(), FieldSection::new());
//! assert_eq!(reader.read(&mut chunk, &mut head, &mut trailers)?, Some(Part::Head));
//! assert_eq!((head.method(), head.path()), (&b"GET"[..], &b"/"[..]));
//! reader.finish()?;
//!
//! let mut answer = BytesMut::new();
//! write_response_head(&mut answer, 200, [(&b"content-type"[..], &b"text/plain"[..])].into_iter());
//! write_data_header(&mut answer, 2);
//! answer.extend_from_slice(b"ok");
//! # Ok::<(), trilane_http3::MessageError>(())
//! ```

pub mod code;
pub mod datagram;
pub mod frame;
pub mod qpack;
pub mod varint;
pub mod webtransport;

mod bidi_stream;
mod capsule;
mod capsule_message;
mod control;
mod error;
mod field;
mod field_section;
mod message;
mod priority;
mod request_head;
mod request_reader;
mod response_head;
mod response_reader;
mod settings;
mod trailers;
mod uni_stream;
mod write;

pub use bidi_stream::{BidiKind, classify_bidi};
pub use capsule::{Capsule, CapsuleReader, MAX_CLOSE_REASON, write_capsule};
pub use capsule_message::check_capsule_field;
pub use code::Code;
pub use control::{ControlFrame, ControlReader};
pub use error::{Error, Scope};
pub use field::{FieldError, check_field, check_response_field};
pub use field_section::{FieldLimits, FieldSection};
pub use message::{MessageError, Part};
pub use priority::Priority;
pub use qpack::{DecoderStream, EncoderStream, huffman};
pub use request_head::RequestHead;
pub use request_reader::RequestReader;
pub use response_head::ResponseHead;
pub use response_reader::{ResponseReader, ResponseTo};
pub use settings::{Settings, WebTransportSettings};
pub use trailers::check_trailer;
pub use uni_stream::{PeerStreams, Role, UniKind, classify_uni};
pub use write::{
    write_control_preface, write_data_header, write_field_line, write_goaway, write_head_of_lines,
    write_request_head, write_response_head, write_response_lines, write_trailers,
};
