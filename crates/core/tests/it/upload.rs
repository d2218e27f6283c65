//! Request bodies that the handler reads as they come.

use std::future::poll_fn;
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

/// The next piece as it came, joined, or gathered into one.
async fn either(reader: &mut BodyReader, as_came: bool) -> Result<Option<Vec<u8>>, BodyError> {
    if !as_came {
        return Ok(reader.next().await?.map(Vec::from));
    }
    let mut pieces = Vec::new();
    let bytes = poll_fn(|cx| reader.poll_pieces(cx, &mut pieces)).await?;
    assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), bytes.unwrap_or(0));
    assert!(pieces.len() <= 1024 + 1, "{} pieces at once", pieces.len());
    Ok(bytes.map(|_| pieces.concat()))
}

#[tokio::test]
async fn a_body_has_the_same_bytes_gathered_as_they_came_and_in_turns() {
    for turns in [[true, true], [true, false]] {
        let (kept, _, server) = streaming(Limits::default());
        let mut client = connect(&server).await;
        let mut stream = client.begin(post()).await;
        let content: Vec<u8> = (0..2_000_000u32).map(|index| (index % 251) as u8).collect();
        let sent = content.clone();
        let sender = tokio::spawn(async move {
            // Frames longer and shorter than a packet, and many that have a few bytes only.
            let (tiny, rest) = sent.split_at(20_000);
            for piece in tiny.chunks(9).chain(rest.chunks(10_007)) {
                stream.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            stream.finish().await.unwrap();
            stream
        });
        let (_, mut reader) = body(&server, &kept).await;
        let mut received = Vec::new();
        for as_came in turns.into_iter().cycle() {
            match soon("a piece", either(&mut reader, as_came)).await.unwrap() {
                Some(piece) => received.extend(piece),
                None => break,
            }
            // So that more than one read brings is there.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(received == content, "{} bytes of other content", received.len());
        soon("the sender", sender).await.unwrap();
    }
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
async fn a_reset_body_ends_with_its_code_and_not_cleanly_however_it_is_read() {
    for as_came in [false, true] {
        let (kept, _, server) = streaming(Limits::default());
        let mut client = connect(&server).await;
        let mut stream = client.begin(post()).await;
        stream.send_data(Bytes::from_static(b"part")).await.unwrap();
        let (_, mut reader) = body(&server, &kept).await;
        let piece = soon("a piece", either(&mut reader, as_came)).await;
        assert_eq!(piece, Ok(Some(b"part".to_vec())));
        stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
        assert_eq!(
            soon("the end", either(&mut reader, as_came)).await,
            Err(BodyError::Reset(0x10c))
        );
        assert_eq!(
            soon("the end again", either(&mut reader, as_came)).await,
            Ok(None)
        );
    }
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
