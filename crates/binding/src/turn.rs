//! One turn of the JavaScript thread: what waits in the bridge is packed and handed to the hooks.

use std::cell::RefCell;
use std::sync::Arc;

use napi::bindgen_prelude::{FnArgs, FunctionRef, Uint32Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use trilane_core::{
    ConnectionEvent, DatagramLayer, ExchangeEvent, ExchangeId, SessionEnd, SessionEvent, StreamEvent,
    StreamKind,
};

use crate::bridge::{Bridge, Happened, Sent};
use crate::client::NativeRequestFailure;
use crate::connection::NativeConnection;
use crate::datagrams::{DATAGRAM_WORDS, DatagramBatch};
use crate::error::{ErrorCode, Result, internal};
use crate::messages::{BATCH_WORDS, MessageBatch};
use crate::request_end::NativeRequestEnd;
use crate::session::NativeStreamFailure;
use crate::values::{Copied, Latin1};

/// Weak: it does not keep the process alive.
type WakeFunction = ThreadsafeFunction<(), (), (), Status, false, true>;

type RequestHook = FunctionRef<FnArgs<(u32, Latin1, Vec<Copied>, u32, Option<Copied>)>, ()>;
type ResponseHook = FunctionRef<FnArgs<(u32, Latin1, Vec<Copied>, Copied)>, ()>;
type FailedHook = FunctionRef<FnArgs<(u32, u32, NativeRequestFailure)>, ()>;
type RequestEndedHook = FunctionRef<FnArgs<(Vec<NativeRequestEnd>,)>, ()>;
type RoutingsOverHook = FunctionRef<FnArgs<(Vec<u32>,)>, ()>;
type EventHook = FunctionRef<FnArgs<(u32, u32, &'static str, Option<f64>)>, ()>;
type RefusedHook = FunctionRef<FnArgs<(u32, u32, &'static str, String)>, ()>;
type FileFailedHook = FunctionRef<FnArgs<(u32, u32, bool, &'static str, String)>, ()>;
type DatagramHook = FunctionRef<FnArgs<(u32, Copied)>, ()>;
type ConnectedHook = FunctionRef<FnArgs<(NativeConnection,)>, ()>;
type DisconnectedHook = FunctionRef<FnArgs<(u32, u32, bool, Option<f64>)>, ()>;
type SessionStreamHook = FunctionRef<FnArgs<(u32, u32, u32, u32, bool)>, ()>;
type SessionDrainingHook = FunctionRef<FnArgs<(u32, u32)>, ()>;
type SessionClosedHook = FunctionRef<FnArgs<(u32, u32, bool, u32, String)>, ()>;
type StreamHook = FunctionRef<FnArgs<(u32, u32, &'static str, Option<NativeStreamFailure>)>, ()>;

/// Whom to call. Each runs on the JavaScript thread, at most once a turn for each batch; what it throws is an
/// uncaught exception.
#[napi(object, object_to_js = false)]
pub struct NativeHooks {
    /// Takes the requests of a turn: how many, their text, their bodies, the routing whose routes they name, and the small ones
    /// of the bodies, one behind the other, `null` if there are none; the numbers are in `inbox`.
    #[napi(
        ts_type = "(count: number, text: string, bodies: Uint8Array[], routing: number, shared: Uint8Array | null) => void"
    )]
    pub request: Option<RequestHook>,
    /// Takes the responses of a turn, of a client: how many, their text, their bodies, and the small ones of these, one behind
    /// the other; the numbers are in `inbox`.
    #[napi(ts_type = "(count: number, text: string, bodies: Uint8Array[], shared: Uint8Array) => void")]
    pub response: Option<ResponseHook>,
    /// Hears of requests of a client that get no response.
    #[napi(ts_type = "(slot: number, generation: number, failure: NativeRequestFailure) => void")]
    pub request_failed: Option<FailedHook>,
    /// Hears of routings that are over: a reload replaced them, and no request of theirs will come any more.
    #[napi(ts_type = "(routings: number[]) => void")]
    pub routings_over: Option<RoutingsOverHook>,
    /// Hears of one exchange: the client reset it, stopped reading or is gone, `code` being its HTTP/3 error code
    /// if it sent one; or all that was written was sent; or an answer from a file was sent; or its body can be read on.
    #[napi(
        ts_type = "(slot: number, generation: number, event: 'aborted' | 'drained' | 'stopped' | 'finished' | 'readable', code: number | null) => void"
    )]
    pub exchange: EventHook,
    /// The answer that was given may not be sent: the code of the error, and the reason; the exchange awaits another.
    #[napi(
        ts_type = "(slot: number, generation: number, code: 'ERR_H3_HEADER' | 'ERR_H3_RESPONSE_LENGTH', reason: string) => void"
    )]
    pub refused: Option<RefusedHook>,
    /// The file of an answer failed, with a code of the table of errors. Before it had begun, the exchange awaits
    /// another answer; after, its stream was reset.
    #[napi(
        ts_type = "(slot: number, generation: number, begun: boolean, code: string, reason: string) => void"
    )]
    pub file_failed: Option<FileFailedHook>,
    /// Hears of requests that are over, after everything else about them.
    #[napi(ts_type = "(ended: NativeRequestEnd[]) => void")]
    pub request_ended: Option<RequestEndedHook>,
    /// Takes raw QUIC datagrams: how many, and their bytes one behind the other; the numbers in `inbox` are slot and
    /// generation of the connection, and the length.
    #[napi(ts_type = "(count: number, bytes: Uint8Array) => void")]
    pub quic_datagrams: Option<DatagramHook>,
    /// Takes HTTP datagrams (RFC 9297) in the same way; slot and generation name the exchange.
    #[napi(ts_type = "(count: number, bytes: Uint8Array) => void")]
    pub h3_datagrams: Option<DatagramHook>,
    /// Takes datagrams of WebTransport sessions in the same way; slot and generation name the session's exchange.
    #[napi(ts_type = "(count: number, bytes: Uint8Array) => void")]
    pub session_datagrams: Option<DatagramHook>,
    /// Hears of a connection whose handshake is complete.
    #[napi(ts_type = "(connection: NativeConnection) => void")]
    pub connected: Option<ConnectedHook>,
    /// Hears that a connection is over: by the client, with this code if it sent one, or by this side.
    #[napi(ts_type = "(slot: number, generation: number, remote: boolean, code: number | null) => void")]
    pub disconnected: Option<DisconnectedHook>,
    /// A client opened a stream in a WebTransport session: slot and generation of the session's exchange, then those of the
    /// stream.
    #[napi(
        ts_type = "(slot: number, generation: number, streamSlot: number, streamGeneration: number, bidirectional: boolean) => void"
    )]
    pub session_stream: Option<SessionStreamHook>,
    /// The client asks for a session to be wound up.
    #[napi(ts_type = "(slot: number, generation: number) => void")]
    pub session_draining: Option<SessionDrainingHook>,
    /// The client ended a session: cleanly, with a code and a reason, or not.
    #[napi(
        ts_type = "(slot: number, generation: number, clean: boolean, code: number, reason: string) => void"
    )]
    pub session_closed: Option<SessionClosedHook>,
    /// What became of what was written to a stream of a session; of `failed`, why.
    #[napi(
        ts_type = "(slot: number, generation: number, event: 'drained' | 'finished' | 'failed', failure: NativeStreamFailure | null) => void"
    )]
    pub stream: Option<StreamHook>,
    /// Receives the numbers of a batch. 16,384 words, shared: read it before the hook returns.
    pub inbox: Uint32Array,
}

