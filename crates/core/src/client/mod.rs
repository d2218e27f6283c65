//! Our client: how it reaches a server.
//!
//! ```text
//! Target -> addresses, in order -> Dialer: attempts, a quarter of a second apart -> Dialed
//!                                   each: path (socket), drivers (tasks), tls, verifier -> handshake
//! ```

mod addresses;
mod attempt;
mod attempted;
mod certificate_fault;
mod dial;
mod drivers;
mod error;
mod limits;
mod path;
mod sessions;
mod tls;
mod trust;
mod verifier;

pub use addresses::{Target, TargetError};
pub use attempt::{Dialed, Early};
pub use certificate_fault::CertificateFault;
pub use dial::{DialOptions, Dialer};
pub use error::{DialError, DialErrorKind, Stage};
pub use limits::ClientLimits;
pub use tls::ClientTls;
pub use trust::{NoSystemTrust, Trust, TrustError};
