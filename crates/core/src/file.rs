//! Answers whose body is a file: opened, judged against the conditions of the request, and read, without anybody but
//! the file system being asked. What blocks runs on tokio's blocking pool.

mod byte_range;
mod conditions;
mod folder;
mod location;
mod media_type;
mod memory;
mod reader;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;

use crate::response::BodyRule;
use byte_range::ByteRange;
pub use conditions::Conditions;
use conditions::{Validators, Verdict};
pub use folder::{Dotfiles, Folder, Found, Symlinks};
pub use location::FileLocation;
pub use media_type::media_type;
pub(crate) use memory::{FileMemory, Lease};
pub(crate) use reader::FileReader;

/// A field: its name, lower-case, and its value.
pub type Field = (Bytes, Bytes);

/// A file up to this length is read in one step and sent like any other whole answer.
const WHOLE_BYTES: u64 = 16 * 1024;

/// An answer whose body is a file.
#[derive(Clone, Debug)]
pub struct FileAnswer {
    /// Of the answer if nothing is asked of the file but to be sent whole. Conditions count for 2xx only (RFC 9110
    /// §13.2.1), ranges and validators for 200.
    pub status: u16,
    /// Sent as they are. Of `etag`, `last-modified`, `accept-ranges` and `content-length` those that are not here are
    /// added; an `etag` or `last-modified` that is here is the one that conditions are judged by.
    pub fields: Vec<Field>,
    /// The file.
    pub location: FileLocation,
    /// What the request asks.
    pub conditions: Conditions,
}

/// Why a file could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing is there; or, beneath a folder, something that leads out of it.
    #[error("{path} does not exist", path = path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Something is there that has no content of a known length: a folder, a pipe, a device.
    #[error("{path} is no regular file", path = path.display())]
    NotRegular {
        /// What was to be opened.
        path: PathBuf,
    },
    /// It may not be read.
    #[error("{path} may not be read: {source}", path = path.display())]
    Access {
        /// What was to be opened.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The operating system failed, or has no descriptor left.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Read {
        /// What was being read.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// It became shorter than it was when it was opened, or another one was put in its place.
    #[error("{path} became shorter, or another file, while it was being sent", path = path.display())]
    Changed {
        /// What was being read.
        path: PathBuf,
    },
}

impl FileError {
    /// From an error of the operating system about `path`.
    pub(crate) fn of(path: PathBuf, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match source.kind() {
            Kind::NotFound | Kind::NotADirectory | Kind::InvalidFilename | Kind::InvalidInput => {
                Self::NotFound { path }
            }
            // The library's own word for what leads out of a folder; the system's has a number.
            Kind::PermissionDenied if source.raw_os_error().is_none() => Self::NotFound { path },
            Kind::PermissionDenied => Self::Access { path, source },
            Kind::IsADirectory => Self::NotRegular { path },
            Kind::UnexpectedEof => Self::Changed { path },
            _ if is_link_loop(&source) => Self::NotFound { path },
            _ if is_no_file(&source) => Self::NotRegular { path },
            _ => Self::Read { path, source },
        }
    }
}

#[cfg(unix)]
fn is_link_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

/// What opening a socket gives.
#[cfg(unix)]
fn is_no_file(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO)
}

#[cfg(not(unix))]
fn is_link_loop(_: &io::Error) -> bool {
    false
}

#[cfg(not(unix))]
fn is_no_file(_: &io::Error) -> bool {
    false
}

/// An answer whose file was opened and judged: ready to be sent.
pub(crate) struct Prepared {
    pub(crate) status: u16,
    pub(crate) fields: Vec<Field>,
    pub(crate) body: Content,
}

/// The body of a prepared answer.
pub(crate) enum Content {
    /// All of it, or none.
    Whole(Bytes),
    /// Still to be read.
    File(FileReader),
}

