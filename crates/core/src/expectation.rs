//! The `expect` field (RFC 9110 §10.1.1).

use trilane_http3::RequestHead;

/// What a client expects before it sends its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// Nothing.
    None,
    /// 100 (Continue), or a final answer.
    Continue,
    /// Something that no standard knows: answered 417.
    Unknown,
}

impl Expectation {
    pub(crate) fn of(head: &RequestHead) -> Self {
        let mut expected = Self::None;
        for (_, value) in head.fields().filter(|(name, _)| *name == b"expect") {
            for member in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                if member.eq_ignore_ascii_case(b"100-continue") {
                    expected = Self::Continue;
                } else if !member.is_empty() {
                    return Self::Unknown;
                }
            }
        }
        expected
    }
}
