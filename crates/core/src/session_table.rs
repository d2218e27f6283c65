//! The WebTransport sessions of a server, by name: accepted, closed, and their streams opened, written and read.

use std::sync::{Arc, Mutex, Weak};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use slab::Slab;
use trilane_http3::webtransport::{EXPORTER_LABEL, exporter_context, write_bidi_prefix, write_uni_prefix};
use trilane_http3::{Capsule, write_capsule};

use crate::datagram_counters::DatagramLayer;
use crate::datagram_queue::DatagramError;
use crate::exchange::{ExchangeError, ExchangeId, Notify};
use crate::exchange_table::ExchangeTable;
use crate::send_order::SendPlace;
use crate::session::{Opener, Session};
use crate::session_event::{StreamKind, StreamName};
use crate::session_stream::{ReadHalf, StreamError, WriteHalf};
use crate::sync::lock;

/// The sessions of a server.
pub struct SessionTable {
    pub(crate) exchanges: Arc<ExchangeTable>,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    slab: Slab<Entry>,
    next_generation: u32,
}

struct Entry {
    generation: u32,
    stream: Stream,
    session: Weak<Session>,
}

/// The halves of one stream.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) read: Option<Arc<ReadHalf>>,
    pub(crate) write: Option<Arc<WriteHalf>>,
}

impl Stream {
    pub(crate) fn session_gone(&self) {
        if let Some(read) = &self.read {
            read.session_gone();
        }
        if let Some(write) = &self.write {
            write.session_gone();
        }
    }
}

impl SessionTable {
    pub(crate) fn new(exchanges: Arc<ExchangeTable>) -> Arc<Self> {
        Arc::new(Self {
            exchanges,
            streams: Mutex::default(),
        })
    }

    /// Accepts a session: 200 with `fields`. The streams that came before are handed over.
    pub fn accept<'a>(
        self: &Arc<Self>,
        id: ExchangeId,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Result<(), ExchangeError> {
        let session = self.exchanges.session(id).ok_or(ExchangeError::Gone)?;
        // RFC9297-3.2-content-fields-sent
        for (name, _) in fields.clone() {
            trilane_http3::check_capsule_field(name)?;
        }
        // RFC9297-3.2-content-statuses: 200 is none of those.
        self.exchanges.start(id, 200, fields)?;
        session.accepted();
        Ok(())
    }

    /// Ends a session with a code and a reason of at most 1,024 bytes, cut at a character: WT_CLOSE_SESSION, then the end
    /// of its stream and nothing else (draft-ietf-webtrans-http3-16 §6). Its streams are reset. Idempotent.
    pub fn close(&self, id: ExchangeId, code: u32, reason: Bytes) {
        let Some(session) = self.exchanges.session(id) else {
            return;
        };
        let capsule = Capsule::CloseSession { code, reason };
        if session.is_open() && self.send_capsule(id, &capsule).is_ok() {
            session.end();
            let _ = self.exchanges.finish(id);
        }
    }

    /// Asks the client to wind the session up (WT_DRAIN_SESSION, draft-ietf-webtrans-http3-16 §4.7).
    pub fn drain(&self, id: ExchangeId) {
        if self
            .exchanges
            .session(id)
            .is_some_and(|session| session.is_open())
        {
            let _ = self.send_capsule(id, &Capsule::DrainSession);
        }
    }

    pub(crate) fn send_capsule(&self, id: ExchangeId, capsule: &Capsule) -> Result<(), ExchangeError> {
        let mut out = BytesMut::new();
        write_capsule(&mut out, capsule);
        self.exchanges.write(id, out.freeze(), Notify::Never)
    }

    /// Sends a datagram of a session, or lets it wait while the path is slower; the queue drops the oldest.
    pub fn send_datagram(&self, id: ExchangeId, payload: &[u8]) -> Result<(), DatagramError> {
        self.send_datagrams(id, std::iter::once(Bytes::copy_from_slice(payload)))
    }

    /// Sends datagrams of a session one behind the other. Returns what became of the last one.
    pub fn send_datagrams(
        &self,
        id: ExchangeId,
        payloads: impl Iterator<Item = Bytes>,
    ) -> Result<(), DatagramError> {
        let Some(session) = self.exchanges.session(id) else {
            for _ in payloads {
                self.exchanges.lost_datagram(DatagramLayer::WebTransport);
            }
            return Err(DatagramError::Gone);
        };
        session.send_datagrams(payloads)
    }

    /// How long the datagrams of a session that are sent from now on wait at most, in milliseconds; 0: as the limits say.
    pub fn limit_datagram_age(&self, id: ExchangeId, ms: u32) {
        if let Some(session) = self.exchanges.session(id) {
            session.limit_datagram_age(ms);
        }
    }

    /// Datagrams of a session that were too old before QUIC took them; `None`: it is over.
    pub fn expired_datagrams(&self, id: ExchangeId) -> Option<u64> {
        Some(self.exchanges.session(id)?.expired_datagrams())
    }

    /// Waits until fewer than `most` datagrams of the session's connection wait to be sent, or it is over.
    pub async fn datagram_room(self: Arc<Self>, id: ExchangeId, most: usize) {
        if let Some(session) = self.exchanges.session(id) {
            session.datagram_room(most).await;
        }
    }

    /// Opens a stream if the peer allows one more now; `None`: it does not.
    pub async fn open_stream_now(
        self: Arc<Self>,
        id: ExchangeId,
        kind: StreamKind,
    ) -> Result<Option<StreamName>, StreamError> {
        self.open_stream(id, kind).now_or_never().transpose()
    }

