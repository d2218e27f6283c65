//! Small changes to an input, repeatable by the seed of their source.

use fastrand::Rng;

/// Integers at the borders of their encodings (RFC 9000 §16), where lengths and limits are most likely misread.
const EXTREMES: [&[u8]; 8] = [
    &[0x00],
    &[0x3f],
    &[0x40, 0x40],
    &[0x7f, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0xbf, 0xff, 0xff, 0xff],
    &[0xc0, 0, 0, 0, 0x40, 0, 0, 0],
    &[0xff; 8],
];

/// Changes `input` in one to four places; `other` is what is spliced in.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(0..=input.len());
        match random.u8(0..8) {
            0 => flip(input, random),
            1 => input.truncate(at),
            2 => drop(input.splice(at..at, EXTREMES[random.usize(0..EXTREMES.len())].iter().copied())),
            3 => overwrite(input, at, EXTREMES[random.usize(0..EXTREMES.len())]),
            4 => drop(input.drain(span(input.len(), random))),
            5 => {
                let again = input[span(input.len(), random)].to_vec();
                input.splice(at..at, again);
            }
            6 => drop(input.splice(at..at, other[span(other.len(), random)].iter().copied())),
            _ => input.insert(at, random.u8(..)),
        }
    }
}

fn flip(input: &mut [u8], random: &mut Rng) {
    if let Some(byte) = random.choice(input) {
        *byte ^= 1 << random.u8(0..8);
    }
}

fn overwrite(input: &mut [u8], at: usize, with: &[u8]) {
    for (old, new) in input[at..].iter_mut().zip(with) {
        *old = *new;
    }
}

/// A piece of something that is `length` long.
fn span(length: usize, random: &mut Rng) -> std::ops::Range<usize> {
    let (one, other) = (random.usize(0..=length), random.usize(0..=length));
    one.min(other)..one.max(other)
}
