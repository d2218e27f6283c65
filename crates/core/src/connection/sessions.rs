//! The part of a connection's task that has to do with WebTransport: who may begin a session, and whose each stream is.

use std::sync::atomic::Ordering::Relaxed;

use trilane_http3::{Code, Priority};

use super::{Outcome, Task};
use crate::answer_stream::AnswerStream;
use crate::arrived_stream::Arrived;
use crate::body::RequestBody;
use crate::inbound::{Received, Receiver, Refusal};
use crate::response::Method;
use crate::session::Session;
use crate::slow_request;
use crate::sync::lock;
use crate::wire::wire_code;

impl Task {
    /// A CONNECT for a WebTransport session: the handler decides. Not before the client's SETTINGS are here
    /// (draft-ietf-webtrans-http3-16 §3.1).
    pub(super) fn open_session(&mut self, mut send: AnswerStream, mut receiver: Receiver) {
        let stream = send.id();
        let agreed = lock(&self.state.peer_settings)
            .as_ref()
            .map(|settings| settings.h3_datagram);
        let refusal = match agreed {
            None => return self.await_settings(send, receiver),
            Some(false) => Code::from(trilane_http3::code::WT_REQUIREMENTS_NOT_MET),
            Some(true)
                if lock(&self.state.sessions).len() < self.server.limits.max_sessions_per_connection =>
            {
                self.server.counters.requests.fetch_add(1, Relaxed);
                let table = &self.server.table;
                let id = table.open(self.state.clone(), Method::Connect, Priority::default(), send);
                self.open.add(id);
                let session = Session::new(id, stream, self.state.clone(), &self.server.sessions, receiver);
                lock(&self.state.sessions).insert(stream, session.clone());
                table.keep_session(id, session.clone());
                for arrived in self.early.take(stream) {
                    session.arrived(arrived);
                }
                self.hand_over(id, RequestBody::Streaming, false, None);
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.opened(stream, id);
                }
                return;
            }
            Some(true) => Code::H3_REQUEST_REJECTED,
        };
        send.reset(refusal);
        let _ = receiver.recv().stop(wire_code(refusal));
        self.early.refuse(stream);
        self.count_abandoned();
    }

    /// Comes back to the request when the client's SETTINGS are here, or refuses it.
    fn await_settings(&mut self, send: AnswerStream, receiver: Receiver) {
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.arriving(send.id());
        }
        let mut slow = slow_request::Slow {
            send,
            receiver,
            head: std::mem::take(&mut self.head),
            admission: std::mem::take(&mut self.admission),
            received: Received::Session,
        };
        let (state, timeout) = (self.state.clone(), self.server.limits.header_timeout);
        self.streams.push(Box::pin(async move {
            let came = async {
                loop {
                    let notified = state.settings_came.notified();
                    if lock(&state.peer_settings).is_some() {
                        return;
                    }
                    notified.await;
                }
            };
            if tokio::time::timeout(timeout, came).await.is_err() {
                slow.received = Received::Refused(Refusal::status(408));
            }
            Outcome::Request(Box::new(slow))
        }));
    }

    /// Whether the head of this request is still on its way.
    fn is_arriving(&self, stream: u64) -> bool {
        self.datagrams
            .as_ref()
            .is_some_and(|datagrams| datagrams.is_arriving(stream))
    }

    /// A stream that names its session: it may come before it (draft-ietf-webtrans-http3-16 §4.6).
    pub(super) fn stream_arrived(&mut self, session: u64, arrived: Arrived) {
        if let Some(session) = lock(&self.state.sessions).get(&session).cloned() {
            return session.arrived(arrived);
        }
        if !self.server.session_routes.any() {
            arrived.refuse(trilane_http3::code::WT_BUFFERED_STREAM_REJECTED);
            return self.count_abandoned();
        }
        let may_come = session >= self.next_stream || self.is_arriving(session);
        if !may_come {
            arrived.refuse(trilane_http3::code::WT_SESSION_GONE);
            return self.count_abandoned();
        }
        if self.early.keep(session, arrived) {
            let early = self.early.clone();
            self.streams.push(Box::pin(async move {
                early.expire().await;
                Outcome::Done
            }));
        }
    }
}
