//! Messages on their way to JavaScript, packed: requests of a server, responses of a client.

use std::collections::VecDeque;

use bytes::Bytes;
use trilane_core::MessageBody;
use trilane_http3::FieldSection;

/// Words of one batch; the buffer shared with JavaScript has this length.
pub(crate) const BATCH_WORDS: usize = 16 * 1024;

/// Stands for a body that comes in pieces.
const STREAMING: u32 = u32::MAX;

/// Set in the number of a body that is the next piece of the shared bytes; the rest is its length.
const SHARED: u32 = 1 << 30;

/// A body up to this length may go with others in one array: an array of its own costs 0.5 µs more.
const SHARED_BODY_BYTES: usize = 4096;

/// Room for the shared bodies of one batch: who keeps one of them unread keeps all.
const SHARED_BYTES: usize = 64 * 1024;

/// Messages of a turn. `words` has some numbers for each (`requests`, `responses`), `text` what the lengths among them cut
/// out of it, one character a byte (Latin-1), `bodies` the bodies that are whole, counted from 1.
#[derive(Default)]
pub(crate) struct MessageBatch {
    /// Of requests: whose routes the numbers are; each routing has batches of its own.
    pub(crate) routing: u32,
    pub(crate) count: u32,
    pub(crate) words: Vec<u32>,
    pub(crate) text: Vec<u8>,
    pub(crate) bodies: Vec<Bytes>,
    /// Small bodies, one behind the other.
    pub(crate) shared: Vec<u8>,
}

/// The batch of this routing that has room for so many words more.
pub(crate) fn room(batches: &mut VecDeque<MessageBatch>, words: usize, routing: u32) -> &mut MessageBatch {
    let is_full = batches
        .back()
        .is_none_or(|batch| batch.routing != routing || batch.words.len() + words > BATCH_WORDS);
    if is_full {
        batches.push_back(MessageBatch {
            routing,
            ..MessageBatch::default()
        });
    }
    let last = batches.len() - 1;
    &mut batches[last]
}

/// A body that was added.
pub(crate) struct AddedBody {
    /// Its number in the batch; 0: there is none, all ones: it comes in pieces, bit 30: it is shared.
    pub(crate) number: u32,
    pub(crate) bytes: usize,
}

impl MessageBatch {
    /// Adds fields to the text, as "\0name:value\0…"; returns their length.
    pub(crate) fn add_pairs<'a>(&mut self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
        let before = self.text.len();
        pack(&mut self.text, fields);
        self.text.len() - before
    }

    /// Adds a body to the shared ones if it is small, else as [`add_body`](Self::add_body) does it.
    pub(crate) fn add_shared_body(&mut self, body: MessageBody) -> AddedBody {
        match body {
            MessageBody::Whole(bytes)
                if (1..=SHARED_BODY_BYTES).contains(&bytes.len())
                    && self.shared.len() + bytes.len() <= SHARED_BYTES =>
            {
                self.shared.extend_from_slice(&bytes);
                AddedBody {
                    number: SHARED | bytes.len() as u32,
                    bytes: bytes.len(),
                }
            }
            other => self.add_body(other),
        }
    }

    pub(crate) fn add_body(&mut self, body: MessageBody) -> AddedBody {
        match body {
            MessageBody::Streaming => AddedBody {
                number: STREAMING,
                bytes: 0,
            },
            MessageBody::Whole(bytes) if bytes.is_empty() => AddedBody { number: 0, bytes: 0 },
            MessageBody::Whole(bytes) => {
                let length = bytes.len();
                self.bodies.push(bytes);
                AddedBody {
                    number: self.bodies.len() as u32,
                    bytes: length,
                }
            }
        }
    }
}

/// Fields as "\0name:value\0…".
pub(crate) fn packed(fields: &FieldSection) -> Vec<u8> {
    let mut text = Vec::new();
    pack(&mut text, fields.iter());
    text
}

fn pack<'a>(text: &mut Vec<u8>, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    for (name, value) in fields {
        pack_field(text, name, value);
    }
}

/// One field more, whose value may be continued.
pub(crate) fn pack_field(text: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    text.push(0);
    text.extend_from_slice(name);
    text.push(b':');
    text.extend_from_slice(value);
}
