//! A whole conversation: streams and datagrams of a sound client, and what was changed in them.

use fastrand::Rng;
use trilane_fuzz::mutation;

use super::templates::{self, Kind, Template};

/// Most streams beside the control stream.
const MOST_STREAMS: usize = 8;
/// Most changes of one conversation.
const MOST_MUTATIONS: usize = 8;

/// Streams in the order they are opened, and datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) streams: Vec<Template>,
    pub(super) datagrams: Vec<Vec<u8>>,
    /// Changes made. A conversation without any is sound, and no server may close its connection.
    pub(super) mutations: u64,
}

/// One conversation of so many is sound: it shows that the others fail for what was changed.
const SOUND_ONE_OF: u8 = 8;

impl Conversation {
    /// The changed conversation that `random` leads to.
    pub(super) fn new(random: &mut Rng) -> Self {
        let mut conversation = Self::sound(random);
        if random.u8(0..SOUND_ONE_OF) == 0 {
            return conversation;
        }
        for _ in 0..random.usize(1..=MOST_MUTATIONS) {
            conversation.change(random);
            conversation.mutations += 1;
        }
        conversation
    }

    fn sound(random: &mut Rng) -> Self {
        let mut streams = vec![templates::control(random)];
        for _ in 0..random.usize(1..=MOST_STREAMS) {
            let stream = templates::any(random);
            let again = |other: &Template| other.kind == stream.kind && other.pieces[0] == stream.pieces[0];
            if !(templates::is_single(&stream) && streams.iter().any(again)) {
                streams.push(stream);
            }
        }
        let datagrams = random.usize(0..8).saturating_sub(5);
        Self {
            streams,
            datagrams: (0..datagrams).map(|_| templates::datagram(random)).collect(),
            mutations: 0,
        }
    }

    /// Whether a server must keep the connection.
    pub(super) fn is_sound(&self) -> bool {
        self.mutations == 0
    }

    /// One change to one stream, or to a datagram if there is one.
    fn change(&mut self, random: &mut Rng) {
        let donor = random.usize(0..self.streams.len());
        let donor = self.streams[donor].pieces.concat();
        if let Some(datagram) = random
            .choice(&mut self.datagrams)
            .filter(|_| random.u8(0..4) == 0)
        {
            mutation::mutate(datagram, &donor, random);
            return;
        }
        let at = random.usize(0..self.streams.len());
        match random.u8(0..12) {
            0 => drop(self.streams.remove(at)),
            1 => self.streams.push(self.streams[at].clone()),
            _ => change_stream(&mut self.streams[at], &donor, random),
        }
        if self.streams.is_empty() {
            self.streams.push(templates::any(random));
        }
    }
}

/// One change to the pieces of a stream: to one of them, to their order, or to what the stream is.
fn change_stream(stream: &mut Template, donor: &[u8], random: &mut Rng) {
    if stream.pieces.is_empty() {
        stream.pieces.push(donor.to_vec());
    }
    let count = stream.pieces.len();
    let at = random.usize(0..count);
    match random.u8(0..10) {
        0..=4 => mutation::mutate(&mut stream.pieces[at], donor, random),
        5 => stream.pieces.swap(at, random.usize(0..count)),
        6 => stream
            .pieces
            .insert(at, stream.pieces[random.usize(0..count)].clone()),
        7 => drop(stream.pieces.remove(at)),
        8 => {
            stream.kind = match stream.kind {
                Kind::Bidi => Kind::Uni,
                Kind::Uni => Kind::Bidi,
            }
        }
        _ => stream.pieces.insert(0, vec![random.u8(0..=0x54)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_everything() {
        let of = |seed| Conversation::new(&mut Rng::with_seed(seed));
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn there_is_always_a_stream_to_change() {
        for seed in 0..500 {
            let conversation = Conversation::new(&mut Rng::with_seed(seed));
            assert!(!conversation.streams.is_empty());
        }
    }
}
