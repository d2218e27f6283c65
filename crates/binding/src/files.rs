//! Files: answers that name one, the look into a served folder, and media types.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use trilane_core::{
    Conditions, Dotfiles, FileAnswer, FileLocation, Folder, Found, Symlinks, media_type as type_of,
};

use crate::answers::{Pairs, latin1};
use crate::error::{ErrorCode, Result, internal};
use crate::runtime;

/// What of a folder is served.
#[napi(object)]
pub struct NativeFolderOptions {
    pub root: String,
    pub indexes: Vec<String>,
    pub serve_dotfiles: bool,
    pub follow_symlinks_anywhere: bool,
}

/// What the path of a request leads to in a folder.
#[napi(object)]
#[derive(Default)]
pub struct NativeFound {
    #[napi(ts_type = "'file' | 'needsSlash' | 'nothing' | 'failed'")]
    pub kind: String,
    /// Of a file, relative to the folder.
    pub path: Option<String>,
    /// Of a failure: a code of the table of errors.
    pub code: Option<String>,
    /// Of a failure.
    pub message: Option<String>,
}

/// A folder whose files are served.
#[napi]
pub struct NativeFolder {
    folder: Arc<Folder>,
}

#[napi]
impl NativeFolder {
    /// Looks at nothing yet.
    #[napi(constructor)]
    pub fn new(options: NativeFolderOptions) -> Self {
        let folder = Folder {
            root: options.root.into(),
            indexes: options.indexes,
            dotfiles: if options.serve_dotfiles {
                Dotfiles::Serve
            } else {
                Dotfiles::Hide
            },
            symlinks: if options.follow_symlinks_anywhere {
                Symlinks::Anywhere
            } else {
                Symlinks::Beneath
            },
        };
        Self {
            folder: Arc::new(folder),
        }
    }

    /// Looks for `path`, relative and percent-decoded once.
    #[napi(ts_return_type = "Promise<NativeFound>")]
    pub fn find<'env>(&self, env: &'env Env, path: String) -> Result<PromiseRaw<'env, NativeFound>> {
        let folder = self.folder.clone();
        let looking = runtime::handle()
            .map_err(internal)?
            .spawn_blocking(move || folder.find(&path));
        env.spawn_future(async move {
            Ok(match looking.await {
                Ok(Ok(Found::File(path))) => NativeFound {
                    path: Some(path.to_string_lossy().into_owned()),
                    ..kind("file")
                },
                Ok(Ok(Found::NeedsSlash)) => kind("needsSlash"),
                Ok(Ok(Found::Nothing)) => kind("nothing"),
                Ok(Err(failure)) => failed(ErrorCode::from(&failure), failure.to_string()),
                Err(panic) => failed(ErrorCode::Internal, panic.to_string()),
            })
        })
        .map_err(internal)
    }
}

fn kind(kind: &str) -> NativeFound {
    NativeFound {
        kind: kind.to_owned(),
        ..NativeFound::default()
    }
}

fn failed(code: ErrorCode, message: String) -> NativeFound {
    NativeFound {
        code: Some(code.as_str().to_owned()),
        message: Some(message),
        ..kind("failed")
    }
}

/// The Content-Type of a file with this name.
#[napi]
#[allow(dead_code, unreachable_pub, reason = "JavaScript calls it")]
pub fn media_type(name: String) -> String {
    type_of(&name)
}

/// An answer from its packed form: `root\0path` (an empty root: the path stands for itself), then the values of
/// If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, If-Range and Range, each behind a NUL, empty if it is
/// not there.
pub(crate) fn file_answer(status: u16, fields: &Bytes, packed: &Bytes) -> FileAnswer {
    let mut parts = packed.split(|byte| *byte == 0);
    let mut text = || PathBuf::from(String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned());
    let (root, path) = (text(), text());
    let location = if root.as_os_str().is_empty() {
        FileLocation::Path(path)
    } else {
        FileLocation::Beneath { root, path }
    };
    let mut condition = || {
        let value = parts.next().filter(|value| !value.is_empty())?;
        Some(latin1(packed.slice_ref(value)))
    };
    let conditions = Conditions {
        if_match: condition(),
        if_unmodified_since: condition(),
        if_none_match: condition(),
        if_modified_since: condition(),
        if_range: condition(),
        range: condition(),
    };
    FileAnswer {
        status,
        fields: Pairs::of(fields)
            .map(|(name, value)| (fields.slice_ref(name), fields.slice_ref(value)))
            .collect(),
        location,
        conditions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_unpacked_as_it_was_packed() {
        let fields = Bytes::from_static(b"\0a:b\0c:");
        let packed = "\0/srv/\u{fc}\0\"x\"\0\0W/\"\u{fc}\"\0\0\0bytes=0-1";
        let answer = file_answer(200, &fields, &Bytes::from(packed));
        let pair = |name, value| (Bytes::from_static(name), Bytes::from_static(value));
        assert_eq!(answer.fields, [pair(b"a", b"b"), pair(b"c", b"")]);
        assert!(matches!(answer.location, FileLocation::Path(path) if path == *"/srv/\u{fc}"));
        let conditions = answer.conditions;
        assert_eq!(conditions.if_match.unwrap(), "\"x\"");
        assert_eq!(conditions.if_unmodified_since, None);
        // A header value is bytes, one for each character.
        assert_eq!(conditions.if_none_match.unwrap(), &b"W/\"\xfc\""[..]);
        assert_eq!(conditions.if_range, None);
        assert_eq!(conditions.range.unwrap(), "bytes=0-1");
    }

    #[test]
    fn what_is_missing_at_the_end_is_not_there() {
        let answer = file_answer(404, &Bytes::new(), &Bytes::from_static(b"/site\0a/b"));
        assert!(matches!(answer.location, FileLocation::Beneath { root, path }
            if root == *"/site" && path == *"a/b"));
        assert!(answer.fields.is_empty() && answer.conditions.range.is_none());
        file_answer(404, &Bytes::new(), &Bytes::new());
    }
}
