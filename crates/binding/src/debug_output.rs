//! The debug output (TRILANE_DEBUG): what the core traces, as lines on standard error.

use std::io;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// A variable of our own: `DEBUG` belongs to npm's `debug`, whose patterns name JavaScript modules and know no levels.
const VARIABLE: &str = "TRILANE_DEBUG";

/// What `1` and `true` stand for: the crates of this package are all called trilane something.
const USUAL: &str = "trilane=debug";

/// Listens if the environment asks for it; otherwise nobody does, and a trace costs a look at one number.
pub(crate) fn start() {
    let Ok(given) = std::env::var(VARIABLE) else {
        return;
    };
    let directives = match &*given {
        "" | "0" | "false" => return,
        "1" | "true" => USUAL,
        other => other,
    };
    let filter: Targets = match directives.parse() {
        Ok(filter) => filter,
        Err(error) => {
            use io::Write;
            let _ = writeln!(
                io::stderr(),
                "trilane: {VARIABLE} is {given:?}: {error}; expected 1, a level, or targets with levels such as \
                 \"trilane=debug,quinn=info\""
            );
            return;
        }
    };
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
    // Another listener in the process is no reason to fail.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init();
}
