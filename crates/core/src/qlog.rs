//! One qlog file for each connection, as draft-ietf-quic-qlog-main-schema describes them: JSON text sequences (RFC 7464)
//! of the packets sent, received and lost and of the recovery metrics, which is what quinn tells.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use quinn::{ConnectionId, QlogConfig, QlogStream};

/// Connections that began with the same id, which clients choose, get a number behind it; so many at most.
const SAME_NAMES: u32 = 16;

/// Where the files go. Nothing that goes wrong here touches a connection: its file ends, or is not made, and the first such
/// fault of a server or client is logged. The files grow until their connections end; nothing here removes them.
#[derive(Debug)]
pub(crate) struct QlogFolder {
    path: PathBuf,
    has_failed: Arc<AtomicBool>,
}

impl QlogFolder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            has_failed: Arc::default(),
        }
    }

    /// Begins the file of a server's connection, named after the id that its first packet was sent to. `None` if that fails.
    pub(crate) fn begin(&self, original_id: ConnectionId, client: SocketAddr) -> Option<QlogStream> {
        self.begin_as("server", original_id, format!("client {client}"))
    }

    /// Begins the file of a client's connection, named after the id that its first packet is sent to. `None` if that fails.
    pub(crate) fn begin_client(&self, original_id: ConnectionId, server: SocketAddr) -> Option<QlogStream> {
        self.begin_as("client", original_id, format!("server {server}"))
    }

    fn begin_as(&self, role: &str, original_id: ConnectionId, description: String) -> Option<QlogStream> {
        let file = match create(&self.path, original_id, role) {
            Ok(file) => file,
            Err(error) => {
                report(&self.has_failed, &error);
                return None;
            }
        };
        let mut config = QlogConfig::default();
        config
            .writer(Box::new(QlogFile {
                file: Some(BufWriter::new(file)),
                has_failed: self.has_failed.clone(),
            }))
            .title(Some(format!("trilane {role}")))
            .description(Some(description));
        config.into_stream()
    }
}

/// Makes `<id>_<role>.sqlog`, readable by its owner only where the system knows owners.
fn create(folder: &Path, original_id: ConnectionId, role: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut taken = None;
    for number in 0..SAME_NAMES {
        let name = match number {
            0 => format!("{original_id}_{role}.sqlog"),
            _ => format!("{original_id}-{number}_{role}.sqlog"),
        };
        match options.open(folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
            opened => return opened,
        }
    }
    Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
}

fn report(has_failed: &AtomicBool, error: &io::Error) {
    if !has_failed.swap(true, Relaxed) {
        tracing::warn!(%error, "a qlog file cannot be written: connections go on without it, and this is said once");
    }
}

/// A file that swallows what it cannot write. Its buffer is written when it is full and when the connection is gone.
struct QlogFile {
    /// None once a write has failed.
    file: Option<BufWriter<File>>,
    has_failed: Arc<AtomicBool>,
}

impl QlogFile {
    fn attempt(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = &mut self.file else {
            return;
        };
        if let Err(error) = write(file) {
            report(&self.has_failed, &error);
            if let Some(file) = self.file.take() {
                // Without another attempt to write what is buffered.
                drop(file.into_parts());
            }
        }
    }
}

impl Write for QlogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.attempt(|file| file.write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt(BufWriter::flush);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "127.0.0.1:1";

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("trilane-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn connections_with_the_same_id_get_files_of_their_own() {
        let path = folder("qlog-names");
        let folder = QlogFolder::new(path.clone());
        let id = ConnectionId::new(&[0xab; 8]);
        for _ in 0..3 {
            drop(folder.begin(id, CLIENT.parse().unwrap()).unwrap());
        }
        let mut names: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let begin = "ab".repeat(8);
        let expected = ["-1_server.sqlog", "-2_server.sqlog", "_server.sqlog"];
        assert_eq!(names, expected.map(|end| format!("{begin}{end}")));
        for _ in 0..2 * SAME_NAMES {
            drop(folder.begin(id, CLIENT.parse().unwrap()));
        }
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), SAME_NAMES as usize);
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_folder_that_is_gone_is_no_error_for_the_connection() {
        let folder = QlogFolder::new(std::env::temp_dir().join("trilane-no-such-folder"));
        let id = ConnectionId::new(&[1; 8]);
        assert!(folder.begin(id, CLIENT.parse().unwrap()).is_none());
        assert!(folder.has_failed.load(Relaxed));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_the_file_and_says_nothing_to_the_writer() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut file = QlogFile {
            file: Some(BufWriter::new(full)),
            has_failed: Arc::default(),
        };
        file.write_all(&[0; 100_000]).unwrap();
        assert!(file.file.is_none() && file.has_failed.load(Relaxed));
        file.write_all(b"more").unwrap();
        file.flush().unwrap();
    }
}
