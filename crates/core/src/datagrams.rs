//! The datagrams of one connection: read in its task, sorted, and handed to whom they are for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::ReadDatagram;
use tokio::time::{Sleep, sleep_until};
use trilane_http3::Error;

use crate::connection_state::ConnectionState;
use crate::datagram_counters::DatagramLayer;
use crate::datagram_router::{Agreement, DatagramRouter, Delivery, UnknownDatagrams};
use crate::exchange::ExchangeId;
use crate::exchange_table::ExchangeTable;
use crate::modes::SessionRoutes;
use crate::routing::add_sessions;
use crate::sync::lock;

/// Datagrams taken before the other parts of the connection get their turn.
const DATAGRAMS_PER_TURN: usize = 256;

/// What a server does with datagrams. The default is nothing: it does not even tell clients that it could.
#[derive(Clone, Debug)]
pub struct DatagramOptions {
    /// Whether the handler takes raw QUIC datagrams.
    pub raw: bool,
    /// Whether the requests of each route take HTTP datagrams, by route id.
    pub routes: Vec<bool>,
    /// What becomes of datagrams whose request is not there.
    pub unknown: UnknownDatagrams,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self {
            raw: false,
            routes: Vec::new(),
            unknown: UnknownDatagrams::Drop,
        }
    }
}

impl DatagramOptions {
    /// A client offers them on every connection; whether a request takes them is its maker's to say.
    pub(crate) fn of_client() -> Self {
        Self {
            routes: vec![true],
            ..Self::default()
        }
    }

    /// Whether HTTP datagrams are offered to clients (RFC 9297 §2.1.1); if none are of any kind, a DATAGRAM frame is an
    /// error of QUIC (RFC9297-2.1.1-received-unoffered).
    pub(crate) fn http(&self) -> bool {
        self.routes.contains(&true)
    }

    /// Whether any are read.
    pub(crate) fn any(&self) -> bool {
        self.raw || self.http()
    }

    /// Sessions have datagrams.
    pub(crate) fn add_sessions(&mut self, sessions: &SessionRoutes) {
        add_sessions(&mut self.routes, sessions);
    }
}

/// Reads and sorts datagrams; part of the connection's task.
pub(crate) struct Datagrams {
    table: Arc<ExchangeTable>,
    /// Whether raw ones are handed over.
    takes_raw: bool,
    /// Request streams that may be open at once.
    max_streams: u64,
    state: Arc<ConnectionState>,
    router: DatagramRouter,
    hold: Option<Pin<Box<Sleep>>>,
    /// Those of one exchange that came one behind the other, while they are read: at most [`DATAGRAMS_PER_TURN`].
    run: Vec<Bytes>,
    run_of: Option<ExchangeId>,
}

/// What reading came to.
pub(crate) enum Read {
    /// Nothing more for now.
    Waiting,
    /// Perhaps more: come back after the others.
    More,
    /// The connection is over.
    Closed,
    /// The connection must end.
    Fatal(Error),
}

impl Datagrams {
    pub(crate) fn new(
        table: Arc<ExchangeTable>,
        options: &DatagramOptions,
        max_streams: u32,
        state: Arc<ConnectionState>,
    ) -> Self {
        let mut router = DatagramRouter::new(options.unknown);
        if !options.http() {
            drop(router.decide(Agreement::Raw));
        }
        Self {
            table,
            takes_raw: options.raw,
            max_streams: max_streams.into(),
            state,
            router,
            hold: None,
            run: Vec::new(),
            run_of: None,
        }
    }

    /// The client may have this many request streams open from now on.
    pub(crate) fn allow(&mut self, max_streams: u32) {
        self.max_streams = max_streams.into();
    }

