//! QPACK with the static table only (RFC 9204): we offer no dynamic table and use none.

pub mod huffman;

mod decode;
mod encode;
mod huffman_code;
mod instruction_stream;
mod integer;
mod static_table;

pub use instruction_stream::{DecoderStream, EncoderStream};

pub(crate) use decode::{DecodeError, FieldRules, Source, decode};
pub(crate) use encode::{write_field, write_prefix, write_status};
pub(crate) use static_table::CONTENT_LENGTH;
