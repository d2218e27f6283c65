//! Responses on their way to JavaScript.

use std::collections::VecDeque;

use trilane_core::{ExchangeId, Response};
use trilane_http3::ResponseHead;

use crate::messages::{MessageBatch, packed, room};

/// Words of one response: slot, generation, status, length of the fields, number of the body (0: none, all ones: it comes in
/// pieces, bit 30: the next of the shared ones, of that length), length of the trailers, slot and generation of the connection, flags.
const RESPONSE_WORDS: usize = 9;

/// Set in the last word if another request had used the connection before.
const REUSED: u32 = 1;

/// Set in the last word if the request went in early data, and the server took it.
const EARLY_DATA: u32 = 2;

/// Adds an interim answer: it has no content. Returns the bytes that wait.
pub(crate) fn add_interim(
    batches: &mut VecDeque<MessageBatch>,
    id: ExchangeId,
    head: &ResponseHead,
) -> usize {
    let batch = room(batches, RESPONSE_WORDS, 0);
    let fields = batch.add_pairs(head.fields());
    batch.count += 1;
    batch.words.extend_from_slice(&[
        id.slot,
        id.generation,
        u32::from(head.status()),
        fields as u32,
        0,
        0,
        0,
        0,
        0,
    ]);
    fields
}

/// Adds a response. Returns the bytes that wait.
pub(crate) fn add(batches: &mut VecDeque<MessageBatch>, id: ExchangeId, response: Response<'_>) -> usize {
    let batch = room(batches, RESPONSE_WORDS, 0);
    let fields = batch.add_pairs(response.head.fields());
    let trailers = response.trailers.map(packed).unwrap_or_default();
    batch.text.extend_from_slice(&trailers);
    // A body that is whole and empty is none.
    let body = batch.add_shared_body(response.body);
    batch.count += 1;
    batch.words.extend_from_slice(&[
        id.slot,
        id.generation,
        u32::from(response.head.status()),
        fields as u32,
        body.number,
        trailers.len() as u32,
        response.connection.slot,
        response.connection.generation,
        if response.is_reused { REUSED } else { 0 } | if response.early_data { EARLY_DATA } else { 0 },
    ]);
    fields + trailers.len() + body.bytes
}
