//! What a server and a client have alike across the border: open exchanges, by name, and the sessions and datagrams on them.

use std::sync::Arc;

use bytes::Bytes;
use napi::Env;
use napi::bindgen_prelude::{BigInt, Either, PromiseRaw};
use napi_derive::napi;
use trilane_core::{
    DatagramLayer, ExchangeId, ExchangeTable, SendPlace, SessionTable, StreamKind, StreamName, Tables,
};
use trilane_http3::Code;

use crate::answers::{AnswerBatch, Command, Commands, StreamCommand, carry_out};
use crate::body::NativeBody;
use crate::bridge::Bridge;
use crate::datagrams::{DATAGRAM_WORDS, OutgoingDatagrams};
use crate::error::{ErrorCode, Result, error, internal};
use crate::runtime;
use crate::session::NativeReadHalf;
// Under the name that the generated types show; see `body.rs`.
use crate::values::Copied as Uint8Array;
use crate::values::Utf8;

/// Slot and generation of a stream that was opened, or `none`.
type Opened = Either<(u32, u32), &'static str>;

/// The open exchanges of a server or a client: its requests and answers are written here, and sessions and datagrams used.
#[napi]
pub struct NativeExchanges {
    pub(crate) parts: Arc<Exchanges>,
}

/// What outlives the object.
pub(crate) struct Exchanges {
    pub(crate) commands: Arc<Commands>,
    pub(crate) table: Arc<ExchangeTable>,
    sessions: Arc<SessionTable>,
    bridge: Arc<Bridge>,
}

impl Exchanges {
    /// Commands of JavaScript are carried out from now on, until this is dropped.
    pub(crate) fn new(tables: &Tables, bridge: Arc<Bridge>) -> Result<Arc<Self>> {
        let commands = Arc::new(Commands::default());
        let (table, sessions) = (tables.exchanges().clone(), tables.sessions().clone());
        runtime::handle().map_err(internal)?.spawn(carry_out(
            commands.clone(),
            table.clone(),
            tables.datagrams(),
            sessions.clone(),
            bridge.clone(),
        ));
        Ok(Arc::new(Self {
            commands,
            table,
            sessions,
            bridge,
        }))
    }

    pub(crate) fn answer(&self, batch: AnswerBatch) {
        self.commands.answer(batch, &self.table, &self.bridge);
    }

    pub(crate) fn native(self: &Arc<Self>) -> NativeExchanges {
        NativeExchanges { parts: self.clone() }
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        self.commands.close();
    }
}

fn layer_of(name: &str) -> DatagramLayer {
    match name {
        "quic" => DatagramLayer::Quic,
        "webtransport" => DatagramLayer::WebTransport,
        _ => DatagramLayer::Http,
    }
}

#[napi]
impl NativeExchanges {
    /// Sends `count` datagrams, raw ones or those of exchanges: slot, generation and length of each in `words`, their bytes
    /// one behind the other. All are copied before this returns.
    #[napi]
    pub fn send_datagrams(
        &self,
        #[napi(ts_arg_type = "'quic' | 'h3' | 'webtransport'")] layer: String,
        count: u32,
        words: &[u32],
        bytes: &[u8],
    ) -> Result<()> {
        let words = words.get(..count as usize * DATAGRAM_WORDS).ok_or_else(|| {
            error(
                ErrorCode::Internal,
                format!("{count} datagrams are more than the numbers say"),
            )
        })?;
        self.parts.commands.push(Command::Datagrams(OutgoingDatagrams {
            layer: layer_of(&layer),
            words: words.to_vec(),
            bytes: Bytes::copy_from_slice(bytes),
        }));
        Ok(())
    }