    /// Takes what is there. `next_stream` is the id after the last request stream seen.
    pub(crate) fn poll<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        read: Pin<&mut ReadDatagram<'q>>,
        next_stream: u64,
    ) -> Read {
        if self.router.agreement() == Agreement::Open
            && let Err(error) = self.decide(cx, next_stream)
        {
            return Read::Fatal(error);
        }
        let read = self.read(cx, quic, read, next_stream);
        self.end_run();
        if matches!(read, Read::Waiting) {
            self.poll_hold(cx);
        }
        read
    }

    fn read<'q>(
        &mut self,
        cx: &mut Context<'_>,
        quic: &'q quinn::Connection,
        mut read: Pin<&mut ReadDatagram<'q>>,
        next_stream: u64,
    ) -> Read {
        for _ in 0..DATAGRAMS_PER_TURN {
            match read.as_mut().poll(cx) {
                Poll::Ready(Ok(data)) => {
                    read.set(quic.read_datagram());
                    if let Err(error) = self.sort(data, next_stream) {
                        return Read::Fatal(error);
                    }
                }
                Poll::Ready(Err(_)) => return Read::Closed,
                Poll::Pending => return Read::Waiting,
            }
        }
        Read::More
    }

    /// The peer's SETTINGS decide; without them, the end of the hold does.
    fn decide(&mut self, cx: &mut Context<'_>, next_stream: u64) -> Result<(), Error> {
        let agreed = lock(&self.state.peer_settings)
            .as_ref()
            .map(|settings| settings.h3_datagram);
        match agreed {
            Some(agreed) => {
                self.hold = None;
                let agreement = if agreed { Agreement::Http } else { Agreement::Raw };
                for data in self.router.decide(agreement) {
                    self.sort(data, next_stream)?;
                }
                self.end_run();
            }
            // Raw until they come: what they say then holds for what comes then.
            None => {
                let over = self
                    .hold
                    .as_mut()
                    .is_some_and(|hold| hold.as_mut().poll(cx).is_ready());
                if over {
                    self.hold = None;
                    for data in self.router.take_held() {
                        self.raw(data);
                    }
                }
            }
        }
        Ok(())
    }

    fn poll_hold(&mut self, cx: &mut Context<'_>) {
        let Some(until) = self.router.held_until() else {
            return;
        };
        let hold = self
            .hold
            .get_or_insert_with(|| Box::pin(sleep_until(until.into())));
        if hold.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn sort(&mut self, data: Bytes, next_stream: u64) -> Result<(), Error> {
        let delivery = self.router.sort(data, next_stream, self.max_streams)?;
        self.state
            .dropped_incoming(DatagramLayer::Http, self.router.take_expired());
        match delivery {
            Delivery::Exchange(id, payload) => {
                if self.run_of != Some(id) {
                    self.end_run();
                    self.run_of = Some(id);
                }
                self.run.push(payload);
                return Ok(());
            }
            Delivery::Raw(data) => self.raw(data),
            Delivery::Unasked(id) => self.refuse(id, 1),
            Delivery::Kept => {}
            Delivery::Nobody => self.state.dropped_incoming(self.layer(), 1),
        }
        Ok(())
    }

    fn layer(&self) -> DatagramLayer {
        match self.router.agreement() {
            Agreement::Http => DatagramLayer::Http,
            Agreement::Raw | Agreement::Open => DatagramLayer::Quic,
        }
    }

    fn raw(&self, data: Bytes) {
        if self.takes_raw {
            self.state.received(DatagramLayer::Quic, 1);
            self.table.handler().quic_datagram(self.state.name(), data);
        } else {
            self.state.dropped_incoming(DatagramLayer::Quic, 1);
        }
    }

    /// Hands over what came one behind the other.
    fn end_run(&mut self) {
        if let Some(id) = self.run_of.take() {
            let run = std::mem::take(&mut self.run);
            self.run = self.deliver(id, run);
        }
    }

    /// Hands `payloads` to the handler; returns the array, empty.
    fn deliver(&self, id: ExchangeId, mut payloads: Vec<Bytes>) -> Vec<Bytes> {
        let handler = self.table.handler();
        let count = payloads.len() as u64;
        match self.table.datagram_layer(id) {
            Some(layer @ DatagramLayer::WebTransport) => {
                self.state.received(layer, count);
                handler.session_datagrams(id, payloads.drain(..));
            }
            Some(layer) => {
                self.state.received(layer, count);
                for payload in payloads.drain(..) {
                    handler.h3_datagram(id, payload);
                }
            }
            None => self.state.dropped_incoming(DatagramLayer::Http, count),
        }
        payloads.clear();
        payloads
    }

    /// The head of this request is not complete yet.
    pub(crate) fn arriving(&mut self, stream: u64) {
        self.router.arriving(stream);
    }

    pub(crate) fn is_arriving(&self, stream: u64) -> bool {
        self.router.is_arriving(stream)
    }

    /// RFC9297-2-request-without-datagrams: the request is aborted, if it is still open.
    fn refuse(&self, id: ExchangeId, dropped: u64) {
        self.state.dropped_incoming(DatagramLayer::Http, dropped);
        self.table.refuse_datagrams(id);
    }

    /// The request was given up before it was one.
    pub(crate) fn declined(&mut self, stream: u64) {
        let dropped = self.router.known(stream, None).len() as u64;
        self.state.dropped_incoming(DatagramLayer::Http, dropped);
    }

    /// The request was delivered and takes datagrams; those that came before it are delivered now.
    pub(crate) fn opened(&mut self, stream: u64, id: ExchangeId) {
        let early = self.router.known(stream, Some(id));
        if !early.is_empty() {
            self.deliver(id, early);
        }
    }

    /// The request was delivered and takes no datagrams; one with some before it is aborted now.
    pub(crate) fn opened_without(&mut self, stream: u64, id: ExchangeId) {
        match self.router.stranger(stream, id).len() as u64 {
            0 => {}
            dropped => self.refuse(id, dropped),
        }
    }

    /// Forgets requests that are over.
    pub(crate) fn sweep(&mut self) {
        let table = &self.table;
        self.router.sweep(|id| table.is_open(id));
    }
}

impl Drop for Datagrams {
    /// What still waited for its request, or for SETTINGS, was received and reached nobody.
    fn drop(&mut self) {
        let waiting = self.router.abandon();
        self.state.dropped_incoming(self.layer(), waiting);
    }
}
