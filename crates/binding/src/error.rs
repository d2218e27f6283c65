//! Errors on their way to JavaScript: `code` is set, the message is for people.

use napi::Status;
use trilane_core::FileError;

/// The `code` of a thrown error; `lib/errors.ts` has a row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// A route's pattern cannot be used.
    RoutePattern,
    /// A route's methods cannot be used.
    RouteMethod,
    /// Two routes answer the same requests.
    RouteDuplicate,
    /// A reload asks for what cannot change.
    Reload,
    /// A certificate or key cannot be used.
    Certificate,
    /// A status does not fit where it is used.
    Status,
    /// The port is taken.
    AddressInUse,
    /// The address cannot be bound for another reason.
    Bind,
    /// The server runs already.
    Running,
    /// The file of an answer is not there.
    FileNotFound,
    /// What an answer names is no file.
    FileNotRegular,
    /// The file of an answer may not be read.
    FileAccess,
    /// The file of an answer cannot be read for another reason.
    FileRead,
    /// The file of an answer is no longer what it was.
    FileChanged,
    /// What is to be requested cannot be.
    ClientRequest,
    /// A header cannot be sent.
    Header,
    /// A `content-length` is not the length of its body.
    ResponseLength,
    /// What should not happen.
    Internal,
}

impl ErrorCode {
    /// The code as JavaScript sees it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RoutePattern => "ERR_H3_ROUTE_PATTERN",
            Self::RouteMethod => "ERR_H3_ROUTE_METHOD",
            Self::RouteDuplicate => "ERR_H3_ROUTE_DUPLICATE",
            Self::Reload => "ERR_H3_RELOAD",
            Self::Certificate => "ERR_H3_CERTIFICATE",
            Self::Status => "ERR_H3_RESPONSE_STATUS",
            Self::AddressInUse => "ERR_H3_ADDRESS_IN_USE",
            Self::Bind => "ERR_H3_BIND",
            Self::Running => "ERR_H3_SERVER_RUNNING",
            Self::FileNotFound => "ERR_H3_FILE_NOT_FOUND",
            Self::FileNotRegular => "ERR_H3_FILE_NOT_REGULAR",
            Self::FileAccess => "ERR_H3_FILE_ACCESS",
            Self::FileRead => "ERR_H3_FILE_READ",
            Self::FileChanged => "ERR_H3_FILE_CHANGED",
            Self::ClientRequest => "ERR_H3_CLIENT_REQUEST",
            Self::Header => "ERR_H3_HEADER",
            Self::ResponseLength => "ERR_H3_RESPONSE_LENGTH",
            Self::Internal => "ERR_H3_INTERNAL",
        }
    }
}

impl AsRef<str> for ErrorCode {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&FileError> for ErrorCode {
    fn from(error: &FileError) -> Self {
        match error {
            FileError::NotFound { .. } => Self::FileNotFound,
            FileError::NotRegular { .. } => Self::FileNotRegular,
            FileError::Access { .. } => Self::FileAccess,
            FileError::Read { .. } => Self::FileRead,
            FileError::Changed { .. } => Self::FileChanged,
        }
    }
}

impl From<Status> for ErrorCode {
    fn from(_: Status) -> Self {
        Self::Internal
    }
}

/// What the calls of this crate may throw.
pub(crate) type Result<T> = std::result::Result<T, napi::Error<ErrorCode>>;

/// An error with a code and a message.
pub(crate) fn error(code: ErrorCode, message: impl ToString) -> napi::Error<ErrorCode> {
    napi::Error::new(code, message.to_string())
}

/// An error of napi itself: a closing environment, an exception under way.
pub(crate) fn internal(source: napi::Error) -> napi::Error<ErrorCode> {
    napi::Error::new(ErrorCode::Internal, source.reason.clone())
}
