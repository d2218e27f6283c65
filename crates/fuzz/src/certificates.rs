//! Certificates and keys, as PEM or DER.

use trilane_core::tls::{Identity, trust_roots};

/// A file of any content, as a chain, as a key, as both and as authorities: it is refused with an error or accepted, and what
/// is accepted can be asked for its dates and its hash.
pub(crate) fn certificates(input: &[u8]) {
    if let Ok(identity) = Identity::from_pem_or_der(input, input) {
        let _ = identity.validity();
        assert_eq!(identity.leaf_sha256(), identity.leaf_sha256());
    }
    // Certificate in front of the key, as two files.
    let middle = input.len() / 2;
    let _ = Identity::from_pem_or_der(&input[..middle], &input[middle..]);
    let _ = trust_roots(input);
}
