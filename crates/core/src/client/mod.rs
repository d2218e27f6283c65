//! Our client: how it reaches a server, and what it asks of it.
//!
//! ```text
//! Target -> addresses, in order -> Dialer: attempts, a quarter of a second apart -> Dialed
//!                                   each: path (socket), drivers (tasks), tls, verifier -> handshake
//! RequestOrder -> http_client -> pool: a connection that there is, or a new one -> connection (one task owns it)
//!                                   -> a stream for each order; response: its head -> Handler
//! ```

mod addresses;
mod attempt;
mod attempted;
mod certificate_fault;
mod connection;
mod dial;
mod drivers;
mod error;
mod http_client;
mod limits;
mod memory;
mod order;
mod path;
mod pool;
mod pooled_connection;
mod request_error;
mod response;
mod sessions;
mod state;
mod tls;
mod trust;
mod verifier;

pub use addresses::{Target, TargetError};
pub use attempt::{Dialed, Early};
pub use certificate_fault::CertificateFault;
pub use dial::{DialOptions, Dialer};
pub use error::{DialError, DialErrorKind, Stage};
pub use http_client::{Client, ClientConfig, PreparedRequest};
pub use limits::ClientLimits;
pub use order::{OrderError, OutgoingBody, RequestOrder, Tunnel};
pub use request_error::{ConnectionLoss, RequestError};
pub use tls::ClientTls;
pub use trust::{NoSystemTrust, Trust, TrustError};

/// How often a request is sent at most, if the server does not process it.
const MAX_ATTEMPTS: u32 = 3;