impl FileAnswer {
    /// Opens the file and decides what is sent at `now`. Blocks.
    pub(crate) fn prepare(self, rule: BodyRule, now: SystemTime) -> Result<Prepared, FileError> {
        let (file, metadata) = self.location.open()?;
        let length = metadata.len();
        let Self {
            status,
            mut fields,
            location,
            conditions,
        } = self;
        // What the file says of itself.
        fields.retain(|(name, _)| name != "content-length" && name != "content-range");
        let validators = validators(&fields, length, metadata.modified().ok(), now);
        if (200..=299).contains(&status) {
            match conditions.judge(&validators) {
                Verdict::Send => {}
                Verdict::NotModified => return Ok(not_modified(fields, validators)),
                Verdict::PreconditionFailed => return Ok(refusal(412, fields)),
            }
        }
        let range = match &conditions.range {
            Some(range)
                if status == 200 && takes_ranges(&fields) && conditions.may_send_part(&validators) =>
            {
                ByteRange::parse(range, length)
            }
            _ => ByteRange::Whole,
        };
        let (status, start, sent) = match range {
            ByteRange::Whole => (status, 0, length),
            ByteRange::Part { start, length: part } => {
                let end = start + part - 1;
                fields.push(field("content-range", format!("bytes {start}-{end}/{length}")));
                (206, start, part)
            }
            ByteRange::Unsatisfiable => {
                // RFC 9110 §14.4, §15.5.17
                let mut refused = refusal(416, fields);
                let range = field("content-range", format!("bytes */{length}"));
                refused.fields.push(range);
                return Ok(refused);
            }
        };
        if matches!(status, 200 | 206) {
            add_validators(&mut fields, &validators);
            if !has(&fields, b"accept-ranges") {
                fields.push(field("accept-ranges", "bytes"));
            }
        }
        fields.push(field("content-length", sent.to_string()));
        let body = if rule != BodyRule::Allowed || sent == 0 {
            Content::Whole(Bytes::new())
        } else {
            let mut reader = FileReader::new(location, (file, &metadata), start, sent);
            if sent <= WHOLE_BYTES {
                Content::Whole(reader.read(sent as usize)?)
            } else {
                Content::File(reader)
            }
        };
        Ok(Prepared { status, fields, body })
    }
}

/// RFC 9110 §15.4.5: what guides caches is sent, what describes the content is not.
fn not_modified(fields: Vec<Field>, validators: Validators) -> Prepared {
    let mut fields = without_content_fields(fields);
    add_validators(&mut fields, &validators);
    if has(&fields, b"etag") {
        fields.retain(|(name, _)| name != "last-modified");
    }
    Prepared {
        status: 304,
        fields,
        body: Content::Whole(Bytes::new()),
    }
}

/// An answer without the file and without what describes it.
fn refusal(status: u16, fields: Vec<Field>) -> Prepared {
    let mut fields = without_content_fields(fields);
    fields.retain(|(name, _)| name != "etag" && name != "last-modified");
    Prepared {
        status,
        fields,
        body: Content::Whole(Bytes::new()),
    }
}

fn without_content_fields(mut fields: Vec<Field>) -> Vec<Field> {
    fields.retain(|(name, _)| {
        !matches!(
            &name[..],
            b"content-type" | b"content-encoding" | b"content-language"
        )
    });
    fields
}

/// The user's own where given.
fn validators(fields: &[Field], length: u64, modified: Option<SystemTime>, now: SystemTime) -> Validators {
    let mut validators = Validators::of(length, modified, now);
    if let Some(etag) = value(fields, b"etag") {
        validators.etag = Some(etag.clone());
    }
    if let Some(modified) = value(fields, b"last-modified") {
        validators.modified = conditions::date(Some(modified));
    }
    validators
}

fn add_validators(fields: &mut Vec<Field>, validators: &Validators) {
    if let (Some(etag), false) = (&validators.etag, has(fields, b"etag")) {
        fields.push((Bytes::from_static(b"etag"), etag.clone()));
    }
    if let (Some(modified), false) = (validators.modified, has(fields, b"last-modified")) {
        fields.push(field("last-modified", httpdate::fmt_http_date(modified)));
    }
}

/// RFC 9110 §14.3
fn takes_ranges(fields: &[Field]) -> bool {
    value(fields, b"accept-ranges").is_none_or(|ranges| !ranges.eq_ignore_ascii_case(b"none"))
}

fn value<'a>(fields: &'a [Field], name: &[u8]) -> Option<&'a Bytes> {
    fields
        .iter()
        .find(|(candidate, _)| candidate == name)
        .map(|(_, value)| value)
}

fn has(fields: &[Field], name: &[u8]) -> bool {
    value(fields, name).is_some()
}

fn field(name: &'static str, value: impl Into<Bytes>) -> Field {
    (Bytes::from_static(name.as_bytes()), value.into())
}
