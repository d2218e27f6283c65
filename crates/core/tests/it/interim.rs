//! Interim answers (1xx) and the expectation of one.

use std::time::Duration;

use bytes::Bytes;
use trilane_core::{BodyMode, ExchangeError, Limits, Notify};
use trilane_http3::{
    FieldLimits, FieldSection, Part, ResponseHead, ResponseReader, ResponseTo, write_request_head,
};

use crate::client::quic;
use crate::raw::{End, ask};
use crate::support::{Script, Setup, answer, keeping, kept_id, soon, start, whole};

/// The HEADERS frame of a POST with `fields`.
fn post(fields: &[(&'static [u8], &'static [u8])]) -> Bytes {
    let mut out = bytes::BytesMut::new();
    let fields = fields.iter().copied();
    write_request_head(&mut out, b"POST", b"https", b"localhost", b"/", None, fields);
    out.freeze()
}

const EXPECT: (&[u8], &[u8]) = (b"expect", b"100-Continue");

/// A DATA frame of five bytes.
const HELLO: &[u8] = b"\0\x05hello";

/// An answer as it comes in.
struct Incoming {
    stream: quinn::RecvStream,
    reader: ResponseReader,
    rest: Bytes,
    head: ResponseHead,
}

impl Incoming {
    fn new(stream: quinn::RecvStream) -> Self {
        let limits = FieldLimits {
            max_bytes: 100_000,
            max_fields: 100,
        };
        Self {
            stream,
            reader: ResponseReader::new(limits, ResponseTo::Other),
            rest: Bytes::new(),
            head: ResponseHead::new(),
        }
    }

    /// The next part; `None` at the end.
    async fn next(&mut self) -> Option<Part> {
        let mut trailers = FieldSection::new();
        loop {
            if let Some(part) = self
                .reader
                .read(&mut self.rest, &mut self.head, &mut trailers)
                .unwrap()
            {
                return Some(part);
            }
            let chunk = soon("more of the answer", self.stream.read_chunk(usize::MAX, true)).await;
            self.rest = chunk.unwrap()?.bytes;
        }
    }

    async fn status(&mut self) -> u16 {
        assert_eq!(self.next().await, Some(Part::Head));
        self.head.status()
    }

    /// Whether nothing comes for a while.
    async fn is_silent(&mut self) -> bool {
        let wait = self.stream.read_chunk(usize::MAX, true);
        tokio::time::timeout(Duration::from_millis(150), wait)
            .await
            .is_err()
    }
}

/// RFC 9114 §4.1
#[tokio::test]
async fn interim_answers_precede_the_final_one_at_once_and_in_order() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let (connection, _endpoint) = quic(&server).await;
    let (_send, recv) = ask(&connection, &post(&[]), End::Fin).await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    let mut answer = Incoming::new(recv);
    let link = [(&b"link"[..], &b"</a.css>; rel=preload"[..])];
    table.inform(id, 103, link.into_iter()).unwrap();
    assert_eq!(answer.status().await, 103);
    assert_eq!(answer.head.field(b"link"), Some(link[0].1));
    assert_eq!(answer.head.field(b"date"), None);
    table.inform(id, 102, std::iter::empty()).unwrap();
    table.inform(id, 199, std::iter::empty()).unwrap();
    assert_eq!((answer.status().await, answer.status().await), (102, 199));
    table
        .respond(id, 200, std::iter::empty(), Bytes::from_static(b"x"))
        .unwrap();
    assert_eq!(answer.status().await, 200);
    assert_eq!(answer.next().await, Some(Part::Data(Bytes::from_static(b"x"))));
    assert_eq!(
        table.inform(id, 103, std::iter::empty()),
        Err(ExchangeError::Gone)
    );
}

/// RFC 9114 §4.5, RFC 9110 §8.6
#[tokio::test]
async fn what_is_no_interim_answer_or_comes_too_late_is_refused() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let (connection, _endpoint) = quic(&server).await;
    let (_send, recv) = ask(&connection, &post(&[]), End::Fin).await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    for status in [0, 99, 101, 200, 1000] {
        let refused = table.inform(id, status, std::iter::empty());
        assert_eq!(refused, Err(ExchangeError::InterimStatus(status)));
    }
    let length = [(&b"content-length"[..], &b"0"[..])];
    assert_eq!(
        table.inform(id, 103, length.into_iter()),
        Err(ExchangeError::InterimLength)
    );
    table.start(id, 200, std::iter::empty()).unwrap();
    let late = table.inform(id, 103, std::iter::empty());
    assert_eq!(late, Err(ExchangeError::AlreadyStarted));
    table.finish(id).unwrap();
    let mut answer = Incoming::new(recv);
    assert_eq!(answer.status().await, 200);
    assert_eq!(answer.next().await, None);
}

#[derive(Clone, Copy)]
enum How {
    Whole,
    Streamed,
}

#[tokio::test]
async fn interim_answers_that_flow_control_holds_back_precede_a_whole_answer_and_are_bounded() {
    held_back(How::Whole).await;
}

#[tokio::test]
async fn interim_answers_that_flow_control_holds_back_precede_a_streamed_answer() {
    held_back(How::Streamed).await;
}

