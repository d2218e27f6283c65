//! Self-signed certificates for servers that exist only during a test.

use std::path::Path;

use data_encoding::HEXLOWER;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::{Outcome, output};

type Pair = rcgen::CertifiedKey<rcgen::KeyPair>;

/// A P-256 certificate for `localhost` and both loopback addresses.
fn generate() -> Result<Pair, rcgen::Error> {
    rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])
}

/// A fresh certificate and its key, as rustls takes them.
pub(crate) fn for_localhost() -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let pair = generate()?;
    let key = PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
    Ok((pair.cert.der().clone(), key))
}

/// The SHA-256 of a certificate in lower-case hexadecimal.
pub(crate) fn sha256(certificate: &[u8]) -> String {
    HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, certificate).as_ref())
}

/// Writes `cert.pem` and `key.pem` into a directory, which is made if needed, and prints the certificate's SHA-256.
pub(crate) fn write_pair(directory: &Path) -> Outcome {
    let pair = generate()?;
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("cert.pem"), pair.cert.pem())?;
    std::fs::write(directory.join("key.pem"), pair.signing_key.serialize_pem())?;
    output::line(&serde_json::json!({ "certificate_sha256": sha256(pair.cert.der()) }));
    Ok(())
}
