//! Keying material of a session (draft-ietf-webtrans-http3-16 §4.8).

/// The label of the TLS exporter behind every exporter of a session.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-WebTransport";

/// The context of the TLS exporter: what tells sessions of one connection apart, and labels and contexts of applications, of
/// at most 255 bytes each. `None`: one of them is longer.
pub fn exporter_context(session: u64, label: &[u8], context: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(10 + label.len() + context.len());
    out.extend_from_slice(&session.to_be_bytes());
    for part in [label, context] {
        out.push(u8::try_from(part.len()).ok()?);
        out.extend_from_slice(part);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figure 6 of the draft: 64 bits, then label and context, each behind its length in 8 bits.
    #[test]
    fn the_context_names_the_session_and_delimits_label_and_context() {
        let context = exporter_context(0x104, b"ab", b"c").unwrap();
        assert_eq!(context, [0, 0, 0, 0, 0, 0, 1, 4, 2, b'a', b'b', 1, b'c']);
        assert_eq!(
            exporter_context(0, b"a", b""),
            Some(vec![0, 0, 0, 0, 0, 0, 0, 0, 1, b'a', 0])
        );
    }

    #[test]
    fn a_label_or_a_context_above_255_bytes_has_none() {
        assert!(exporter_context(0, &[1; 255], &[2; 255]).is_some());
        assert_eq!(exporter_context(0, &[1; 256], b""), None);
        assert_eq!(exporter_context(0, b"", &[2; 256]), None);
    }
}
