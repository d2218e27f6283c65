//! Requests on their way to JavaScript.

use std::collections::VecDeque;

use trilane_core::router::{ParamSpan, RouteId};
use trilane_core::{Exchange, ExchangeId, Request};
use trilane_http3::{FieldSection, RequestHead};

use crate::messages::{BATCH_WORDS, MessageBatch, pack_field, packed, room};

/// Words of one request besides its parameters: slot, generation, route, method, length of the URL, length of the fields,
/// number of the body (0: none, all ones: it comes in pieces, bit 30: the next of the shared ones, of that length), number of
/// parameters (with [`EARLY_DATA`] and [`TRAILERS`]). Behind them a start and an end in the URL for
/// each parameter, and perhaps the length of the trailers. The text has for each: URL, fields, the method if it has no number
/// (its length is then the method word above 0xff), and trailers.
const REQUEST_WORDS: usize = 8;

/// Beside the number of parameters: trailers follow; the length of their text is then one more word, behind the
/// parameters.
const TRAILERS: u32 = 1 << 30;

/// The most words a request takes: more parameters than this do not fit a path of the default header limit.
const MAX_REQUEST_WORDS: usize = BATCH_WORDS / 2;

/// Methods by number; any other travels as text.
const METHODS: [&[u8]; 8] = [
    b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT",
];

/// Stands for "no route: the fallback".
const FALLBACK: u32 = u32::MAX;

/// Beside the number of parameters: the request came in early data, its handshake is not complete.
const EARLY_DATA: u32 = 1 << 31;

/// Adds a request. Returns the bytes that wait; `None`: it has more parameters than fit, and its stream is reset.
pub(crate) fn add(
    batches: &mut VecDeque<MessageBatch>,
    request: Request<'_>,
    exchange: Exchange,
) -> Option<usize> {
    let words = REQUEST_WORDS + 2 * request.params.len() + usize::from(request.trailers.is_some());
    if words > MAX_REQUEST_WORDS {
        // Dropping the exchange resets the stream.
        return None;
    }
    let batch = room(batches, words, request.routing);
    let before = batch.text.len();
    let body = batch.add_shared_body(request.body);
    batch.add(
        request.head,
        request.route,
        request.params,
        exchange.into_id(),
        body.number,
        request.early_data,
    );
    if let Some(trailers) = request.trailers {
        batch.add_trailers(trailers, request.params.len());
    }
    Some(batch.text.len() - before + body.bytes)
}

impl MessageBatch {
    fn add(
        &mut self,
        head: &RequestHead,
        route: Option<RouteId>,
        params: &[ParamSpan],
        id: ExchangeId,
        body: u32,
        early_data: bool,
    ) {
        let text_start = self.text.len();
        self.text.extend_from_slice(if head.scheme() == b"http" {
            b"http://"
        } else {
            b"https://"
        });
        self.text.extend_from_slice(head.authority());
        let path_start = (self.text.len() - text_start) as u32;
        // "*" (RFC 9110 §7.1) and a CONNECT without a path mean the authority itself.
        let path = head.path();
        self.text
            .extend_from_slice(if path.first() == Some(&b'/') { path } else { b"/" });
        let url_end = self.text.len();
        self.add_fields(head);
        let fields_end = self.text.len();
        let method = match METHODS.iter().position(|method| *method == head.method()) {
            Some(index) => index as u32,
            None => {
                self.text.extend_from_slice(head.method());
                0x100 + head.method().len() as u32
            }
        };
        self.count += 1;
        self.words.extend_from_slice(&[
            id.slot,
            id.generation,
            route.map_or(FALLBACK, |route| route.0),
            method,
            (url_end - text_start) as u32,
            (fields_end - url_end) as u32,
            body,
            params.len() as u32 | if early_data { EARLY_DATA } else { 0 },
        ]);
        for span in params {
            self.words
                .extend_from_slice(&[path_start + span.start, path_start + span.end]);
        }
    }

    /// Several cookie fields become one (RFC9114-4.2.1-cookie-joined).
    fn add_fields(&mut self, head: &RequestHead) {
        let mut has_cookie = false;
        for (name, value) in head.fields() {
            let is_cookie = name == b"cookie";
            if is_cookie && std::mem::replace(&mut has_cookie, true) {
                continue;
            }
            pack_field(&mut self.text, name, value);
            if is_cookie {
                for (_, crumb) in head.fields().filter(|(name, _)| *name == b"cookie").skip(1) {
                    self.text.extend_from_slice(b"; ");
                    self.text.extend_from_slice(crumb);
                }
            }
        }
    }

    /// Behind the request that was added last, which has so many parameters.
    fn add_trailers(&mut self, trailers: &FieldSection, params: usize) {
        let text = packed(trailers);
        self.text.extend_from_slice(&text);
        let count_at = self.words.len() - 2 * params - 1;
        self.words[count_at] |= TRAILERS;
        self.words.push(text.len() as u32);
    }
}
