//! Servers without JavaScript: the yardsticks of the benchmark.

use std::path::PathBuf;

use lexopt::prelude::*;
use serde_json::json;

use crate::{Outcome, arguments, endpoint, output};

pub(crate) mod canned;
pub(crate) mod core;
pub(crate) mod core_bulk;
pub(crate) mod echo;
pub(crate) mod h3;
pub(crate) mod quinn_bulk;

/// The command line of all of them.
pub(crate) struct Options {
    port: u16,
    /// What `core-bulk` sends as a file.
    file: Option<PathBuf>,
    /// Connections at once that `core` lets in, all from one address; its default unless given.
    connections: Option<usize>,
}

impl Options {
    /// Reads the command line: `--port`, 0 unless given; `--file`; `--connections`.
    pub(crate) fn parse(parser: &mut lexopt::Parser) -> Result<Self, lexopt::Error> {
        let (mut port, mut file, mut connections) = (0, None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = arguments::value(parser)?,
                Long("file") => file = Some(PathBuf::from(parser.value()?)),
                Long("connections") => connections = Some(arguments::value(parser)?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Self {
            port,
            file,
            connections,
        })
    }
}

/// The number that `bytes=` of a query names; 0 if none does.
fn wanted_bytes(path_and_query: &[u8]) -> u64 {
    let text = std::str::from_utf8(path_and_query).unwrap_or_default();
    let (_, query) = text.split_once('?').unwrap_or_default();
    let value = query.split('&').find_map(|pair| pair.strip_prefix("bytes="));
    value.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Prints `{"port":N}` and gives every connection a task, until SIGTERM comes or standard input closes.
async fn serve<F>(options: Options, connection: fn(quinn::Connection) -> F) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let endpoint = endpoint::server(options.port)?;
    let mut terminated = std::pin::pin!(terminated()?);
    let mut abandoned = standard_input_closes();
    output::line(&json!({ "port": endpoint.local_addr()?.port() }));
    loop {
        tokio::select! {
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                tokio::spawn(async move {
                    if let Ok(established) = incoming.await {
                        connection(established).await;
                    }
                });
            }
            () = &mut terminated => break,
            _ = &mut abandoned => break,
        }
    }
    endpoint.close(0x100_u32.into(), b"the server ends");
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), endpoint.wait_idle()).await;
    Ok(())
}

/// Resolves at SIGTERM. The handler is there when this returns, before the port is announced.
#[cfg(unix)]
fn terminated() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut signal = signal(SignalKind::terminate())?;
    Ok(async move {
        signal.recv().await;
    })
}

/// Never resolves: elsewhere a process is ended, or its standard input closes.
#[cfg(not(unix))]
fn terminated() -> std::io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}

/// Resolves when whoever started this program lets go of its standard input, as a crashed test run does.
pub(crate) fn standard_input_closes() -> tokio::sync::oneshot::Receiver<()> {
    let (closed, wait) = tokio::sync::oneshot::channel();
    // A thread of its own: a blocked read must not hold up the end of the runtime.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    });
    wait
}
