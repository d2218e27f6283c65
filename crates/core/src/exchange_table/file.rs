//! Answers whose body is a file: the connection's task reads it, a chunk ahead, as fast as QUIC takes it.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use quinn::{SendStream, StoppedError, VarInt};
use tokio::task::{JoinHandle, spawn_blocking};
use trilane_http3::Code;

use crate::answer_head;
use crate::connection::Outcome as TaskOutcome;
use crate::exchange::{ExchangeError, ExchangeId};
use crate::exchange_table::{Answer, ExchangeTable, said_priority};
use crate::file::{Content, Field, FileAnswer, FileError, FileMemory, FileReader, Lease, Prepared};
use crate::handler::ExchangeEvent;
use crate::outbound::{self, Outbound, Outcome};
use crate::priority::Place;
use crate::response::body_rule;
use crate::sync::lock;
use crate::wire::wire_code;

impl ExchangeTable {
    /// Sends an answer whose body is a file. Returns at once; the handler hears the end: [`ExchangeEvent::Finished`],
    /// [`Handler::file_refused`](crate::Handler::file_refused), after which another answer is awaited,
    /// [`Handler::file_broken`](crate::Handler::file_broken), or an abort. With [`ExchangeError::Field`] and
    /// [`ExchangeError::Status`] the exchange stays open.
    pub fn respond_with_file(
        self: &Arc<Self>,
        id: ExchangeId,
        answer: FileAnswer,
    ) -> Result<(), ExchangeError> {
        answer_head::check(answer.status, pairs(&answer.fields))?;
        let (method, connection) = {
            let mut slots = lock(&self.slots);
            let slot = slots.get(id)?;
            if !matches!(slot.answer, Answer::Awaited(_)) {
                return Err(ExchangeError::AlreadyStarted);
            }
            (slot.method, slot.connection.clone())
        };
        let (table, memory) = (self.clone(), connection.file_memory.clone());
        let rule = body_rule(method, answer.status);
        connection.adopt(
            async move {
                let path = answer.location.path();
                let prepared = spawn_blocking(move || answer.prepare(rule, SystemTime::now())).await;
                // A panic there is a failure of this answer.
                match prepared.unwrap_or_else(|error| Err(FileError::of(path, error.into()))) {
                    Ok(prepared) => table.send_file(id, memory, prepared).await,
                    Err(error) if table.is_open(id) => table.handler.file_refused(id, error),
                    Err(_) => {}
                }
            }
            .map(|()| TaskOutcome::Done),
        );
        Ok(())
    }

    /// Sends what was prepared, unless the exchange has ended meanwhile.
    async fn send_file(&self, id: ExchangeId, memory: Arc<FileMemory>, prepared: Prepared) {
        let Prepared { status, fields, body } = prepared;
        let reader = match body {
            Content::File(reader) => reader,
            Content::Whole(bytes) => {
                if self.respond(id, status, pairs(&fields), bytes).is_ok() {
                    self.handler.exchange_event(id, ExchangeEvent::Finished);
                }
                return;
            }
        };
        let Some(started) = self.start_file(id, status, &fields) else {
            return;
        };
        let control = started.control.clone();
        match self.copy(id, started, reader, &memory).await {
            Ok(outcome) => {
                let is_sent = outcome == Outcome::Done && self.is_open(id);
                self.ended(id, &control, outcome);
                if is_sent {
                    self.handler.exchange_event(id, ExchangeEvent::Finished);
                }
            }
            Err(error) => {
                let code = Code::H3_INTERNAL_ERROR;
                self.ended(id, &control, Outcome::Reset { code });
                self.handler.file_broken(id, error);
            }
        }
    }

    /// Takes the stream of an exchange that still awaits its answer; what is left there only takes a reset.
    fn start_file(&self, id: ExchangeId, status: u16, fields: &[Field]) -> Option<Started> {
        let mut slots = lock(&self.slots);
        let slot = slots.get(id).ok()?;
        if !matches!(slot.answer, Answer::Awaited(_)) {
            return None;
        }
        if let Some(record) = &mut slot.record {
            record.status = Some(status);
        }
        let head = self.encoder.head(slot.method, status, pairs(fields));
        let control = Arc::new(Outbound::closed());
        match std::mem::replace(&mut slot.answer, Answer::Streaming(control.clone())) {
            Answer::Awaited(send) => {
                let (interim, stream) = send.into_parts();
                let said = said_priority(pairs(fields));
                Some(Started {
                    place: Place::new(slot.connection.clone(), &stream, slot.priority, said),
                    stream,
                    control,
                    heads: [interim, head]
                        .into_iter()
                        .filter(|head| !head.is_empty())
                        .collect(),
                })
            }
            Answer::Streaming(_) | Answer::Sent => None,
        }
    }

