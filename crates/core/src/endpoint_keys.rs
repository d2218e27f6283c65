//! The secrets of an endpoint that may outlive its process.

use std::fmt;
use std::sync::Arc;

use quinn::crypto::{HandshakeTokenKey, HmacKey};
use ring::{hkdf, hmac};

/// What must never be told apart from other uses of the same secret.
const CONTEXT: &[u8] = b"trilane endpoint keys 1";

/// A secret of at least 32 bytes, from which an endpoint derives what it needs to be recognised by a later process: the
/// key of its stateless resets (RFC 9000 §10.3), that of the connection ids for which it sends one, and that of its address
/// validation tokens (§8.1). Who knows it can end the connections of the endpoint, and pass for a client of any address.
#[derive(Clone)]
pub struct StatelessResetKey(Vec<u8>);

/// The secret is shorter than 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stateless reset key has at least 32 bytes, this one has {0}: make one with a cryptographic random generator"
)]
pub struct KeyTooShort(pub usize);

impl StatelessResetKey {
    /// The fewest bytes of a secret: as many as the hash that it is fed to.
    pub const MIN_BYTES: usize = 32;

    /// # Errors
    /// Fewer than [`MIN_BYTES`](Self::MIN_BYTES) bytes.
    pub fn new(secret: &[u8]) -> Result<Self, KeyTooShort> {
        if secret.len() < Self::MIN_BYTES {
            return Err(KeyTooShort(secret.len()));
        }
        Ok(Self(secret.to_vec()))
    }

    /// Signs connection ids: a stateless reset token is the beginning of the signature (RFC 9000 §10.3.2).
    pub(crate) fn reset_key(&self) -> Arc<dyn HmacKey> {
        Arc::new(hmac::Key::new(
            hmac::HMAC_SHA256,
            &self.derive::<32>(b"stateless reset"),
        ))
    }

    /// Marks connection ids as ours; others are never answered with a reset.
    pub(crate) fn connection_id_key(&self) -> u64 {
        u64::from_le_bytes(self.derive(b"connection id"))
    }

    /// Seals the tokens of Retry packets and NEW_TOKEN frames.
    pub(crate) fn token_key(&self) -> Arc<dyn HandshakeTokenKey> {
        Arc::new(
            hkdf::Salt::new(hkdf::HKDF_SHA256, CONTEXT).extract(&self.derive::<32>(b"address validation")),
        )
    }

    fn derive<const LENGTH: usize>(&self, label: &[u8]) -> [u8; LENGTH] {
        let mut key = [0; LENGTH];
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, CONTEXT).extract(&self.0);
        secret
            .expand(&[label], Length(LENGTH))
            .and_then(|derived| derived.fill(&mut key))
            .expect("HKDF-SHA256 gives up to 8,160 bytes, and the buffer has the length that was asked for");
        key
    }
}

impl fmt::Debug for StatelessResetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatelessResetKey(secret)")
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset_token(secret: &[u8]) -> [u8; 32] {
        let mut token = [0; 32];
        StatelessResetKey::new(secret)
            .unwrap()
            .reset_key()
            .sign(b"connection id", &mut token);
        token
    }

    #[test]
    fn the_same_secret_gives_the_same_keys_and_another_gives_others() {
        assert_eq!(reset_token(&[1; 32]), reset_token(&[1; 32]));
        assert_ne!(reset_token(&[1; 32]), reset_token(&[2; 32]));
        let key = StatelessResetKey::new(&[1; 32]).unwrap();
        assert_eq!(key.connection_id_key(), key.clone().connection_id_key());
    }

    #[test]
    fn no_key_tells_another() {
        let key = StatelessResetKey::new(&[1; 32]).unwrap();
        let reset: [u8; 32] = key.derive(b"stateless reset");
        let token: [u8; 32] = key.derive(b"address validation");
        assert_ne!(reset, token);
        assert_ne!(reset[..8], key.connection_id_key().to_le_bytes());
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        assert_eq!(StatelessResetKey::new(&[1; 31]).unwrap_err(), KeyTooShort(31));
        let shown = format!("{:?}", StatelessResetKey::new(&[7; 32]).unwrap());
        assert!(!shown.contains('7'), "{shown}");
    }
}
