//! A streaming request body on its way to JavaScript.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::task::AtomicWaker;
use napi::bindgen_prelude::AsyncGenerator;
use napi_derive::napi;
use trilane_core::client::ConnectionLoss;
use trilane_core::{BodyError, BodyReader, ExchangeId};

use crate::bridge::{Bridge, Wake};
use crate::messages::packed;
use crate::runtime;
use crate::sync::lock;
// Under the name that the generated types show. The engine's own memory is counted and collected by the engine; pieces in
// memory of ours kept 80 to 125 MiB alive after an upload.
use crate::values::Copied as Uint8Array;
use crate::values::{Joined, Latin1};

/// Why a body ended before its end.
#[napi(object)]
#[derive(Clone)]
pub struct NativeFailure {
    #[napi(ts_type = "'ERR_H3_STREAM_RESET' | 'ERR_H3_CONNECTION_CLOSED' | 'ERR_H3_PROTOCOL'")]
    pub code: String,
    pub message: String,
    /// The peer's HTTP/3 error code, if it sent one.
    pub wire_code: Option<f64>,
    /// How the connection ended, if that was it.
    pub loss: Option<NativeLoss>,
}

/// How a connection ended.
#[napi(object)]
#[derive(Clone)]
pub struct NativeLoss {
    pub message: String,
    /// Whether the peer ended it.
    pub remote: bool,
    /// The peer's code, if it sent one.
    pub wire_code: Option<f64>,
}

/// The body of a streaming request: one piece for each step, up to 256 KiB of what is there. A step that is not asked
/// for is not read, and QUIC flow control holds the client back. `return()` declines the rest.
#[napi(async_iterator)]
pub struct NativeBody {
    shared: Arc<Shared>,
    capsules: bool,
}

struct Shared {
    reader: tokio::sync::Mutex<BodyReader>,
    told: Arc<Told>,
    read: Mutex<Read>,
    /// Set by `return()`, which must not wait for a step that waits for the client.
    declined: AtomicBool,
    waiting: AtomicWaker,
    failure: Mutex<Option<NativeFailure>>,
    trailers: Mutex<Option<Vec<u8>>>,
}

/// Who hears that something came for who called [`NativeBody::take`] in vain. QUIC calls it and drops it under the lock of the
/// connection, which the drop of a reader takes: so it holds neither reader nor bridge.
struct Told {
    id: ExchangeId,
    bridge: Weak<Bridge>,
    /// What wakes JavaScript also when the server has stopped meanwhile.
    wake: Option<Arc<Wake>>,
}

/// What became of a read of [`NativeBody::take_read`].
enum Read {
    Idle,
    UnderWay,
    Done(napi::Result<Option<Bytes>>),
}

impl NativeBody {
    pub(crate) fn new(reader: BodyReader, id: ExchangeId, bridge: &Arc<Bridge>) -> Self {
        let capsules = reader.is_capsules();
        let shared = Shared {
            reader: tokio::sync::Mutex::new(reader),
            told: Arc::new(Told {
                id,
                wake: bridge.wake(),
                bridge: Arc::downgrade(bridge),
            }),
            read: Mutex::new(Read::Idle),
            declined: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
            failure: Mutex::default(),
            trailers: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            capsules,
        }
    }
}

#[napi]
impl NativeBody {
    /// A step without a promise: the next piece; empty at the end. `null`: nothing is there yet; the exchange hook then hears
    /// "readable", once, when the next call has an answer. Throws what a step would be rejected with. Not to be mixed with
    /// steps.
    // A promise of napi has a thread-safe function of its own: made, called under its lock and closed, it wakes the thread of
    // JavaScript three times, a third of all that an upload costs. And what waits here, copied on the IO thread, costs a copy:
    // so it is read from QUIC when JavaScript comes, on its thread.
    #[napi(ts_return_type = "Uint8Array | null")]
    pub fn take(&self) -> napi::Result<Option<Joined>> {
        if self.capsules {
            return self.take_read();
        }
        let shared = &self.shared;
        // Only who declines the rest holds the reader meanwhile.
        let Ok(mut reader) = shared.reader.try_lock() else {
            return Ok(Some(Joined::default()));
        };
        if shared.declined.load(SeqCst) {
            return Ok(Some(Joined::default()));
        }
        let handle = runtime::handle()?;
        let _runtime = handle.enter();
        let waker = Waker::from(shared.told.clone());
        let mut pieces = Vec::new();
        match reader.poll_pieces(&mut Context::from_waker(&waker), &mut pieces) {
            Poll::Pending => Ok(None),
            Poll::Ready(read) => {
                shared.ended(read, &reader)?;
                Ok(Some(Joined(pieces)))
            }
        }
    }

    /// Why the last step was rejected; `null` if none was.
    #[napi(getter)]
    pub fn failure(&self) -> Option<NativeFailure> {
        lock(&self.shared.failure).clone()
    }

