//! Bodies: buffered on the way in, streamed on the way out, and cut short by either side.

use std::time::Duration;

use bytes::{Buf, Bytes};
use trilane_core::{ExchangeEvent, Limits, Notify};

use crate::client::{connect, read};
use crate::support::{PATIENCE, Script, Setup, answer, keeping, kept_id, soon, start, whole};

fn small_bodies() -> Setup {
    Setup {
        limits: Limits {
            max_body_bytes: 100_000,
            ..Limits::default()
        },
        ..Setup::default()
    }
}

#[tokio::test]
async fn a_body_at_the_limit_is_taken() {
    let server = start(
        small_bodies(),
        Script::new(|request, exchange| answer(exchange, whole(request))),
    );
    let body: Vec<u8> = (0..100_000u32).map(|index| index as u8).collect();
    let answer = connect(&server).await.send("POST", "/", &body).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    assert_eq!(answer.body, body);
}

#[tokio::test]
async fn a_body_one_byte_over_the_limit_is_answered_413_and_the_connection_survives() {
    let server = start(small_bodies(), Script::new(|_, exchange| answer(exchange, "")));
    let mut client = connect(&server).await;
    assert_eq!(client.send("POST", "/", &vec![0; 100_001]).await.status, 413);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn a_body_in_pieces_arrives_whole() {
    let server = start(
        Setup::default(),
        Script::new(|request, exchange| answer(exchange, whole(request))),
    );
    let mut client = connect(&server).await;
    let request = http::Request::post("https://localhost/").body(()).unwrap();
    let mut stream = client.begin(request).await;
    for piece in [&b"one "[..], b"two ", b"three"] {
        stream.send_data(Bytes::from_static(piece)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.finish().await.unwrap();
    assert_eq!(read(&mut stream).await.body, &b"one two three"[..]);
}

#[tokio::test]
async fn an_upload_that_stops_half_way_is_answered_408() {
    let limits = Limits {
        body_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = start(
        Setup {
            limits,
            ..Setup::default()
        },
        Script::new(|_, exchange| answer(exchange, "")),
    );
    let mut client = connect(&server).await;
    let request = http::Request::post("https://localhost/").body(()).unwrap();
    let mut stream = client.begin(request).await;
    stream.send_data(Bytes::from_static(b"half")).await.unwrap();
    assert_eq!(read(&mut stream).await.status, 408);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn bodies_over_the_budget_of_a_connection_still_all_arrive() {
    let limits = Limits {
        max_unfinished_body_bytes: 50_000,
        stream_receive_window: 20_000,
        ..Limits::default()
    };
    let server = start(
        Setup {
            limits,
            ..Setup::default()
        },
        Script::new(|request, exchange| answer(exchange, whole(request).len().to_string())),
    );
    let client = connect(&server).await;
    let uploads: Vec<_> = (0..10)
        .map(|_| {
            let mut requests = client.requests.clone();
            tokio::spawn(async move {
                let request = http::Request::post("https://localhost/").body(()).unwrap();
                let mut stream = requests.send_request(request).await.unwrap();
                stream.send_data(Bytes::from(vec![1; 100_000])).await.unwrap();
                stream.finish().await.unwrap();
                read(&mut stream).await.body
            })
        })
        .collect();
    for upload in uploads {
        assert_eq!(soon("an upload", upload).await.unwrap(), &b"100000"[..]);
    }
}

#[tokio::test]
async fn a_streaming_answer_arrives_piece_by_piece() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler.clone());
    let mut client = connect(&server).await;
    let mut stream = client.begin_get().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    assert!(table.start(id, 200, std::iter::empty()).unwrap());
    assert_eq!(
        soon("the head", stream.recv_response()).await.unwrap().status(),
        200
    );
    for piece in ["one", "two"] {
        table.write(id, Bytes::from(piece), Notify::WhenDrained).unwrap();
        let mut chunk = soon("a piece", stream.recv_data()).await.unwrap().unwrap();
        assert_eq!(chunk.copy_to_bytes(chunk.remaining()), piece);
    }
    table.finish(id).unwrap();
    assert!(soon("the end", stream.recv_data()).await.unwrap().is_none());
    soon("both drained events", async {
        while handler
            .events
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, e)| *e == ExchangeEvent::Drained)
            .count()
            < 2
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// RFC9110-8.6-stream-shorter
#[tokio::test]
async fn an_answer_shorter_than_its_content_length_does_not_look_whole() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let mut stream = client.begin_get().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    table
        .start(id, 200, [(&b"content-length"[..], &b"10"[..])].into_iter())
        .unwrap();
    table
        .write(id, Bytes::from_static(b"short"), Notify::Never)
        .unwrap();
    table.finish(id).unwrap();
    // The reset may overtake the head.
    let end = soon("the end", async {
        stream.recv_response().await?;
        while stream.recv_data().await?.is_some() {}
        Ok::<(), h3::error::StreamError>(())
    })
    .await;
    assert!(end.unwrap_err().to_string().contains("H3_INTERNAL_ERROR"));
}

/// RFC9110-8.6-stream-longer
#[tokio::test]
async fn an_answer_longer_than_its_content_length_is_cut_and_reset() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    let mut stream = client.begin_get().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    table
        .start(id, 200, [(&b"content-length"[..], &b"4"[..])].into_iter())
        .unwrap();
    table
        .write(id, Bytes::from_static(b"1234"), Notify::Never)
        .unwrap();
    let mut chunk = soon("the whole", async {
        stream.recv_response().await.unwrap();
        stream.recv_data().await.unwrap().unwrap()
    })
    .await;
    assert_eq!(chunk.copy_to_bytes(chunk.remaining()), "1234");
    let more = table.write(id, Bytes::from_static(b"5"), Notify::Never);
    assert_eq!(more, Err(trilane_core::ExchangeError::Gone));
    let end = soon("the end", stream.recv_data()).await.map(drop);
    assert!(end.unwrap_err().to_string().contains("H3_INTERNAL_ERROR"));
}

#[tokio::test]
async fn a_writer_that_does_not_wait_is_refused() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler);
    let mut client = connect(&server).await;
    // A client that never reads: the answer fills its flow control window, the send window and the queue.
    let _stream = client.begin_get().await;
    let (table, id) = (server.server.exchanges(), kept_id(&kept).await);
    table.start(id, 200, std::iter::empty()).unwrap();
    let mut written = 0;
    let refused = soon("a refusal", async {
        loop {
            match table.write(id, Bytes::from(vec![0; 100_000]), Notify::Never) {
                Ok(()) => written += 100_000,
                Err(error) => return error,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(refused, trilane_core::ExchangeError::Full);
    assert!(
        written < 8_000_000,
        "{written} bytes were taken for a client that does not read"
    );
}

#[tokio::test]
async fn a_client_that_stops_reading_before_the_answer_aborts_the_exchange() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler.clone());
    let mut client = connect(&server).await;
    let mut stream = client.begin_get().await;
    let id = kept_id(&kept).await;
    stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
    assert_eq!(handler.aborted().await, Some(0x10c));
    let late = server
        .server
        .exchanges()
        .respond(id, 200, std::iter::empty(), Bytes::new());
    assert_eq!(late, Err(trilane_core::ExchangeError::Gone));
}

#[tokio::test]
async fn a_client_that_closes_its_connection_aborts_all_its_exchanges() {
    let (kept, handler) = keeping();
    let server = start(Setup::default(), handler.clone());
    let mut client = connect(&server).await;
    let _stream = client.begin_get().await;
    kept_id(&kept).await;
    client.quic.close(0x100u32.into(), b"");
    assert_eq!(handler.aborted().await, None);
    soon("the end of the connection", async {
        while server.server.stats().connections_active > 0 || server.server.stats().requests_active > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_given_up_after_the_idle_timeout() {
    let (kept, handler) = keeping();
    let limits = Limits {
        idle_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = start(
        Setup {
            limits,
            ..Setup::default()
        },
        handler.clone(),
    );
    let mut client = connect(&server).await;
    let _stream = client.begin_get().await;
    kept_id(&kept).await;
    let began = std::time::Instant::now();
    assert_eq!(handler.aborted().await, None);
    assert!(began.elapsed() < PATIENCE);
}
