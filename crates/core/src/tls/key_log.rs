//! The secrets of every connection, written to a file so that Wireshark can decrypt a capture (SSLKEYLOGFILE
//! format).

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::TlsError;

/// A key log in a file, which is appended to. Writes block the caller; it is a tool for debugging only.
pub(super) struct KeyLogFile {
    /// None once a write has failed.
    file: Mutex<Option<File>>,
}

impl KeyLogFile {
    /// Opens or makes the file, readable by its owner only where the system knows owners.
    pub(super) fn open(path: &Path) -> Result<Self, TlsError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|source| TlsError::KeyLog {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            file: Mutex::new(Some(file)),
        })
    }
}

impl rustls::KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = guard.as_mut() else {
            return;
        };
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the key log cannot be written and ends here");
            *guard = None;
        }
    }
}

impl fmt::Debug for KeyLogFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyLogFile").finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
