//! What a small request allocates on the server's thread, counted: a program of its own, because its allocator counts.
//!
//! `cargo test -p trilane-core --test allocations -- --nocapture` prints the figures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use trilane_core::certificate::DevCertificate;
use trilane_core::router::Router;
use trilane_core::tls::{CertificateStore, Identity, TlsOptions, server_config};
use trilane_core::{Exchange, Handler, Request, Server, ServerConfig, Stop};

/// Requests that are counted, after as many that are not.
const REQUESTS: u64 = 2_000;

/// Five, quinn's share included, and a table that grows now and then.
const MOST_ALLOCATIONS: u64 = 8;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count(bytes: usize) {
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(1, SeqCst);
        BYTES.fetch_add(bytes as u64, SeqCst);
    }
}

// SAFETY: hands everything to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Hello;

impl Handler for Hello {
    fn request(&self, _request: Request<'_>, exchange: Exchange) {
        let fields = [(&b"content-type"[..], &b"text/plain"[..])];
        exchange
            .respond(200, fields.into_iter(), Bytes::from_static(b"hello world"))
            .unwrap();
    }
}

fn config() -> (ServerConfig, Vec<u8>) {
    let made = DevCertificate::generate(&[]).unwrap();
    let identity = Identity::from_pem_or_der(&made.cert_der, &made.key_der).unwrap();
    let store = Arc::new(CertificateStore::new(identity, []).unwrap());
    let tls = server_config(store, vec![b"h3".to_vec()], TlsOptions::default()).unwrap();
    let router = Router::new(vec![]).unwrap();
    let config = ServerConfig {
        has_fallback: true,
        ..ServerConfig::new((Ipv4Addr::LOCALHOST, 0).into(), tls, router)
    };
    (config, made.cert_der)
}

/// A server on a thread of its own, all of whose allocations count. It ends when the sender is dropped.
fn serve() -> (SocketAddr, Vec<u8>, tokio::sync::oneshot::Sender<()>) {
    let (say, said) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (config, certificate) = config();
            let server = Server::new(config, Arc::new(Hello), tokio::runtime::Handle::current());
            say.send((server.start().unwrap(), certificate)).unwrap();
            COUNTED.set(true);
            let _ = stopped.await;
            COUNTED.set(false);
            server.stop(Stop::Now).await;
        });
    });
    let (address, certificate) = said.recv_timeout(Duration::from_secs(10)).unwrap();
    (address, certificate, stop)
}

async fn client(address: SocketAddr, certificate: Vec<u8>) -> quinn::Connection {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut endpoint = quinn::Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    endpoint.connect(address, "localhost").unwrap().await.unwrap()
}

/// Sends so many GETs, one after the other, and reads their answers.
async fn ask(requests: &mut h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>, count: u64) {
    for _ in 0..count {
        let request = http::Request::get("https://localhost/hello?x=1")
            .body(())
            .unwrap();
        let mut stream = requests.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        while stream.recv_data().await.unwrap().is_some() {}
    }
}

#[tokio::test]
async fn a_small_request_and_its_answer_allocate_a_bounded_number_of_times() {
    let (address, certificate, _stop) = serve();
    let asking = async {
        let quic = client(address, certificate).await;
        let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(quic)).await.unwrap();
        let driving = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        ask(&mut requests, REQUESTS).await;
        let before = (ALLOCATIONS.load(SeqCst), BYTES.load(SeqCst));
        ask(&mut requests, REQUESTS).await;
        let counted = (ALLOCATIONS.load(SeqCst) - before.0, BYTES.load(SeqCst) - before.1);
        driving.abort();
        counted
    };
    let (allocations, bytes) = tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .unwrap();
    let each = |count: u64| count as f64 / REQUESTS as f64;
    println!(
        "{:.1} allocations, {:.0} bytes a request",
        each(allocations),
        each(bytes)
    );
    assert!(
        allocations > 0 && allocations / REQUESTS <= MOST_ALLOCATIONS,
        "{:.1} allocations a request",
        each(allocations)
    );
}
