//! What can be wrong with certificates, keys and TLS options.

use std::io;
use std::path::PathBuf;

/// Why certificates, keys or options were refused. Every one is a mistake in what this server was given,
/// never in what a peer sent.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate input holds none.
    #[error(
        "no certificate: found {found}; expected PEM with at least one \"-----BEGIN CERTIFICATE-----\" block, the \
         server's own first, or one DER certificate"
    )]
    NoCertificate {
        /// What the input looks like.
        found: String,
    },
    /// The certificate input holds a key, the key input a certificate.
    #[error("certificate and key are swapped: the certificate holds a private key and the key a certificate")]
    Swapped,
    /// A certificate cannot be used.
    #[error(
        "certificate {position} of the chain cannot be used ({reason}): expected an X.509 v3 certificate, whole and \
         unchanged"
    )]
    BadCertificate {
        /// Which one, from 1.
        position: usize,
        /// What the parser said.
        reason: String,
    },
    /// The key input holds none.
    #[error(
        "no private key: found {found}; expected PEM with a \"-----BEGIN PRIVATE KEY-----\" block (PKCS#8; SEC1 and \
         PKCS#1 are understood too), or one DER key"
    )]
    NoPrivateKey {
        /// What the input looks like.
        found: String,
    },
    /// The private key is protected by a passphrase.
    #[error(
        "the private key is encrypted: decrypt it first, for example with \
         \"openssl pkey -in encrypted.pem -out key.pem\""
    )]
    EncryptedKey,
    /// The private key cannot be used.
    #[error(
        "the private key cannot be used ({reason}): expected RSA of 2048 bits or more, ECDSA on P-256 or P-384, or \
         Ed25519"
    )]
    BadKey {
        /// What the parser said.
        reason: String,
    },
    /// The private key is not that of the first certificate.
    #[error("the private key does not belong to the first certificate: {}", mismatch_hint(*.belongs_to))]
    KeyMismatch {
        /// Which certificate of the chain it does belong to, from 1.
        belongs_to: Option<usize>,
    },
    /// The text of a PEM block is damaged.
    #[error("the {input} is not valid PEM ({reason}): pass the file as it is, line ends included")]
    BadPem {
        /// "certificate" or "private key".
        input: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// A name that no client can ask for.
    #[error("{host:?} cannot be a server name: {reason}")]
    BadHostname {
        /// The name as it was given.
        host: String,
        /// What is expected instead.
        reason: &'static str,
    },
    /// One name with two certificates.
    #[error(
        "the server name {host:?} has two certificates: names are the same in capitals and with a dot at the end"
    )]
    DuplicateHostname {
        /// The name in lower case.
        host: String,
    },
    /// Client certificates cannot be verified.
    #[error(
        "client certificates cannot be verified ({reason}): pass the certificate of at least one authority"
    )]
    BadRoots {
        /// What is wrong with the authorities.
        reason: String,
    },
    /// The key log cannot be written.
    #[error("the key log {path:?} cannot be opened for writing: {source}")]
    KeyLog {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// rustls refused the options together.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

fn mismatch_hint(belongs_to: Option<usize>) -> String {
    match belongs_to {
        Some(position) => format!("it belongs to certificate {position} of the chain; put that one first"),
        None => "pass the key that the certificate was requested with".to_owned(),
    }
}
