//! The order in which a conversation is sent: its streams interleaved, cut into writes, ended in every way there is.

use std::time::Duration;

use fastrand::Rng;

use super::{conversation::Conversation, templates::Template};

/// Something to do to the stream with this index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write(usize, Vec<u8>),
    Finish(usize),
    Reset(usize, u64),
    /// STOP_SENDING for the server's half.
    Stop(usize, u64),
    Datagram(Vec<u8>),
    Pause(Duration),
}

/// The application codes that a client may end things with, and some it may not.
const CODES: [u64; 8] = [
    0x100,
    0x102,
    0x107,
    0x10c,
    0x10d,
    0,
    0x52e4_a40f_a8db,
    (1 << 62) - 1,
];

/// The steps of `conversation`, in an order that keeps each stream's own.
pub(super) fn steps(conversation: &Conversation, random: &mut Rng) -> Vec<Step> {
    let mut queues: Vec<Vec<Step>> = conversation
        .streams
        .iter()
        .enumerate()
        .map(|(index, stream)| of_stream(index, stream, conversation.is_sound(), random))
        .collect();
    queues.push(
        conversation
            .datagrams
            .iter()
            .cloned()
            .map(Step::Datagram)
            .collect(),
    );
    let mut steps = Vec::new();
    // Mostly one stream after the other, as a browser does it; else a step of this and a step of that.
    let interleave = random.u8(0..3) == 0;
    queues.iter_mut().for_each(|queue| queue.reverse());
    while let Some(at) = next_queue(&queues, interleave, random) {
        steps.extend(queues[at].pop());
        if random.u8(0..16) == 0 {
            steps.push(Step::Pause(Duration::from_millis(random.u64(1..8))));
        }
    }
    steps
}

fn next_queue(queues: &[Vec<Step>], interleave: bool, random: &mut Rng) -> Option<usize> {
    let mut waiting = (0..queues.len()).filter(|at| !queues[*at].is_empty());
    if interleave {
        random.choice(waiting.collect::<Vec<_>>())
    } else {
        waiting.next()
    }
}

fn of_stream(index: usize, stream: &Template, is_sound: bool, random: &mut Rng) -> Vec<Step> {
    let bytes = stream.pieces.concat();
    let mut steps: Vec<_> = writes(&bytes, random)
        .into_iter()
        .map(|part| Step::Write(index, part))
        .collect();
    match random.u8(0..16) {
        _ if is_sound => steps.extend(stream.ends.then_some(Step::Finish(index))),
        // At a random point, whatever was to follow.
        0 => {
            steps.truncate(random.usize(0..=steps.len()));
            steps.push(Step::Reset(index, code(random)));
        }
        1 => steps.insert(random.usize(0..=steps.len()), Step::Stop(index, code(random))),
        2 => {
            steps.truncate(random.usize(0..=steps.len()));
            steps.push(Step::Finish(index));
        }
        3 => {}
        _ if stream.ends => steps.push(Step::Finish(index)),
        _ => {}
    }
    steps
}

/// `bytes` in one write, in a few, or in many.
fn writes(bytes: &[u8], random: &mut Rng) -> Vec<Vec<u8>> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let size = match random.u8(0..8) {
        0 => bytes.len().div_ceil(64).max(1),
        1..=3 => random.usize(1..=bytes.len()).max(bytes.len() / 16),
        _ => bytes.len(),
    };
    bytes.chunks(size).map(<[u8]>::to_vec).collect()
}

/// A code to end a stream or connection with.
pub(super) fn code(random: &mut Rng) -> u64 {
    CODES[random.usize(0..CODES.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_keeps_its_own_order() {
        for seed in 0..200 {
            let mut random = Rng::with_seed(seed);
            let conversation = Conversation::new(&mut random);
            let steps = steps(&conversation, &mut random);
            for (index, stream) in conversation.streams.iter().enumerate() {
                let mut written = Vec::new();
                for step in &steps {
                    match step {
                        Step::Write(of, part) if *of == index => written.extend_from_slice(part),
                        _ => {}
                    }
                }
                assert!(stream.pieces.concat().starts_with(&written));
            }
        }
    }
}
