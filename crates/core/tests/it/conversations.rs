//! The malformed conversations that foreign clients hold as well (`npm run interop`), held by quinn: how far each error
//! reaches, with which code, and what still works afterwards.

use std::time::Duration;

use data_encoding::HEXLOWER;
use quinn::{Connection, ConnectionError, ReadError, ReadToEndError, RecvStream};
use serde::Deserialize;
use trilane_http3::{FieldLimits, FieldSection, Part, ResponseHead, ResponseReader, ResponseTo};

use crate::client::quic;
use crate::support::{Script, Setup, TestServer, answer, soon, start, whole};

/// HEADERS of `GET https://a/hello`.
const HELLO: &[u8] = b"\x01\x0f\0\0\xd1\xd7\x50\x01a\x51\x06/hello";

/// How long the server has to read a stream before it is reset, and to mind what it should not.
const A_MOMENT: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Conversation {
    name: String,
    streams: Vec<String>,
    expect: String,
}

#[tokio::test]
async fn malformed_conversations_end_as_their_rules_say() {
    let setup = Setup {
        more_routes: vec![("GET", "/hello"), ("POST", "/echo")],
        has_fallback: false,
        ..Setup::default()
    };
    let handler = Script::new(|request, exchange| match request.head.path() {
        b"/hello" => answer(exchange, "hello"),
        _ => answer(exchange, whole(request)),
    });
    let server = start(setup, handler);
    let table = include_str!("../../../../__test__/interop/malformed.json");
    let conversations: Vec<Conversation> = serde_json::from_str(table).unwrap();
    let mut failures = Vec::new();
    for conversation in &conversations {
        // quinn sends no DATAGRAM frames to a peer that takes none.
        if conversation
            .streams
            .iter()
            .any(|stream| stream.starts_with("datagram"))
        {
            continue;
        }
        let end = hold(&server, conversation).await;
        if end != conversation.expect {
            failures.push(format!(
                "{}: {end}, expected {}",
                conversation.name, conversation.expect
            ));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Holds a conversation, and says how it ended in the words of the table.
async fn hold(server: &TestServer, conversation: &Conversation) -> String {
    let (connection, _endpoint) = quic(server).await;
    let mut kept = Vec::new();
    let mut request = None;
    for stream in &conversation.streams {
        let (send, recv) = open(&connection, stream).await;
        kept.push(send);
        request = recv.or(request);
    }
    if conversation.expect.starts_with("close") {
        return match soon(&conversation.name, connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => {
                format!("close {:#x}", close.error_code.into_inner())
            }
            other => other.to_string(),
        };
    }
    let end = match request {
        Some(recv) => end_of(recv, &conversation.expect).await,
        None => {
            tokio::time::sleep(A_MOMENT).await;
            "alive".to_owned()
        }
    };
    match soon(&conversation.name, hello(&connection)).await {
        Ok(()) => end,
        Err(error) => format!("{end}, then {error}"),
    }
}

/// Opens a stream of the table: `kind hex… end`.
async fn open(connection: &Connection, stream: &str) -> (quinn::SendStream, Option<RecvStream>) {
    let words: Vec<&str> = stream.split(' ').collect();
    let [kind, hex @ .., end] = &words[..] else {
        panic!("{stream} is no stream")
    };
    let (mut send, recv) = if *kind == "request" {
        let (send, recv) = connection.open_bi().await.unwrap();
        (send, Some(recv))
    } else {
        (connection.open_uni().await.unwrap(), None)
    };
    send.write_all(&HEXLOWER.decode(hex.concat().as_bytes()).unwrap())
        .await
        .unwrap();
    match *end {
        "fin" => send.finish().unwrap(),
        "reset" => {
            tokio::time::sleep(A_MOMENT).await;
            send.reset(0x10c_u32.into()).unwrap();
        }
        _ => {}
    }
    (send, recv)
}

/// How a request ended; its content is counted where the table says how long it is.
async fn end_of(mut recv: RecvStream, expected: &str) -> String {
    let bytes = match soon("the end of a request", recv.read_to_end(100_000)).await {
        Ok(bytes) => bytes,
        Err(ReadToEndError::Read(ReadError::Reset(code))) => {
            return format!("reset {:#x}", code.into_inner());
        }
        Err(error) => return error.to_string(),
    };
    let limits = FieldLimits {
        max_bytes: 10_000,
        max_fields: 100,
    };
    let (mut head, mut trailers) = (ResponseHead::new(), FieldSection::new());
    let mut reader = ResponseReader::new(limits, ResponseTo::Other);
    let (mut chunk, mut content) = (bytes::Bytes::from(bytes), 0);
    while let Some(part) = reader.read(&mut chunk, &mut head, &mut trailers).unwrap() {
        if let Part::Data(data) = part {
            content += data.len();
        }
    }
    if expected.contains("content") {
        format!("status {} content {content}", head.status())
    } else {
        format!("status {}", head.status())
    }
}

/// An honest request.
async fn hello(connection: &Connection) -> Result<(), String> {
    let (mut send, recv) = connection.open_bi().await.map_err(|error| error.to_string())?;
    send.write_all(HELLO).await.map_err(|error| error.to_string())?;
    send.finish().map_err(|error| error.to_string())?;
    match end_of(recv, "").await {
        end if end == "status 200" => Ok(()),
        end => Err(end),
    }
}