/// A client whose window takes nothing: interim answers wait for the final one, and there is an end to it.
async fn held_back(how: How) {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let (connection, _endpoint) = quic(&server).await;
    // Nobody reads: quinn's window of 1.25 MB for a stream fills up.
    let (_send, recv) = ask(&connection, &post(&[]), End::Fin).await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    let value = vec![b'v'; 10_000];
    let mut informed = 0;
    let refused = loop {
        match table.inform(id, 103, [(&b"x"[..], &value[..])].into_iter()) {
            Ok(()) => informed += 1,
            Err(error) => break error,
        }
        assert!(informed < 1000, "no bound was met");
    };
    assert_eq!(refused, ExchangeError::Full);
    match how {
        How::Whole => table
            .respond(id, 200, std::iter::empty(), Bytes::from_static(b"end"))
            .unwrap(),
        How::Streamed => {
            table.start(id, 200, std::iter::empty()).unwrap();
            table
                .write(id, Bytes::from_static(b"end"), Notify::Never)
                .unwrap();
            table.finish(id).unwrap();
        }
    }
    let mut answer = Incoming::new(recv);
    for _ in 0..informed {
        assert_eq!(answer.status().await, 103);
        assert_eq!(answer.head.field(b"x").map(<[u8]>::len), Some(10_000));
    }
    assert_eq!(answer.status().await, 200);
    assert_eq!(answer.next().await, Some(Part::Data(Bytes::from_static(b"end"))));
    assert_eq!(answer.next().await, None);
}

/// RFC9110-10.1.1-continue, RFC9110-10.1.1-final-follows
#[tokio::test]
async fn a_client_that_expects_100_gets_it_when_its_body_is_gathered() {
    let handler = Script::new(|request, exchange| answer(exchange, whole(request)));
    let server = start(Setup::default(), handler);
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, recv) = ask(&connection, &post(&[EXPECT]), End::Open).await;
    let mut answer = Incoming::new(recv);
    assert_eq!(answer.status().await, 100);
    send.write_all(HELLO).await.unwrap();
    send.finish().unwrap();
    assert_eq!(answer.status().await, 200);
    assert_eq!(
        answer.next().await,
        Some(Part::Data(Bytes::from_static(b"hello")))
    );
}

/// RFC 9110 §10.1.1: it may be left out once content has come.
#[tokio::test]
async fn a_client_that_does_not_wait_for_100_gets_the_answer_alone() {
    let handler = Script::new(|request, exchange| answer(exchange, whole(request)));
    let server = start(Setup::default(), handler);
    let (connection, _endpoint) = quic(&server).await;
    let all = [&post(&[EXPECT])[..], HELLO].concat();
    let (_send, recv) = ask(&connection, &all, End::Fin).await;
    assert_eq!(Incoming::new(recv).status().await, 200);
}

/// RFC9110-10.1.1-continue
#[tokio::test]
async fn a_body_that_is_too_long_is_refused_without_100() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let length = (&b"content-length"[..], &b"100000000"[..]);
    let (_send, recv) = ask(&connection, &post(&[EXPECT, length]), End::Open).await;
    assert_eq!(Incoming::new(recv).status().await, 413);
}

/// RFC9110-10.1.1-unknown-expectation
#[tokio::test]
async fn an_expectation_that_no_standard_knows_is_answered_417() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    for value in [&b"the-unexpected"[..], b"100-continue, more"] {
        let (_send, recv) = ask(&connection, &post(&[(b"expect", value)]), End::Open).await;
        assert_eq!(Incoming::new(recv).status().await, 417);
    }
}

/// RFC9110-10.1.1-continue, RFC9110-10.1.1-final-follows
#[tokio::test]
async fn a_streaming_handler_sends_100_with_its_first_read_and_not_before() {
    let (kept, handler) = keeping();
    let setup = Setup {
        mode: BodyMode::Streaming,
        limits: Limits::default(),
        ..Setup::default()
    };
    let server = start(setup, handler);
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, recv) = ask(&connection, &post(&[EXPECT]), End::Open).await;
    let id = kept_id(&kept).await;
    let table = server.server.exchanges();
    let mut reader = table.take_body(id).unwrap();
    let mut answer = Incoming::new(recv);
    assert!(answer.is_silent().await);
    let reading = tokio::spawn(async move { (reader.next().await, reader.next().await) });
    assert_eq!(answer.status().await, 100);
    send.write_all(HELLO).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    send.finish().unwrap();
    let (first, end) = soon("the body", reading).await.unwrap();
    assert_eq!((first, end), (Ok(Some(Bytes::from_static(b"hello"))), Ok(None)));
    table.respond(id, 204, std::iter::empty(), Bytes::new()).unwrap();
    assert_eq!(answer.status().await, 204);
}

/// RFC 9110 §10.1.1: a final answer instead of 100.
#[tokio::test]
async fn a_streaming_handler_that_answers_unread_sends_no_100() {
    let (kept, handler) = keeping();
    let setup = Setup {
        mode: BodyMode::Streaming,
        ..Setup::default()
    };
    let server = start(setup, handler);
    let (connection, _endpoint) = quic(&server).await;
    let (_send, recv) = ask(&connection, &post(&[EXPECT]), End::Open).await;
    let id = kept_id(&kept).await;
    let table = server.server.exchanges();
    table.respond(id, 403, std::iter::empty(), Bytes::new()).unwrap();
    assert_eq!(Incoming::new(recv).status().await, 403);
}
