//! What the core sends by itself: SETTINGS, dates and lengths; and how a tunnel ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use trilane_core::{BodyError, BodyMode, ExchangeError, ExchangeId};
use trilane_http3::{ControlFrame, ControlReader, Role, Settings};

use crate::client::{connect, quic};
use crate::support::{Script, Setup, TestServer, answer, soon, start};

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

/// Keeps the exchanges of its requests.
fn keeping() -> (Arc<Mutex<Vec<ExchangeId>>>, Arc<Script>) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let handler = Script::new(move |_, exchange| keep.lock().unwrap().push(exchange.into_id()));
    (kept, handler)
}

async fn next_id(kept: &Mutex<Vec<ExchangeId>>) -> ExchangeId {
    soon("a request", async {
        loop {
            if let Some(id) = kept.lock().unwrap().pop() {
                return id;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
}

/// The settings on the server's control stream, and whether it opened any other.
async fn settings_of(server: &TestServer) -> (Settings, bool) {
    let (connection, _endpoint) = quic(server).await;
    let mut control = soon("a control stream", connection.accept_uni()).await.unwrap();
    let mut chunk = soon("its beginning", control.read_chunk(1000, true))
        .await
        .unwrap()
        .unwrap()
        .bytes;
    assert_eq!(chunk.split_to(1)[..], [0], "the type of a control stream");
    let frame = ControlReader::new(Role::Client).read(&mut chunk).unwrap();
    let Some(ControlFrame::Settings(settings)) = frame else {
        panic!("{frame:?}")
    };
    assert!(chunk.is_empty(), "SETTINGS is followed by nothing");
    let other = tokio::time::timeout(Duration::from_millis(50), connection.accept_uni()).await;
    (settings, other.is_ok())
}

/// RFC9204-5-settings-sent, RFC9220-3-setting-sent, RFC8441-3-setting-sent-once, RFC9297-2.1.1-sent-before-both
#[tokio::test]
async fn our_settings_offer_extended_connect_and_neither_a_dynamic_table_nor_datagrams() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (settings, _) = settings_of(&server).await;
    assert_eq!(
        (settings.qpack_max_table_capacity, settings.qpack_blocked_streams),
        (0, 0)
    );
    assert!(settings.enable_connect_protocol);
    assert!(!settings.h3_datagram);
}

/// RFC9204-3.2.3-same-after-0rtt, RFC9297-2.1.1-same-after-0rtt
#[tokio::test]
async fn every_connection_gets_the_same_settings() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    assert_eq!(settings_of(&server).await, settings_of(&server).await);
}

/// RFC9204-4.2-our-streams, RFC9204-3.2.3-capacity-sent
#[tokio::test]
async fn we_open_no_qpack_stream() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    assert!(!settings_of(&server).await.1);
}

/// RFC9204-4.2-streams-accepted
#[tokio::test]
async fn the_qpack_streams_of_a_client_are_never_stopped() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let mut kept = Vec::new();
    for kind in [2, 3] {
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&[kind]).await.unwrap();
        let stopped = tokio::time::timeout(Duration::from_millis(50), stream.stopped()).await;
        assert!(stopped.is_err(), "{stopped:?}");
        kept.push(stream);
    }
}

/// RFC9110-6.6.1-date
#[tokio::test]
async fn every_answer_has_one_date_and_a_handler_may_set_it() {
    let handler = Script::new(|request, exchange| {
        let own: Fields<'_> = &[(b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")];
        let (status, fields) = match request.head.path() {
            b"/own" => (200, own),
            b"/moved" => (301, &[][..]),
            b"/bad" => (400, &[][..]),
            _ => (500, &[][..]),
        };
        exchange
            .respond(status, fields.iter().copied(), Bytes::new())
            .unwrap();
    });
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    // The last is refused before a handler sees it.
    for (path, status) in [("/moved", 301), ("/bad", 400), ("/", 500), ("/only/you", 405)] {
        let answer = client.get(path).await;
        let dates: Vec<_> = answer.headers.get_all("date").iter().collect();
        assert_eq!((answer.status, dates.len()), (status, 1), "{path}");
    }
    let own = client.get("/own").await;
    let dates: Vec<_> = own.headers.get_all("date").iter().collect();
    assert_eq!(dates, ["Sun, 06 Nov 1994 08:49:37 GMT"]);
}

