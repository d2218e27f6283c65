//! Heads that come again.

use super::*;

#[test]
fn a_head_that_comes_again_is_the_head_that_it_was_and_another_is_not() {
    let first = encoded(&get_with(&[("x-a", "1"), ("content-length", "3")]));
    let second = encoded(&get_with(&[("x-a", "2"), ("content-length", "3")]));
    assert_eq!(first.len(), second.len());
    let mut head = RequestHead::new();
    for (block, value) in [(&first, "1"), (&first, "1"), (&second, "2"), (&first, "1")] {
        head.decode(block, LIMITS).unwrap();
        assert_eq!(head.field(b"x-a"), Some(value.as_bytes()));
        assert_eq!((head.path(), head.content_length()), (&b"/"[..], Some(3)));
    }
}

#[test]
fn a_head_that_was_refused_is_refused_again_and_leaves_nothing_behind() {
    let good = encoded(&GET);
    let bad = encoded(&get_with(&[("connection", "close")]));
    let mut head = RequestHead::new();
    head.decode(&good, LIMITS).unwrap();
    assert!(head.decode(&bad, LIMITS).is_err());
    assert!(head.decode(&bad, LIMITS).is_err());
    assert!(head.decode(b"", LIMITS).is_err());
    head.decode(&good, LIMITS).unwrap();
    assert_eq!(head.method(), b"GET");
}

#[test]
fn a_head_that_comes_again_is_held_against_the_limits_of_that_time() {
    let block = encoded(&GET);
    let mut head = RequestHead::new();
    head.decode(&block, LIMITS).unwrap();
    let fewer = FieldLimits {
        max_fields: 3,
        ..LIMITS
    };
    assert_eq!(head.decode(&block, fewer), Err(DecodeError::TooLarge));
}

#[test]
fn a_long_head_is_not_remembered() {
    let long = "x".repeat(2 * REMEMBERED_BYTES);
    let mut head = RequestHead::new();
    head.decode(&encoded(&GET), LIMITS).unwrap();
    for _ in 0..2 {
        head.decode(&encoded(&get_with(&[("x-a", &long)])), LIMITS)
            .unwrap();
        assert_eq!(head.field(b"x-a"), Some(long.as_bytes()));
        assert!(head.encoded.is_empty());
    }
}
