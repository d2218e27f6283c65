//! What is fuzzed, from which seed, and for how long.

use std::time::Duration;

use lexopt::prelude::*;

use crate::{arguments, target::Target};

/// The command line of `peer fuzz`.
pub(crate) struct Options {
    pub(super) target: Target,
    pub(super) mode: Mode,
    pub(super) seed: u64,
    /// No batch begins after this time.
    pub(super) seconds: Duration,
    /// The number of the first conversation.
    pub(super) first: u64,
    /// One behind the last.
    pub(super) end: u64,
    /// Conversations between two honest requests.
    pub(super) batch: u64,
    /// Conversations at the same time.
    pub(super) parallel: usize,
}

/// What is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The bytes and the life of streams, inside sound QUIC.
    Streams,
    /// Whole UDP datagrams, between a sound client and the server.
    Packets,
}

impl Mode {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Packets => "packets",
        }
    }
}

impl Options {
    /// Reads the command line: the URL, and what differs from the defaults.
    pub(crate) fn parse(
        parser: &mut lexopt::Parser,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let target: Target = parser.value()?.string()?.parse()?;
        target.require_loopback()?;
        let mut options = Self {
            target,
            mode: Mode::Streams,
            seed: 1,
            seconds: Duration::from_secs(60),
            first: 0,
            end: u64::MAX,
            batch: 32,
            parallel: 16,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("mode") => options.mode = mode(&parser.value()?.string()?)?,
                Long("seed") => options.seed = arguments::value(parser)?,
                Long("seconds") => options.seconds = arguments::seconds(parser)?,
                Long("connections") => options.end = arguments::value(parser)?,
                Long("only") => (options.first, options.end) = numbers(&parser.value()?.string()?)?,
                Long("batch") => options.batch = arguments::value::<u64>(parser)?.max(1),
                Long("parallel") => options.parallel = arguments::value::<usize>(parser)?.max(1),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

fn mode(name: &str) -> Result<Mode, String> {
    [Mode::Streams, Mode::Packets]
        .into_iter()
        .find(|mode| mode.name() == name)
        .ok_or_else(|| format!("expected streams or packets, got {name}"))
}

/// `7` or `7..9`, both ends included.
fn numbers(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last && last < u64::MAX => Ok((first, last + 1)),
        _ => Err(format!("expected a number or first..last, got {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_conversations_includes_both_ends() {
        assert_eq!(numbers("7"), Ok((7, 8)));
        assert_eq!(numbers("7..9"), Ok((7, 10)));
        for text in ["", "9..7", "x", "1..", "18446744073709551615"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        assert!(mode("streams").is_ok() && mode("packets").is_ok());
        assert!(mode("bytes").is_err());
    }
}
