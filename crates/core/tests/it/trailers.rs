//! Trailers behind bodies, in both directions.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use trilane_core::{BodyError, BodyMode, ExchangeError, Notify};

use crate::client::{connect, quic, read};
use crate::support::{Kept, Script, Setup, answer, keeping, kept_id, soon, start, whole};

fn trailers(fields: &[(&'static str, &'static str)]) -> http::HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn post() -> http::Request<()> {
    http::Request::post("https://localhost/").body(()).unwrap()
}

#[tokio::test]
async fn a_buffered_request_brings_its_trailers() {
    let seen = Arc::new(Mutex::new(vec![]));
    let see = seen.clone();
    let handler = Script::new(move |request, exchange| {
        let found = request.trailers.map(|trailers| {
            let value = trailers.get(b"x-sum");
            (whole(request), value.map(<[u8]>::to_vec))
        });
        see.lock().unwrap().push(found);
        answer(exchange, "");
    });
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let mut stream = client.begin(post()).await;
    stream.send_data(Bytes::from_static(b"body")).await.unwrap();
    stream
        .send_trailers(trailers(&[("x-sum", "1"), ("x-more", "2")]))
        .await
        .unwrap();
    stream.finish().await.unwrap();
    assert_eq!(read(&mut stream).await.status, 200);
    assert_eq!(client.get("/").await.status, 200);
    let expected = (Bytes::from_static(b"body"), Some(b"1".to_vec()));
    assert_eq!(seen.lock().unwrap()[..], [Some(expected), None]);
}

#[tokio::test]
async fn a_streamed_body_has_its_trailers_once_it_was_read_to_the_end() {
    let (kept, handler) = keeping();
    let mode = BodyMode::Streaming;
    let server = start(
        Setup {
            mode,
            ..Setup::default()
        },
        handler,
    );
    let mut client = connect(&server).await;
    let mut stream = client.begin(post()).await;
    stream.send_data(Bytes::from_static(b"body")).await.unwrap();
    let mut reader = server.server.exchanges().take_body(kept_id(&kept).await).unwrap();
    assert_eq!(
        soon("a piece", reader.next()).await,
        Ok(Some(Bytes::from_static(b"body")))
    );
    assert!(reader.trailers().is_empty());
    stream.send_trailers(trailers(&[("x-sum", "1")])).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(soon("the end", reader.next()).await, Ok(None));
    assert_eq!(reader.trailers().get(b"x-sum"), Some(&b"1"[..]));
}

/// RFC 9114 §4.1.2, §4.3: the connection lives on.
#[tokio::test]
async fn malformed_trailers_are_an_error_of_their_stream() {
    // POST, then trailers with ":path" (static table, 1).
    let bytes = [1, 8, 0, 0, 0xd4, 0xd7, 0xc1, 0x50, 1, b'a', 1, 3, 0, 0, 0xc1];
    let (_, handler) = keeping();
    for mode in [BodyMode::Buffered, BodyMode::Streaming] {
        let (kept, streaming) = keeping();
        let handler = if mode == BodyMode::Streaming {
            streaming
        } else {
            handler.clone()
        };
        let server = start(
            Setup {
                mode,
                ..Setup::default()
            },
            handler,
        );
        let (connection, _endpoint) = quic(&server).await;
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
        if mode == BodyMode::Streaming {
            let mut reader = server.server.exchanges().take_body(kept_id(&kept).await).unwrap();
            assert!(matches!(
                soon("the end", reader.next()).await,
                Err(BodyError::Malformed(_))
            ));
        }
        let error = soon("a reset", recv.read_to_end(100)).await.unwrap_err();
        let reset = quinn::ReadError::Reset(0x10e_u32.into());
        assert_eq!(error, quinn::ReadToEndError::Read(reset));
        assert_eq!(server.server.stats().requests_malformed, 1);
        assert!(connection.close_reason().is_none());
    }
}

async fn answering() -> (crate::support::TestServer, crate::client::Stream, Kept) {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let stream = client.begin_get().await;
    std::mem::forget(client);
    (server, stream, kept)
}

#[tokio::test]
async fn trailers_follow_the_body_of_an_answer() {
    let (server, mut stream, kept) = answering().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    table.start(id, 200, std::iter::empty()).unwrap();
    table
        .write(id, Bytes::from_static(b"body"), Notify::Never)
        .unwrap();
    table
        .finish_with_trailers(id, [(&b"x-sum"[..], &b"1"[..])].into_iter())
        .unwrap();
    assert_eq!(read(&mut stream).await.body, &b"body"[..]);
    let trailers = soon("trailers", stream.recv_trailers()).await.unwrap().unwrap();
    assert_eq!(trailers["x-sum"], "1");
}

#[tokio::test]
async fn no_trailers_are_no_frame() {
    let (server, mut stream, kept) = answering().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    table.start(id, 200, std::iter::empty()).unwrap();
    table.finish_with_trailers(id, std::iter::empty()).unwrap();
    assert_eq!(read(&mut stream).await.body, &b""[..]);
    assert!(soon("the end", stream.recv_trailers()).await.unwrap().is_none());
}

/// RFC 9110 §6.5.1
#[tokio::test]
async fn trailers_that_may_not_be_sent_are_refused_and_the_answer_goes_on() {
    let (server, mut stream, kept) = answering().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    let early = table.finish_with_trailers(id, std::iter::empty());
    assert_eq!(early, Err(ExchangeError::NotStarted));
    table.start(id, 200, std::iter::empty()).unwrap();
    for name in [&b"content-length"[..], b":status", b"connection", b"A"] {
        let refused = table.finish_with_trailers(id, [(name, &b"1"[..])].into_iter());
        assert!(matches!(refused, Err(ExchangeError::Field(_))), "{name:?}");
    }
    table.finish(id).unwrap();
    assert_eq!(read(&mut stream).await.status, 200);
}

/// RFC 9110 §8.6: trailers do not make up for missing content.
#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_reset_also_before_trailers() {
    let (server, mut stream, kept) = answering().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    table
        .start(id, 200, [(&b"content-length"[..], &b"10"[..])].into_iter())
        .unwrap();
    table
        .finish_with_trailers(id, [(&b"x-sum"[..], &b"1"[..])].into_iter())
        .unwrap();
    let end = soon("the end", async {
        stream.recv_response().await?;
        while stream.recv_data().await?.is_some() {}
        Ok::<(), h3::error::StreamError>(())
    })
    .await;
    assert!(end.unwrap_err().to_string().contains("H3_INTERNAL_ERROR"));
}
