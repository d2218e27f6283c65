//! Request bodies that the handler reads as they come.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use trilane_core::{BodyError, BodyMode, BodyReader, ExchangeEvent, ExchangeId, Limits};

use crate::client::{connect, quic, read};
use crate::support::{Script, Setup, TestServer, soon, start};

type Kept = Arc<Mutex<Vec<ExchangeId>>>;

fn streaming(limits: Limits) -> (Kept, Arc<Script>, TestServer) {
    let kept = Kept::default();
    let keep = kept.clone();
    let handler = Script::new(move |_, exchange| keep.lock().unwrap().push(exchange.into_id()));
    let setup = Setup {
        limits,
        mode: BodyMode::Streaming,
        ..Setup::default()
    };
    let server = start(setup, handler.clone());
    (kept, handler, server)
}

async fn next_id(kept: &Kept) -> ExchangeId {
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

async fn body(server: &TestServer, kept: &Kept) -> (ExchangeId, BodyReader) {
    let id = next_id(kept).await;
    (id, server.server.exchanges().take_body(id).unwrap())
}

fn post() -> http::Request<()> {
    http::Request::post("https://localhost/").body(()).unwrap()
}

#[tokio::test]
async fn a_body_is_read_while_it_is_sent_and_answered_while_it_is_read() {
    let (kept, _, server) = streaming(Limits::default());
    let mut client = connect(&server).await;
    let mut stream = client.begin(post()).await;
    let (id, mut reader) = body(&server, &kept).await;
    for piece in ["one", "two"] {
        stream.send_data(Bytes::from(piece)).await.unwrap();
        assert_eq!(soon("a piece", reader.next()).await, Ok(Some(Bytes::from(piece))));
    }
    stream.finish().await.unwrap();
    assert_eq!(soon("the end", reader.next()).await, Ok(None));
    assert_eq!(soon("the end again", reader.next()).await, Ok(None));
    server
        .server
        .exchanges()
        .respond(id, 200, std::iter::empty(), Bytes::from_static(b"read"))
        .unwrap();
    assert_eq!(read(&mut stream).await.body, &b"read"[..]);
}

#[tokio::test]
async fn a_reader_that_waits_holds_the_client_back() {
    let limits = Limits {
        stream_receive_window: 64 * 1024,
        ..Limits::default()
    };
    let (kept, _, server) = streaming(limits);
    let (quic, _endpoint) = quic(&server).await;
    let (mut send, _recv) = quic.open_bi().await.unwrap();
    // POST: HEADERS, then one DATA frame of a mebibyte.
    send.write_all(&[1, 8, 0, 0, 0xd4, 0xd7, 0xc1, 0x50, 1, b'a', 0, 0x80, 0x10, 0, 0])
        .await
        .unwrap();
    let (_, mut reader) = body(&server, &kept).await;
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = sent.clone();
    let sender = tokio::spawn(async move {
        for _ in 0..1024 {
            send.write_all(&[7; 1024]).await.unwrap();
            counter.fetch_add(1024, std::sync::atomic::Ordering::SeqCst);
        }
        send.finish().unwrap();
        send
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ahead = sent.load(std::sync::atomic::Ordering::SeqCst);
    assert!(ahead <= 64 * 1024, "{ahead} bytes were taken though nobody read");
    let mut length = 0;
    while let Some(piece) = soon("a piece", reader.next()).await.unwrap() {
        assert!(piece.len() <= 320 * 1024);
        length += piece.len();
    }
    assert_eq!(length, 1024 * 1024);
    soon("the sender", sender).await.unwrap();
}

#[tokio::test]
async fn a_reset_body_ends_with_its_code_and_not_cleanly() {
    let (kept, _, server) = streaming(Limits::default());
    let mut client = connect(&server).await;
    let mut stream = client.begin(post()).await;
    stream.send_data(Bytes::from_static(b"part")).await.unwrap();
    let (_, mut reader) = body(&server, &kept).await;
    assert_eq!(
        soon("a piece", reader.next()).await,
        Ok(Some(Bytes::from_static(b"part")))
    );
    stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
    assert_eq!(soon("the end", reader.next()).await, Err(BodyError::Reset(0x10c)));
}

#[tokio::test]
async fn a_body_whose_connection_is_lost_ends_with_an_error() {
    let (kept, handler, server) = streaming(Limits::default());
    let mut client = connect(&server).await;
    let mut stream = client.begin(post()).await;
    stream.send_data(Bytes::from_static(b"part")).await.unwrap();
    let (_, mut reader) = body(&server, &kept).await;
    soon("a piece", reader.next()).await.unwrap();
    client.quic.close(0x100_u32.into(), b"");
    assert_eq!(
        soon("the end", reader.next()).await,
        Err(BodyError::ConnectionLost)
    );
    assert_eq!(handler.aborted().await, None);
}

/// RFC9114-4.1.2-content-shorter
#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_malformed() {
    let (kept, handler, server) = streaming(Limits::default());
    let mut client = connect(&server).await;
    let request = http::Request::post("https://localhost/")
        .header("content-length", "10")
        .body(())
        .unwrap();
    let mut stream = client.begin(request).await;
    stream.send_data(Bytes::from_static(b"short")).await.unwrap();
    stream.finish().await.unwrap();
    let (id, mut reader) = body(&server, &kept).await;
    soon("a piece", reader.next()).await.unwrap();
    assert!(matches!(
        soon("the end", reader.next()).await,
        Err(BodyError::Malformed(_))
    ));
    let error = soon("the reset", stream.recv_response())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("H3_MESSAGE_ERROR"), "{error}");
    assert_eq!(
        handler.events.lock().unwrap()[..],
        [(id, ExchangeEvent::Aborted { code: None })]
    );
}

/// RFC9114-4.1-early-response: the client may be asked to stop, and reads the answer all the same.
#[tokio::test]
async fn a_body_that_nobody_reads_is_declined_politely_with_the_answer() {
    let (kept, _, server) = streaming(Limits::default());
    let (quic, _endpoint) = quic(&server).await;
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    send.write_all(&[1, 8, 0, 0, 0xd4, 0xd7, 0xc1, 0x50, 1, b'a', 0, 0x10])
        .await
        .unwrap();
    let id = next_id(&kept).await;
    server
        .server
        .exchanges()
        .respond(id, 200, std::iter::empty(), Bytes::from_static(b"no"))
        .unwrap();
    assert_eq!(
        soon("a stop", send.stopped()).await.unwrap(),
        Some(0x100_u32.into())
    );
    assert!(
        soon("the answer", recv.read_to_end(1000))
            .await
            .unwrap()
            .ends_with(b"no")
    );
}
