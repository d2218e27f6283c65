//! Messages on their way to JavaScript, packed: requests of a server, responses of a client.

use std::collections::VecDeque;

use bytes::Bytes;
use trilane_core::MessageBody;
use trilane_http3::FieldSection;

/// Words of one batch; the buffer shared with JavaScript has this length.
pub(crate) const BATCH_WORDS: usize = 16 * 1024;

/// Stands for a body that comes in pieces.
const STREAMING: u32 = u32::MAX;

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
    /// Its number in the batch; 0: there is none, all ones: it comes in pieces.
    pub(crate) number: u32,
    pub(crate) bytes: usize,
}

impl MessageBatch {
    /// Adds fields to the text, as "name\0value\0…"; returns their length.
    pub(crate) fn add_pairs<'a>(&mut self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> usize {
        let before = self.text.len();
        pack(&mut self.text, fields);
        self.text.len() - before
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

/// Fields as "name\0value\0…".
pub(crate) fn packed(fields: &FieldSection) -> Vec<u8> {
    let mut text = Vec::new();
    pack(&mut text, fields.iter());
    text
}

fn pack<'a>(text: &mut Vec<u8>, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    for (index, (name, value)) in fields.enumerate() {
        if index > 0 {
            text.push(0);
        }
        text.extend_from_slice(name);
        text.push(0);
        text.extend_from_slice(value);
    }
}