    /// The trailers, written like fields, once the last step has said that the body is over; taken once. `null` if there
    /// are none.
    #[napi(ts_return_type = "string | null")]
    pub fn take_trailers(&self) -> Option<Latin1> {
        lock(&self.shared.trailers).take().map(Latin1)
    }
}

impl NativeBody {
    /// [`take`](Self::take) of what a task reads on the IO thread, where the handler hears of the datagrams in it.
    fn take_read(&self) -> napi::Result<Option<Joined>> {
        let mut read = lock(&self.shared.read);
        match std::mem::replace(&mut *read, Read::Idle) {
            Read::Done(result) => Ok(Some(Joined(result?.into_iter().collect()))),
            Read::UnderWay => {
                *read = Read::UnderWay;
                Ok(None)
            }
            Read::Idle => {
                let handle = runtime::handle()?;
                *read = Read::UnderWay;
                handle.spawn(self.shared.clone().read());
                Ok(None)
            }
        }
    }
}

impl Told {
    fn tell(&self) {
        if let Some(bridge) = self.bridge.upgrade() {
            bridge.readable(self.id, self.wake.as_deref());
        }
    }
}

impl std::task::Wake for Told {
    fn wake(self: Arc<Self>) {
        self.tell();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.tell();
    }
}

impl Shared {
    /// Reads for [`NativeBody::take_read`], and tells JavaScript.
    async fn read(self: Arc<Self>) {
        let step = async {
            loop {
                match self.step().await {
                    // Capsules, whose content was handed over: other tasks have their turn between two of them.
                    Ok(Some(piece)) if piece.is_empty() => tokio::task::yield_now().await,
                    read => return read,
                }
            }
        };
        // Who waits for a piece hears of a panic, too.
        let read = AssertUnwindSafe(step).catch_unwind().await;
        let panicked = |_| Err(napi::Error::from_reason("reading the body failed"));
        *lock(&self.read) = Read::Done(read.unwrap_or_else(panicked));
        self.told.tell();
    }

    async fn step(&self) -> napi::Result<Option<Bytes>> {
        let mut reader = self.reader.lock().await;
        let read = poll_fn(|cx| {
            self.waiting.register(cx.waker());
            if self.declined.load(SeqCst) {
                return Poll::Ready(Ok(None));
            }
            reader.poll_next(cx)
        })
        .await;
        self.ended(read, &reader)
    }

    /// Keeps what is asked for behind an end: trailers, or the failure.
    fn ended<T>(&self, read: Result<Option<T>, BodyError>, reader: &BodyReader) -> napi::Result<Option<T>> {
        match read {
            Ok(Some(piece)) => Ok(Some(piece)),
            Ok(None) => {
                let trailers = reader.trailers();
                if !trailers.is_empty() {
                    *lock(&self.trailers) = Some(packed(trailers));
                }
                Ok(None)
            }
            Err(error) => {
                let failure = failure(error, reader);
                let message = failure.message.clone();
                *lock(&self.failure) = Some(failure);
                Err(napi::Error::from_reason(message))
            }
        }
    }
}

#[napi]
impl AsyncGenerator for NativeBody {
    type Yield = Uint8Array;
    type Next = ();
    type Return = ();

    fn next(
        &mut self,
        _: Option<()>,
    ) -> impl Future<Output = napi::Result<Option<Uint8Array>>> + Send + 'static {
        // The future owns what it needs: the object may be freed while it runs.
        let shared = self.shared.clone();
        async move { Ok(shared.step().await?.map(Uint8Array)) }
    }

    fn complete(
        &mut self,
        _: Option<()>,
    ) -> impl Future<Output = napi::Result<Option<Uint8Array>>> + Send + 'static {
        let shared = self.shared.clone();
        async move {
            shared.declined.store(true, SeqCst);
            shared.waiting.wake();
            shared.reader.lock().await.cancel();
            // Who called `take` in vain is not among those that `waiting` wakes.
            shared.told.tell();
            Ok(None)
        }
    }
}

fn failure(error: BodyError, reader: &BodyReader) -> NativeFailure {
    let (code, wire_code) = match error {
        BodyError::Reset(code) => ("ERR_H3_STREAM_RESET", Some(code as f64)),
        BodyError::ConnectionLost => ("ERR_H3_CONNECTION_CLOSED", None),
        BodyError::Malformed(_) => ("ERR_H3_PROTOCOL", None),
    };
    NativeFailure {
        code: code.to_owned(),
        message: error.to_string(),
        wire_code,
        loss: (error == BodyError::ConnectionLost).then(|| loss(reader.loss())),
    }
}

fn loss(loss: ConnectionLoss) -> NativeLoss {
    NativeLoss {
        message: format!("the connection ended: {loss}"),
        remote: loss.remote,
        wire_code: loss.code.map(|code| code as f64),
    }
}
