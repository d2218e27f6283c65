//! The part of a connection's task that has to do with WebTransport: who may begin a session, and whose each stream is.

use std::sync::atomic::Ordering::Relaxed;

use trilane_http3::webtransport::SessionFlow;
use trilane_http3::{Code, Priority, Settings};

use super::{Outcome, Task, settings};
use crate::answer_stream::AnswerStream;
use crate::arrived_stream::Arrived;
use crate::body::MessageBody;
use crate::inbound::{Received, Receiver, Refusal};
use crate::response::Method;
use crate::session::{Beginning, Session};
use crate::session_event::StreamKind;
use crate::slow_request;
use crate::sync::lock;
use crate::wire::wire_code;

impl Task {
    /// A CONNECT for a WebTransport session: the handler decides. Not before the client's SETTINGS are here
    /// (draft-ietf-webtrans-http3-16 §3.1).
    pub(super) fn open_session(&mut self, mut send: AnswerStream, mut receiver: Receiver) {
        let stream = send.id();
        let Some(peers) = lock(&self.state.peer_settings).clone() else {
            return self.await_settings(send, receiver);
        };
        let flow = SessionFlow::new(&settings::ours(&self.server), &peers);
        let refusal = if !peers.h3_datagram {
            Code::from(trilane_http3::code::WT_REQUIREMENTS_NOT_MET)
        } else if lock(&self.state.sessions).len() >= self.max_sessions(&peers, flow.is_some()) {
            Code::H3_REQUEST_REJECTED
        } else {
            return self.begin_session(send, receiver, flow);
        };
        send.reset(refusal);
        let _ = receiver.content().recv().stop(wire_code(refusal));
        self.early.refuse(stream);
        self.count_abandoned();
    }

    /// How many sessions the client may have. In the newest dialect, without flow control one at a time
    /// (draft-ietf-webtrans-http3-16 §5.1); clients of draft 2 have pooled sessions before there was any.
    fn max_sessions(&self, peers: &Settings, with_flow_control: bool) -> usize {
        let said = &peers.webtransport;
        let is_old = said.enabled_draft02 != 0 || said.max_sessions_draft07 != 0;
        let is_new = said.enabled != 0
            || said.max_sessions_draft13 != 0
            || self.head.protocol() == Some(b"webtransport-h3");
        let limit = self.server.limits.max_sessions_per_connection;
        if with_flow_control || is_old || !is_new {
            limit
        } else {
            limit.min(1)
        }
    }

    fn begin_session(&mut self, send: AnswerStream, receiver: Receiver, flow: Option<SessionFlow>) {
        let stream = send.id();
        self.allow_more_streams();
        self.server.counters.requests.fetch_add(1, Relaxed);
        let table = &self.server.table;
        self.trace_request(stream);
        let record = self.record(&send, Some(&self.head));
        let id = table.open(
            self.state.clone(),
            Method::Connect,
            Priority::default(),
            send,
            record,
        );
        self.open.add(id);
        let beginning = Beginning {
            id,
            stream,
            content: receiver.into_content(),
            flow,
            stream_window: self.server.limits.stream_receive_window,
        };
        let session = Session::new(beginning, self.state.clone(), &self.server.sessions);
        lock(&self.state.sessions).insert(stream, session.clone());
        table.keep_session(id, session.clone());
        session.streams_refused(self.early.take_refused(stream));
        for arrived in self.early.take(stream) {
            session.arrived(arrived);
        }
        self.hand_over(id, MessageBody::Streaming, false, None);
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.opened(stream, id);
        }
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

    /// A bidirectional stream was given up before it was a request: it may have been a session's.
    pub(super) fn nothing_came(&self, receiver: &Receiver) {
        if !receiver.has_head() {
            self.state.unnamed_stream_lost(StreamKind::Bidirectional);
        }
    }

    /// Whether the head of this request is still on its way.
    fn is_arriving(&self, stream: u64) -> bool {
        self.datagrams
            .as_ref()
            .is_some_and(|datagrams| datagrams.is_arriving(stream))
    }

    /// A stream that names its session: it may come before it (draft-ietf-webtrans-http3-16 §4.6).
    pub(super) fn stream_arrived(&mut self, session: u64, arrived: Arrived) {
        // Not locked any longer when the session takes it: it may be its end.
        let known = lock(&self.state.sessions).get(&session).cloned();
        if let Some(session) = known {
            return session.arrived(arrived);
        }
        if !self.server.offers_sessions {
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
