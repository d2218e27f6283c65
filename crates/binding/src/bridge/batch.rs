//! A request, packed behind those that wait.

use trilane_core::router::{ParamSpan, RouteId};
use trilane_core::{ExchangeId, RequestBody};
use trilane_http3::{FieldSection, RequestHead};

use super::{EARLY_DATA, FALLBACK, METHODS, RequestBatch, STREAMING, TRAILERS};

pub(super) struct AddedBody {
    pub(super) number: u32,
    pub(super) bytes: usize,
}

impl RequestBatch {
    /// Several cookie fields become one (RFC9114-4.2.1-cookie-joined).
    fn add_fields(&mut self, head: &RequestHead) {
        let (start, mut has_cookie) = (self.text.len(), false);
        for (name, value) in head.fields() {
            let is_cookie = name == b"cookie";
            if is_cookie && std::mem::replace(&mut has_cookie, true) {
                continue;
            }
            if self.text.len() > start {
                self.text.push(0);
            }
            self.text.extend_from_slice(name);
            self.text.push(0);
            self.text.extend_from_slice(value);
            if is_cookie {
                for (_, crumb) in head.fields().filter(|(name, _)| *name == b"cookie").skip(1) {
                    self.text.extend_from_slice(b"; ");
                    self.text.extend_from_slice(crumb);
                }
            }
        }
    }

    /// Behind the request that was added last, which has so many parameters.
    pub(super) fn add_trailers(&mut self, trailers: &FieldSection, params: usize) {
        let text = packed(trailers);
        self.text.extend_from_slice(&text);
        let count_at = self.words.len() - 2 * params - 1;
        self.words[count_at] |= TRAILERS;
        self.words.push(text.len() as u32);
    }

    pub(super) fn add_body(&mut self, body: RequestBody) -> AddedBody {
        match body {
            RequestBody::Streaming => AddedBody {
                number: STREAMING,
                bytes: 0,
            },
            RequestBody::Whole(bytes) if bytes.is_empty() => AddedBody { number: 0, bytes: 0 },
            RequestBody::Whole(bytes) => {
                let length = bytes.len();
                self.bodies.push(bytes);
                AddedBody {
                    number: self.bodies.len() as u32,
                    bytes: length,
                }
            }
        }
    }

    pub(super) fn add(
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
}

/// Fields as "name\0value\0…".
pub(crate) fn packed(fields: &FieldSection) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            text.push(0);
        }
        text.extend_from_slice(name);
        text.push(0);
        text.extend_from_slice(value);
    }
    text
}
