//! Our own core without JavaScript, with the handler that every JavaScript server of the benchmark has.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Handle;
use trilane_core::certificate::DevCertificate;
use trilane_core::router::Router;
use trilane_core::tls::{CertificateStore, Identity, TlsOptions, server_config};
use trilane_core::{
    AddressValidation, DatagramOptions, Exchange, Handler, Limits, Modes, Request, Server, ServerConfig, Stop,
};

use super::Options;
use crate::{Outcome, output};

/// Answers `hello world` to a GET whose path and user agent it has looked at.
struct Hello;

impl Handler for Hello {
    fn request(&self, request: Request<'_>, exchange: Exchange) {
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

/// A certificate for localhost, made now.
pub(super) fn certificates() -> Result<Arc<CertificateStore>, Box<dyn std::error::Error + Send + Sync>> {
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

/// Runs the server.
pub(crate) async fn run(options: Options) -> Outcome {
    let config = ServerConfig {
        address: (Ipv4Addr::LOCALHOST, options.port).into(),
        tls: server_config(certificates()?, vec![b"h3".to_vec()], TlsOptions::default())?,
        limits: Limits::default(),
        router: Router::new(vec![])?,
        modes: Modes::default(),
        qlog_dir: None,
        has_fallback: true,
        datagrams: DatagramOptions::default(),
        sessions: trilane_core::SessionRoutes::default(),
        tell_connections: false,
        observe: trilane_core::Observe::default(),
        address_validation: AddressValidation::Auto,
        stateless_reset_key: None,
    };
    let server = Server::new(config, Arc::new(Hello), Handle::current());
    serve(&server).await
}
