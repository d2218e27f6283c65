//! Certificates and keys as users give them: PEM text or DER bytes.

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

const PEM_BEGIN: &[u8] = b"-----BEGIN ";

/// Most block names that an error message repeats.
const NAMED_BLOCKS: usize = 4;

/// What bytes that are no PEM look like, from their first elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DerKind {
    PrivateKey,
    EncryptedKey,
    Pkcs12,
    /// Any other sequence; perhaps a certificate.
    Sequence,
    None,
}

/// Reads every certificate, in the order given.
pub(super) fn certificates(input: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = if is_pem(input) {
        CertificateDer::pem_slice_iter(without_mark(input))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| bad_pem("certificate", &error))?
    } else if der_kind(input) == DerKind::Sequence {
        vec![CertificateDer::from(input.to_vec())]
    } else {
        Vec::new()
    };
    if found.is_empty() {
        return Err(TlsError::NoCertificate {
            found: describe(input),
        });
    }
    Ok(found)
}

/// Reads the first private key.
pub(super) fn private_key(input: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    if !is_pem(input) {
        return match der_kind(input) {
            DerKind::PrivateKey => {
                PrivateKeyDer::try_from(input.to_vec()).map_err(|reason| TlsError::BadKey {
                    reason: reason.to_owned(),
                })
            }
            DerKind::EncryptedKey => Err(TlsError::EncryptedKey),
            _ => Err(TlsError::NoPrivateKey {
                found: describe(input),
            }),
        };
    }
    if is_encrypted_pem(input) {
        return Err(TlsError::EncryptedKey);
    }
    match PrivateKeyDer::from_pem_slice(without_mark(input)) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoPrivateKey {
            found: describe(input),
        }),
        Err(error) => Err(bad_pem("private key", &error)),
    }
}

/// Whether `certificate` holds only keys and `key` only certificates.
pub(super) fn are_swapped(certificate: &[u8], key: &[u8]) -> bool {
    let holds = |input: &[u8], is_kind: fn(&str) -> bool, der: DerKind| {
        if is_pem(input) {
            blocks(input).any(is_kind)
        } else {
            der_kind(input) == der
        }
    };
    let is_key = |name: &str| name.ends_with("PRIVATE KEY");
    let is_certificate = |name: &str| name == "CERTIFICATE";
    holds(certificate, is_key, DerKind::PrivateKey)
        && !holds(certificate, is_certificate, DerKind::Sequence)
        && holds(key, is_certificate, DerKind::Sequence)
        && !holds(key, is_key, DerKind::PrivateKey)
}

fn bad_pem(input: &'static str, error: &pem::Error) -> TlsError {
    // The parser's message repeats the faulty line, which may be part of a key.
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a block has no end line",
        pem::Error::IllegalSectionStart { .. } => "a block begins with a damaged line",
        pem::Error::Base64Decode(_) => "a block is not base64",
        _ => "a block cannot be read",
    };
    TlsError::BadPem {
        input,
        reason: reason.to_owned(),
    }
}

fn is_pem(input: &[u8]) -> bool {
    contains(input, PEM_BEGIN)
}

/// Editors put a byte order mark before the first line, which would hide it.
fn without_mark(input: &[u8]) -> &[u8] {
    input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input)
}

/// Both ways of PEM: a block of its own (RFC 7468 §11), and header lines in a block of the older formats (RFC
/// 1421).
fn is_encrypted_pem(input: &[u8]) -> bool {
    let first = blocks(input).find(|name| name.ends_with("PRIVATE KEY"));
    match first {
        Some("ENCRYPTED PRIVATE KEY") => true,
        Some("RSA PRIVATE KEY" | "EC PRIVATE KEY") => contains(input, b"Proc-Type: 4,ENCRYPTED"),
        _ => false,
    }
}

/// The names of the PEM blocks.
fn blocks(input: &[u8]) -> impl Iterator<Item = &str> {
    without_mark(input)
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| {
            let name = line
                .strip_prefix(PEM_BEGIN)?
                .trim_ascii_end()
                .strip_suffix(b"-----")?;
            std::str::from_utf8(name).ok()
        })
}

