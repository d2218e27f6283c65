//! Small pieces that every subcommand's command line shares.

use std::{path::PathBuf, str::FromStr, time::Duration};

use lexopt::prelude::*;

/// The value of an option, parsed.
pub(crate) fn value<T>(parser: &mut lexopt::Parser) -> Result<T, lexopt::Error>
where
    T: FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    parser.value()?.parse()
}

/// The value of an option in seconds, with fractions. At most an hour: everything here ends by itself.
pub(crate) fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    let seconds: f64 = value(parser)?;
    if !(0.0..=3600.0).contains(&seconds) {
        return Err(format!("expected 0 to 3600 seconds, got {seconds}").into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// The value of `--header`, as `name:value`.
pub(crate) fn header(
    parser: &mut lexopt::Parser,
) -> Result<(http::HeaderName, http::HeaderValue), Box<dyn std::error::Error + Send + Sync>> {
    let text = parser.value()?.string()?;
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("expected name:value, got {text}"))?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}

/// The directory of `--out DIR`, the only option of `certificate`.
pub(crate) fn directory(parser: &mut lexopt::Parser) -> Result<PathBuf, lexopt::Error> {
    match parser.next()? {
        Some(Long("out")) => Ok(PathBuf::from(parser.value()?)),
        Some(other) => Err(other.unexpected()),
        None => Err("expected --out DIR".into()),
    }
}
