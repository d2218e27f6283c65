//! JSON lines on standard output, complaints on standard error.

use std::io::Write as _;

use serde_json::Value;

/// Writes one document and a line feed, whole, whatever other tasks write.
///
/// A reader that has gone away is not an error here: standard input closes at the same time and ends the program.
pub(crate) fn line(document: &Value) {
    let mut text = document.to_string();
    text.push('\n');
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Says to a person what went wrong.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "peer: {message}");
}
