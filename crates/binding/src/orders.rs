//! The requests of a client from JavaScript to the core: those of a turn go over in one call.

use bytes::Bytes;
use trilane_core::client::{Client, OrderError, OutgoingBody, PreparedRequest, RequestOrder, Target, Tunnel};

use crate::answers::{Pairs, Text, latin1};
use crate::error::ErrorCode;
use crate::target::{self, NoTarget};

/// Words of one request: flags, port, the lengths of eight texts in UTF-16 units (host, addresses, method, authority, path,
/// protocol, fields), body. Its slot and generation are put into the first two when it is on its way.
pub(crate) const ORDER_WORDS: usize = 10;

/// The body is written to the exchange piece by piece.
const STREAMING: u32 = 1;
const TAKES_DATAGRAMS: u32 = 1 << 1;
const MAY_BE_EARLY: u32 = 1 << 2;
/// It has a connection of its own.
const DEDICATED: u32 = 1 << 3;
/// An accepted CONNECT carries capsules.
const CAPSULES: u32 = 1 << 4;
/// An accepted CONNECT carries a WebTransport session.
const SESSION: u32 = 1 << 5;
/// The addresses of the host are given: an empty list is not the same as none.
const ADDRESSES: u32 = 1 << 6;

/// Set in the last word if the body is the next piece of the shared bytes, whose length is the rest of the word. Without it
/// the word is the number of the body in the array, from 1; 0: there is none, or it follows.
const SHARED: u32 = 1 << 31;

/// Requests of a turn, packed. Fields are "\0name:value\0…", addresses have a NUL between them.
pub(crate) struct OrderBatch<'a> {
    pub(crate) words: &'a mut [u32],
    pub(crate) text: Bytes,
    pub(crate) shared: &'a [u8],
    pub(crate) bodies: &'a [&'a [u8]],
}

/// A request that cannot be sent.
pub(crate) struct Refused {
    /// Which of the batch.
    pub(crate) index: usize,
    pub(crate) code: ErrorCode,
    pub(crate) reason: String,
}

impl OrderBatch<'_> {
    /// Sends the requests; what is refused is returned and gets no name.
    pub(crate) fn send(self, client: &Client) -> Vec<Refused> {
        let mut text = Text::new(self.text);
        let mut shared = self.shared;
        let mut refused = Vec::new();
        let mut prepared = Vec::new();
        let mut places = Vec::new();
        let mut last = LastTarget::default();
        for (index, words) in self.words.chunks_exact(ORDER_WORDS).enumerate() {
            let Ok(record) = <[u32; ORDER_WORDS]>::try_from(words) else {
                continue;
            };
            let body = take_body(record[9], &mut shared, self.bodies);
            match prepare(client, &record, &mut text, &mut last, body) {
                Ok(request) => {
                    prepared.push(request);
                    places.push(index * ORDER_WORDS);
                }
                Err(Refusal { code, reason }) => refused.push(Refused { index, code, reason }),
            }
        }
        for (id, place) in client.send(prepared).into_iter().zip(places) {
            if let Some(words) = self.words.get_mut(place..place + 2) {
                words.copy_from_slice(&[id.slot, id.generation]);
            }
        }
        refused
    }
}

/// The target of the request before, which is mostly that of the next.
#[derive(Default)]
struct LastTarget(Option<(Bytes, u32, Option<Bytes>, Target)>);

impl LastTarget {
    fn read(&mut self, host: Bytes, port: u32, addresses: Option<Bytes>) -> Result<Target, NoTarget> {
        if let Some((known_host, known_port, known_addresses, target)) = &self.0
            && (known_host, *known_port, known_addresses) == (&host, port, &addresses)
        {
            return Ok(target.clone());
        }
        let target = target::read(&host, port, addresses.as_deref())?;
        self.0 = Some((host, port, addresses, target.clone()));
        Ok(target)
    }
}

struct Refusal {
    code: ErrorCode,
    reason: String,
}

impl From<NoTarget> for Refusal {
    fn from(error: NoTarget) -> Self {
        Self {
            code: ErrorCode::ClientRequest,
            reason: error.0,
        }
    }
}

fn take_body(word: u32, shared: &mut &[u8], bodies: &[&[u8]]) -> Bytes {
    if word & SHARED != 0 {
        let length = ((word & !SHARED) as usize).min(shared.len());
        let (body, rest) = shared.split_at(length);
        *shared = rest;
        return Bytes::copy_from_slice(body);
    }
    let number = (word as usize).checked_sub(1);
    let body = number.and_then(|number| bodies.get(number));
    body.map(|body| Bytes::copy_from_slice(body)).unwrap_or_default()
}

fn prepare(
    client: &Client,
    record: &[u32; ORDER_WORDS],
    text: &mut Text,
    last: &mut LastTarget,
    body: Bytes,
) -> Result<PreparedRequest, Refusal> {
    let &[
        flags,
        port,
        host,
        addresses,
        method,
        authority,
        path,
        protocol,
        fields,
        _,
    ] = record;
    let has = |flag: u32| flags & flag != 0;
    let mut next = |units: u32| text.next(units as usize);
    let (host, addresses, method) = (next(host), next(addresses), next(method));
    let (authority, path, protocol) = (next(authority), next(path), next(protocol));
    let fields = latin1(next(fields));
    let fields: Vec<_> = Pairs::of(&fields).collect();
    let target = last.read(host, port, has(ADDRESSES).then_some(addresses))?;
    let order = RequestOrder {
        target,
        method: &method,
        authority: Some(&*authority).filter(|authority| !authority.is_empty()),
        path: &path,
        protocol: Some(&*protocol).filter(|protocol| !protocol.is_empty()),
        tunnel: match () {
            () if has(SESSION) => Tunnel::Session,
            () if has(CAPSULES) => Tunnel::Capsules,
            () => Tunnel::Bytes,
        },
        fields: &fields,
        body: match body {
            _ if has(STREAMING) => OutgoingBody::Streaming,
            body if body.is_empty() => OutgoingBody::Empty,
            body => OutgoingBody::Whole(body),
        },
        takes_datagrams: has(TAKES_DATAGRAMS),
        may_be_early: has(MAY_BE_EARLY),
        dedicated: has(DEDICATED),
    };
    client.prepare(order).map_err(|error| Refusal {
        code: match error {
            OrderError::Field { .. } => ErrorCode::Header,
            OrderError::Length | OrderError::Closed => ErrorCode::ClientRequest,
        },
        reason: error.to_string(),
    })
}