/// What a message may say about the input: names of blocks, never their contents.
fn describe(input: &[u8]) -> String {
    if input.trim_ascii().is_empty() {
        return "nothing (the input is empty)".to_owned();
    }
    if is_pem(input) {
        let names: Vec<String> = blocks(input)
            .take(NAMED_BLOCKS)
            .map(|name| format!("{name:?}"))
            .collect();
        return match names.as_slice() {
            [] => "PEM blocks that do not begin their line".to_owned(),
            names => format!("only PEM blocks named {}", names.join(", ")),
        };
    }
    match der_kind(input) {
        DerKind::PrivateKey => "a private key in DER".to_owned(),
        DerKind::EncryptedKey => "an encrypted private key in DER".to_owned(),
        DerKind::Pkcs12 => {
            "a PKCS#12 archive (convert it: \"openssl pkcs12 -in file.p12 -noenc\")".to_owned()
        }
        DerKind::Sequence => "other DER, perhaps a certificate".to_owned(),
        DerKind::None => "neither PEM nor DER (pass what the file holds, not its name)".to_owned(),
    }
}

fn der_kind(input: &[u8]) -> DerKind {
    /// Of PBES2 and the older PBE schemes: 1.2.840.113549.1.5 and 1.2.840.113549.1.12.1 (RFC 8018, RFC 7292).
    const ENCRYPTION: [&[u8]; 2] = [
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x05",
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01",
    ];
    let Some(content) = sequence_content(input) else {
        return DerKind::None;
    };
    if let Some(algorithm) = sequence_content(content) {
        let is_encryption = |prefix: &&[u8]| algorithm.get(2..).is_some_and(|oid| oid.starts_with(prefix));
        let encrypted = algorithm.first() == Some(&0x06) && ENCRYPTION.iter().any(is_encryption);
        return if encrypted {
            DerKind::EncryptedKey
        } else {
            DerKind::Sequence
        };
    }
    match content {
        [0x02, 0x01, 0x03, ..] => DerKind::Pkcs12,
        [0x02, 0x01, 0x00 | 0x01, ..] => DerKind::PrivateKey,
        _ => DerKind::Sequence,
    }
}

/// What follows the tag and the length of a DER sequence.
fn sequence_content(input: &[u8]) -> Option<&[u8]> {
    let [0x30, length, ..] = input else {
        return None;
    };
    let length_bytes = if *length >= 0x80 {
        usize::from(length & 0x7f)
    } else {
        0
    };
    input.get(2 + length_bytes..)
}

fn contains(input: &[u8], wanted: &[u8]) -> bool {
    input.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_without_what_it_should_hold_is_described() {
        let described = |input: &[u8]| match (certificates(input), private_key(input)) {
            (Err(TlsError::NoCertificate { found }), Err(TlsError::NoPrivateKey { found: same })) => {
                assert_eq!(found, same);
                found
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(described(b""), "nothing (the input is empty)");
        assert_eq!(described(b" \r\n"), "nothing (the input is empty)");
        assert!(described(b"cert.pem").contains("not its name"));
        assert!(described(b"\x30\x82\x01\x00\x02\x01\x03\x30").contains("PKCS#12"));
        let request = b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
        assert_eq!(
            described(request),
            "only PEM blocks named \"CERTIFICATE REQUEST\""
        );
        assert!(described(b"  -----BEGIN CERTIFICATE-----\nAAAA\n").contains("do not begin their line"));
    }

    #[test]
    fn an_encrypted_key_is_recognized_in_every_form() {
        let forms: [&[u8]; 4] = [
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            b"-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-128-CBC,00\r\n\r\nAAAA\r\n",
            b"-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n\
              -----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
            b"\x30\x81\xec\x30\x57\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d\x30",
        ];
        for form in forms {
            assert!(
                matches!(private_key(form), Err(TlsError::EncryptedKey)),
                "{:?}",
                form.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn damaged_pem_is_refused_and_not_repeated() {
        let damaged: [&[u8]; 3] = [
            b"-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n",
            b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n",
            b"-----BEGIN PRIVATE KEY secret\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        ];
        for input in damaged {
            let error = private_key(input).unwrap_err();
            assert!(
                matches!(
                    error,
                    TlsError::BadPem {
                        input: "private key",
                        ..
                    }
                ),
                "{error}"
            );
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(!error.to_string().contains("c2Vj"), "{error}");
        }
    }

    #[test]
    fn arbitrary_der_heads_do_not_panic() {
        for first in 0..=255_u8 {
            for length in 0..4 {
                let input = [0x30, first, 0x30, first][..length].to_vec();
                assert!(private_key(&input).is_err());
                der_kind(&input);
            }
        }
    }
}
