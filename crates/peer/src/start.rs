//! `peer start`: how long a server that does not run yet takes to its first answer.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use lexopt::prelude::*;
use serde_json::json;

use crate::{
    Outcome, endpoint,
    load::{self, worker::exchange},
    output,
    target::Target,
};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The command line of `peer start`: a program that prints `{"port":N}` when it listens, and its arguments.
pub(crate) struct Options {
    command: Vec<OsString>,
}

impl Options {
    /// Reads the command line: all of it is the program's.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut command = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(program) => {
                    command.push(program);
                    command.extend(parser.raw_args()?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if command.is_empty() {
            return Err("expected the command of a server".into());
        }
        Ok(Self { command })
    }
}

/// A process that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program, asks it once, ends it, and prints one line.
pub(crate) async fn run(options: Options) -> Outcome {
    tokio::time::timeout(PATIENCE, measure(&options.command))
        .await
        .map_err(|_| "no answer within 30 s")?
}

async fn measure(command: &[OsString]) -> Outcome {
    // Made before the clock runs; the port is not known yet, but the address is.
    let client = endpoint::trusting_client(([127, 0, 0, 1], 1).into())?;
    let begun = Instant::now();
    let mut server = Running(
        Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let stdout = server.0.stdout.take().ok_or("no standard output")?;
    // A thread of its own, so that the deadline holds for a program that says nothing.
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map(|_| line)
    });
    let ready: serde_json::Value = serde_json::from_str(&line.await??)?;
    let listening = begun.elapsed();
    let port = ready
        .get("port")
        .and_then(serde_json::Value::as_u64)
        .ok_or("the server prints no port")?;
    let target: Target = format!("https://localhost:{port}/hello").parse()?;
    let (quic, mut requests) = load::connect(&client, &target)
        .await
        .map_err(|failure| failure.label())?;
    exchange(&mut requests, &Arc::new(load::one_request(&target)), &quic)
        .await
        .map_err(|failure| failure.label())?;
    output::line(&json!({
        "listening_ms": listening.as_secs_f64() * 1e3,
        "first_answer_ms": begun.elapsed().as_secs_f64() * 1e3,
    }));
    Ok(())
}
