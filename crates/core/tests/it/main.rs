//! The core as a Rust program uses it, against h3 and h3-quinn: a client that shares no code with it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod addresses;
mod answers;
mod body;
mod caller;
mod client;
mod conversations;
mod datagrams;
mod dial;
mod dial_scene;
mod dial_sessions;
mod dial_trust;
mod early_data;
mod file;
mod file_conditions;
mod folder;
mod forger;
mod guard;
mod holding_relay;
mod hostile;
mod interim;
mod key_log;
mod manners;
mod other_floods;
mod peer_streams;
mod priority;
mod raw;
mod relay;
mod reload;
mod requests;
mod scratch;
mod semantics;
mod sending;
mod session_floods;
mod session_flow;
mod session_scene;
mod session_streams;
mod sessions;
mod shutdown;
mod stateless_reset;
mod strict;
mod support;
mod trailers;
mod upload;
mod vanished;
