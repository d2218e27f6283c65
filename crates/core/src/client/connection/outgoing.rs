//! Requests on their way out: each gets a stream, and work that reads its response.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use quinn::{RecvStream, SendStream};
use trilane_http3::{Code, Priority};

use super::Task;
use crate::client::order::{Order, OutgoingBody, Tunnel};
use crate::client::request_error::RequestError;
use crate::client::response;
use crate::connection::Outcome;
use crate::exchange::Notify;
use crate::outbound::{self, Outbound};
use crate::priority::Place;
use crate::sync::lock;
use crate::wire::wire_code;

/// Bytes of a whole body that are handed to QUIC at once; a longer one can still be given up while it is written.
const AT_ONCE: usize = 16 * 1024;

impl Task {
    pub(super) fn begin_next(&mut self, send: SendStream, recv: RecvStream) {
        let next = self.connection.orders().pop_front();
        match next {
            Some(order) => match self.objection(&order) {
                None => self.begin(order, send, recv),
                Some(error) => {
                    abandon(send, recv);
                    self.client.fail(order.id, error);
                }
            },
            None => abandon(send, recv),
        }
    }

    /// What the server's SETTINGS say against this request.
    fn objection(&self, order: &Order) -> Option<RequestError> {
        let settings = lock(&self.state.peer_settings);
        let settings = settings.as_ref().or(self.remembered.settings())?;
        // RFC9114-4.2.2-peer-limit
        if let Some(most) = settings.max_field_section_size
            && order.section_size > most
        {
            let size = order.section_size;
            return Some(RequestError::OwnHeadTooLarge { size, most });
        }
        if order.has_protocol && !settings.enable_connect_protocol {
            return Some(RequestError::NoExtendedConnect);
        }
        if order.tunnel == Tunnel::Session && !(settings.h3_datagram && settings.webtransport.is_offered()) {
            return Some(RequestError::NoWebTransport);
        }
        None
    }

    /// The head of a request in the dialect of this server.
    fn head(&self, order: &Order) -> Bytes {
        match (&order.newest_head, &*lock(&self.state.peer_settings)) {
            (Some(newest), Some(peer)) if peer.webtransport.wants_newest_token() => newest.clone(),
            _ => order.head.clone(),
        }
    }

    /// Sends a request on its stream (RFC9114-4.1-request-ended), and has its response read.
    fn begin(&mut self, mut order: Box<Order>, mut send: SendStream, recv: RecvStream) {
        let (id, stream) = (order.id, u64::from(send.id()));
        let own = match &order.body {
            OutgoingBody::Whole(body) if body.len() > AT_ONCE => Some(whole(body.clone())),
            _ => None,
        };
        let Ok(queue) = self.client.table.begin(id, &self.state, &send, own) else {
            return abandon(send, recv);
        };
        order.attempts += 1;
        self.open.add(id);
        let head = self.head(&order);
        match (&order.body, queue) {
            (_, Some(queue)) => {
                queue.put_first(head);
                let place = Place::new(
                    self.state.clone(),
                    &send,
                    Priority::default(),
                    Priority::default(),
                );
                let sent = outbound::send(self.client.table.clone(), id, send, queue, place);
                self.streams.push(Box::pin(sent.map(|()| Outcome::Done)));
            }
            (OutgoingBody::Whole(body), None) => {
                let mut header = BytesMut::with_capacity(9);
                trilane_http3::write_data_header(&mut header, body.len() as u64);
                self.write(send, vec![head, header.freeze(), body.clone()]);
            }
            // A queue that is gone was taken by an earlier attempt, and such a request is not sent again.
            (OutgoingBody::Streaming, None) => {
                let _ = send.reset(wire_code(Code::H3_REQUEST_CANCELLED));
            }
            (OutgoingBody::Empty, None) => self.write(send, vec![head]),
        }
        let in_early_data = self.early.is_some();
        if order.takes_datagrams || order.tunnel == Tunnel::Session {
            self.datagrams.opened(stream, id);
        } else {
            self.datagrams.opened_without(stream, id);
        }
        let early_streams = self.early_streams.clone();
        self.streams.push(Box::pin(response::read(
            response::Awaited {
                client: self.client.clone(),
                connection: self.state.clone(),
                early_streams,
                in_early_data,
                order,
                stream,
            },
            recv,
        )));
    }

    /// Writes a whole request at once if flow control lets it, else hands the rest to the connection's work.
    fn write(&mut self, mut send: SendStream, mut chunks: Vec<Bytes>) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let polled = pin!(send.write_all_chunks(&mut chunks)).poll(&mut cx);
        match polled {
            Poll::Ready(Ok(())) => _ = send.finish(),
            // Stopped, or the connection is lost: whoever reads the response finds out.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let rest = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
                let place = Place::new(
                    self.state.clone(),
                    &send,
                    Priority::default(),
                    Priority::default(),
                );
                let sent = outbound::send_rest(send, rest, place, None).map(|()| Outcome::Done);
                self.streams.push(Box::pin(sent));
            }
        }
    }
}

/// A queue that holds all of a body.
fn whole(body: Bytes) -> Arc<Outbound> {
    let queue = Outbound::new(Bytes::new(), None);
    // The first chunk is taken whatever its length.
    let _ = queue.push(body, Notify::Never);
    queue.finish(Bytes::new());
    Arc::new(queue)
}

/// A stream that carries nothing after all.
fn abandon(mut send: SendStream, mut recv: RecvStream) {
    // RFC9114-4.1.1-client-code
    let _ = send.reset(wire_code(Code::H3_REQUEST_CANCELLED));
    let _ = recv.stop(wire_code(Code::H3_REQUEST_CANCELLED));
}
