//! A client that is gone without a word holds up no graceful stop, whatever it left behind; one that is there has the whole
//! of its time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use trilane_core::{Notify, Stop};

use crate::client::quic;
use crate::relay::Relay;
use crate::session_scene::{SETTINGS, Scene, head, status};
use crate::support::{Kept, Script, Setup, TestServer, answer, keeping, kept_id, soon, start};

/// The time a stop has; longer than any client that is gone may hold it up.
const DRAIN: Duration = Duration::from_secs(9);

/// When the server must have given up a client that is gone, on a busy machine.
const GIVEN_UP: Duration = Duration::from_secs(6);

/// A server that keeps its last request open, and a client with SETTINGS behind a relay.
struct Waiting {
    server: TestServer,
    kept: Kept,
    client: quinn::Connection,
    _endpoint: quinn::Endpoint,
    _control: quinn::SendStream,
    relay: Relay,
}

impl Waiting {
    async fn new() -> Self {
        let (kept, handler) = keeping();
        Self::with(kept, handler).await
    }

    async fn with(kept: Kept, handler: Arc<Script>) -> Self {
        let server = start(Setup::default(), handler);
        let relay = Relay::start(server.address, |_, _| true).await;
        let server = TestServer {
            address: relay.address,
            ..server
        };
        let (client, endpoint) = quic(&server).await;
        let mut control = client.open_uni().await.unwrap();
        control.write_all(SETTINGS).await.unwrap();
        Self {
            server,
            kept,
            client,
            _endpoint: endpoint,
            _control: control,
            relay,
        }
    }

    async fn get(&self) -> quinn::RecvStream {
        let (mut send, recv) = soon("a stream", self.client.open_bi()).await.unwrap();
        send.write_all(&head("GET", "/", None)).await.unwrap();
        send.finish().unwrap();
        recv
    }
}

/// How long a graceful stop took.
async fn stop(server: &TestServer) -> Duration {
    let began = Instant::now();
    soon("the stop", server.server.stop(Stop::Graceful(DRAIN))).await;
    began.elapsed()
}

fn assert_given_up(took: Duration) {
    assert!(took < GIVEN_UP, "the stop took {took:?}");
}

#[tokio::test]
async fn a_streamed_answer_that_nobody_acknowledges_does_not_hold_up_a_stop() {
    let scene = Waiting::new().await;
    let _recv = scene.get().await;
    let id = kept_id(&scene.kept).await;
    scene.relay.hold();
    let exchanges = scene.server.server.exchanges();
    exchanges.start(id, 200, std::iter::empty()).unwrap();
    exchanges
        .write(id, Bytes::from_static(b"unheard"), Notify::Never)
        .unwrap();
    exchanges.finish(id).unwrap();
    assert_given_up(stop(&scene.server).await);
}

#[tokio::test]
async fn an_answer_that_was_slow_and_that_nobody_acknowledges_does_not_hold_up_a_stop() {
    let scene = Waiting::new().await;
    let _recv = scene.get().await;
    let id = kept_id(&scene.kept).await;
    // Long enough for the exchange to be watched.
    tokio::time::sleep(Duration::from_millis(100)).await;
    scene.relay.hold();
    let exchanges = scene.server.server.exchanges();
    exchanges
        .respond(id, 200, std::iter::empty(), Bytes::from_static(b"unheard"))
        .unwrap();
    assert_given_up(stop(&scene.server).await);
}

#[tokio::test]
async fn a_request_whose_client_is_gone_does_not_hold_up_a_stop() {
    let scene = Waiting::new().await;
    let _recv = scene.get().await;
    kept_id(&scene.kept).await;
    scene.relay.hold();
    assert_given_up(stop(&scene.server).await);
}

#[tokio::test]
async fn a_session_whose_client_is_gone_does_not_hold_up_a_stop() {
    let (scene, relay) = Scene::through_relay().await;
    let (_, _connect) = scene.session(0).await;
    relay.hold();
    assert_given_up(stop(&scene.server).await);
}

#[tokio::test]
async fn a_session_that_was_closed_to_a_client_that_is_gone_does_not_hold_up_a_stop() {
    let (scene, relay) = Scene::through_relay().await;
    let (id, _connect) = scene.session(0).await;
    relay.hold();
    let sessions = scene.server.server.sessions();
    sessions.close(id, 7, Bytes::from_static(b"enough"));
    assert_given_up(stop(&scene.server).await);
}

/// The client acknowledges the end of the session and goes on living, but its own side of the CONNECT stream stays open.
#[tokio::test]
async fn a_client_that_never_answers_the_close_of_its_session_does_not_hold_up_a_stop() {
    let scene = Scene::new().await;
    let (id, _connect) = scene.session(0).await;
    let sessions = scene.server.server.sessions();
    sessions.close(id, 7, Bytes::from_static(b"enough"));
    assert_given_up(stop(&scene.server).await);
}

#[tokio::test]
async fn a_client_that_goes_while_the_stop_waits_for_it_does_not_hold_it_up_further() {
    let scene = Waiting::new().await;
    let _recv = scene.get().await;
    kept_id(&scene.kept).await;
    let began = Instant::now();
    let stopped = tokio::spawn(scene.server.server.stop(Stop::Graceful(DRAIN)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(scene.server.server.is_running(), "the client was still there");
    scene.relay.hold();
    soon("the stop", stopped).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_is_there_has_the_whole_time_of_the_stop() {
    let scene = Waiting::new().await;
    let mut recv = scene.get().await;
    let id = kept_id(&scene.kept).await;
    let stopped = tokio::spawn(scene.server.server.stop(Stop::Graceful(DRAIN)));
    // Nothing passes meanwhile but what the server sends to see whether anybody is there.
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    assert!(scene.server.server.is_running(), "the client was given up");
    let exchanges = scene.server.server.exchanges();
    exchanges
        .respond(id, 200, std::iter::empty(), Bytes::from_static(b"late but whole"))
        .unwrap();
    assert_eq!(status(&mut recv).await, 200);
    assert!(
        soon("the body", recv.read_to_end(100))
            .await
            .unwrap()
            .ends_with(b"late but whole")
    );
    soon("the stop", stopped).await.unwrap();
}

#[tokio::test]
async fn a_session_whose_client_is_there_has_the_whole_time_of_the_stop() {
    let scene = Scene::new().await;
    let (_, _connect) = scene.session(0).await;
    let time = Duration::from_millis(4_500);
    let began = Instant::now();
    soon("the stop", scene.server.server.stop(Stop::Graceful(time))).await;
    assert!(began.elapsed() >= time, "{:?}", began.elapsed());
}

/// All of the answer is with QUIC, but the client's flow control keeps most of it here.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_whole_of_its_answer() {
    const LENGTH: usize = 1_900_000;
    let handler = Script::new(|_, exchange| answer(exchange, vec![7; LENGTH]));
    let scene = Waiting::with(Kept::default(), handler).await;
    let mut recv = scene.get().await;
    assert_eq!(status(&mut recv).await, 200);
    let stopped = tokio::spawn(scene.server.server.stop(Stop::Graceful(DRAIN)));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let body = soon("the body", recv.read_to_end(2 * LENGTH)).await.unwrap();
    assert!(body.len() > LENGTH, "{} bytes came", body.len());
    soon("the stop", stopped).await.unwrap();
}
