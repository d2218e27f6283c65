//! How the server ends an answer that its client has stopped. A QUIC library tells nobody of a reset behind a STOP_SENDING of
//! its own, so here the frame is forged, and the client's stream goes on listening.

use std::sync::Arc;

use bytes::Bytes;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use trilane_core::{BodyMode, ExchangeId, ExchangeTable, Notify};

use crate::client::{endpoint, tls};
use crate::forger::Forger;
use crate::raw::{End, Seen, ask, request, seen, tell};
use crate::support::{TestServer, next_id, soon, start_waiting};

/// STOP_SENDING of the first request's answer with H3_NO_ERROR (RFC 9000 §19.5): a code that the server does not use for what
/// it resets, so that a copy of it would be noticed.
const STOP: &[u8] = &[0x05, 0, 0x41, 0x00];

/// Of a stream whose type means nothing (RFC 9114 §6.2.3): enough for a packet whose frames are forged.
const PADDING: [u8; 1_000] = [0x21; 1_000];

/// The first request of a client, with the server it goes to.
struct Scene {
    server: TestServer,
    connection: Connection,
    forger: Forger,
    recv: RecvStream,
    _send: SendStream,
    _endpoint: Endpoint,
}

impl Scene {
    /// A GET for which `begin` does what the handler does.
    async fn after(begin: impl FnOnce(&Arc<ExchangeTable>, ExchangeId)) -> Self {
        let (server, ids) = start_waiting(BodyMode::Buffered);
        let forger = Forger::new(STOP);
        let endpoint = endpoint("127.0.0.1:0", forger.client(tls(&server)));
        let connecting = endpoint.connect(server.address, "localhost").unwrap();
        let connection = soon("a handshake", connecting).await.unwrap();
        let (send, recv) = ask(&connection, &request("GET", &[]), End::Fin).await;
        begin(server.server.exchanges(), next_id(&ids).await);
        Self {
            server,
            connection,
            forger,
            recv,
            _send: send,
            _endpoint: endpoint,
        }
    }

    /// Stops the answer, and returns what the server makes of its stream.
    async fn stopped(mut self) -> Seen {
        self.forger.arm();
        let _padding = tell(&self.connection, &PADDING, End::Open).await;
        let seen = seen(&mut self.recv).await;
        assert_eq!(self.server.server.stats().protocol_errors, 0);
        seen
    }
}

const CANCELLED: Seen = Seen::Reset(0x10c);

/// RFC9114-4.1.1-cancelled-processed
#[tokio::test]
async fn an_answer_that_is_stopped_before_it_begins_is_reset_as_cancelled() {
    let scene = Scene::after(|_, _| {}).await;
    assert_eq!(scene.stopped().await, CANCELLED);
}

/// RFC9114-4.1.1-cancelled-processed
#[tokio::test]
async fn a_streamed_answer_that_is_stopped_is_reset_as_cancelled() {
    let scene = Scene::after(|exchanges, id| {
        exchanges.start(id, 200, std::iter::empty()).unwrap();
        let part = Bytes::from_static(b"part");
        exchanges.write(id, part, Notify::Never).unwrap();
    })
    .await;
    assert_eq!(scene.stopped().await, CANCELLED);
}

/// RFC9114-4.1.1-cancelled-processed
#[tokio::test]
async fn a_whole_answer_that_is_stopped_before_all_of_it_is_sent_is_reset_as_cancelled() {
    // More than the client's window.
    let scene = Scene::after(|exchanges, id| {
        let body = vec![0; 4 << 20].into();
        exchanges.respond(id, 200, std::iter::empty(), body).unwrap();
    })
    .await;
    assert_eq!(scene.stopped().await, CANCELLED);
}
