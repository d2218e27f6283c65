//! From JavaScript to the IO thread: the answers of a turn go over in one call and are written there.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use trilane_core::{
    DatagramSender, ExchangeError, ExchangeEvent, ExchangeId, ExchangeTable, Handler, Notify, SendPlace,
    SessionTable, StreamError, StreamName, drive_here,
};
use trilane_http3::Code;

use crate::bridge::{self, Bridge};
use crate::datagrams::{self, OutgoingDatagrams};
use crate::error::ErrorCode;
use crate::files::file_answer;
use crate::sync::lock;

/// Words of one answer: slot, generation, status, kind and body, length of the fields, length of the body if it is text
/// or shared.
pub(crate) const ANSWER_WORDS: usize = 6;

/// Set in an answer's fourth word if the body follows in pieces.
const STREAMING: u32 = 1 << 31;

/// Set in an answer's fourth word if it came from the error handler: refused, it is replaced by a plain 500 here.
const LAST_RESORT: u32 = 1 << 30;

/// Set in an answer's fourth word if its body is the next piece of the shared bytes.
const SHARED: u32 = 1 << 29;

/// Set in an answer's fourth word if its body is a file, named by its text (`files`).
const FILE: u32 = 1 << 28;

/// The rest of an answer's fourth word: the number of its body among the binary ones, from 1; 0 if it is text.
const BODY: u32 = FILE - 1;

/// Answers that JavaScript's thread writes and sends itself while the IO thread sleeps, and the bytes of their text and bodies.
const ANSWERED_AT_ONCE: usize = 4;
const BYTES_AT_ONCE: usize = 16 * 1024;

/// Answers of a turn, packed.
pub(crate) struct AnswerBatch {
    pub(crate) words: Vec<u32>,
    /// Fields and text bodies as UTF-8; lengths in the words count UTF-16 units.
    pub(crate) text: Bytes,
    /// Small binary bodies, one behind the other.
    pub(crate) shared: Bytes,
    pub(crate) bodies: Vec<Bytes>,
}

impl AnswerBatch {
    /// Whether it is a few whole answers, to be written without a task.
    fn is_short(&self) -> bool {
        let records = self.words.chunks_exact(ANSWER_WORDS);
        let bodies: usize = self.bodies.iter().map(Bytes::len).sum();
        records.len() <= ANSWERED_AT_ONCE
            && self.text.len() + self.shared.len() + bodies <= BYTES_AT_ONCE
            && records.fold(0, |kinds, record| kinds | record[3]) & (STREAMING | FILE) == 0
    }
}

/// What JavaScript asks of the IO thread, in its order.
pub(crate) enum Command {
    Answer(AnswerBatch),
    Write {
        id: ExchangeId,
        chunk: Bytes,
        notify: bool,
    },
    Finish(ExchangeId),
    /// The end of a streaming body, with trailers that were checked.
    Trailers(ExchangeId, Bytes),
    /// An interim answer that was checked.
    Inform {
        id: ExchangeId,
        status: u16,
        fields: Bytes,
    },
    Reset(ExchangeId, Code),
    Datagrams(OutgoingDatagrams),
    /// Accepts a WebTransport session with these fields ("\0name:value\0…").
    Accept(ExchangeId, Bytes),
    Close(ExchangeId, u32, Bytes),
    Drain(ExchangeId),
    Stream(StreamName, StreamCommand),
}

/// What JavaScript asks of one stream of a session.
pub(crate) enum StreamCommand {
    Write { chunk: Bytes, notify: bool },
    Finish,
    Reset(u32),
    Place(SendPlace),
    Forget,
}

/// The queue from JavaScript to the IO thread. Its length is bounded by what is open: one answer an exchange, and
/// pieces of streaming bodies, whose writer waits for the drained event.
#[derive(Default)]
pub(crate) struct Commands {
    queue: Mutex<Vec<Command>>,
    /// Held while commands are carried out, which keeps them in their order.
    turn: Mutex<()>,
    waker: AtomicWaker,
    closed: AtomicBool,
}

impl Commands {
    pub(crate) fn push(&self, command: Command) {
        let mut queue = lock(&self.queue);
        let first = queue.is_empty();
        queue.push(command);
        drop(queue);
        if first {
            self.waker.wake();
        }
    }

