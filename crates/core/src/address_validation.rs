//! When a client has to prove that it is where its packets say (RFC 9000 §8.1).

use std::sync::Arc;
use std::time::Duration;

use quinn::{BloomTokenLog, ValidationTokenConfig};

/// Who must answer a Retry packet before anything is computed for it (RFC 9000 §8.1.2). It costs a client a round trip, and
/// an attacker the use of forged addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressValidation {
    /// New clients, while there are many: [`Limits::retry_above_handshakes`](crate::Limits::retry_above_handshakes) under
    /// way, more a second than
    /// [`Limits::retry_above_handshakes_per_second`](crate::Limits::retry_above_handshakes_per_second), or as many
    /// connections from the address as it may have.
    #[default]
    Auto,
    /// Every client that brings no token of an earlier connection.
    Always,
}

/// How long a client may come back with the token of an earlier connection (RFC 9000 §8.1.3). Addresses change hands.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Tokens given to a client: for its next connection, and one more opened beside it.
const TOKENS: u32 = 2;

/// Bytes that remember which tokens were used, so that none is used twice (RFC 9000 §8.1.4).
const LOG_BYTES: usize = 1024 * 1024;

/// Tokens used within their lifetime for which the log is made. More cost some clients a round trip.
const LOG_TOKENS: u64 = 100_000;

/// Gives returning clients tokens, with which they need no Retry.
pub(crate) fn tokens() -> ValidationTokenConfig {
    let mut config = ValidationTokenConfig::default();
    config
        .lifetime(TOKEN_LIFETIME)
        .sent(TOKENS)
        .log(Arc::new(BloomTokenLog::new_expected_items(LOG_BYTES, LOG_TOKENS)));
    config
}
