//! Where a file is, and how it is opened. Everything here blocks.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::file::FileError;

/// Names a file.
#[derive(Clone, Debug)]
pub enum FileLocation {
    /// By its path; symbolic links are followed.
    Path(PathBuf),
    /// By a path within `root`, out of which no `..`, no link and no race leads: what does is [`FileError::NotFound`].
    Beneath {
        /// The folder.
        root: PathBuf,
        /// Relative to the folder.
        path: PathBuf,
    },
}

impl FileLocation {
    /// Opens it for reading, with its metadata. Only regular files are opened.
    pub(crate) fn open(&self) -> Result<(File, std::fs::Metadata), FileError> {
        let opened = match self {
            Self::Path(path) => open_path(path),
            Self::Beneath { root, path } => open_beneath(root, path),
        };
        let file = opened.map_err(|error| self.error(error))?;
        let metadata = file.metadata().map_err(|error| self.error(error))?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular { path: self.path() });
        }
        Ok((file, metadata))
    }

    /// The whole path, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Path(path) => path.clone(),
            Self::Beneath { root, path } => root.join(path),
        }
    }

    fn error(&self, source: io::Error) -> FileError {
        let path = self.path();
        // Windows refuses to open a folder with the error of a missing permission.
        if cfg!(windows) && source.kind() == io::ErrorKind::PermissionDenied && path.is_dir() {
            return FileError::NotRegular { path };
        }
        FileError::of(path, source)
    }
}

/// Opening a pipe or a device must neither wait nor take the terminal.
#[cfg(unix)]
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

fn open_path(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, FLAGS);
    options.read(true).open(path)
}

fn open_beneath(root: &Path, path: &Path) -> io::Result<File> {
    let mut options = cap_std::fs::OpenOptions::new();
    #[cfg(unix)]
    cap_std::fs::OpenOptionsExt::custom_flags(&mut options, FLAGS);
    let root = open_root(root)?;
    Ok(root.open_with(path, options.read(true))?.into_std())
}

/// Opened anew each time: a deployment may have put another folder, or link, in its place.
pub(crate) fn open_root(root: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(root, ambient_authority())
}
