//! Answers on streams that never became an exchange.

use std::sync::Arc;

use bytes::Bytes;
use trilane_http3::Priority;

use crate::answer_stream::AnswerStream;
use crate::connection_state::ConnectionState;
use crate::inbound::Refusal;
use crate::request_record::{RequestOutcome, RequestRecord};
use crate::response::Method;

use super::ExchangeTable;

impl ExchangeTable {
    /// Answers on a stream that never became an exchange, with a short text that names the status.
    pub(crate) fn refuse(
        &self,
        connection: &Arc<ConnectionState>,
        method: Method,
        send: AnswerStream,
        refusal: &Refusal,
        mut record: Option<Box<RequestRecord>>,
    ) {
        if let Some(record) = &mut record {
            record.status = Some(refusal.status);
            record.outcome = RequestOutcome::Refused;
        }
        let text = reason_phrase(refusal.status);
        let allow = refusal
            .allow
            .as_deref()
            .map(|allow| (&b"allow"[..], allow.as_bytes()));
        let fields = [(&b"content-type"[..], &b"text/plain;charset=utf-8"[..])]
            .into_iter()
            .chain(allow);
        let body = Bytes::from_static(text.as_bytes());
        self.write_whole(
            connection,
            send,
            [Priority::default(); 2],
            self.encoder.whole(method, refusal.status, fields, None, body),
            record,
        );
    }
}

/// RFC 9110 §15, for the statuses the core answers by itself.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        425 => "Too Early",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        _ => "",
    }
}
