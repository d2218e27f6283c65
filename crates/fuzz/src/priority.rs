//! The priority field (RFC 9218): read, or ignored.

use trilane_http3::Priority;

/// What is said is within its range, a blank around the value says nothing more, and a second field overrides the first
/// where it says something.
pub(crate) fn priority(input: &[u8]) {
    let said = Priority::parse(input);
    assert!(said.urgency.is_none_or(|urgency| urgency <= 7));
    let padded = [b"  ", input, b" "].concat();
    assert_eq!(Priority::parse(&padded), said);
    let both = Priority::parse_all([input, b"u=2"].into_iter());
    assert_eq!((both.urgency, both.incremental), (Some(2), said.incremental));
    assert_eq!(said.overridden_by(Priority::default()), said);
}
