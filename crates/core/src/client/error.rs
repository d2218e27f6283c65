//! Why a server was not reached.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::addresses::TargetError;
use super::certificate_fault::CertificateFault;
use super::trust::NoSystemTrust;
use crate::tls::TlsError;

/// Why a server was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Host, port or addresses cannot be dialled.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No address is known for the name.
    #[error("the host {host} was not found ({source}): check its name and the network of this machine")]
    NameNotFound {
        /// The name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The local address is taken.
    #[error("the local address {address} is taken: choose port 0 for any free one")]
    LocalAddressInUse {
        /// Address and port.
        address: SocketAddr,
    },
    /// The local address is none of this machine.
    #[error("the local address {address} cannot be used ({source}): choose one of this machine")]
    LocalAddress {
        /// Address and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server has no address of the family of the local address.
    #[error(
        "{host} has no address of the family of the local address {address}: choose a local one of the other family"
    )]
    LocalFamily {
        /// The host.
        host: String,
        /// The local address.
        address: SocketAddr,
    },
    /// The system gives no socket.
    #[error("the system gives no UDP socket: {source}")]
    Socket {
        /// What the system said.
        source: io::Error,
    },
    /// There is no way to the address.
    #[error("there is no way to {address} ({source}): check the network and the firewall of this machine")]
    Unreachable {
        /// The server's address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody listens on the port.
    #[error("nobody listens on UDP port {} of {}: check that the server runs and has HTTP/3 on", .address.port(), .address.ip())]
    PortClosed {
        /// The server's address.
        address: SocketAddr,
    },
    /// The server takes no connections now.
    #[error("the server at {address} takes no more connections now (CONNECTION_REFUSED): try again later")]
    Refused {
        /// The server's address.
        address: SocketAddr,
    },
    /// It took too long.
    #[error("no connection to {host} within {} ms: {}", .after.as_millis(), stage.explained())]
    TimedOut {
        /// The host.
        host: String,
        /// The time that was allowed.
        after: Duration,
        /// How far it came.
        stage: Stage,
    },
    /// The server's certificate is not believed.
    #[error("the certificate of {host} is not trusted: {fault}")]
    Certificate {
        /// The host.
        host: String,
        /// Why.
        fault: CertificateFault,
    },
    /// The system has no authorities.
    #[error(transparent)]
    NoSystemTrust(#[from] NoSystemTrust),
    /// The server wants a client certificate, or another one.
    #[error(
        "the server refused the client's certificate ({alert}): pass \"cert\" and \"key\" of a client that it knows"
    )]
    ClientCertificate {
        /// What the server said.
        alert: &'static str,
    },
    /// The server has no certificate for the name.
    #[error("the server does not know the host {host} (unrecognized_name): check the name")]
    UnknownHost {
        /// The host.
        host: String,
    },
    /// There is no protocol that both speak.
    #[error(
        "the server speaks none of the protocols that were offered ({offered}): check the port, and that it has HTTP/3 on"
    )]
    Alpn {
        /// What was offered, separated by commas.
        offered: String,
    },
    /// TLS failed in another way.
    #[error("TLS failed (alert {alert}, by the {}): {reason}", if *.remote { "server" } else { "client" })]
    Tls {
        /// The number of the alert (RFC 8446 §6).
        alert: u8,
        /// Whether the server gave up.
        remote: bool,
        /// What was said.
        reason: String,
    },
    /// The options are of no use together.
    #[error("TLS cannot be set up: {reason}")]
    TlsSetup {
        /// What rustls said.
        reason: String,
    },
    /// A file of the options cannot be written.
    #[error(transparent)]
    TlsOptions(#[from] TlsError),
    /// The server speaks other versions of QUIC.
    #[error("the server at {address} does not speak QUIC version 1: it needs an update")]
    Version {
        /// The server's address.
        address: SocketAddr,
    },
    /// The server ended the connection.
    #[error("the server closed the connection during the handshake ({}): {reason}", close_code(*.code, *.by_application))]
    Closed {
        /// Its code; `None` where there was none: it knew nothing of the connection (RFC 9000 §10.3).
        code: Option<u64>,
        /// Whether the code is that of the protocol above QUIC.
        by_application: bool,
        /// What it said.
        reason: String,
    },
    /// The server broke a rule of QUIC.
    #[error("the server broke a rule of QUIC (error 0x{code:x}): {reason}")]
    Protocol {
        /// The code of the error (RFC 9000 §20.1).
        code: u64,
        /// Which rule.
        reason: String,
    },
    /// The connection was closed on this side.
    #[error("the connection was closed on this side before it was made")]
    Cancelled,
}

/// How far a dial came in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The name was still looked up.
    Lookup,
    /// The system's authorities were still read.
    Trust,
    /// No address answered.
    Silence,
    /// An address answered, and the handshake did not end.
    Handshake,
}

