//! One turn of the JavaScript thread: what waits in the bridge is packed and handed to the hooks.

use std::cell::RefCell;
use std::sync::Arc;

use napi::bindgen_prelude::{FnArgs, FunctionRef, Uint32Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use trilane_core::ExchangeEvent;

use crate::bridge::{BATCH_WORDS, Bridge, Happened, RequestBatch};
use crate::error::{Result, internal};
use crate::values::{Copied, Latin1};

/// Weak: it does not keep the process alive.
type WakeFunction = ThreadsafeFunction<(), (), (), Status, false, true>;

type RequestHook = FunctionRef<FnArgs<(u32, Latin1, Vec<Copied>)>, ()>;
type EventHook = FunctionRef<FnArgs<(u32, u32, &'static str, Option<f64>)>, ()>;
type RefusedHook = FunctionRef<FnArgs<(u32, u32, String)>, ()>;
type DatagramHook = FunctionRef<FnArgs<(u32, Vec<Copied>)>, ()>;
type SessionHook = FunctionRef<FnArgs<(u32, u32, &'static str, Option<f64>)>, ()>;

/// Whom to call. Each runs on the JavaScript thread, at most once a turn for each batch; what it throws is an
/// uncaught exception.
#[napi(object, object_to_js = false)]
pub struct NativeServerHooks {
    /// Takes the requests of a turn: how many, their text, their bodies; the numbers are in `inbox`.
    #[napi(ts_type = "(count: number, text: string, bodies: Uint8Array[]) => void")]
    pub request: RequestHook,
    /// Hears of one exchange: the client reset it, stopped reading or is gone, `code` being its HTTP/3 error code
    /// if it sent one; or all that was written was sent.
    #[napi(
        ts_type = "(slot: number, generation: number, event: 'aborted' | 'drained', code: number | null) => void"
    )]
    pub exchange: EventHook,
    /// The answer that was given may not be sent, for this reason; the exchange awaits another.
    #[napi(ts_type = "(slot: number, generation: number, reason: string) => void")]
    pub refused: RefusedHook,
    /// Takes the raw QUIC datagrams of a turn; the numbers name the connection of each by slot and generation. The
    /// server does not read datagrams yet and refuses the option that asks for them: the place is made, nothing calls.
    #[napi(ts_type = "(count: number, payloads: Uint8Array[]) => void")]
    pub quic_datagram: Option<DatagramHook>,
    /// Takes the HTTP datagrams of a turn (RFC 9297); the numbers name the exchange of each by slot and generation. As
    /// with `quicDatagram`, nothing calls yet.
    #[napi(ts_type = "(count: number, payloads: Uint8Array[]) => void")]
    pub h3_datagram: Option<DatagramHook>,
    /// Hears of one WebTransport session, named by its exchange. As with `quicDatagram`, nothing calls yet.
    #[napi(
        ts_type = "(slot: number, generation: number, event: 'stream' | 'unidirectionalStream' | 'draining' | 'closed', code: number | null) => void"
    )]
    pub session: Option<SessionHook>,
    /// Receives the numbers of a batch. 16,384 words, shared: read it before the hook returns.
    pub inbox: Uint32Array,
}

struct Turn {
    bridge: Arc<Bridge>,
    hooks: NativeServerHooks,
}

/// Makes the function that wakes JavaScript; it may be called from any thread.
pub(crate) fn wake_function(
    env: &Env,
    bridge: Arc<Bridge>,
    hooks: NativeServerHooks,
) -> Result<impl Fn() + Send + Sync + use<>> {
    if hooks.inbox.len() < BATCH_WORDS {
        return Err(crate::error::error(
            crate::error::ErrorCode::Internal,
            format!("inbox has {} words, it needs {BATCH_WORDS}", hooks.inbox.len()),
        ));
    }
    let turn = RefCell::new(Turn { bridge, hooks });
    let function = env
        .create_function_from_closure::<(), (), _>("turn", move |call| {
            // Never entered twice: the hooks do not call into here.
            if let Ok(mut turn) = turn.try_borrow_mut() {
                turn.run(call.env)?;
            }
            Ok(())
        })
        .map_err(internal)?;
    let wake: WakeFunction = function
        .build_threadsafe_function()
        .weak::<true>()
        .build()
        .map_err(internal)?;
    // A closing environment refuses the call; it takes no more requests either.
    Ok(move || {
        let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    })
}

impl Turn {
    /// Delivers everything, even if a hook throws: what it throws is thrown on at the end.
    fn run(&mut self, env: &Env) -> napi::Result<()> {
        let waiting = self.bridge.take();
        let mut result = Ok(());
        // Requests first: an event may be about one of them.
        for batch in waiting.requests {
            result = result.and(self.deliver(env, batch));
        }
        for happened in waiting.happened {
            result = result.and(self.tell(env, happened));
        }
        result
    }

    fn deliver(&mut self, env: &Env, batch: RequestBatch) -> napi::Result<()> {
        // SAFETY: the array belongs to this thread and is used by nobody else while this function runs; it is never
        // transferred, being private to the library.
        let inbox = unsafe { self.hooks.inbox.as_mut() };
        inbox[..batch.words.len()].copy_from_slice(&batch.words);
        let bodies = batch.bodies.into_iter().map(Copied).collect();
        self.hooks
            .request
            .borrow_back(env)?
            .call((batch.count, Latin1(batch.text), bodies).into())
    }

    fn tell(&self, env: &Env, happened: Happened) -> napi::Result<()> {
        match happened {
            Happened::Event(id, event) => {
                let (event, code) = match event {
                    ExchangeEvent::Aborted { code } => ("aborted", code.map(|code| code as f64)),
                    ExchangeEvent::Drained => ("drained", None),
                };
                let hook = self.hooks.exchange.borrow_back(env)?;
                hook.call((id.slot, id.generation, event, code).into())
            }
            Happened::Refused(id, reason) => self
                .hooks
                .refused
                .borrow_back(env)?
                .call((id.slot, id.generation, reason).into()),
        }
    }
}
