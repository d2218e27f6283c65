//! The JSON document that a load sends.

use bytes::Bytes;

/// Everything but the filling.
const BEFORE: &str = r#"{"active":true,"count":42,"filling":""#;
const AFTER: &str = r#"","name":"a document","tags":["one","two","three"]}"#;

/// A document of exactly so many bytes. Its members are in the order of their names and nothing in it is spaced or escaped, so
/// that whoever reads it and writes it anew writes the same bytes.
pub(super) fn of_length(bytes: usize) -> Result<Bytes, String> {
    let least = BEFORE.len() + AFTER.len();
    let filling = bytes
        .checked_sub(least)
        .ok_or_else(|| format!("--json is at least {least}"))?;
    Ok(Bytes::from(format!("{BEFORE}{}{AFTER}", "x".repeat(filling))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_length_it_should_and_survives_being_read_and_written() {
        let document = of_length(1024).unwrap();
        assert_eq!(document.len(), 1024);
        let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(serde_json::to_vec(&value).unwrap(), document);
        assert!(of_length(10).is_err());
    }
}
