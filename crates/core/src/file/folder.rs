//! A folder whose files are served: from the path of a request to a file in it. Everything here blocks.

use std::io;
use std::path::{Path, PathBuf};

use crate::file::FileError;
use crate::file::location::open_root;

/// A folder whose files are served.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its path.
    pub root: PathBuf,
    /// Names of the files that stand for a folder; the first that exists is taken.
    pub indexes: Vec<String>,
    /// Whether names that begin with a dot exist.
    pub dotfiles: Dotfiles,
    /// Where symbolic links may lead.
    pub symlinks: Symlinks,
}

/// Whether files and folders whose names begin with a dot are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dotfiles {
    /// They are as if they were not there.
    Hide,
    /// Like all others.
    Serve,
}

/// Where symbolic links in a served folder may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// To what lies in the folder, by relative links; others are as if they were not there.
    Beneath,
    /// Anywhere: who can make a link in the folder can have any file served.
    Anywhere,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A regular file, relative to the folder.
    File(PathBuf),
    /// A folder with an index, asked for without the slash at its end: relative links in the index would lead astray.
    NeedsSlash,
    /// Nothing that is served.
    Nothing,
}

impl Folder {
    /// Looks for `path`, relative and percent-decoded once; empty, or with a slash at its end, it names a folder. Fails if the folder itself is gone, or the file system does.
    pub fn find(&self, path: &str) -> Result<Found, FileError> {
        let Some((file, is_folder)) = self.checked(path) else {
            return Ok(Found::Nothing);
        };
        let root = match self.symlinks {
            Symlinks::Beneath => {
                let opened = open_root(&self.root);
                Some(opened.map_err(|error| FileError::of(self.root.clone(), error))?)
            }
            Symlinks::Anywhere => None,
        };
        let kind = |path: &Path| {
            // The empty path is the folder itself.
            let relative = if path.as_os_str().is_empty() {
                Path::new(".")
            } else {
                path
            };
            let kind = match &root {
                Some(root) => root
                    .metadata(relative)
                    .map(|found| (found.is_file(), found.is_dir())),
                None => {
                    std::fs::metadata(self.root.join(path)).map(|found| (found.is_file(), found.is_dir()))
                }
            };
            match kind {
                Ok((true, _)) => Ok(Kind::File),
                Ok((_, true)) => Ok(Kind::Folder),
                Ok(_) => Ok(Kind::Nothing),
                Err(error) => absent(self.root.join(path), error),
            }
        };
        match kind(&file)? {
            Kind::File if !is_folder => return Ok(Found::File(file)),
            Kind::Folder => {}
            _ => return Ok(Found::Nothing),
        }
        for index in &self.indexes {
            let index = file.join(index);
            if kind(&index)? == Kind::File {
                return Ok(if is_folder {
                    Found::File(index)
                } else {
                    Found::NeedsSlash
                });
            }
        }
        Ok(Found::Nothing)
    }

    /// `path` as one of the file system, and whether it names a folder; `None` if it cannot name anything that is served.
    fn checked(&self, path: &str) -> Option<(PathBuf, bool)> {
        let (names, is_folder) = match path.strip_suffix('/') {
            Some(names) => (names, true),
            None => (path, path.is_empty()),
        };
        let mut checked = PathBuf::new();
        if path.is_empty() {
            return Some((checked, is_folder));
        }
        for name in names.split('/') {
            if !is_name(name) || (self.dotfiles == Dotfiles::Hide && name.starts_with('.')) {
                return None;
            }
            checked.push(name);
        }
        Some((checked, is_folder))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Nothing,
}

/// What the file system does not have, or does not let out of the folder, is not there; all else is a failure.
fn absent(path: PathBuf, error: io::Error) -> Result<Kind, FileError> {
    match FileError::of(path, error) {
        FileError::NotFound { .. } | FileError::NotRegular { .. } => Ok(Kind::Nothing),
        failure => Err(failure),
    }
}

/// Whether `name` is one name, the same on every system: nothing in it is a separator, leads upwards, or has a meaning
/// of its own on Windows (drives, streams, devices, wildcards, names that lose their end).
fn is_name(name: &str) -> bool {
    let is_plain = |character: char| !character.is_control() && !matches!(character, '/' | '\\');
    if name.is_empty() || name == "." || name == ".." || !name.chars().all(is_plain) {
        return false;
    }
    !cfg!(windows) || is_windows_name(name)
}

/// Windows: no drive or stream (`:`), wildcard, device, short name (`GIT~1`), or end that the system drops.
fn is_windows_name(name: &str) -> bool {
    const DEVICES: [&str; 8] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT", "CONIN$", "CONOUT$"];
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let unnumbered = stem.trim_end_matches(|last: char| last.is_numeric());
    let is_device = DEVICES
        .iter()
        .any(|device| stem.eq_ignore_ascii_case(device) || unnumbered.eq_ignore_ascii_case(device));
    !is_device && !name.contains([':', '*', '?', '"', '<', '>', '|', '~']) && !name.ends_with(['.', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(root: &Path) -> Folder {
        Folder {
            root: root.to_owned(),
            indexes: vec!["index.html".to_owned()],
            dotfiles: Dotfiles::Hide,
            symlinks: Symlinks::Beneath,
        }
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_none() {
        for name in ["", ".", "..", "a/b", "a\\b", "..\\x", "a\0b", "a\nb", "\u{7f}"] {
            assert!(!is_name(name), "{name:?}");
        }
        for name in ["a", "...", "..a", "a b", "ü", "a:b", "%2e%2e"] {
            assert!(cfg!(windows) || is_name(name), "{name:?}");
        }
        for name in [
            "C:", "a::$DATA", "nul", "COM1.txt", "LPT³", "aux .a", "a.", "a ", "GIT~1", "a*",
        ] {
            assert!(!is_windows_name(name), "{name:?}");
        }
        for name in ["console", "comma.txt", "nullable", "a.b"] {
            assert!(is_windows_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_path_is_checked_before_the_file_system_sees_it() {
        let folder = folder(Path::new("/nowhere"));
        for path in [
            "/",
            "/a",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "//etc/passwd",
            "a//b",
            "//",
            "///",
            "a//",
            ".git/config",
            "a/.env",
            "a\\..\\b",
            "a\0.txt",
        ] {
            assert_eq!(folder.checked(path), None, "{path:?}");
        }
        for (path, name, is_folder) in [
            ("", "", true),
            ("a", "a", false),
            ("a/b.txt", "a/b.txt", false),
            ("a/b/", "a/b", true),
        ] {
            assert_eq!(
                folder.checked(path),
                Some((PathBuf::from(name), is_folder)),
                "{path:?}"
            );
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_a_failure_and_no_silent_404() {
        let gone = std::env::temp_dir().join("trilane-no-such-folder");
        assert!(matches!(folder(&gone).find("a"), Err(FileError::NotFound { .. })));
    }
}