    /// Opens a stream. Waits until the client allows one more (WT_MAX_STREAMS if flow control was agreed on, and QUIC
    /// MAX_STREAMS). Dropped before, nothing was opened.
    pub async fn open_stream(
        self: Arc<Self>,
        id: ExchangeId,
        kind: StreamKind,
    ) -> Result<StreamName, StreamError> {
        let session = self.exchanges.session(id).ok_or(StreamError::SessionGone)?;
        if !session.is_open() {
            return Err(StreamError::SessionGone);
        }
        let opening = match &session.flow {
            Some(flow) => Some(flow.open(kind).await?),
            None => None,
        };
        let mut prefix = BytesMut::new();
        let (send, recv) = match kind {
            StreamKind::Bidirectional => {
                write_bidi_prefix(&mut prefix, session.stream);
                let (send, recv) = session
                    .quic()
                    .open_bi()
                    .await
                    .map_err(|_| StreamError::ConnectionLost)?;
                (send, Some(recv))
            }
            StreamKind::Unidirectional => {
                write_uni_prefix(&mut prefix, session.stream);
                let send = session
                    .quic()
                    .open_uni()
                    .await
                    .map_err(|_| StreamError::ConnectionLost)?;
                (send, None)
            }
        };
        if let Some(opening) = opening {
            opening.opened();
        }
        let read = recv.map(|recv| ReadHalf::new(recv, Bytes::new(), session.flow.clone()));
        Ok(session.register(&self, Opener::Us, read, Some((send, prefix.freeze()))))
    }

    /// The half of a stream that is read; `None` if it has none, or is gone.
    pub fn read_half(&self, name: StreamName) -> Option<Arc<ReadHalf>> {
        self.stream(name)?.read
    }

    /// Queues a chunk. A writer that has written 64 KiB asks to be told ([`StreamEvent::Drained`](crate::StreamEvent)) and
    /// waits; one that does not is refused at 256 KiB.
    pub fn write(&self, name: StreamName, chunk: Bytes, notify: Notify) -> Result<(), StreamError> {
        self.write_half(name)?.push(chunk, notify)
    }

    /// Ends the written half: a clean FIN once everything was sent.
    pub fn finish(&self, name: StreamName) -> Result<(), StreamError> {
        self.write_half(name)?.finish();
        Ok(())
    }

    /// Gives the written half its place among those of its session. Default: group 0, order 0.
    pub fn place(&self, name: StreamName, place: SendPlace) -> Result<(), StreamError> {
        let session = {
            let streams = lock(&self.streams);
            let entry = streams.slab.get(name.slot as usize);
            entry
                .filter(|entry| entry.generation == name.generation)
                .map(|entry| entry.session.clone())
        };
        let session = session
            .and_then(|session| session.upgrade())
            .ok_or(StreamError::Ended)?;
        session.place(name, place);
        Ok(())
    }

    /// Keying material of the session's connection, bound to the session, for a label and a context of the application
    /// (draft-ietf-webtrans-http3-16 §4.8). `false`: the session is over, or TLS gives none.
    pub fn export_keying_material(
        &self,
        id: ExchangeId,
        label: &[u8],
        context: &[u8],
        output: &mut [u8],
    ) -> bool {
        let Some(session) = self.exchanges.session(id) else {
            return false;
        };
        let Some(context) = exporter_context(session.stream, label, context) else {
            return false;
        };
        session
            .quic()
            .export_keying_material(output, EXPORTER_LABEL, &context)
            .is_ok()
    }

    /// Gives the written half up: RESET_STREAM with the application's code (draft-ietf-webtrans-http3-16 §4.4).
    pub fn reset(&self, name: StreamName, application_code: u32) -> Result<(), StreamError> {
        self.write_half(name)?.reset(application_code);
        Ok(())
    }

    /// Nobody holds the stream any more: its name is free, and what is left of its read half is declined.
    pub fn forget(&self, name: StreamName) {
        let Some(entry) = self.remove(name) else { return };
        if let Some(session) = entry.session.upgrade() {
            session.forget(name);
        }
        if let Some(read) = entry.stream.read {
            read.stop(0);
        }
    }

    pub(crate) fn insert(&self, stream: Stream, session: &Arc<Session>) -> StreamName {
        let mut streams = lock(&self.streams);
        let generation = streams.next_generation;
        streams.next_generation = generation.wrapping_add(1);
        let slot = streams.slab.insert(Entry {
            generation,
            stream,
            session: Arc::downgrade(session),
        }) as u32;
        StreamName { slot, generation }
    }

    pub(crate) fn take(&self, name: StreamName) -> Option<Stream> {
        self.remove(name).map(|entry| entry.stream)
    }

    fn remove(&self, name: StreamName) -> Option<Entry> {
        let mut streams = lock(&self.streams);
        match streams.slab.get(name.slot as usize) {
            Some(entry) if entry.generation == name.generation => {
                Some(streams.slab.remove(name.slot as usize))
            }
            _ => None,
        }
    }

    fn stream(&self, name: StreamName) -> Option<Stream> {
        let streams = lock(&self.streams);
        let entry = streams.slab.get(name.slot as usize)?;
        (entry.generation == name.generation).then(|| entry.stream.clone())
    }

    /// There may be credit for it.
    pub(crate) fn wake_writer(&self, name: StreamName) {
        if let Ok(half) = self.write_half(name) {
            half.wake();
        }
    }

    fn write_half(&self, name: StreamName) -> Result<Arc<WriteHalf>, StreamError> {
        self.stream(name)
            .and_then(|stream| stream.write)
            .ok_or(StreamError::Ended)
    }
}

impl std::fmt::Debug for SessionTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionTable")
            .field("streams", &lock(&self.streams).slab.len())
            .finish_non_exhaustive()
    }
}