    /// Counts datagrams that JavaScript got and dropped, of one exchange; of the layer `quic`, of any connection.
    #[napi]
    pub fn unread_datagrams(
        &self,
        #[napi(ts_arg_type = "'quic' | 'h3' | 'webtransport'")] layer: String,
        slot: u32,
        generation: u32,
        count: u32,
    ) {
        let layer = layer_of(&layer);
        let of = (layer != DatagramLayer::Quic).then_some(ExchangeId { slot, generation });
        self.parts.table.unread_datagrams(layer, of, u64::from(count));
    }

    /// Accepts a WebTransport session, named by its exchange; `fields` are "\0name:value\0…", or empty.
    #[napi]
    pub fn accept_session(&self, slot: u32, generation: u32, #[napi(ts_arg_type = "string")] fields: Utf8) {
        let id = ExchangeId { slot, generation };
        self.parts.commands.push(Command::Accept(id, fields.0));
    }

    /// Ends a session with a code and a reason of at most 1,024 bytes.
    #[napi]
    pub fn close_session(
        &self,
        slot: u32,
        generation: u32,
        code: u32,
        #[napi(ts_arg_type = "string")] reason: Utf8,
    ) {
        let id = ExchangeId { slot, generation };
        self.parts.commands.push(Command::Close(id, code, reason.0));
    }

    /// Asks the client to wind a session up.
    #[napi]
    pub fn drain_session(&self, slot: u32, generation: u32) {
        self.parts
            .commands
            .push(Command::Drain(ExchangeId { slot, generation }));
    }

