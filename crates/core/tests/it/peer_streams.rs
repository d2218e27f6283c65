//! Unidirectional streams of the peer that the server has no use for.

use crate::client::{connect, quic};
use crate::support::{Script, Setup, TestServer, answer, soon, start};

/// Opens fifty times as many streams of a reserved type as may be open at once, and ends each in this way.
async fn open_many(server: &TestServer, end: impl Fn(&mut quinn::SendStream)) {
    let (connection, _endpoint) = quic(server).await;
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&[0, 4, 0]).await.unwrap();
    for _ in 0..5_000 {
        let mut stream = soon("credit for a stream", connection.open_uni()).await.unwrap();
        stream.write_all(&[0x21, b'?']).await.unwrap();
        end(&mut stream);
    }
    assert_eq!(connect(server).await.get("/").await.status, 200);
}

/// RFC 9114 §6.2.3
#[tokio::test]
async fn streams_of_reserved_types_that_end_at_once_make_room_for_more() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    open_many(&server, |stream| stream.finish().unwrap()).await;
}

/// RFC 9000 §4.6
#[tokio::test]
async fn streams_that_are_reset_before_they_say_what_they_are_make_room_for_more() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    open_many(&server, |stream| stream.reset(0x10c_u32.into()).unwrap()).await;
}

/// RFC 9114 §6.2: the content is not wanted, and the peer is told.
#[tokio::test]
async fn a_stream_of_a_reserved_type_that_goes_on_is_stopped() {
    let server = start(Setup::default(), Script::new(|_, exchange| answer(exchange, "")));
    let (connection, _endpoint) = quic(&server).await;
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[0x21, b'?']).await.unwrap();
    let code = soon("STOP_SENDING", stream.stopped()).await.unwrap();
    assert_eq!(code, Some(0x103_u32.into()));
}