    /// Answers on the thread of the caller if that is less work than waking the IO thread: to a few requests, while it sleeps.
    /// One request at a time on Node 26: 7.0 instead of 9.1 system calls a request, 2.1 instead of 4.6 changes of threads where
    /// both have one core.
    pub(crate) fn answer(&self, batch: AnswerBatch, table: &Arc<ExchangeTable>, bridge: &Bridge) {
        if batch.is_short() && bridge::is_io_thread_asleep() {
            let turn = self.turn.try_lock();
            // Nobody else pushes: the queue stays empty.
            if turn.is_ok() && lock(&self.queue).is_empty() {
                drive_here(|| answer(&batch, table, bridge));
                drop(turn);
                // The turn that would tell of it is this one.
                return bridge.wake_if_dirty();
            }
        }
        self.push(Command::Answer(batch));
    }

    /// Nothing more will come: what was queued is carried out, then the task ends.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.waker.wake();
    }

    fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.queue))
    }
}

/// Carries out commands until they are closed.
pub(crate) async fn carry_out(
    commands: Arc<Commands>,
    table: Arc<ExchangeTable>,
    sender: DatagramSender,
    sessions: Arc<SessionTable>,
    bridge: Arc<Bridge>,
) {
    poll_fn(|cx| {
        commands.waker.register(cx.waker());
        let is_closed = commands.closed.load(SeqCst);
        let _turn = lock(&commands.turn);
        for command in commands.take() {
            match command {
                Command::Answer(batch) => answer(&batch, &table, &bridge),
                Command::Write { id, chunk, notify } => {
                    if table.write(id, chunk, notify_if(notify)) == Err(ExchangeError::Full) {
                        // Only a writer that does not wait gets here: nothing may be lost in silence.
                        let _ = table.reset(id, Code::H3_INTERNAL_ERROR);
                    }
                }
                Command::Finish(id) => drop(table.finish(id)),
                Command::Trailers(id, text) => drop(table.finish_with_trailers(id, Pairs::of(&text))),
                // Hints: a client that is gone, or whose window is full of them, needs none.
                Command::Inform { id, status, fields } => drop(table.inform(id, status, Pairs::of(&fields))),
                Command::Reset(id, code) => drop(table.reset(id, code)),
                Command::Datagrams(batch) => datagrams::send(&batch, &sender),
                Command::Accept(id, fields) => {
                    let fields = latin1(fields);
                    if let Err(error @ ExchangeError::Field(_)) = sessions.accept(id, Pairs::of(&fields)) {
                        bridge.refused(id, ErrorCode::Header, error.to_string());
                    }
                }
                Command::Close(id, code, reason) => sessions.close(id, code, reason),
                Command::Drain(id) => sessions.drain(id),
                Command::Stream(name, command) => stream(name, command, &sessions),
            }
        }
        if is_closed { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn stream(name: StreamName, command: StreamCommand, sessions: &SessionTable) {
    let _ = match command {
        StreamCommand::Write { chunk, notify } => {
            let result = sessions.write(name, chunk, notify_if(notify));
            if result == Err(StreamError::Full) {
                // Only a writer that does not wait gets here: nothing may be lost in silence.
                let _ = sessions.reset(name, 0);
            }
            result
        }
        StreamCommand::Finish => sessions.finish(name),
        StreamCommand::Reset(code) => sessions.reset(name, code),
        StreamCommand::Place(place) => sessions.place(name, place),
        StreamCommand::Forget => {
            sessions.forget(name);
            Ok(())
        }
    };
}

fn notify_if(wanted: bool) -> Notify {
    if wanted {
        Notify::WhenDrained
    } else {
        Notify::Never
    }
}

fn answer(batch: &AnswerBatch, table: &Arc<ExchangeTable>, bridge: &Bridge) {
    let mut text = Text::new(batch.text.clone());
    let mut shared = batch.shared.clone();
    for record in batch.words.chunks_exact(ANSWER_WORDS) {
        let &[slot, generation, status, kind, fields_units, body_length] = record else {
            return;
        };
        let id = ExchangeId { slot, generation };
        let fields = latin1(text.next(fields_units as usize));
        let body = match kind & BODY {
            0 if kind & SHARED != 0 => shared.split_to((body_length as usize).min(shared.len())),
            0 => text.next(body_length as usize),
            number => batch.bodies.get(number as usize - 1).cloned().unwrap_or_default(),
        };
        let pairs = Pairs::of(&fields);
        let status = u16::try_from(status).unwrap_or(0);
        let result = if kind & STREAMING != 0 {
            table.start(id, status, pairs).map(drop)
        } else if kind & FILE != 0 {
            table.respond_with_file(id, file_answer(status, &fields, &body))
        } else {
            table.respond(id, status, pairs, body)
        };
        let Err(error) = result else { continue };
        if let Some(code) = refusal_code(&error) {
            if kind & LAST_RESORT == 0 {
                bridge.refused(id, code, error.to_string());
            } else {
                let plain = [(&b"content-type"[..], &b"text/plain;charset=utf-8"[..])];
                let text = Bytes::from_static(b"Internal Server Error");
                drop(table.respond(id, 500, plain.into_iter(), text));
                // Whoever produces or awaits the body that was refused hears that it is over.
                if kind & STREAMING != 0 {
                    bridge.exchange_event(id, ExchangeEvent::Aborted { code: None });
                } else if kind & FILE != 0 {
                    bridge.exchange_event(id, ExchangeEvent::Finished);
                }
            }
        }
    }
}

/// The code of an error after which the exchange awaits another answer.
fn refusal_code(error: &ExchangeError) -> Option<ErrorCode> {
    match error {
        ExchangeError::Field(_) | ExchangeError::Status(_) => Some(ErrorCode::Header),
        ExchangeError::InvalidLength | ExchangeError::Length { .. } => Some(ErrorCode::ResponseLength),
        _ => None,
    }
}

/// Cuts UTF-8 text by lengths in UTF-16 units, as JavaScript counts.
pub(crate) struct Text {
    bytes: Bytes,
    at: usize,
}

impl Text {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn next(&mut self, units: usize) -> Bytes {
        let rest = &self.bytes[self.at..];
        let ahead = &rest[..units.min(rest.len())];
        // Where all is ASCII a unit is a byte.
        let length = if ahead.is_ascii() {
            ahead.len()
        } else {
            utf8_length(rest, units)
        };
        let start = self.at;
        self.at += length;
        self.bytes.slice(start..self.at)
    }
}

/// Bytes of the UTF-8 sequence that is `units` UTF-16 units long.
fn utf8_length(bytes: &[u8], mut units: usize) -> usize {
    let mut at = 0;
    while units > 0 && at < bytes.len() {
        let (length, counts) = match bytes[at] {
            0x00..=0x7f => (1, 1),
            0x80..=0xdf => (2, 1),
            0xe0..=0xef => (3, 1),
            _ => (4, 2),
        };
        at += length;
        units = units.saturating_sub(counts);
    }
    at.min(bytes.len())
}

/// Field text back to the bytes it stands for: a header value is a byte string (Fetch §2.2.2), one character a byte.
/// A character above U+00FF cannot stand for a byte; it becomes one that the field rules refuse.
pub(crate) fn latin1(utf8: Bytes) -> Bytes {
    if utf8.is_ascii() {
        return utf8;
    }
    let text = String::from_utf8_lossy(&utf8);
    text.chars()
        .map(|character| u8::try_from(u32::from(character)).unwrap_or(0x7f))
        .collect::<Vec<u8>>()
        .into()
}

/// The pairs of "\0name:value\0name:value": no name holds a colon, and neither holds a NUL.
#[derive(Clone)]
pub(crate) struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (field, rest) = cut(self.rest, 0);
        self.rest = rest;
        Some(cut(field, b':'))
    }
}

impl<'a> Pairs<'a> {
    pub(crate) fn of(text: &'a [u8]) -> Self {
        Self {
            rest: text.get(1..).unwrap_or_default(),
        }
    }
}

/// What is before and behind the first `mark`; without one, all is before it.
fn cut(text: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == mark) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(answers: usize, kind: u32, body: usize) -> AnswerBatch {
        AnswerBatch {
            words: [0, 0, 200, kind, 0, 0].repeat(answers),
            text: Bytes::new(),
            shared: Bytes::new(),
            bodies: vec![Bytes::from(vec![0; body])],
        }
    }

    #[test]
    fn only_a_few_whole_and_small_answers_are_given_at_once() {
        assert!(batch(1, 1, BYTES_AT_ONCE).is_short());
        assert!(batch(ANSWERED_AT_ONCE, LAST_RESORT, 0).is_short());
        assert!(!batch(1, 1, BYTES_AT_ONCE + 1).is_short());
        assert!(!batch(ANSWERED_AT_ONCE + 1, 0, 0).is_short());
        assert!(!batch(1, STREAMING, 0).is_short());
        assert!(!batch(2, FILE, 0).is_short());
    }
}
