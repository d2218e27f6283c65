//! What every parser must keep to, whatever bytes arrive: the fuzz targets.
//!
//! A [`Target`] takes any bytes and panics when a promise is broken. Beyond "no panic" the promises are:
//!
//! - the same bytes say the same, in whatever pieces they arrive
//! - what comes out is bounded by what went in and by the limits
//! - what was accepted, written again, is read as the same
//! - after an error a message reader repeats it, whatever follows
//!
//! `cargo test -p trilane-fuzz` runs each target over its corpus (`corpus/<target>/`) and a bounded number of
//! mutations of it; the program `libfuzzer` searches for new inputs, guided by coverage. A file of the corpus
//! is the input itself, without any container.

mod capsules;
mod certificates;
mod codecs;
mod control;
mod fields;
mod messages;
pub mod mutation;
mod pieces;
mod prefixes;
mod priority;
mod routes;

/// One promise, checked against any input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called on the command line, and the name of its folder in the corpus.
    pub name: &'static str,
    /// Checks one input.
    ///
    /// # Panics
    /// When the promise is broken: that is what it is for.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("capsules", capsules::capsules),
    target("certificates", certificates::certificates),
    target("control", control::control),
    target("datagram", codecs::datagram),
    target("fields", fields::fields),
    target("huffman", codecs::huffman),
    target("prefixes", prefixes::prefixes),
    target("priority", priority::priority),
    target("qpack_streams", control::qpack_streams),
    target("request", messages::request),
    target("response", messages::response),
    target("routes", routes::routes),
    target("section", fields::section),
    target("settings", control::settings),
    target("varint", codecs::varint),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}
