//! A streaming request body on its way to JavaScript.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

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
// Under the name that the generated types show. The engine's own memory is counted and collected by the engine; pieces in
// memory of ours kept 80 to 125 MiB alive after an upload.
use crate::values::Copied as Uint8Array;
use crate::values::Latin1;

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
}

struct Shared {
    reader: tokio::sync::Mutex<BodyReader>,
    id: ExchangeId,
    bridge: Arc<Bridge>,
    /// What wakes JavaScript also when the server has stopped meanwhile.
    wake: Option<Arc<Wake>>,
    read: Mutex<Read>,
    /// Set by `return()`, which must not wait for a step that waits for the client.
    declined: AtomicBool,
    waiting: AtomicWaker,
    failure: Mutex<Option<NativeFailure>>,
    trailers: Mutex<Option<Vec<u8>>>,
}

/// What became of a read for [`NativeBody::take`].
enum Read {
    Idle,
    UnderWay,
    Done(napi::Result<Option<Bytes>>),
}

impl NativeBody {
    pub(crate) fn new(reader: BodyReader, id: ExchangeId, bridge: Arc<Bridge>) -> Self {
        let shared = Shared {
            reader: tokio::sync::Mutex::new(reader),
            id,
            wake: bridge.wake(),
            bridge,
            read: Mutex::new(Read::Idle),
            declined: AtomicBool::new(false),
            waiting: AtomicWaker::new(),
            failure: Mutex::default(),
            trailers: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

#[napi]
impl NativeBody {
    /// A step without a promise: the next piece; empty at the end. `null`: nothing is there yet; the exchange hook then hears
    /// "readable", once, when the next call has an answer. Throws what a step would be rejected with. Not to be mixed with
    /// steps.
    // A promise of napi has a thread-safe function of its own: made, called under its lock and closed, it wakes the thread of
    // JavaScript three times, a third of all that an upload costs.
    #[napi]
    pub fn take(&self) -> napi::Result<Option<Uint8Array>> {
        let mut read = lock(&self.shared.read);
        match std::mem::replace(&mut *read, Read::Idle) {
            Read::Done(result) => Ok(Some(Uint8Array(result?.unwrap_or_default()))),
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

impl Shared {
    /// Reads for [`NativeBody::take`], and tells JavaScript.
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
        self.bridge.readable(self.id, self.wake.as_deref());
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
                let failure = failure(error, &reader);
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
            Ok(None)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
