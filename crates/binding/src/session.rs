//! WebTransport sessions across the border: their streams, as JavaScript reads and writes them.

use std::future::Future;
use std::sync::{Arc, Mutex};

use napi::bindgen_prelude::AsyncGenerator;
use napi_derive::napi;
use trilane_core::{ReadHalf, StreamError};

use crate::sync::lock;
// Under the name that the generated types show; see `body.rs`.
use crate::values::Copied as Uint8Array;

/// Why a stream of a session ended before its end.
#[napi(object, object_from_js = false)]
#[derive(Clone, Copy)]
pub struct NativeStreamFailure {
    /// `peer`: reset or stopped by the peer; `session`, `connection`: gone; `ended`: by this side.
    #[napi(ts_type = "'peer' | 'session' | 'connection' | 'ended'")]
    pub cause: &'static str,
    /// The code of the peer's application, if it sent one.
    pub code: Option<u32>,
}

impl From<StreamError> for NativeStreamFailure {
    fn from(error: StreamError) -> Self {
        let (cause, code) = match error {
            StreamError::Peer(code) => ("peer", code),
            StreamError::SessionGone => ("session", None),
            StreamError::ConnectionLost => ("connection", None),
            StreamError::Ended | StreamError::Full => ("ended", None),
        };
        Self { cause, code }
    }
}

/// The half of a stream that is read: one piece for each step, up to 256 KiB of what is there. A step that is not asked for
/// is not read, and QUIC flow control holds the peer back.
#[napi(async_iterator)]
pub struct NativeReadHalf {
    shared: Arc<Shared>,
}

struct Shared {
    half: Arc<ReadHalf>,
    failure: Mutex<Option<NativeStreamFailure>>,
}

impl NativeReadHalf {
    pub(crate) fn new(half: Arc<ReadHalf>) -> Self {
        let failure = Mutex::default();
        Self {
            shared: Arc::new(Shared { half, failure }),
        }
    }
}

#[napi]
impl NativeReadHalf {
    /// Why the last step was rejected; `null` if none was.
    #[napi(getter)]
    pub fn failure(&self) -> Option<NativeStreamFailure> {
        *lock(&self.shared.failure)
    }

    /// Stops reading: STOP_SENDING with the application's code.
    #[napi]
    pub fn stop(&self, code: u32) {
        self.shared.half.stop(code);
    }
}

#[napi]
impl AsyncGenerator for NativeReadHalf {
    type Yield = Uint8Array;
    type Next = ();
    type Return = ();

    fn next(
        &mut self,
        _: Option<()>,
    ) -> impl Future<Output = napi::Result<Option<Uint8Array>>> + Send + 'static {
        // The future owns what it needs: the object may be freed while it runs.
        let shared = self.shared.clone();
        async move {
            match shared.half.next().await {
                Ok(piece) => Ok(piece.map(Uint8Array)),
                Err(error) => {
                    *lock(&shared.failure) = Some(error.into());
                    Err(napi::Error::from_reason(error.to_string()))
                }
            }
        }
    }

    fn complete(
        &mut self,
        _: Option<()>,
    ) -> impl Future<Output = napi::Result<Option<Uint8Array>>> + Send + 'static {
        let shared = self.shared.clone();
        async move {
            shared.half.stop(0);
            Ok(None)
        }
    }
}
