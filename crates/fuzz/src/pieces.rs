//! The same bytes, cut in different places.

use std::fmt::Debug;

use bytes::Bytes;

/// The first two bytes of an input say where the others are cut; missing ones are 0.
pub(crate) fn split_off_cuts(input: &[u8]) -> ([u8; 2], &[u8]) {
    let (cuts, wire) = input.split_at(input.len().min(2));
    (
        [
            cuts.first().copied().unwrap_or(0),
            cuts.get(1).copied().unwrap_or(0),
        ],
        wire,
    )
}

/// What `read` makes of `wire` in one piece, after checking that it makes the same of it byte by byte and cut at `cuts`.
///
/// # Panics
/// When the pieces make a difference.
pub(crate) fn same_in_any_pieces<T: Debug + PartialEq>(
    wire: &[u8],
    cuts: [u8; 2],
    read: impl Fn(Vec<Bytes>) -> T,
) -> T {
    let whole = read(vec![Bytes::copy_from_slice(wire)]);
    let bytes = wire.chunks(1).map(Bytes::copy_from_slice).collect();
    assert_eq!(read(bytes), whole, "byte by byte against one piece");
    assert_eq!(read(cut(wire, cuts)), whole, "cut at {cuts:?} against one piece");
    whole
}

/// Three pieces, empty ones among them.
fn cut(wire: &[u8], cuts: [u8; 2]) -> Vec<Bytes> {
    let [first, second] = cuts.map(|at| usize::from(at).min(wire.len()));
    let (first, second) = (first.min(second), first.max(second));
    [&wire[..first], &wire[first..second], &wire[second..]]
        .map(Bytes::copy_from_slice)
        .to_vec()
}
