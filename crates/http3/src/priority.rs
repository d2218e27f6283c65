//! The Extensible Priorities of RFC 9218: what a `priority` field or a PRIORITY_UPDATE frame says.

use std::convert::Infallible;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

/// The parameters of a priority, each only if it was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority {
    /// `u`: 0, the most urgent, to 7 (RFC 9218 §4.1). Not said, it is 3.
    pub urgency: Option<u8>,
    /// `i`: whether the client can use the content piece by piece (RFC 9218 §4.2). Not said, it is false.
    pub incremental: Option<bool>,
}

impl Priority {
    /// The urgency of what says nothing (RFC 9218 §4.1).
    pub const DEFAULT_URGENCY: u8 = 3;

    /// Reads a priority field value. Unknown parameters, values of a wrong type and urgencies outside 0 to 7 are ignored
    /// (RFC 9218 §4); so is a value that is no Dictionary as a whole (RFC 9651 §4.2).
    pub fn parse(value: &[u8]) -> Self {
        // RFC9218-4-ignored: parsing cannot be refused by the visitor, so an error is one of syntax, and nothing was said.
        Parser::new(value)
            .parse_dictionary_with_visitor(Reader(Self::default()))
            .unwrap_or_default()
    }

    /// The field values of a message, which together are one Dictionary: the last word on each parameter counts.
    pub fn parse_all<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        values.fold(Self::default(), |before, value| {
            before.overridden_by(Self::parse(value))
        })
    }

    /// This priority where `other` says nothing, else what `other` says (RFC 9218 §8).
    #[must_use]
    pub fn overridden_by(self, other: Self) -> Self {
        // RFC9218-8-merged
        Self {
            urgency: other.urgency.or(self.urgency),
            incremental: other.incremental.or(self.incremental),
        }
    }

    /// Whether nothing was said.
    pub fn is_unsaid(self) -> bool {
        self == Self::default()
    }
}

struct Reader(Priority);

impl<'de> DictionaryVisitor<'de> for Reader {
    type Out = Priority;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        // Of a parameter said twice the last value counts, also if that one is of no use (RFC 9651 §4.2.2).
        Ok(match key.as_str() {
            "u" => {
                self.0.urgency = None;
                Some(Parameter::Urgency(&mut self.0.urgency))
            }
            "i" => {
                self.0.incremental = None;
                Some(Parameter::Incremental(&mut self.0.incremental))
            }
            _ => None,
        })
    }

    fn finish(self) -> Result<Self::Out, Self::Error> {
        Ok(self.0)
    }
}

enum Parameter<'a> {
    Urgency(&'a mut Option<u8>),
    Incremental(&'a mut Option<bool>),
}

impl<'de> EntryVisitor<'de> for Parameter<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Self::Error> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Self::Error> {
        Ok(Ignored)
    }
}

impl<'de> ItemVisitor<'de> for Parameter<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = Self::Out>, Self::Error> {
        match self {
            Self::Urgency(urgency) => {
                *urgency = item
                    .as_integer()
                    .and_then(|integer| u8::try_from(integer).ok())
                    .filter(|urgency| *urgency <= 7);
            }
            Self::Incremental(incremental) => *incremental = item.as_boolean(),
        }
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(urgency: Option<u8>, incremental: Option<bool>) -> Priority {
        Priority { urgency, incremental }
    }

    /// RFC 9218 §4.1, §4.2.
    #[test]
    fn urgency_and_incremental_are_read() {
        for (value, expected) in [
            ("u=0", said(Some(0), None)),
            ("u=7, i", said(Some(7), Some(true))),
            ("i=?0,u=2", said(Some(2), Some(false))),
            ("i=?1", said(None, Some(true))),
            ("u=1;x=1, i;y", said(Some(1), Some(true))),
            ("", said(None, None)),
        ] {
            assert_eq!(Priority::parse(value.as_bytes()), expected, "{value:?}");
        }
    }

    /// RFC9218-4-ignored: the rest of the field still counts.
    #[test]
    fn unknown_parameters_and_values_out_of_range_are_ignored() {
        for value in [
            "u=8, i",
            "u=-1, i",
            "u=\"1\", i",
            "u=1.0, i",
            "u=(1 2), i",
            "u, i",
            "x=1, i, y=(a b);z",
        ] {
            assert_eq!(
                Priority::parse(value.as_bytes()),
                said(None, Some(true)),
                "{value:?}"
            );
        }
        assert_eq!(Priority::parse(b"u=1, u=9"), said(None, None));
        assert_eq!(Priority::parse(b"u=1, i=5"), said(Some(1), None));
    }

    /// RFC9218-4-ignored, RFC 9651 §4.2: a value that does not parse is ignored whole.
    #[test]
    fn a_malformed_value_says_nothing() {
        for value in [
            "u=1,",
            "u=",
            "=1",
            "u=1 i",
            "U=1",
            "u=1, i=?2",
            "\u{e9}",
            "u=1, \"",
            "u=99999999999999999",
        ] {
            assert_eq!(Priority::parse(value.as_bytes()), said(None, None), "{value:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_client_writes_is_read_or_ignored(value in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let read = Priority::parse(&value);
            proptest::prop_assert!(read.urgency.is_none_or(|urgency| urgency <= 7));
        }
    }

    #[test]
    fn later_words_override_earlier_ones_where_they_say_something() {
        let lines = [&b"u=5, i"[..], b"u=1"];
        assert_eq!(Priority::parse_all(lines.into_iter()), said(Some(1), Some(true)));
        assert!(Priority::parse_all(std::iter::empty()).is_unsaid());
    }
}
