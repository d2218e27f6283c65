//! Datagrams on their way in: whose each one is (RFC 9297 §2.1).
//!
//! A connection whose ALPN is not h3 has raw datagrams only. On an h3 connection the peer's SETTINGS decide: unless both
//! sides agreed on HTTP datagrams, each is raw; until the SETTINGS are here, a few are held for a moment.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use trilane_http3::{Code, Error};

use crate::exchange::ExchangeId;

/// Datagrams held until the peer's SETTINGS have come, in bytes, and how long. A client that means to speak HTTP sends its
/// SETTINGS first; what is left was sent before any HTTP exchange, and is raw.
pub(crate) const HELD_BYTES: usize = 64 * 1024;
pub(crate) const HELD_FOR: Duration = Duration::from_millis(50);

/// Datagrams that came before their request: kept "on the order of a round trip" (RFC 9297 §2.1), at most so many bytes.
const EARLY_BYTES: usize = 64 * 1024;
const EARLY_FOR: Duration = Duration::from_millis(250);

/// What a kept datagram takes besides its payload.
const OVERHEAD: usize = 64;

/// Who gets a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The raw hook.
    Raw(Bytes),
    /// This exchange.
    Exchange(ExchangeId, Bytes),
    /// This exchange is to be aborted: its request knows no datagrams.
    Unasked(ExchangeId),
    /// Kept for later.
    Kept,
    /// Nobody: its request is over, or takes none, or there was no room to keep it.
    Nobody,
}

/// What is known of the peer's kind of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// The peer's SETTINGS are not here yet.
    Open,
    /// HTTP datagrams were not agreed on.
    Raw,
    /// Both sides sent SETTINGS_H3_DATAGRAM = 1.
    Http,
}

/// What the server does with datagrams that no request explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownDatagrams {
    /// They are kept for a moment, then dropped.
    Drop,
    /// They go to the raw hook at once.
    Raw,
}

/// The datagrams of one connection.
pub(crate) struct DatagramRouter {
    agreement: Agreement,
    unknown: UnknownDatagrams,
    owners: HashMap<u64, ExchangeId>,
    /// Of `owners`, the one whose datagram came last: mostly that of the next.
    last: Option<(u64, ExchangeId)>,
    /// Open requests that know no datagrams.
    strangers: HashMap<u64, ExchangeId>,
    /// Requests whose head is still on its way.
    arriving: HashSet<u64>,
    held: Kept,
    early: Kept,
}

#[derive(Default)]
struct Kept {
    queue: VecDeque<(Instant, u64, Bytes)>,
    bytes: usize,
    /// How many were forgotten.
    expired: u64,
}

impl Kept {
    /// Keeps a datagram if it fits.
    fn keep(&mut self, stream: u64, data: Bytes, most: usize) -> bool {
        let size = data.len() + OVERHEAD;
        if self.bytes + size > most {
            return false;
        }
        self.bytes += size;
        self.queue.push_back((Instant::now(), stream, data));
        true
    }

    fn forget_before(&mut self, moment: Option<Instant>) {
        while let Some((since, _, data)) = self.queue.front()
            && moment.is_some_and(|moment| *since < moment)
        {
            self.bytes -= data.len() + OVERHEAD;
            self.expired += 1;
            self.queue.pop_front();
        }
    }

    /// Those of one stream, in the order of their arrival.
    fn take(&mut self, stream: u64) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.queue.retain(|(_, of, data)| {
            if *of == stream {
                taken.push(data.clone());
            }
            *of != stream
        });
        self.bytes -= taken.iter().map(|data| data.len() + OVERHEAD).sum::<usize>();
        taken
    }
}

impl DatagramRouter {
    pub(crate) fn new(unknown: UnknownDatagrams) -> Self {
        Self {
            agreement: Agreement::Open,
            unknown,
            owners: HashMap::new(),
            last: None,
            strangers: HashMap::new(),
            arriving: HashSet::new(),
            held: Kept::default(),
            early: Kept::default(),
        }
    }

    pub(crate) fn agreement(&self) -> Agreement {
        self.agreement
    }

    /// The peer's SETTINGS are here, or will not be waited for any longer. Returns what was held.
    pub(crate) fn decide(&mut self, agreement: Agreement) -> impl Iterator<Item = Bytes> + use<> {
        self.agreement = agreement;
        self.take_held()
    }

