//! The border between JavaScript and `trilane-core`: types are translated, batches packed and unpacked, nothing else.
//!
//! Rules of the border:
//! - Rust wakes JavaScript at most once a turn and JavaScript's thread then takes what there is; Rust never awaits a
//!   promise. JavaScript answers with synchronous calls that only queue.
//! - No JavaScript value lives in a task: bytes, numbers and ids only.
//! - An async method owns clones of all it needs before its first await. At exit the runtime ends while wrapped
//!   objects are being freed; a borrowed `self` there would be used after it is gone.
//! - Every queue has a bound: a full one stops the accepting of streams (`bridge`), or is refused (`core`'s outbound).
//! - A panic in a call becomes an exception, a panic in a task ends one connection.

mod answers;
mod body;
mod bridge;
mod certificates;
mod client;
mod client_options;
mod connection;
mod datagrams;
mod debug_output;
mod environment;
mod error;
mod exchanges;
mod fields;
mod files;
mod messages;
mod options;
mod orders;
mod request_end;
mod requests;
mod responses;
mod runtime;
mod server;
mod session;
mod socket_buffers;
mod stats;
mod sync;
mod target;
mod turn;
mod values;

#[global_allocator]
static ALLOCATOR: trilane_allocator::Allocator = trilane_allocator::Allocator;
