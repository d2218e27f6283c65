//! The bytes of a file that are still to be sent, read piece by piece.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::SystemTime;

use bytes::Bytes;

use crate::file::{FileError, FileLocation};

/// Files that the process keeps open between two reads. Those beyond are opened again for each, so that clients that
/// leave their downloads standing cannot use up the descriptors of the process.
const KEPT_FILES: usize = 256;

/// How many are kept now.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// A part of a file. What is announced is read: bytes that come to the file later are left out, and one that has lost
/// some, or another one in its place, is an error.
#[derive(Debug)]
pub(crate) struct FileReader {
    location: FileLocation,
    identity: Identity,
    kept: Option<KeptFile>,
    at: u64,
    left: u64,
}

impl FileReader {
    /// The `length` bytes from `start` on of `file`, which was opened at `location`.
    pub(crate) fn new(
        location: FileLocation,
        (file, metadata): (File, &Metadata),
        start: u64,
        length: u64,
    ) -> Self {
        Self {
            identity: Identity::of(metadata),
            kept: KeptFile::keep(file),
            at: start,
            left: length,
            location,
        }
    }

    /// Bytes not read yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The path, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.location.path()
    }

    /// The next `bytes`, or all that is left if that is less. Blocks.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<Bytes, FileError> {
        let bytes = usize::try_from(self.left).map_or(bytes, |left| left.min(bytes));
        let mut chunk = vec![0; bytes];
        let opened;
        let mut file = match &self.kept {
            Some(kept) => &kept.0,
            None => {
                opened = self.open_again()?;
                &opened
            }
        };
        file.seek(SeekFrom::Start(self.at))
            .and_then(|_| file.read_exact(&mut chunk))
            .map_err(|error| FileError::of(self.path(), error))?;
        self.at += bytes as u64;
        self.left -= bytes as u64;
        Ok(chunk.into())
    }

    fn open_again(&self) -> Result<File, FileError> {
        match self.location.open() {
            Ok((file, metadata)) if Identity::of(&metadata) == self.identity => Ok(file),
            Ok(_) | Err(FileError::NotFound { .. } | FileError::NotRegular { .. }) => {
                Err(FileError::Changed { path: self.path() })
            }
            Err(error) => Err(error),
        }
    }
}

/// An open file, counted.
#[derive(Debug)]
struct KeptFile(File);

impl KeptFile {
    /// Keeps `file`, or closes it if too many are kept.
    fn keep(file: File) -> Option<Self> {
        let kept = Self(file);
        (KEPT.fetch_add(1, Relaxed) < KEPT_FILES).then_some(kept)
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        KEPT.fetch_sub(1, Relaxed);
    }
}

/// Tells a file from another one that was put in its place. A number is used again for a new file, its birth is not.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    number: (u64, u64),
    born: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            #[cfg(unix)]
            number: (metadata.dev(), metadata.ino()),
            born: metadata.created().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn beyond_the_kept_files_each_read_opens_the_file_again() {
        let path = std::env::temp_dir().join(format!("trilane-reader-{}", std::process::id()));
        std::fs::write(&path, b"0123456789").unwrap();
        let reader = || {
            let location = FileLocation::Path(path.clone());
            let (file, metadata) = location.open().unwrap();
            FileReader::new(location, (file, &metadata), 2, 8)
        };
        let kept: Vec<FileReader> = (0..KEPT_FILES).map(|_| reader()).collect();
        let [mut first, mut second] = [reader(), reader()];
        assert!(kept[0].kept.is_some() && first.kept.is_none());
        assert_eq!(first.read(3).unwrap(), "234");
        let mut grown = File::options().append(true).open(&path).unwrap();
        grown.write_all(b"more").unwrap();
        assert_eq!((first.read(99).unwrap(), first.left()), (Bytes::from("56789"), 0));
        // Another file of the same name is not what was announced.
        std::fs::write(path.with_extension("new"), b"abcdefghijklmnop").unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        assert!(matches!(second.read(1), Err(FileError::Changed { .. })));
        drop(kept);
        assert!(reader().kept.is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(second.read(1), Err(FileError::Changed { .. })));
    }
}
