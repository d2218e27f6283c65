//! Our own core without JavaScript, with the handler that every JavaScript server of the benchmark has.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Handle;
use trilane_core::certificate::DevCertificate;
use trilane_core::router::{Methods, Pattern, Route, Router};
use trilane_core::tls::{CertificateStore, Identity, TlsOptions, server_config};
use trilane_core::{Exchange, Handler, MessageBody, Request, Server, ServerConfig, Stop};

use super::Options;
use crate::{Outcome, output};

/// Answers `hello world` to a GET whose path and user agent it has looked at, and to a POST of JSON the same JSON, read and
/// written anew.
struct Hello;

/// The fields that a POST has to have.
const FIELDS: [&[u8]; 8] = [
    b"x-field-1",
    b"x-field-2",
    b"x-field-3",
    b"x-field-4",
    b"x-field-5",
    b"x-field-6",
    b"x-field-7",
    b"x-field-8",
];

impl Handler for Hello {
    fn request(&self, request: Request<'_>, exchange: Exchange) {
        if request.head.method() == b"POST" {
            return json_echo(&request, exchange);
        }
        let path = request
            .head
            .path()
            .split(|byte| *byte == b'?')
            .next()
            .unwrap_or_default();
        let is_known = request.head.method() == b"GET" && request.head.field(b"user-agent").is_some();
        let status = if is_known && !path.is_empty() { 200 } else { 400 };
        let fields = [(&b"content-type"[..], &b"text/plain"[..])];
        // Refused only if the client is gone already.
        let _ = exchange.respond(status, fields.into_iter(), Bytes::from_static(b"hello world"));
    }
}

fn json_echo(request: &Request<'_>, exchange: Exchange) {
    let has_all = FIELDS.iter().all(|name| request.head.field(name).is_some());
    let document = match &request.body {
        MessageBody::Whole(bytes) if has_all => serde_json::from_slice::<serde_json::Value>(bytes).ok(),
        _ => None,
    };
    let text = document.and_then(|document| serde_json::to_vec(&document).ok());
    let status = if text.is_some() { 200 } else { 400 };
    let fields = [(&b"content-type"[..], &b"application/json"[..])];
    // Refused only if the client is gone already.
    let _ = exchange.respond(status, fields.into_iter(), text.unwrap_or_default().into());
}

/// A certificate for localhost, made now.
fn certificates() -> Outcome<Arc<CertificateStore>> {
    let made = DevCertificate::generate(&[])?;
    let identity = Identity::from_pem_or_der(&made.cert_der, &made.key_der)?;
    Ok(Arc::new(CertificateStore::new(identity, [])?))
}

/// Starts the server, prints its port, and stops it when nobody wants it any more.
pub(super) async fn serve(server: &Server) -> Outcome {
    let address = server.start()?;
    let terminated = super::terminated()?;
    output::line(&json!({ "port": address.port() }));
    tokio::select! {
        () = terminated => {}
        _ = super::standard_input_closes() => {}
    }
    server.stop(Stop::Graceful(Duration::from_secs(1))).await;
    Ok(())
}

/// A route for `method` on `path`, of an extended CONNECT for `protocol`.
pub(super) fn route(method: &str, path: &str, protocol: Option<&str>) -> Outcome<Route> {
    Ok(Route {
        methods: Methods::parse(&[method])?,
        pattern: Pattern::parse(path)?,
        protocol: protocol.map(str::to_owned),
    })
}

/// A server on `port` of this machine that speaks `alpn`, with the defaults of the core.
pub(super) fn config(port: u16, alpn: &[&[u8]], routes: Vec<Route>) -> Outcome<ServerConfig> {
    let alpn = alpn.iter().map(|token| token.to_vec()).collect();
    let tls = server_config(certificates()?, alpn, TlsOptions::default())?;
    Ok(ServerConfig::new(
        (Ipv4Addr::LOCALHOST, port).into(),
        tls,
        Router::new(routes)?,
    ))
}

/// Runs the server.
pub(crate) async fn run(options: Options) -> Outcome {
    let mut config = config(options.port, &[b"h3"], vec![])?;
    config.has_fallback = true;
    if let Some(connections) = options.connections {
        config.limits.max_connections = connections;
        config.limits.max_connections_per_ip = connections;
    }
    let server = Server::new(config, Arc::new(Hello), Handle::current());
    serve(&server).await
}
