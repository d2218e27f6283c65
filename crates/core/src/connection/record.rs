//! What is said and remembered of a request that begins.

use std::time::Instant;

use trilane_http3::RequestHead;

use super::Task;
use crate::answer_stream::AnswerStream;
use crate::request_record::RequestRecord;

impl Task {
    pub(super) fn trace_request(&self, stream: u64) {
        tracing::debug!(
            stream,
            method = %self.head.method().escape_ascii(),
            path = %self.head.path().escape_ascii(),
            route = self.admission.route.map(|route| route.0),
            "request"
        );
    }

    /// What is remembered of a request for those who want to know how it ends; `None` if nobody does.
    pub(super) fn record(
        &self,
        send: &AnswerStream,
        head: Option<&RequestHead>,
    ) -> Option<Box<RequestRecord>> {
        let observer = self.server.table.observer()?;
        let pattern = self.admission.routing.as_ref().and_then(|routing| {
            let route = self.admission.route.filter(|_| head.is_some())?;
            routing.router().pattern(route).cloned()
        });
        let started = send.accepted.unwrap_or_else(Instant::now);
        Some(RequestRecord::new(
            observer.clone(),
            self.state.clone(),
            started,
            head,
            pattern,
        ))
    }
}