    /// Opens a stream in a session. Resolves with its slot and generation; with `null` if the session is over; if the peer
    /// allows none now, with `none`, or where `wait` says so once it does.
    #[napi(ts_return_type = "Promise<[number, number] | 'none' | null>")]
    pub fn open_stream<'env>(
        &self,
        env: &'env Env,
        slot: u32,
        generation: u32,
        bidirectional: bool,
        wait: bool,
    ) -> Result<PromiseRaw<'env, Option<Opened>>> {
        let kind = if bidirectional {
            StreamKind::Bidirectional
        } else {
            StreamKind::Unidirectional
        };
        let sessions = self.parts.sessions.clone();
        let id = ExchangeId { slot, generation };
        env.spawn_future(async move {
            let opened = if wait {
                sessions.open_stream(id, kind).await.map(Some)
            } else {
                sessions.open_stream_now(id, kind).await
            };
            Ok(opened.ok().map(|name| match name {
                Some(name) => Either::A((name.slot, name.generation)),
                None => Either::B("none"),
            }))
        })
        .map_err(internal)
    }

    /// How long the datagrams of a session that are sent from now on may wait, in milliseconds; 0: as the limits say.
    #[napi]
    pub fn limit_datagram_age(&self, slot: u32, generation: u32, ms: u32) {
        let id = ExchangeId { slot, generation };
        self.parts.sessions.limit_datagram_age(id, ms);
    }

    /// Datagrams of a session that were too old before QUIC took them; `null` once it is over.
    #[napi]
    pub fn expired_datagrams(&self, slot: u32, generation: u32) -> Option<f64> {
        let sessions = &self.parts.sessions;
        let expired = sessions.expired_datagrams(ExchangeId { slot, generation });
        expired.map(|count| count as f64)
    }

    /// Resolves when fewer than `most` datagrams of a session's connection wait to be sent, or it is over.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn datagram_room<'env>(
        &self,
        env: &'env Env,
        slot: u32,
        generation: u32,
        most: u32,
    ) -> Result<PromiseRaw<'env, ()>> {
        let room =
            (self.parts.sessions.clone()).datagram_room(ExchangeId { slot, generation }, most as usize);
        env.spawn_future(async move {
            room.await;
            Ok(())
        })
        .map_err(internal)
    }

    /// The half of a stream that is read; `null` if it has none, or is gone.
    #[napi]
    pub fn read_half(&self, slot: u32, generation: u32) -> Option<NativeReadHalf> {
        let half = self.parts.sessions.read_half(StreamName { slot, generation });
        half.map(NativeReadHalf::new)
    }

    /// Writes a chunk to a stream of a session; copied before this returns. With `notify`, the stream hook hears "drained"
    /// once all that was written is sent.
    #[napi]
    pub fn write_stream(&self, slot: u32, generation: u32, chunk: &[u8], notify: bool) {
        let chunk = Bytes::copy_from_slice(chunk);
        self.stream(slot, generation, StreamCommand::Write { chunk, notify });
    }

    /// Ends the written half of a stream; the hook hears "finished" once all of it is acknowledged.
    #[napi]
    pub fn finish_stream(&self, slot: u32, generation: u32) {
        self.stream(slot, generation, StreamCommand::Finish);
    }

    /// RESET_STREAM with the application's code.
    #[napi]
    pub fn reset_stream(&self, slot: u32, generation: u32, code: u32) {
        self.stream(slot, generation, StreamCommand::Reset(code));
    }

    /// The written half goes before those of its group in its session with a lower order. Default: group 0, order 0.
    #[napi]
    pub fn place_stream(&self, slot: u32, generation: u32, group: u32, order: i64) {
        let place = SendPlace { group, order };
        self.stream(slot, generation, StreamCommand::Place(place));
    }

    /// Keying material of a session, of `length` bytes; `null` if it is over, or label or context are too long.
    #[napi]
    pub fn export_keying_material(
        &self,
        slot: u32,
        generation: u32,
        label: &[u8],
        context: &[u8],
        length: u32,
    ) -> Option<Uint8Array> {
        let mut output = vec![0; length as usize];
        let id = ExchangeId { slot, generation };
        let sessions = &self.parts.sessions;
        let is_exported = sessions.export_keying_material(id, label, context, &mut output);
        is_exported.then(|| Uint8Array(output.into()))
    }

    /// Both halves are done with.
    #[napi]
    pub fn forget_stream(&self, slot: u32, generation: u32) {
        self.stream(slot, generation, StreamCommand::Forget);
    }

    fn stream(&self, slot: u32, generation: u32, command: StreamCommand) {
        let name = StreamName { slot, generation };
        self.parts.commands.push(Command::Stream(name, command));
    }

    /// The stream of an open exchange, and the largest HTTP datagram it can send now (0: none); `null` once it is over.
    #[napi(ts_return_type = "[bigint, number] | null")]
    pub fn exchange_stream(&self, slot: u32, generation: u32) -> Option<(BigInt, u32)> {
        let id = ExchangeId { slot, generation };
        let (stream, most) = self.parts.table.datagram_info(id)?;
        Some((stream.into(), most.unwrap_or(0) as u32))
    }

    /// Writes a piece of a streaming answer's body; copied before this returns. With `notify`, the exchange hook
    /// hears "drained" once all that was written is sent.
    #[napi]
    pub fn write(&self, slot: u32, generation: u32, chunk: &[u8], notify: bool) {
        let (id, chunk) = (ExchangeId { slot, generation }, Bytes::copy_from_slice(chunk));
        self.parts.commands.push(Command::Write { id, chunk, notify });
    }

    /// Ends a streaming answer's body.
    #[napi]
    pub fn finish(&self, slot: u32, generation: u32) {
        self.parts
            .commands
            .push(Command::Finish(ExchangeId { slot, generation }));
    }

    /// Gives an exchange up with an HTTP/3 error code.
    #[napi]
    pub fn reset(&self, slot: u32, generation: u32, code: u32) {
        let code = Code::from(u64::from(code));
        self.parts
            .commands
            .push(Command::Reset(ExchangeId { slot, generation }, code));
    }

    /// The body of a streaming request: once, while its exchange is open. Left alone, it is declined with the answer.
    #[napi]
    pub fn body(&self, slot: u32, generation: u32) -> Option<NativeBody> {
        let id = ExchangeId { slot, generation };
        let reader = self.parts.table.take_body(id)?;
        Some(NativeBody::new(reader, id, &self.parts.bridge))
    }
}
