//! What status and fields of an answer must be before any of it is sent.

use crate::exchange::ExchangeError;

/// What the `content-length` among the fields says, if there is one.
pub(crate) fn check<'a>(
    status: u16,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Option<u64>, ExchangeError> {
    // RFC9110-15-status-sent, RFC9114-4.1-interim-alone, RFC9114-4.5-status-101-sent
    if !(200..=599).contains(&status) {
        return Err(ExchangeError::Status(status));
    }
    let mut declared = None;
    for (name, value) in fields {
        // RFC9110-7.6.1-connection-fields-sent
        trilane_http3::check_response_field(name, value)?;
        if name == b"content-length" {
            let length = parse_length(value).ok_or(ExchangeError::InvalidLength)?;
            // RFC9110-8.6-invalid-refused
            if declared.replace(length).is_some() {
                return Err(ExchangeError::InvalidLength);
            }
        }
    }
    Ok(declared)
}

/// RFC9110-8.6-invalid-refused
fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
