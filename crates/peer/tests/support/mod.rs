//! The program under test as child processes: a server, a scripted client, one-shot subcommands.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

/// Longer than any single wait of a test.
const DEADLINE: Duration = Duration::from_secs(20);

/// A child whose standard output is read line by line, each line with a deadline.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Peer {
    /// Starts `peer` with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_peer"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary that cargo has just built");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
        }
    }

    /// Starts a server; returns its port too.
    pub(crate) fn serve(kind: &str) -> (Self, u64) {
        let server = Self::start(&[kind]);
        let port = server.line()["port"].as_u64().expect("a port");
        (server, port)
    }

    /// The next line of output.
    pub(crate) fn line(&self) -> Value {
        let line = self
            .lines
            .recv_timeout(DEADLINE)
            .expect("a line within the deadline");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Sends one command of `peer client` and waits for its reply.
    pub(crate) fn ask(&mut self, command: Value) -> Value {
        self.tell(command);
        self.line()
    }

    /// Sends one command of `peer client`.
    pub(crate) fn tell(&mut self, command: Value) {
        let stdin = self.stdin.as_mut().expect("open until `finish`");
        writeln!(stdin, "{command}").expect("the client reads");
    }

    /// Closes standard input and waits for the end; returns the exit code.
    pub(crate) fn finish(&mut self) -> Option<i32> {
        self.stdin = None;
        let begun = std::time::Instant::now();
        while begun.elapsed() < DEADLINE {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the process goes on {DEADLINE:?} after its standard input was closed");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a subcommand that ends by itself; returns its one line.
pub(crate) fn once(arguments: &[&str]) -> Value {
    let mut peer = Peer::start(arguments);
    let line = peer.line();
    assert_eq!(peer.finish(), Some(0));
    line
}