impl Stage {
    fn explained(self) -> &'static str {
        match self {
            Self::Lookup => "the name was still looked up; check the name servers of this machine",
            Self::Trust => "the authorities of the system were still read",
            Self::Silence => {
                "nobody answered; check that the server runs, and that no firewall on the way drops UDP"
            }
            Self::Handshake => "the server answered, but the handshake did not come to its end",
        }
    }
}

/// What a [`DialError`] is, without its details: stable, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialErrorKind {
    /// A mistake in what was asked for.
    Usage,
    /// No address is known for the name.
    NameNotFound,
    /// The local address is taken.
    LocalAddressInUse,
    /// The local address is none of this machine, or of another family than the server's.
    LocalAddress,
    /// The system gives no socket.
    Socket,
    /// There is no way to the address.
    Unreachable,
    /// Nobody listens there, or the server takes no connections now.
    Refused,
    /// It took too long.
    TimedOut,
    /// No trusted authority signed the certificate, or the system has none.
    UnknownIssuer,
    /// The certificate expired.
    CertificateExpired,
    /// The certificate's time has not come.
    CertificateNotYetValid,
    /// The certificate is for other hosts, or the server does not know this one.
    WrongHost,
    /// The certificate is none of those that were pinned.
    PinMismatch,
    /// The pinned certificate has expired, or is not valid yet.
    PinExpired,
    /// The pinned certificate breaks the rules of pinned certificates.
    PinUnsuitable,
    /// The certificate was revoked.
    CertificateRevoked,
    /// The certificate, or what it signed, is no good.
    CertificateInvalid,
    /// The server wants a client certificate, or another one.
    ClientCertificate,
    /// There is no protocol that both speak.
    Alpn,
    /// TLS failed in another way.
    Tls,
    /// The server speaks other versions of QUIC.
    Version,
    /// The server ended the connection.
    Closed,
    /// The server broke a rule of QUIC.
    Protocol,
    /// The connection was closed on this side.
    Cancelled,
}

impl DialError {
    /// What it is, without its details.
    pub fn kind(&self) -> DialErrorKind {
        use DialErrorKind as Kind;
        match self {
            Self::Target(_) | Self::TlsSetup { .. } | Self::TlsOptions(_) => Kind::Usage,
            Self::NameNotFound { .. } => Kind::NameNotFound,
            Self::LocalAddressInUse { .. } => Kind::LocalAddressInUse,
            Self::LocalAddress { .. } | Self::LocalFamily { .. } => Kind::LocalAddress,
            Self::Socket { .. } => Kind::Socket,
            Self::Unreachable { .. } => Kind::Unreachable,
            Self::PortClosed { .. } | Self::Refused { .. } => Kind::Refused,
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::NoSystemTrust(_) => Kind::UnknownIssuer,
            Self::Certificate { fault, .. } => match fault {
                CertificateFault::UnknownIssuer => Kind::UnknownIssuer,
                CertificateFault::Expired { .. } => Kind::CertificateExpired,
                CertificateFault::NotYetValid { .. } => Kind::CertificateNotYetValid,
                CertificateFault::WrongHost { .. } => Kind::WrongHost,
                CertificateFault::PinMismatch { .. } => Kind::PinMismatch,
                CertificateFault::PinExpired { .. } => Kind::PinExpired,
                CertificateFault::PinnedTooLong { .. } | CertificateFault::PinnedKeyType => {
                    Kind::PinUnsuitable
                }
                CertificateFault::Revoked => Kind::CertificateRevoked,
                CertificateFault::BadSignature
                | CertificateFault::KeyNotHeld
                | CertificateFault::NotForServers { .. }
                | CertificateFault::Unusable { .. } => Kind::CertificateInvalid,
            },
            Self::ClientCertificate { .. } => Kind::ClientCertificate,
            Self::UnknownHost { .. } => Kind::WrongHost,
            Self::Alpn { .. } => Kind::Alpn,
            Self::Tls { .. } => Kind::Tls,
            Self::Version { .. } => Kind::Version,
            Self::Closed { .. } => Kind::Closed,
            Self::Protocol { .. } => Kind::Protocol,
            Self::Cancelled => Kind::Cancelled,
        }
    }

    /// How much it says, among the failures of several addresses.
    pub(super) fn weight(&self) -> u8 {
        match self {
            // Also what a machine without IPv6 says to every address of that family.
            Self::LocalAddressInUse { .. } | Self::LocalAddress { .. } | Self::Socket { .. } => 0,
            Self::Unreachable { .. } => 1,
            Self::PortClosed { .. } => 2,
            Self::TimedOut { stage, .. } if *stage != Stage::Handshake => 3,
            Self::TimedOut { .. } => 4,
            _ => 5,
        }
    }

    /// Whether it is what a server said, or what is wrong with what it said.
    pub(super) fn is_from_server(&self) -> bool {
        self.weight() == 5
    }
}

fn close_code(code: Option<u64>, by_application: bool) -> String {
    match (code, by_application) {
        (None, _) => "without a code".to_owned(),
        (Some(code), true) => format!("application error 0x{code:x}"),
        (Some(code), false) => format!("QUIC error 0x{code:x}"),
    }
}