/// What a batch holds.
#[derive(Clone, Copy)]
enum Kind {
    Requests,
    Responses,
}

struct Turn {
    bridge: Arc<Bridge>,
    hooks: NativeHooks,
}

/// Makes the function that wakes JavaScript; it may be called from any thread.
pub(crate) fn wake_function(
    env: &Env,
    bridge: Arc<Bridge>,
    hooks: NativeHooks,
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
        let mut waiting = self.bridge.take();
        let mut result = Ok(());
        // Connections before what comes on them, and what comes on them before their end.
        let (opened, happened): (Vec<_>, Vec<_>) = waiting
            .happened
            .into_iter()
            .partition(|one| matches!(one, Happened::Connection(_, ConnectionEvent::Opened(_))));
        for one in opened {
            result = result.and(self.tell(env, one));
        }
        // Requests first: an event may be about one of them.
        for batch in waiting.requests {
            result = result.and(self.deliver(env, batch, Kind::Requests));
        }
        for batch in waiting.responses {
            result = result.and(self.deliver(env, batch, Kind::Responses));
        }
        let most = BATCH_WORDS / DATAGRAM_WORDS;
        while let Some(batch) = waiting.quic_datagrams.take(most) {
            result = result.and(self.hand_over(env, batch, DatagramLayer::Quic));
        }
        while let Some(batch) = waiting.h3_datagrams.take(most) {
            result = result.and(self.hand_over(env, batch, DatagramLayer::Http));
        }
        while let Some(batch) = waiting.session_datagrams.take(most) {
            result = result.and(self.hand_over(env, batch, DatagramLayer::WebTransport));
        }
        for one in happened {
            result = result.and(self.tell(env, one));
        }
        if let Some(hook) = &self.hooks.request_ended
            && !waiting.ended.is_empty()
        {
            let ended: Vec<_> = waiting.ended.into_iter().map(NativeRequestEnd::from).collect();
            let told = hook.borrow_back(env);
            result = result.and(told.and_then(|hook| hook.call((ended,).into())));
        }
        if let Some(hook) = &self.hooks.routings_over
            && !waiting.over_routings.is_empty()
        {
            let told = hook.borrow_back(env);
            result = result.and(told.and_then(|hook| hook.call((waiting.over_routings,).into())));
        }
        result
    }

    fn hand_over(&mut self, env: &Env, batch: DatagramBatch, layer: DatagramLayer) -> napi::Result<()> {
        self.write_inbox(&batch.words);
        let hook = match layer {
            DatagramLayer::Quic => &self.hooks.quic_datagrams,
            DatagramLayer::Http => &self.hooks.h3_datagrams,
            DatagramLayer::WebTransport => &self.hooks.session_datagrams,
        };
        match hook {
            Some(hook) => hook
                .borrow_back(env)?
                .call((batch.count, Copied(batch.bytes)).into()),
            None => Ok(()),
        }
    }

    fn write_inbox(&mut self, words: &[u32]) {
        // SAFETY: the array belongs to this thread and is used by nobody else while this function runs; it is never
        // transferred, being private to the library.
        let inbox = unsafe { self.hooks.inbox.as_mut() };
        inbox[..words.len()].copy_from_slice(words);
    }

    fn deliver(&mut self, env: &Env, batch: MessageBatch, kind: Kind) -> napi::Result<()> {
        self.write_inbox(&batch.words);
        let bodies = batch.bodies.into_iter().map(Copied).collect();
        let (count, text) = (batch.count, Latin1(batch.text));
        match (kind, &self.hooks.request, &self.hooks.response) {
            (Kind::Requests, Some(hook), _) => {
                let shared = (!batch.shared.is_empty()).then(|| Copied(batch.shared.into()));
                hook.borrow_back(env)?
                    .call((count, text, bodies, batch.routing, shared).into())
            }
            (Kind::Responses, _, Some(hook)) => {
                let shared = Copied(batch.shared.into());
                hook.borrow_back(env)?.call((count, text, bodies, shared).into())
            }
            _ => Ok(()),
        }
    }

    fn tell(&self, env: &Env, happened: Happened) -> napi::Result<()> {
        match happened {
            Happened::Event(id, event) => {
                let (event, code) = match event {
                    ExchangeEvent::Aborted { code } => ("aborted", code.map(|code| code as f64)),
                    ExchangeEvent::Drained => ("drained", None),
                    ExchangeEvent::Stopped { code } => ("stopped", code.map(|code| code as f64)),
                    ExchangeEvent::Finished => ("finished", None),
                };
                let hook = self.hooks.exchange.borrow_back(env)?;
                hook.call((id.slot, id.generation, event, code).into())
            }
            Happened::Readable(id) => {
                let hook = self.hooks.exchange.borrow_back(env)?;
                hook.call((id.slot, id.generation, "readable", None).into())
            }
            Happened::Connection(_, ConnectionEvent::Opened(info)) => match &self.hooks.connected {
                Some(hook) => hook
                    .borrow_back(env)?
                    .call((NativeConnection::from(*info),).into()),
                None => Ok(()),
            },
            Happened::Connection(name, ConnectionEvent::Closed(cause)) => match &self.hooks.disconnected {
                Some(hook) => {
                    let code = cause.code.map(|code| code as f64);
                    hook.borrow_back(env)?
                        .call((name.slot, name.generation, cause.remote, code).into())
                }
                None => Ok(()),
            },
            Happened::Session(id, event) => self.tell_session(env, id, event),
            Happened::Stream(name, event) => {
                let (event, failure) = match event {
                    StreamEvent::Drained => ("drained", None),
                    StreamEvent::Finished => ("finished", None),
                    StreamEvent::Failed(error) => ("failed", Some(error.into())),
                };
                match &self.hooks.stream {
                    Some(hook) => hook
                        .borrow_back(env)?
                        .call((name.slot, name.generation, event, failure).into()),
                    None => Ok(()),
                }
            }
            Happened::Refused(id, code, reason) => match &self.hooks.refused {
                Some(hook) => hook
                    .borrow_back(env)?
                    .call((id.slot, id.generation, code.as_str(), reason).into()),
                None => Ok(()),
            },
            Happened::Failed(id, error) => match &self.hooks.request_failed {
                Some(hook) => hook
                    .borrow_back(env)?
                    .call((id.slot, id.generation, NativeRequestFailure::from(error)).into()),
                None => Ok(()),
            },
            Happened::FileFailed(id, sent, error) => {
                let code = ErrorCode::from(&error).as_str();
                let begun = sent == Sent::Part;
                match &self.hooks.file_failed {
                    Some(hook) => hook
                        .borrow_back(env)?
                        .call((id.slot, id.generation, begun, code, error.to_string()).into()),
                    None => Ok(()),
                }
            }
        }
    }

    fn tell_session(&self, env: &Env, id: ExchangeId, event: SessionEvent) -> napi::Result<()> {
        let hooks = &self.hooks;
        match (
            event,
            &hooks.session_stream,
            &hooks.session_draining,
            &hooks.session_closed,
        ) {
            (SessionEvent::Stream(name, kind), Some(hook), ..) => {
                let bidirectional = kind == StreamKind::Bidirectional;
                let ids = (id.slot, id.generation, name.slot, name.generation, bidirectional);
                hook.borrow_back(env)?.call(ids.into())
            }
            (SessionEvent::Draining, _, Some(hook), _) => {
                hook.borrow_back(env)?.call((id.slot, id.generation).into())
            }
            (SessionEvent::Closed(end), _, _, Some(hook)) => {
                let (clean, code, reason) = match end {
                    SessionEnd::Clean { code, reason } => (true, code, reason),
                    SessionEnd::Abrupt => (false, 0, String::new()),
                };
                hook.borrow_back(env)?
                    .call((id.slot, id.generation, clean, code, reason).into())
            }
            _ => Ok(()),
        }
    }
}