    /// Sends the head, the file and FIN. Ends when the peer has acknowledged all, has stopped reading, or is gone; a file
    /// that fails is a reset, so that no client takes a part for the whole.
    async fn copy(
        &self,
        id: ExchangeId,
        started: Started,
        reader: FileReader,
        memory: &Arc<FileMemory>,
    ) -> Result<Outcome, FileError> {
        let Started {
            mut stream,
            control,
            mut place,
            heads: mut chunks,
        } = started;
        let mut stopped = pin!(stream.stopped());
        let mut ahead = Ahead::start(reader, memory.lease());
        let outcome = loop {
            let (chunk, lease, reader) = match ahead.wait(&control, stopped.as_mut()).await {
                Waited::Chunk(chunk, lease, reader) => (chunk, lease, reader),
                Waited::Failed(error) => {
                    let _ = stream.reset(wire_code(Code::H3_INTERNAL_ERROR));
                    return Err(error);
                }
                Waited::End(outcome) => break outcome,
            };
            // Two chunks at most: one on its way, one being read.
            let is_last = reader.left() == 0;
            let next = if is_last { None } else { memory.lease_ahead() };
            let reading = match next {
                Some(lease) => Ok(Ahead::start(reader, lease)),
                None => Err(reader),
            };
            let length = chunk.len() as u64;
            let mut header = BytesMut::with_capacity(9);
            trilane_http3::write_data_header(&mut header, length);
            chunks.extend([header.freeze(), chunk]);
            let chunks = std::mem::take(&mut chunks);
            if let Err(outcome) = outbound::write(&mut stream, &control, &mut place, chunks).await {
                break outcome;
            }
            drop(lease);
            self.count_sent(id, length);
            if is_last {
                let _ = stream.finish();
                break match stopped.await {
                    Ok(None) => Outcome::Done,
                    end => Outcome::Aborted {
                        code: outbound::stop_code(end),
                    },
                };
            }
            ahead = reading.unwrap_or_else(|reader| Ahead::start(reader, memory.lease()));
        };
        match outcome {
            Outcome::Done => {}
            Outcome::Reset { code } => drop(stream.reset(wire_code(code))),
            Outcome::Aborted { .. } => drop(stream.reset(wire_code(Code::H3_REQUEST_CANCELLED))),
        }
        Ok(outcome)
    }
}

fn pairs(fields: &[Field]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    fields.iter().map(|(name, value)| (&name[..], &value[..]))
}

/// A stream whose answer has begun.
struct Started {
    stream: SendStream,
    control: Arc<Outbound>,
    place: Place,
    /// What goes before the content: interim heads that flow control did not take yet, and the final one.
    heads: Vec<Bytes>,
}

/// A read under way in the blocking pool.
struct Ahead {
    reading: JoinHandle<Result<(Bytes, FileReader), FileError>>,
    lease: Lease,
    path: PathBuf,
}

enum Waited {
    Chunk(Bytes, Lease, FileReader),
    Failed(FileError),
    End(Outcome),
}

impl Ahead {
    fn start(mut reader: FileReader, lease: Lease) -> Self {
        let (bytes, path) = (lease.bytes(), reader.path());
        Self {
            reading: spawn_blocking(move || Ok((reader.read(bytes)?, reader))),
            lease,
            path,
        }
    }

    /// Waits for the chunk, for a reset by us, or for the peer to stop reading.
    async fn wait(
        mut self,
        control: &Outbound,
        mut stopped: Pin<&mut impl Future<Output = Result<Option<VarInt>, StoppedError>>>,
    ) -> Waited {
        let read = poll_fn(|cx| {
            if let Some(code) = control.poll_reset(cx) {
                return Poll::Ready(Err(Outcome::Reset { code }));
            }
            if let Poll::Ready(end) = stopped.as_mut().poll(cx) {
                let code = outbound::stop_code(end);
                return Poll::Ready(Err(Outcome::Aborted { code }));
            }
            Pin::new(&mut self.reading).poll(cx).map(Ok)
        })
        .await;
        match read {
            Ok(Ok(Ok((chunk, reader)))) => Waited::Chunk(chunk, self.lease, reader),
            Ok(Ok(Err(error))) => Waited::Failed(error),
            // A panic there is a failure of this answer.
            Ok(Err(panic)) => Waited::Failed(FileError::of(self.path, panic.into())),
            Err(outcome) => Waited::End(outcome),
        }
    }
}
