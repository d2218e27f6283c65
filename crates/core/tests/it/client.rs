//! The independent client: h3 over h3-quinn.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use quinn::crypto::rustls::QuicClientConfig;

use crate::support::{TestServer, soon};

pub(crate) type SendRequest = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;
pub(crate) type Stream = h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// A connection on which requests are sent.
pub(crate) struct Client {
    pub(crate) quic: quinn::Connection,
    pub(crate) requests: SendRequest,
    _endpoint: quinn::Endpoint,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

/// The TLS of a client that trusts `server` and speaks `h3`.
pub(crate) fn tls(server: &TestServer) -> QuicClientConfig {
    tls_as(server, b"h3")
}

/// The TLS of a client that trusts `server` and speaks `alpn`.
pub(crate) fn tls_as(server: &TestServer, alpn: &[u8]) -> QuicClientConfig {
    let mut tls = trusting(server);
    tls.alpn_protocols = vec![alpn.to_vec()];
    QuicClientConfig::try_from(tls).unwrap()
}

/// An endpoint on `address` whose connections use `crypto`.
pub(crate) fn endpoint(address: &str, crypto: impl quinn::crypto::ClientConfig + 'static) -> quinn::Endpoint {
    let mut endpoint = quinn::Endpoint::client(address.parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    endpoint
}

/// A bare QUIC connection, for bytes that no HTTP/3 library sends.
pub(crate) async fn quic(server: &TestServer) -> (quinn::Connection, quinn::Endpoint) {
    quic_as(server, b"h3").await
}

/// A bare QUIC connection that speaks `alpn`.
pub(crate) async fn quic_as(server: &TestServer, alpn: &[u8]) -> (quinn::Connection, quinn::Endpoint) {
    let (connecting, endpoint) = quic_offering(server, alpn);
    (soon("a handshake", connecting).await.unwrap(), endpoint)
}

/// A handshake in which the client offers `alpn`.
pub(crate) fn quic_offering(server: &TestServer, alpn: &[u8]) -> (quinn::Connecting, quinn::Endpoint) {
    let endpoint = endpoint("127.0.0.1:0", tls_as(server, alpn));
    (endpoint.connect(server.address, "localhost").unwrap(), endpoint)
}

pub(crate) async fn connect(server: &TestServer) -> Client {
    let (quic, endpoint) = quic(server).await;
    let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(quic.clone()))
        .await
        .unwrap();
    tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    Client {
        quic,
        requests,
        _endpoint: endpoint,
    }
}

impl Client {
    pub(crate) async fn begin(&mut self, request: http::Request<()>) -> Stream {
        soon("a request", self.requests.send_request(request))
            .await
            .unwrap()
    }

    /// A GET of `/` that is sent whole and whose answer is still to be read.
    pub(crate) async fn begin_get(&mut self) -> Stream {
        let request = http::Request::get("https://localhost/").body(()).unwrap();
        let mut stream = self.begin(request).await;
        stream.finish().await.unwrap();
        stream
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"))
            .body(())
            .unwrap();
        let mut stream = self.begin(request).await;
        // A server may refuse the body and answer all the same.
        let _ = stream.send_data(Bytes::copy_from_slice(body)).await;
        let _ = stream.finish().await;
        read(&mut stream).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, b"").await
    }
}

pub(crate) async fn read(stream: &mut Stream) -> Answer {
    let head = soon("an answer", stream.recv_response()).await.unwrap();
    let mut body = BytesMut::new();
    while let Some(mut chunk) = soon("a chunk", stream.recv_data()).await.unwrap() {
        body.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
    }
    Answer {
        status: head.status().as_u16(),
        headers: head.headers().clone(),
        body: body.freeze(),
    }
}

/// A client that keeps sessions and may send early data.
pub(crate) fn returning_client(server: &TestServer, key_log: Arc<dyn rustls::KeyLog>) -> quinn::Endpoint {
    let mut tls = trusting(server);
    tls.enable_early_data = true;
    tls.key_log = key_log;
    endpoint("127.0.0.1:0", QuicClientConfig::try_from(tls).unwrap())
}

fn trusting(server: &TestServer) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.certificate.clone().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls
}
