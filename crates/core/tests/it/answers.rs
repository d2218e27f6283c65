//! What an answer looks like, whatever its handler wants to send (RFC 9114 §4).

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use trilane_core::{BodyMode, Exchange, ExchangeError, Notify};
use trilane_http3::FieldError;

use crate::client::quic;
use crate::raw::{End, Seen, ask, frames, head, headers, request, seen};
use crate::support::{Script, Setup, next_id, soon, start, start_waiting};

fn with_length(length: &'static str) -> impl Iterator<Item = (&'static [u8], &'static [u8])> + Clone {
    [(&b"content-length"[..], length.as_bytes())].into_iter()
}

/// RFC9114-4.1.2-own-content-length
#[tokio::test]
async fn an_answer_whose_content_length_is_wrong_is_refused_and_another_may_follow() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let (_send, mut recv) = ask(&connection, &request("GET", &[]), End::Fin).await;
    let (id, exchanges) = (next_id(&ids).await, server.server.exchanges());
    let body = || Bytes::from_static(b"body");
    for wrong in ["3", "5", "0", "18446744073709551615"] {
        let refused = exchanges.respond(id, 200, with_length(wrong), body());
        assert!(
            matches!(refused, Err(ExchangeError::Length { length: 4, .. })),
            "{refused:?}"
        );
    }
    for invalid in ["", "x", "-4", "4, 4"] {
        let refused = exchanges.respond(id, 200, with_length(invalid), body());
        assert_eq!(refused, Err(ExchangeError::InvalidLength));
    }
    let twice = with_length("4").chain(with_length("4"));
    let refused = exchanges.respond(id, 200, twice, body());
    assert_eq!(refused, Err(ExchangeError::InvalidLength));
    exchanges.respond(id, 200, with_length("4"), body()).unwrap();
    assert_eq!(seen(&mut recv).await, Seen::Answer(200));
}

/// RFC9114-4.1.2-own-content-length
#[tokio::test]
async fn a_streamed_answer_of_another_length_than_it_declares_is_reset() {
    for pieces in [&["ab"][..], &["ab", "cd", "e"], &[]] {
        let (server, ids) = start_waiting(BodyMode::Buffered);
        let (connection, _endpoint) = quic(&server).await;
        let (_send, mut recv) = ask(&connection, &request("GET", &[]), End::Fin).await;
        let (id, exchanges) = (next_id(&ids).await, server.server.exchanges());
        exchanges.start(id, 200, with_length("4")).unwrap();
        for piece in pieces {
            let _ = exchanges.write(id, Bytes::from_static(piece.as_bytes()), Notify::Never);
        }
        let _ = exchanges.finish(id);
        assert_eq!(seen(&mut recv).await, Seen::Reset(0x102), "{pieces:?}");
    }
}

/// RFC9114-4.1-interim-alone, RFC9114-4.5-status-101-sent
#[tokio::test]
async fn an_interim_status_is_refused_as_the_answer() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let (_send, mut recv) = ask(&connection, &request("GET", &[]), End::Fin).await;
    let (id, exchanges) = (next_id(&ids).await, server.server.exchanges());
    for status in [100, 101, 103, 199] {
        let refused = exchanges.respond(id, status, std::iter::empty(), Bytes::new());
        assert_eq!(refused, Err(ExchangeError::Status(status)));
        let refused = exchanges.start(id, status, std::iter::empty());
        assert_eq!(refused, Err(ExchangeError::Status(status)));
    }
    exchanges
        .respond(id, 200, std::iter::empty(), Bytes::new())
        .unwrap();
    assert_eq!(seen(&mut recv).await, Seen::Answer(200));
}

/// RFC9114-4.2-te-sent, RFC9114-4.2-connection-specific-sent, RFC9114-4.3-not-generated
#[tokio::test]
async fn fields_that_no_response_may_have_are_refused() {
    let refused: Arc<Mutex<Vec<ExchangeError>>> = Arc::default();
    let errors = refused.clone();
    let respond = move |name: &'static [u8], exchange: Exchange| {
        let field = [(name, &b"trailers"[..])].into_iter();
        errors
            .lock()
            .unwrap()
            .extend(exchange.respond(200, field, Bytes::new()).err());
    };
    let names = [&b"te"[..], b"upgrade", b":status", b"Upper"];
    let next = Mutex::new(names.into_iter());
    let server = start(
        Setup::default(),
        Script::new(move |_, exchange| respond(next.lock().unwrap().next().unwrap(), exchange)),
    );
    let (connection, _endpoint) = quic(&server).await;
    for _ in names {
        let (_send, mut recv) = ask(&connection, &request("GET", &[]), End::Fin).await;
        assert_eq!(seen(&mut recv).await, Seen::Reset(0x102));
    }
    let expected = [
        FieldError::ConnectionSpecific,
        FieldError::ConnectionSpecific,
        FieldError::PseudoHeader,
        FieldError::Name,
    ];
    assert_eq!(*refused.lock().unwrap(), expected.map(ExchangeError::Field));
}

/// RFC9114-4.4-connect-answer
#[tokio::test]
async fn a_2xx_answer_to_connect_has_no_length_and_only_data_behind_it() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| {
            exchange
                .respond(200, with_length("4"), Bytes::from_static(b"body"))
                .unwrap();
        }),
    );
    let (connection, _endpoint) = quic(&server).await;
    let connect = headers(&[(":method", "CONNECT"), (":authority", "a:1")]);
    let (_send, mut recv) = ask(&connection, &connect, End::Fin).await;
    let bytes = soon("an answer", recv.read_to_end(10_000)).await.unwrap();
    let kinds: Vec<u64> = frames(bytes.clone()).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [1, 0]);
    assert_eq!(head(&bytes).content_length(), None);
}

/// RFC9114-4.4-connect-answer
#[tokio::test]
async fn the_length_that_a_handler_gives_a_tunnel_does_not_bound_it() {
    let (server, ids) = start_waiting(BodyMode::Buffered);
    let (connection, _endpoint) = quic(&server).await;
    let connect = headers(&[(":method", "CONNECT"), (":authority", "a:1")]);
    let (_send, mut recv) = ask(&connection, &connect, End::Fin).await;
    let (id, exchanges) = (next_id(&ids).await, server.server.exchanges());
    assert_eq!(exchanges.start(id, 200, with_length("4")), Ok(true));
    exchanges
        .write(id, Bytes::from_static(b"longer"), Notify::Never)
        .unwrap();
    exchanges.finish(id).unwrap();
    let bytes = soon("an answer", recv.read_to_end(10_000)).await.unwrap();
    assert!(bytes.ends_with(b"longer"));
    assert_eq!(head(&bytes).content_length(), None);
}
