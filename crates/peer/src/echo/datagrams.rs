//! Datagrams there and back.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};

use super::{Kind, Options, link::Link, tally::Tally};

/// Each datagram begins with its number.
pub(super) const NUMBER_BYTES: usize = 8;

/// A datagram that so many later ones have overtaken is lost.
const OVERTAKEN: u64 = 64;

/// A datagram that is out for longer is lost.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(200);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What is under way on one connection.
struct Window {
    /// The byte that names stream 0 (RFC 9297 §2.1).
    prefix: &'static [u8],
    size: usize,
    next: u64,
    out: VecDeque<(u64, Instant)>,
    tally: Tally,
}

/// Keeps the window full until `end`, then waits for the rest.
pub(super) async fn echo(link: &Link, options: &Options, end: Instant) -> Tally {
    let mut window = Window {
        prefix: if options.kind == Kind::Raw { &[] } else { &[0] },
        size: options.size,
        next: 0,
        out: VecDeque::with_capacity(options.window),
        tally: Tally::new(),
    };
    let mut looks = tokio::time::interval(LOOK);
    loop {
        let over = Instant::now() >= end;
        if over && window.out.is_empty() {
            return window.tally;
        }
        while !over && window.out.len() < options.window {
            if let Err(error) = link.quic.send_datagram(window.datagram()) {
                window.tally.failed(error);
                return window.tally;
            }
        }
        tokio::select! {
            biased;
            read = link.quic.read_datagram() => match read {
                Ok(data) => window.take(&data),
                Err(error) => {
                    window.tally.failed(error);
                    return window.tally;
                }
            },
            _ = looks.tick() => window.give_up(),
        }
    }
}

impl Window {
    fn datagram(&mut self) -> Bytes {
        let mut data = BytesMut::with_capacity(self.prefix.len() + self.size);
        data.put_slice(self.prefix);
        data.put_u64(self.next);
        data.put_bytes(b'x', self.size - NUMBER_BYTES);
        self.out.push_back((self.next, Instant::now()));
        self.next += 1;
        self.tally.sent += 1;
        data.freeze()
    }

    fn take(&mut self, data: &[u8]) {
        let payload = data.get(self.prefix.len()..).unwrap_or_default();
        let Some(number) = payload.first_chunk::<NUMBER_BYTES>() else {
            return self.tally.failed("an echo without a number");
        };
        let number = u64::from_be_bytes(*number);
        if payload.len() != self.size {
            return self.tally.failed("an echo of another length");
        }
        // Given up already, it was counted as lost.
        if let Ok(at) = self.out.binary_search_by_key(&number, |(number, _)| *number)
            && let Some((_, sent)) = self.out.remove(at)
        {
            self.tally.latency.record(sent.elapsed());
            self.tally.received += 1;
            self.tally.bytes += payload.len() as u64;
        }
        while self
            .out
            .front()
            .is_some_and(|(oldest, _)| oldest + OVERTAKEN < number)
        {
            self.out.pop_front();
            self.tally.lost += 1;
        }
    }

    fn give_up(&mut self) {
        while self
            .out
            .front()
            .is_some_and(|(_, sent)| sent.elapsed() > GIVEN_UP_AFTER)
        {
            self.out.pop_front();
            self.tally.lost += 1;
        }
    }
}
