//! The bytes of a file that are still to be sent, read piece by piece.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;

use crate::file::FileError;

/// A part of a file. What is announced is read: bytes that come to the file later are left out, and one that has lost
/// some is an error.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: File,
    left: u64,
    path: PathBuf,
}

impl FileReader {
    /// The `length` bytes of `file` from `start` on. Blocks.
    pub(crate) fn new(mut file: File, start: u64, length: u64, path: PathBuf) -> Result<Self, FileError> {
        if start > 0
            && let Err(error) = file.seek(SeekFrom::Start(start))
        {
            return Err(FileError::of(path, error));
        }
        Ok(Self {
            file,
            left: length,
            path,
        })
    }

    /// Bytes not read yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The path, for messages.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The next `bytes`, or all that is left if that is less. Blocks.
    pub(crate) fn read(&mut self, bytes: usize) -> Result<Bytes, FileError> {
        let bytes = usize::try_from(self.left).map_or(bytes, |left| left.min(bytes));
        let mut chunk = vec![0; bytes];
        self.file
            .read_exact(&mut chunk)
            .map_err(|error| FileError::of(self.path.clone(), error))?;
        self.left -= bytes as u64;
        Ok(chunk.into())
    }
}
