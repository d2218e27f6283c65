//! How many streams a client may have open: few at first, more once it uses them, never more than the limits say.

use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use trilane_core::{BodyMode, Limits};

use crate::client::quic;
use crate::raw::{End, ask, close_code, request, serves, tell};
use crate::support::{Script, Setup, answer, next_id, soon, start, start_waiting};

/// Longer than an allowance needs to come over the loopback, the look every 20 ms included.
const A_MOMENT: Duration = Duration::from_millis(300);

/// Opens request streams until it has to wait.
async fn open_all(connection: &Connection) -> Vec<(SendStream, RecvStream)> {
    let mut streams = Vec::new();
    while let Ok(stream) = tokio::time::timeout(A_MOMENT, connection.open_bi()).await {
        streams.push(stream.unwrap());
        assert!(streams.len() < 1_000, "there is no limit");
    }
    streams
}

/// Asks `count` times, and keeps the streams.
async fn ask_times(connection: &Connection, count: usize) -> Vec<(SendStream, RecvStream)> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(soon("a stream", ask(connection, &request("GET", &[]), End::Fin)).await);
    }
    streams
}

#[tokio::test]
async fn a_client_that_asks_one_thing_after_another_may_open_a_hundred_streams() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    for _ in 0..30 {
        assert!(serves(&connection).await);
    }
    // Credit for streams that are over comes in steps of an eighth.
    assert!((88..=100).contains(&open_all(&connection).await.len()));
}

/// RFC9114-6.1-streams-permitted
#[tokio::test]
async fn a_client_that_has_many_requests_open_may_open_all_of_the_limit_and_not_one_more() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let _streams = ask_times(&connection, Limits::default().max_concurrent_streams as usize).await;
    for _ in 0..Limits::default().max_concurrent_streams {
        next_id(&ids).await;
    }
    assert_eq!(open_all(&connection).await.len(), 0);
}

#[tokio::test]
async fn requests_that_come_slowly_and_stay_open_count_too() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.extend(ask_times(&connection, 1).await);
        next_id(&ids).await;
    }
    assert_eq!(open_all(&connection).await.len(), 256 - 50);
}

#[tokio::test]
async fn a_limit_below_the_first_allowance_is_kept_from_the_beginning() {
    let mut setup = Setup::default();
    setup.limits.max_concurrent_streams = 7;
    setup.limits.max_uni_streams = 5;
    let server = start(
        setup,
        Script::new(|_, exchange| {
            exchange.into_id();
        }),
    );
    let (connection, _endpoint) = quic(&server).await;
    let _streams = ask_times(&connection, 7).await;
    assert_eq!(open_all(&connection).await.len(), 0);
    let mut uni = Vec::new();
    while let Ok(stream) = tokio::time::timeout(A_MOMENT, connection.open_uni()).await {
        uni.push(stream.unwrap());
    }
    assert_eq!(uni.len(), 5);
}

#[tokio::test]
async fn unidirectional_streams_that_stay_open_are_allowed_up_to_their_limit() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let mut streams = Vec::new();
    // The first byte of a type of two: nobody can say yet what these are.
    for _ in 0..Limits::default().max_uni_streams {
        streams.push(soon("a stream", tell(&connection, &[0x40], End::Open)).await);
    }
    let more = tokio::time::timeout(A_MOMENT, connection.open_uni()).await;
    assert!(more.is_err(), "more than the limit");
    assert!(serves(&connection).await);
}

/// RFC9218-7.2-stream-limit
#[tokio::test]
async fn a_priority_of_a_stream_that_may_not_be_opened_yet_closes_the_connection() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let update = |index: u64| {
        let mut payload = (0x4000 | (4 * index) as u16).to_be_bytes().to_vec();
        payload.extend_from_slice(b"u=1");
        [&[0x80, 0x0f, 0x07, 0x00, payload.len() as u8][..], &payload].concat()
    };
    let (connection, _endpoint) = quic(&server).await;
    let _control = tell(&connection, &[&[0, 4, 0][..], &update(100)].concat(), End::Open).await;
    assert_eq!(close_code(&connection).await, 0x108);

    let (connection, _endpoint) = quic(&server).await;
    let _streams = ask_times(&connection, 120).await;
    for _ in 0..120 {
        next_id(&ids).await;
    }
    let mut control = tell(
        &connection,
        &[&[0, 4, 0][..], &update(119 + 256)].concat(),
        End::Open,
    )
    .await;
    let more = tokio::time::timeout(A_MOMENT, connection.closed()).await;
    assert!(more.is_err(), "{more:?}");
    control.write_all(&update(120 + 256)).await.unwrap();
    assert_eq!(close_code(&connection).await, 0x108);
}
