//! The other side of trilane's tests and benchmarks, in one program with subcommands.
//!
//! It speaks HTTP/3 through quinn and h3, an implementation that shares no code with the server under test, and it speaks bare
//! QUIC where a test needs bytes that no sound implementation would send. Every subcommand prints JSON, one document per line.
//!
//! | subcommand | what it is |
//! |---|---|
//! | `load URL` | load generator: requests per second, latency, errors by kind |
//! | `echo KIND URL` | load generator for datagrams and streams that come back |
//! | `bulk WAY URL` | one large body, `download` or `upload`, over one connection |
//! | `idle URL` | many connections that stay open and silent |
//! | `connect URL` | short connections: handshakes per second |
//! | `start COMMAND…` | how long a server takes from its start to its first answer |
//! | `probe URL` | one well-behaved neighbour with a steady beat of requests |
//! | `attack KIND URL` | a bounded hostile load against a loopback address |
//! | `fuzz URL` | valid conversations, changed at random from a seed, and an honest client between them |
//! | `client` | scripted client: commands in, replies out, for test suites in any language |
//! | `canned` | bare quinn with a canned reply: the floor of the benchmark |
//! | `h3` | quinn + h3, hello world |
//! | `core` | our core without JavaScript, hello world |
//! | `quinn-bulk` | bare quinn with large bodies |
//! | `core-bulk` | our core without JavaScript, large bodies |
//! | `core-echo` | our core without JavaScript, sending back datagrams and streams |
//! | `certificate --out DIR` | a self-signed P-256 pair: `cert.pem`, `key.pem` |

use std::process::ExitCode;

use lexopt::prelude::*;

mod arguments;
mod attack;
mod bulk;
mod certificate;
mod client;
mod connect;
mod echo;
mod endpoint;
mod failure;
mod fuzz;
mod idle;
mod latency;
mod load;
mod output;
mod probe;
mod serve;
mod silent_socket;
mod start;
mod target;
mod trust;
mod wire;

/// Client and servers allocate per request; the system allocator would be a visible part of what is measured.
#[global_allocator]
static ALLOCATOR: trilane_allocator::Allocator = trilane_allocator::Allocator;

const USAGE: &str = "usage: peer load|echo|bulk|idle|connect|start|probe|attack|fuzz|client|canned|h3|core|quinn-bulk|core-bulk|core-echo|certificate [options]; see crates/peer/README.md";

/// What a subcommand ends with: a message for a person, on stderr, and exit code 2.
type Outcome<Made = ()> = Result<Made, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match dispatch(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

fn dispatch(mut parser: lexopt::Parser) -> Outcome {
    let Some(Value(name)) = parser.next()? else {
        return Err(USAGE.into());
    };
    match name.to_str() {
        Some("load") => block_on(load::run(load::Options::parse(&mut parser)?)),
        Some("echo") => block_on(echo::run(echo::Options::parse(&mut parser)?)),
        Some("bulk") => block_on(bulk::run(bulk::Options::parse(&mut parser)?)),
        Some("idle") => block_on(idle::run(idle::Options::parse(&mut parser)?)),
        Some("connect") => block_on(connect::run(connect::Options::parse(&mut parser)?)),
        Some("start") => block_on(start::run(start::Options::parse(&mut parser)?)),
        Some("probe") => block_on(probe::run(probe::Options::parse(&mut parser)?)),
        Some("attack") => block_on(attack::run(attack::Options::parse(&mut parser)?)),
        Some("fuzz") => block_on(fuzz::run(fuzz::Options::parse(&mut parser)?)),
        Some("client") => block_on(client::run()),
        Some("canned") => block_on(serve::canned::run(serve::Options::parse(&mut parser)?)),
        Some("h3") => block_on(serve::h3::run(serve::Options::parse(&mut parser)?)),
        Some("core") => block_on(serve::core::run(serve::Options::parse(&mut parser)?)),
        Some("quinn-bulk") => block_on(serve::quinn_bulk::run(serve::Options::parse(&mut parser)?)),
        Some("core-bulk") => block_on(serve::core_bulk::run(serve::Options::parse(&mut parser)?)),
        Some("core-echo") => block_on(serve::echo::run(serve::Options::parse(&mut parser)?)),
        Some("certificate") => certificate::write_pair(&arguments::directory(&mut parser)?),
        _ => Err(USAGE.into()),
    }
}

/// Runs on one thread: a benchmark then knows exactly which core does what.
fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}
