//! How a handshake that failed becomes a [`DialError`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quinn::{ConnectError, ConnectionError};
use quinn_proto::{TransportError, TransportErrorCode};

use super::addresses::TargetError;
use super::certificate_fault::CertificateFault;
use super::error::{DialError, Stage};

/// Most characters that are kept of what a server says.
const MAX_REASON: usize = 200;

/// Errors of TLS are those of QUIC from here on, the alert in the low byte (RFC 9001 §4.8).
const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;

/// Whom an attempt was made to, for its error.
#[derive(Clone, Debug)]
pub(super) struct Attempted {
    pub(super) host: String,
    pub(super) address: SocketAddr,
    /// What is offered.
    pub(super) alpn: Vec<Vec<u8>>,
    /// The time allowed.
    pub(super) timeout: Duration,
}

impl Attempted {
    /// Why quinn does not even begin.
    pub(super) fn not_begun(&self, error: ConnectError) -> DialError {
        match error {
            ConnectError::InvalidServerName(host) => TargetError::Host { host }.into(),
            ConnectError::InvalidRemoteAddress(_) => DialError::Unreachable {
                address: self.address,
                source: io::ErrorKind::AddrNotAvailable.into(),
            },
            other => DialError::Socket {
                source: io::Error::other(other),
            },
        }
    }

    /// What the network reported.
    pub(super) fn fault(&self, kind: io::ErrorKind) -> DialError {
        let address = self.address;
        match kind {
            io::ErrorKind::ConnectionRefused => DialError::PortClosed { address },
            kind => DialError::Unreachable {
                address,
                source: kind.into(),
            },
        }
    }

    /// How the handshake ended, with what our own verifier found.
    pub(super) fn ended(&self, error: ConnectionError, fault: Option<CertificateFault>) -> DialError {
        if let Some(fault) = fault {
            return DialError::Certificate {
                host: self.host.clone(),
                fault,
            };
        }
        let address = self.address;
        match error {
            ConnectionError::VersionMismatch => DialError::Version { address },
            ConnectionError::TransportError(error) => self.by_us(error),
            ConnectionError::ConnectionClosed(close) => {
                if close.error_code == TransportErrorCode::CONNECTION_REFUSED {
                    return DialError::Refused { address };
                }
                let reason = said(&close.reason);
                match alert(close.error_code) {
                    Some(alert) => self.alerted(alert, true, reason),
                    None => DialError::Closed {
                        code: Some(close.error_code.into()),
                        by_application: false,
                        reason,
                    },
                }
            }
            ConnectionError::ApplicationClosed(close) => DialError::Closed {
                code: Some(close.error_code.into_inner()),
                by_application: true,
                reason: said(&close.reason),
            },
            ConnectionError::Reset => DialError::Closed {
                code: None,
                by_application: false,
                reason: "it does not know the connection (stateless reset)".to_owned(),
            },
            ConnectionError::TimedOut => DialError::TimedOut {
                host: self.host.clone(),
                after: self.timeout,
                stage: Stage::Handshake,
            },
            ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => DialError::Cancelled,
        }
    }

    fn by_us(&self, error: TransportError) -> DialError {
        let reason = said(error.reason.as_bytes());
        match alert(error.code) {
            Some(alert) => self.alerted(alert, false, reason),
            None => DialError::Protocol {
                code: error.code.into(),
                reason,
            },
        }
    }

    /// What an alert of TLS means (RFC 8446 §6.2).
    fn alerted(&self, alert: u8, remote: bool, reason: String) -> DialError {
        const UNRECOGNIZED_NAME: u8 = 112;
        const NO_APPLICATION_PROTOCOL: u8 = 120;
        match (alert, client_certificate_alert(alert)) {
            // RFC9114-3.2-alpn
            (NO_APPLICATION_PROTOCOL, _) => DialError::Alpn {
                offered: self
                    .alpn
                    .iter()
                    .map(|token| token.escape_ascii().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            },
            (UNRECOGNIZED_NAME, _) if remote => DialError::UnknownHost {
                host: self.host.clone(),
            },
            (_, Some(alert)) if remote => DialError::ClientCertificate { alert },
            _ => DialError::Tls {
                alert,
                remote,
                reason,
            },
        }
    }
}

impl DialError {
    /// What the end of a connection says about its handshake, if it says anything: servers judge a client's certificate
    /// only when the client takes its handshake for complete, so that such a connection is made and then ends. For the
    /// reason of a connection that ended before anything was received on it.
    pub fn of_close(reason: &ConnectionError) -> Option<Self> {
        let ConnectionError::ConnectionClosed(close) = reason else {
            return None;
        };
        let alert = match alert(close.error_code)? {
            // Behind our handshake there is nothing else to be wrong: a signature of our certificate, or by its key.
            51 => "decrypt_error",
            alert => client_certificate_alert(alert)?,
        };
        Some(Self::ClientCertificate { alert })
    }
}

/// The alerts with which a server refuses a client's certificate, or the lack of one.
fn client_certificate_alert(alert: u8) -> Option<&'static str> {
    Some(match alert {
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        48 => "unknown_ca",
        49 => "access_denied",
        116 => "certificate_required",
        _ => return None,
    })
}

fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    CRYPTO_ERRORS.contains(&code).then_some(code as u8)
}

/// What a server said, fit for a message.
fn said(reason: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(reason)
        .chars()
        .take(MAX_REASON)
        .flat_map(char::escape_debug)
        .collect();
    if text.is_empty() {
        return "no reason was given".to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_short_and_printable_in_a_message() {
        assert_eq!(said(b""), "no reason was given");
        assert_eq!(said(b"no\n\x1b[31m\xff"), "no\\n\\u{1b}[31m\u{fffd}");
        assert_eq!(said(&[b'a'; 10_000]).len(), MAX_REASON);
    }

    fn attempted() -> Attempted {
        Attempted {
            host: "a.example".to_owned(),
            address: "127.0.0.1:443".parse().unwrap(),
            alpn: vec![b"h3".to_vec(), b"x\n".to_vec()],
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn an_alert_of_the_server_says_what_it_means() {
        use crate::client::DialErrorKind as Kind;
        let cases = [
            (40, Kind::Tls),
            (42, Kind::ClientCertificate),
            (70, Kind::Tls),
            (112, Kind::WrongHost),
            (116, Kind::ClientCertificate),
            (120, Kind::Alpn),
        ];
        for (alert, kind) in cases {
            assert_eq!(
                attempted().alerted(alert, true, String::new()).kind(),
                kind,
                "{alert}"
            );
        }
        // Of ours, these say nothing about a certificate of ours.
        for alert in [42, 112, 116] {
            assert_eq!(
                attempted().alerted(alert, false, String::new()).kind(),
                Kind::Tls,
                "{alert}"
            );
        }
        let error = attempted().alerted(120, true, String::new()).to_string();
        assert!(error.contains("(h3, x\\n)"), "{error}");
    }
}
