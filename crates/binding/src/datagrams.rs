//! Datagrams across the border: many at a time, their bytes one behind the other in one array.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use trilane_core::{ConnectionName, DatagramLayer, DatagramSender, ExchangeId};

/// Words of one datagram, both ways: slot, generation, and its length. A raw one has the names of its connection, an HTTP
/// datagram those of its exchange.
pub(crate) const DATAGRAM_WORDS: usize = 3;

/// What may wait for JavaScript, in bytes; beyond, the oldest are dropped and counted.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// What a waiting datagram takes besides its payload.
const OVERHEAD: usize = 64;

/// Datagrams of one layer that wait for JavaScript.
#[derive(Default)]
pub(crate) struct DatagramInbox {
    queue: VecDeque<(u32, u32, Bytes)>,
    bytes: usize,
}

/// As many as the numbers have room for.
pub(crate) struct DatagramBatch {
    pub(crate) count: u32,
    pub(crate) words: Vec<u32>,
    pub(crate) bytes: Bytes,
}

impl DatagramInbox {
    /// Adds those of one sender; returns how many had to go for them.
    pub(crate) fn extend(
        &mut self,
        slot: u32,
        generation: u32,
        payloads: impl Iterator<Item = Bytes>,
    ) -> u64 {
        payloads.map(|payload| self.push(slot, generation, payload)).sum()
    }

    /// Adds one; returns how many had to go for it.
    pub(crate) fn push(&mut self, slot: u32, generation: u32, payload: Bytes) -> u64 {
        self.bytes += payload.len() + OVERHEAD;
        self.queue.push_back((slot, generation, payload));
        let mut dropped = 0;
        while self.bytes > MAX_WAITING_BYTES
            && let Some((_, _, oldest)) = self.queue.pop_front()
        {
            self.bytes -= oldest.len() + OVERHEAD;
            dropped += 1;
        }
        dropped
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The next batch, of at most `most` datagrams.
    pub(crate) fn take(&mut self, most: usize) -> Option<DatagramBatch> {
        if self.queue.is_empty() {
            return None;
        }
        let count = self.queue.len().min(most);
        let mut words = Vec::with_capacity(count * DATAGRAM_WORDS);
        let mut bytes = BytesMut::with_capacity(self.queue.iter().take(count).map(|one| one.2.len()).sum());
        for (slot, generation, payload) in self.queue.drain(..count) {
            self.bytes -= payload.len() + OVERHEAD;
            words.extend([slot, generation, payload.len() as u32]);
            bytes.extend_from_slice(&payload);
        }
        Some(DatagramBatch {
            count: count as u32,
            words,
            bytes: bytes.freeze(),
        })
    }
}

/// Datagrams of a turn on their way out.
pub(crate) struct OutgoingDatagrams {
    pub(crate) layer: DatagramLayer,
    pub(crate) words: Vec<u32>,
    pub(crate) bytes: Bytes,
}

/// Sends them in their order. One that cannot be sent is dropped and counted by the core.
pub(crate) fn send(batch: &OutgoingDatagrams, sender: &DatagramSender) {
    let mut rest = batch.bytes.clone();
    let mut next = move |length: u32| rest.split_to((length as usize).min(rest.len()));
    let records = batch.words.as_chunks::<DATAGRAM_WORDS>().0;
    if batch.layer == DatagramLayer::WebTransport {
        for run in records.chunk_by(|one, other| one[..2] == other[..2]) {
            let &[[slot, generation, _], ..] = run else { return };
            let payloads = run.iter().map(|record| next(record[2]));
            let _ = sender.send_session_run(ExchangeId { slot, generation }, payloads);
        }
        return;
    }
    for &[slot, generation, length] in records {
        let payload = next(length);
        let _ = match batch.layer {
            DatagramLayer::Quic => sender.send_quic(ConnectionName { slot, generation }, payload),
            _ => sender.send_http(ExchangeId { slot, generation }, &payload),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_inbox_drops_the_oldest() {
        let mut inbox = DatagramInbox::default();
        let payload = Bytes::from(vec![0; 1024 * 1024]);
        let dropped: u64 = (0..8).map(|number| inbox.push(number, 0, payload.clone())).sum();
        assert_eq!((dropped, inbox.len()), (5, 3));
        let batch = inbox.take(10).unwrap();
        assert_eq!(
            (batch.count, batch.words[0], batch.bytes.len()),
            (3, 5, 3 * 1024 * 1024)
        );
        assert!(inbox.take(10).is_none());
        assert_eq!(inbox.bytes, 0);
    }

    #[test]
    fn a_batch_has_no_more_than_asked_for() {
        let mut inbox = DatagramInbox::default();
        for number in 0..5 {
            inbox.push(number, 7, Bytes::from(vec![number as u8; number as usize]));
        }
        let batch = inbox.take(3).unwrap();
        assert_eq!(batch.words, [0, 7, 0, 1, 7, 1, 2, 7, 2]);
        assert_eq!(batch.bytes, [1, 2, 2][..]);
        assert_eq!(inbox.take(3).unwrap().count, 2);
    }
}