/// RFC9110-8.6-contradiction-refused, RFC9110-8.6-invalid-refused, RFC9110-15-status-sent
#[tokio::test]
async fn an_answer_that_contradicts_itself_is_refused_and_another_may_follow() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let stream = client.begin_get().await;
    let (table, id) = (server.server.exchanges(), next_id(&kept).await);
    let length = |declared, length| ExchangeError::Length { declared, length };
    let cases: [(u16, Fields<'_>, &str, ExchangeError); 8] = [
        (200, &[(b"content-length", b"3")], "four", length(3, 4)),
        (200, &[(b"content-length", b"5")], "four", length(5, 4)),
        (200, &[(b"content-length", b"1")], "", length(1, 0)),
        (200, &[(b"content-length", b"")], "", ExchangeError::InvalidLength),
        (
            200,
            &[(b"content-length", b"+4")],
            "four",
            ExchangeError::InvalidLength,
        ),
        (
            200,
            &[(b"content-length", b"18446744073709551616")],
            "",
            ExchangeError::InvalidLength,
        ),
        (
            200,
            &[(b"content-length", b"4"), (b"content-length", b"4")],
            "four",
            ExchangeError::InvalidLength,
        ),
        (101, &[], "", ExchangeError::Status(101)),
    ];
    for (status, fields, body, expected) in cases {
        let refused = table.respond(id, status, fields.iter().copied(), Bytes::from(body));
        assert_eq!(refused, Err(expected.clone()));
        if !matches!(expected, ExchangeError::Length { .. }) {
            let refused = table.start(id, status, fields.iter().copied());
            assert_eq!(refused, Err(expected));
        }
    }
    for status in [0, 199, 600] {
        let refused = table.respond(id, status, std::iter::empty(), Bytes::new());
        assert_eq!(refused, Err(ExchangeError::Status(status)));
    }
    let fields: Fields<'_> = &[(b"content-length", b"4")];
    table
        .respond(id, 200, fields.iter().copied(), Bytes::from("four"))
        .unwrap();
    let mut stream = stream;
    assert_eq!(crate::client::read(&mut stream).await.body, &b"four"[..]);
}

/// RFC9110-8.6-head-length, RFC9110-9.3.2-head-fields
#[tokio::test]
async fn an_answer_to_head_tells_the_length_of_that_to_get() {
    let handler = Script::new(|request, exchange| {
        let known: Fields<'_> = &[(b"content-length", b"1234"), (b"etag", b"x")];
        let (fields, body) = match request.head.path() {
            b"/known" => (known, ""),
            b"/unknown" => (&[][..], ""),
            _ => (&[][..], "body"),
        };
        exchange
            .respond(200, fields.iter().copied(), Bytes::from(body))
            .unwrap();
    });
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    for (path, length) in [("/known", Some("1234")), ("/unknown", None), ("/", Some("4"))] {
        let head = client.send("HEAD", path, b"").await;
        let told = head
            .headers
            .get("content-length")
            .map(|value| value.to_str().unwrap());
        assert_eq!(
            (head.status, told, &head.body[..]),
            (200, length, &b""[..]),
            "{path}"
        );
    }
    assert_eq!(client.send("HEAD", "/known", b"").await.headers["etag"], "x");
}

/// `CONNECT` with `:protocol own` to `https://a/`, left open.
const EXTENDED: &[u8] = b"\x01\x17\0\0\xcf\xd7\x50\x01a\xc1\x27\x02:protocol\x03own";

async fn tunnel() -> (TestServer, Arc<Mutex<Vec<ExchangeId>>>, Arc<Script>) {
    let (kept, handler) = keeping();
    let setup = Setup {
        mode: BodyMode::Streaming,
        ..Setup::default()
    };
    (start(setup, handler.clone()), kept, handler)
}

/// RFC9220-3-orderly-end
#[tokio::test]
async fn the_end_of_a_stream_is_the_orderly_end_of_its_tunnel() {
    let (server, kept, _) = tunnel().await;
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(EXTENDED).await.unwrap();
    let mut reader = server.server.exchanges().take_body(next_id(&kept).await).unwrap();
    send.write_all(b"\0\x05hello").await.unwrap();
    assert_eq!(
        soon("the data", reader.next()).await,
        Ok(Some(Bytes::from("hello")))
    );
    send.finish().unwrap();
    assert_eq!(soon("the end", reader.next()).await, Ok(None));
}

/// RFC9220-3-cancelled
#[tokio::test]
async fn a_tunnel_that_its_client_cuts_is_heard_with_its_code() {
    let (server, kept, handler) = tunnel().await;
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(EXTENDED).await.unwrap();
    let mut reader = server.server.exchanges().take_body(next_id(&kept).await).unwrap();
    send.reset(0x10c_u32.into()).unwrap();
    assert_eq!(
        soon("the reset", reader.next()).await,
        Err(BodyError::Reset(0x10c))
    );
    recv.stop(0x10c_u32.into()).unwrap();
    assert_eq!(handler.aborted().await, Some(0x10c));
}

/// RFC9220-3-cancelled
#[tokio::test]
async fn a_tunnel_that_we_cut_is_reset_with_request_cancelled() {
    let (server, kept, _) = tunnel().await;
    let (connection, _endpoint) = quic(&server).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(EXTENDED).await.unwrap();
    let id = next_id(&kept).await;
    let cancelled = trilane_http3::Code::H3_REQUEST_CANCELLED;
    server.server.exchanges().reset(id, cancelled).unwrap();
    let end = soon("our reset", recv.read_to_end(1000)).await;
    assert_eq!(
        end,
        Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(
            0x10c_u32.into()
        )))
    );
}
