//! Why a server's certificate was not believed.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{CertificateError, Error};
use rustls_pki_types::UnixTime;

/// Most names of a certificate that are kept: a server chooses how many it has.
const MAX_NAMES: usize = 16;

/// From here on a year has five digits, which no date format holds.
const YEAR_10000: u64 = 253_402_300_800;

/// Why a server's certificate was not believed. Nothing was sent to that server but the handshake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// No authority that is trusted stands behind it.
    #[error(
        "no trusted authority has signed it: pass its authority in \"ca\"; a certificate that signed itself can be pinned \
         in \"serverCertificateHashes\""
    )]
    UnknownIssuer,
    /// Its time, or that of an authority behind it, is over.
    #[error("it expired on {}: the server needs a new one (or the clock of this machine is wrong)", date(*.not_after))]
    Expired {
        /// Its last moment; `None` where it is not known.
        not_after: Option<SystemTime>,
    },
    /// Its time has not come.
    #[error("it is not valid before {}: check the clock of this machine and of the server", date(*.not_before))]
    NotYetValid {
        /// Its first moment; `None` where it is not known.
        not_before: Option<SystemTime>,
    },
    /// It is for other hosts.
    #[error("it is not for this host but for {}: connect by one of its names", names(.presented))]
    WrongHost {
        /// The names it is for, 16 at most.
        presented: Vec<String>,
    },
    /// It is none of those that were pinned.
    #[error(
        "its SHA-256 is {}, but {} pinned: the server has a new certificate, or it is not the server", hex(.actual),
        pins(.expected)
    )]
    PinMismatch {
        /// The SHA-256 of what was shown.
        actual: [u8; 32],
        /// Those that would have been believed.
        expected: Vec<[u8; 32]>,
    },
    /// It is pinned, and its time is over or has not come.
    #[error(
        "it is pinned and valid from {} to {}: make a new one on the server and pin its hash (or the clock of this machine is \
         wrong)",
        date(Some(*.not_before)), date(Some(*.not_after))
    )]
    PinExpired {
        /// Its first moment.
        not_before: SystemTime,
        /// Its last moment.
        not_after: SystemTime,
    },
    /// It is pinned, and valid longer than the 14 days that a pinned certificate may be.
    #[error(
        "it is valid for {} days, a pinned certificate may be for 14 at most: make a new one, or pass it in \"ca\" instead",
        .validity.as_secs().div_ceil(24 * 60 * 60)
    )]
    PinnedTooLong {
        /// From its first moment to its last.
        validity: Duration,
    },
    /// It is pinned, and its key is not of the kind that a pinned certificate must have.
    #[error("a pinned certificate has an ECDSA key on P-256, this one has another: make a new one")]
    PinnedKeyType,
    /// It was taken back by its authority.
    #[error("its authority has revoked it: the server needs a new one")]
    Revoked,
    /// It is not signed by the authority that it names.
    #[error(
        "it names an authority that is trusted, but has not its signature: the authority was made anew (pass the new one \
         in \"ca\"), or the certificate is forged"
    )]
    BadSignature,
    /// The server does not have its key.
    #[error("the server does not have its key: it is misconfigured, or not the server that it claims to be")]
    KeyNotHeld,
    /// It may not be used by a server, or not in this way.
    #[error("it may not be used for a server ({reason}): the server needs another one")]
    NotForServers {
        /// What the verifier said.
        reason: String,
    },
    /// It cannot be read.
    #[error("it cannot be used ({reason}): the server is misconfigured")]
    Unusable {
        /// What the verifier said.
        reason: String,
    },
}

impl CertificateFault {
    /// What rustls found.
    pub(super) fn of(error: &Error) -> Self {
        let Error::InvalidCertificate(error) = error else {
            return Self::Unusable {
                reason: error.to_string(),
            };
        };
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Expired => Self::Expired { not_after: None },
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired {
                not_after: system_time(*not_after),
            },
            CertificateError::NotValidYet => Self::NotYetValid { not_before: None },
            CertificateError::NotValidYetContext { not_before, .. } => Self::NotYetValid {
                not_before: system_time(*not_before),
            },
            CertificateError::NotValidForName => Self::WrongHost {
                presented: Vec::new(),
            },
            CertificateError::NotValidForNameContext { presented, .. } => Self::WrongHost {
                presented: presented.iter().take(MAX_NAMES).map(|name| bare(name)).collect(),
            },
            CertificateError::Revoked => Self::Revoked,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::NotForServers {
                    reason: "its extended key usage leaves servers out".to_owned(),
                }
            }
            // webpki's word for it; rustls has none of its own.
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
                Self::NotForServers {
                    reason: "it is that of an authority: make one without \"CA:TRUE\", or pin it".to_owned(),
                }
            }
            other => Self::Unusable {
                reason: other.to_string(),
            },
        }
    }

    /// What our alert says of it (RFC 8446 §6.2).
    pub(super) fn to_alert(&self) -> Error {
        Error::InvalidCertificate(match self {
            Self::UnknownIssuer => CertificateError::UnknownIssuer,
            Self::Expired { .. } | Self::PinExpired { .. } => CertificateError::Expired,
            Self::NotYetValid { .. } => CertificateError::NotValidYet,
            Self::WrongHost { .. } => CertificateError::NotValidForName,
            Self::Revoked => CertificateError::Revoked,
            Self::BadSignature | Self::KeyNotHeld => CertificateError::BadSignature,
            Self::NotForServers { .. } => CertificateError::InvalidPurpose,
            Self::Unusable { .. } => CertificateError::BadEncoding,
            Self::PinMismatch { .. } | Self::PinnedTooLong { .. } | Self::PinnedKeyType => {
                CertificateError::ApplicationVerificationFailure
            }
        })
    }
}

fn system_time(time: UnixTime) -> Option<SystemTime> {
    let seconds = Some(time.as_secs()).filter(|seconds| *seconds < YEAR_10000)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn date(time: Option<SystemTime>) -> String {
    // Only times between 1970 and 9999 come here: `httpdate` knows no others.
    time.map_or_else(|| "an unknown date".to_owned(), httpdate::fmt_http_date)
}

/// The name inside `DnsName("…")` or `IpAddress(…)`, as webpki writes it.
fn bare(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .unwrap_or(name);
    inner.trim_matches('"').escape_debug().to_string()
}

fn names(presented: &[String]) -> String {
    match presented {
        [] => "no host at all (it has no subjectAltName)".to_owned(),
        names => names.join(", "),
    }
}

fn pins(expected: &[[u8; 32]]) -> String {
    match expected {
        [one] => format!("{} is", hex(one)),
        several => format!("{} others are", several.len()),
    }
}

fn hex(hash: &[u8; 32]) -> String {
    let mut text = String::with_capacity(2 * hash.len());
    for byte in hash {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
