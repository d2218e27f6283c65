//! From a request that was read to its handler.

use std::sync::atomic::Ordering::Relaxed;

use trilane_http3::{FieldSection, Priority};

use super::Task;
use crate::answer_stream::AnswerStream;
use crate::body::{BodyReader, MessageBody};
use crate::exchange::{Exchange, ExchangeId};
use crate::handler::Request;
use crate::inbound::Receiver;
use crate::response::Method;

impl Task {
    /// Hands a request to the handler; `receiver` reads what is still to come of a streaming body.
    pub(super) fn deliver(
        &mut self,
        send: AnswerStream,
        body: MessageBody,
        early_data: bool,
        mut receiver: Receiver,
    ) {
        self.guard.request();
        self.server.counters.requests.fetch_add(1, Relaxed);
        let stream = send.id();
        self.trace_request(stream);
        let table = &self.server.table;
        let priority = Priority::parse_all(self.head.values(b"priority"));
        let mut record = self.record(&send, Some(&self.head));
        if let (Some(record), MessageBody::Whole(body)) = (&mut record, &body) {
            record.bytes_received = body.len() as u64;
        }
        let id = table.open(
            self.state.clone(),
            Method::of(self.head.method()),
            priority,
            send,
            record,
        );
        self.open.add(id);
        let takes_datagrams = self.admission.takes_datagrams();
        match &body {
            MessageBody::Whole(_) => {
                let trailers = receiver.content().trailers();
                self.hand_over(id, body, early_data, Some(trailers));
            }
            MessageBody::Streaming => {
                let mut reader = BodyReader::of_request(receiver, table.clone(), self.state.clone(), id);
                if takes_datagrams && self.head.protocol().is_some() {
                    reader = reader.with_capsules();
                }
                table.keep_body(id, reader);
                self.hand_over(id, body, early_data, None);
            }
        }
        match &mut self.datagrams {
            Some(datagrams) if takes_datagrams => {
                datagrams.opened(stream, id);
            }
            Some(datagrams) => datagrams.opened_without(stream, id),
            None => {}
        }
    }

    pub(super) fn hand_over(
        &self,
        id: ExchangeId,
        body: MessageBody,
        early_data: bool,
        trailers: Option<&FieldSection>,
    ) {
        self.state.portion.count();
        self.server.table.handler().request(
            Request {
                head: &self.head,
                route: self.admission.route,
                routing: self
                    .admission
                    .routing
                    .as_ref()
                    .map_or(0, |routing| routing.number()),
                params: &self.admission.params,
                trailers: trailers.filter(|trailers| !trailers.is_empty()),
                body,
                early_data,
            },
            Exchange::new(self.server.table.clone(), id),
        );
    }
}
