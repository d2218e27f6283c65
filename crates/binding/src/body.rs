//! A streaming request body on its way to JavaScript.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::AsyncGenerator;
use napi_derive::napi;
use trilane_core::{BodyError, BodyReader};

// Under the name that the generated types show. The engine's own memory is counted and collected by the engine; pieces in
// memory of ours kept 80 to 125 MiB alive after an upload.
use crate::values::Copied as Uint8Array;

/// Why a body ended before its end.
#[napi(object)]
#[derive(Clone)]
pub struct NativeFailure {
    #[napi(ts_type = "'ERR_H3_STREAM_RESET' | 'ERR_H3_CONNECTION_CLOSED' | 'ERR_H3_PROTOCOL'")]
    pub code: String,
    pub message: String,
    /// The client's HTTP/3 error code, if it sent one.
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
    failure: Mutex<Option<NativeFailure>>,
}

impl NativeBody {
    pub(crate) fn new(reader: BodyReader) -> Self {
        let shared = Shared {
            reader: tokio::sync::Mutex::new(reader),
            failure: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

#[napi]
impl NativeBody {
    /// Why the last step was rejected; `null` if none was.
    #[napi(getter)]
    pub fn failure(&self) -> Option<NativeFailure> {
        self.shared
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
        async move {
            let read = shared.reader.lock().await.next().await;
            match read {
                Ok(piece) => Ok(piece.map(Uint8Array)),
                Err(error) => {
                    let failure = failure(error);
                    let message = failure.message.clone();
                    *shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                    Err(napi::Error::from_reason(message))
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
            shared.reader.lock().await.cancel();
            Ok(None)
        }
    }
}

fn failure(error: BodyError) -> NativeFailure {
    let (code, wire_code) = match error {
        BodyError::Reset(code) => ("ERR_H3_STREAM_RESET", Some(code as f64)),
        BodyError::ConnectionLost => ("ERR_H3_CONNECTION_CLOSED", None),
        BodyError::Malformed(_) => ("ERR_H3_PROTOCOL", None),
    };
    NativeFailure {
        code: code.to_owned(),
        message: error.to_string(),
        wire_code,
    }
}