    /// What was held; the SETTINGS may still come.
    pub(crate) fn take_held(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        std::mem::take(&mut self.held)
            .queue
            .into_iter()
            .map(|(_, _, data)| data)
    }

    /// When what is held no longer waits for SETTINGS.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.held.queue.front().map(|(since, _, _)| *since + HELD_FOR)
    }

    /// Sorts one datagram. `next_stream` is the id after the last request stream seen, `max_streams` how many may be open.
    ///
    /// # Errors
    /// H3_DATAGRAM_ERROR and H3_ID_ERROR, both for the connection.
    pub(crate) fn sort(
        &mut self,
        data: Bytes,
        next_stream: u64,
        max_streams: u64,
    ) -> Result<Delivery, Error> {
        match self.agreement {
            Agreement::Raw => return Ok(Delivery::Raw(data)),
            Agreement::Open => {
                return Ok(if self.held.keep(0, data, HELD_BYTES) {
                    Delivery::Kept
                } else {
                    Delivery::Nobody
                });
            }
            Agreement::Http => {}
        }
        let whole = (self.unknown == UnknownDatagrams::Raw).then(|| data.clone());
        let (stream, payload) = trilane_http3::datagram::decode(data)?;
        if let Some((last, owner)) = self.last
            && last == stream
        {
            return Ok(Delivery::Exchange(owner, payload));
        }
        if let Some(owner) = self.owners.get(&stream) {
            self.last = Some((stream, *owner));
            return Ok(Delivery::Exchange(*owner, payload));
        }
        // RFC9297-2-request-without-datagrams
        if let Some(stranger) = self.strangers.get(&stream) {
            return Ok(Delivery::Unasked(*stranger));
        }
        // RFC9297-2.1-receive-side-closed
        if stream < next_stream && !self.arriving.contains(&stream) {
            return Ok(Delivery::Nobody);
        }
        // RFC9297-2.1-stream-beyond-limit. Twice: the peer may have opened as many as it may that are not accepted yet, and their successors.
        if stream >= next_stream.saturating_add(2 * 4 * max_streams) {
            let reason = "datagram of a stream that cannot exist";
            return Err(Error::connection(Code::H3_ID_ERROR, reason));
        }
        if let Some(whole) = whole
            && stream >= next_stream
        {
            return Ok(Delivery::Raw(whole));
        }
        // RFC9297-2.1-stream-not-opened
        self.early.forget_before(Instant::now().checked_sub(EARLY_FOR));
        Ok(if self.early.keep(stream, payload, EARLY_BYTES) {
            Delivery::Kept
        } else {
            Delivery::Nobody
        })
    }

    /// The head of this request is not complete yet.
    pub(crate) fn arriving(&mut self, stream: u64) {
        self.arriving.insert(stream);
    }

    pub(crate) fn is_arriving(&self, stream: u64) -> bool {
        self.arriving.contains(&stream)
    }

    /// The request is known, or was given up: `owner` takes its datagrams. Returns those that were here before it.
    pub(crate) fn known(&mut self, stream: u64, owner: Option<ExchangeId>) -> Vec<Bytes> {
        self.arriving.remove(&stream);
        if let Some(owner) = owner {
            self.owners.insert(stream, owner);
        }
        if self.early.queue.is_empty() {
            return Vec::new();
        }
        self.early.take(stream)
    }

    /// The request is known, and knows no datagrams. Returns those that were here before it.
    pub(crate) fn stranger(&mut self, stream: u64, exchange: ExchangeId) -> Vec<Bytes> {
        if self.agreement != Agreement::Raw {
            self.strangers.insert(stream, exchange);
        }
        self.known(stream, None)
    }

    /// Forgets the requests of which `is_open` says no.
    pub(crate) fn sweep(&mut self, is_open: impl Fn(ExchangeId) -> bool) {
        self.last = None;
        self.owners.retain(|_, owner| is_open(*owner));
        self.strangers.retain(|_, stranger| is_open(*stranger));
    }

    /// The connection is over: how many wait in vain.
    pub(crate) fn abandon(&mut self) -> u64 {
        let waiting = self.held.queue.len() + self.early.queue.len();
        (self.held, self.early) = (Kept::default(), Kept::default());
        waiting as u64
    }

    /// Datagrams that no longer wait for their request, since the last call.
    pub(crate) fn take_expired(&mut self) -> u64 {
        std::mem::take(&mut self.early.expired)
    }
}
