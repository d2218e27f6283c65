//! Answers that are written in one go.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::FutureExt;
use trilane_http3::{Code, Priority};

use crate::answer_head;
use crate::answer_stream::AnswerStream;
use crate::connection::Outcome;
use crate::connection_state::ConnectionState;
use crate::exchange::{ExchangeError, ExchangeId};
use crate::outbound;
use crate::priority::Place;
use crate::request_record::RequestRecord;
use crate::response::{body_rule, may_declare};
use crate::sync::lock;
use crate::wire::wire_code;

use super::{ExchangeTable, complete, said_priority};

impl ExchangeTable {
    /// What a whole answer with a body of so many bytes says of its priority, if it may be sent.
    pub(super) fn check_whole<'a>(
        &self,
        id: ExchangeId,
        status: u16,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
        length: usize,
    ) -> Result<Priority, ExchangeError> {
        let declared = answer_head::check(status, fields.clone())?;
        if let Some(declared) = declared {
            let method = lock(&self.slots).get(id)?.method;
            // RFC9114-4.1.2-own-content-length, RFC9110-8.6-contradiction-refused
            if !may_declare(body_rule(method, status), declared, length) {
                return Err(ExchangeError::Length { declared, length });
            }
        }
        let said = said_priority(fields.clone());
        self.encoder.learn(status, fields, said);
        Ok(said)
    }

    /// Writes a complete answer into its stream at once if flow control lets it, else hands the rest to the
    /// connection's task. `priorities` are those of the request and of the handler.
    pub(crate) fn write_whole(
        &self,
        connection: &Arc<ConnectionState>,
        send: AnswerStream,
        priorities: [Priority; 2],
        [head, body]: [Bytes; 2],
        record: Option<Box<RequestRecord>>,
    ) {
        let (interim, mut send) = send.into_parts();
        let stream = u64::from(send.id());
        let [request, answer] = priorities;
        let rank = connection.priorities.rank(stream, request, answer);
        if rank != 0 {
            let _ = send.set_priority(rank);
        }
        let mut chunks = [interim, head, body];
        let chunks = match (chunks[0].is_empty(), chunks[2].is_empty()) {
            (true, true) => &mut chunks[1..2],
            (true, false) => &mut chunks[1..],
            (false, true) => &mut chunks[..2],
            (false, false) => &mut chunks[..],
        };
        // The waker is not needed: what does not fit is polled again by the connection's own task.
        let mut cx = Context::from_waker(Waker::noop());
        let result = pin!(send.write_all_chunks(chunks)).poll(&mut cx);
        match result {
            Poll::Ready(Ok(())) => {
                // RFC9114-4.1-response-ended
                let _ = send.finish();
                complete(record);
                connection.finished(send);
                connection.priorities.forget(stream);
            }
            // Stopped by the peer or connection lost: there is nobody left to tell.
            Poll::Ready(Err(_)) => {
                connection.count_cancelled();
                let _ = send.reset(wire_code(Code::H3_REQUEST_CANCELLED));
            }
            Poll::Pending => {
                let rest: Vec<Bytes> = chunks.iter().filter(|chunk| !chunk.is_empty()).cloned().collect();
                let place = Place::new(connection.clone(), &send, request, answer);
                connection.adopt(outbound::send_rest(send, rest, place, record).map(|()| Outcome::Done));
            }
        }
    }
}
