//! A server that is written byte by byte: on its first connection it says what a test tells it, on all later ones it behaves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use trilane_core::certificate::DevCertificate;
use trilane_core::client::ClientConfig;

use crate::caller::{Caller, caller_of};
use crate::dial_scene::{signed, tls};
use crate::raw::{End, frame, headers, tell, write};
use crate::support::found;

/// Time for what was said to arrive.
const A_WHILE: Duration = Duration::from_millis(20);

/// What it says on its first connection.
#[derive(Clone)]
pub(crate) struct Plot {
    /// Its unidirectional streams.
    pub(crate) uni: Vec<(Vec<u8>, End)>,
    /// Its bidirectional streams.
    pub(crate) bidi: Vec<(Vec<u8>, End)>,
    pub(crate) datagrams: Vec<Vec<u8>>,
    /// To its first requests. All others get [`honest`].
    pub(crate) answer: (Vec<u8>, End),
    /// How many get that answer.
    pub(crate) times: usize,
    /// It behaves like that on every connection, not only the first.
    pub(crate) every_connection: bool,
    /// Reads the first request to its end before it answers.
    pub(crate) listens: bool,
    /// Closes the connection behind all that, with this code.
    pub(crate) leaves: Option<u64>,
}

impl Default for Plot {
    fn default() -> Self {
        Self {
            uni: vec![control(&[])],
            bidi: Vec::new(),
            datagrams: Vec::new(),
            answer: honest(),
            times: 1,
            every_connection: false,
            listens: true,
            leaves: None,
        }
    }
}

impl Plot {
    pub(crate) fn answering(answer: Vec<u8>, end: End) -> Self {
        Self {
            answer: (answer, end),
            ..Self::default()
        }
    }

    /// One that leaves its first request unanswered.
    pub(crate) fn silent() -> Self {
        Self::answering(Vec::new(), End::Open)
    }
}

/// A control stream that begins with empty SETTINGS.
pub(crate) fn control(more: &[u8]) -> (Vec<u8>, End) {
    ([&[0], &frame(4, &[])[..], more].concat(), End::Open)
}

/// 200 without content.
pub(crate) fn honest() -> (Vec<u8>, End) {
    (headers(&[(":status", "200")]), End::Fin)
}

/// What the client did to the first connection.
#[derive(Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// The code with which it stopped the answer to the first request.
    stopped: Mutex<Option<u64>>,
    /// The code with which it closed the connection.
    closed: Mutex<Option<u64>>,
    /// What it sent on the first request's stream, if it was read.
    request: Mutex<Option<Vec<u8>>>,
}

pub(crate) struct Villain {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Vec<u8>,
    pub(crate) seen: Arc<Seen>,
}

impl Villain {
    pub(crate) fn start(plot: Plot) -> Self {
        let made = DevCertificate::generate(&[]).unwrap();
        let tls = tls(signed(made.cert_der.clone().into(), made.key_der.clone()));
        let crypto = QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()).unwrap();
        let address = endpoint.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let kept = seen.clone();
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let Ok(quic) = incoming.await else { continue };
                let is_first = kept.connections.fetch_add(1, SeqCst) == 0;
                let plot = if is_first || plot.every_connection {
                    plot.clone()
                } else {
                    Plot::default()
                };
                tokio::spawn(serve(quic, plot, is_first.then(|| kept.clone())));
            }
        });
        Self {
            address,
            certificate: made.cert_der,
            seen,
        }
    }

    pub(crate) fn caller(&self) -> Caller {
        self.caller_with(|_| {})
    }

    pub(crate) fn caller_with(&self, adapt: impl FnOnce(&mut ClientConfig)) -> Caller {
        caller_of(&self.certificate, self.address.port(), adapt)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }

    /// Requests on the first connection.
    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(SeqCst)
    }

    /// The code with which the client stopped the first answer.
    pub(crate) async fn stopped(&self) -> u64 {
        found("a stop of the answer", || *self.seen.stopped.lock().unwrap()).await
    }

    /// The code with which the client closed the first connection.
    pub(crate) async fn closed(&self) -> u64 {
        found("a close", || *self.seen.closed.lock().unwrap()).await
    }

    /// All that came on the stream of the first request.
    pub(crate) async fn request(&self) -> Vec<u8> {
        found("the end of the request", || {
            self.seen.request.lock().unwrap().clone()
        })
        .await
    }
}

async fn serve(quic: Connection, plot: Plot, seen: Option<Arc<Seen>>) {
    let mut kept = Vec::new();
    for (bytes, end) in &plot.uni {
        let mut stream = tell(&quic, bytes, End::Open).await;
        // A reset takes back what has not arrived.
        if matches!(end, End::Reset(_)) {
            tokio::time::sleep(A_WHILE).await;
        }
        write(&mut stream, &[], *end).await;
        kept.push(stream);
    }
    let mut others = Some((plot.bidi.clone(), plot.datagrams.clone()));
    let mut count = 0;
    while let Ok((send, recv)) = quic.accept_bi().await {
        let notes = seen.clone().filter(|_| count == 0);
        if let Some(seen) = &seen {
            seen.requests.fetch_add(1, SeqCst);
        }
        let is_plotted = count < plot.times;
        let answer = if is_plotted { plot.answer.clone() } else { honest() };
        count += 1;
        tokio::spawn(respond(send, recv, answer, plot.listens || !is_plotted, notes));
        if let Some((bidi, datagrams)) = others.take() {
            tokio::spawn(say_more(quic.clone(), bidi, datagrams, plot.leaves));
        }
    }
    if let (Some(seen), ConnectionError::ApplicationClosed(close)) = (seen, quic.closed().await) {
        *seen.closed.lock().unwrap() = Some(close.error_code.into_inner());
    }
    drop(kept);
}

async fn say_more(quic: Connection, bidi: Vec<(Vec<u8>, End)>, datagrams: Vec<Vec<u8>>, leaves: Option<u64>) {
    let mut kept = Vec::new();
    for (bytes, end) in bidi {
        let Ok((mut send, recv)) = quic.open_bi().await else {
            return;
        };
        write(&mut send, &bytes, end).await;
        kept.push((send, recv));
    }
    for datagram in datagrams {
        let _ = quic.send_datagram(datagram.into());
    }
    if let Some(code) = leaves {
        tokio::time::sleep(A_WHILE).await;
        quic.close(VarInt::from_u64(code).unwrap(), b"");
    }
    quic.closed().await;
}

async fn respond(
    mut send: SendStream,
    mut recv: RecvStream,
    (bytes, end): (Vec<u8>, End),
    listens: bool,
    seen: Option<Arc<Seen>>,
) {
    if listens {
        let request = recv.read_to_end(1 << 20).await.unwrap_or_default();
        if let Some(seen) = &seen {
            *seen.request.lock().unwrap() = Some(request);
        }
    }
    write(&mut send, &bytes, end).await;
    if let (Some(seen), Ok(Some(code))) = (seen, send.stopped().await) {
        *seen.stopped.lock().unwrap() = Some(code.into_inner());
    }
}
