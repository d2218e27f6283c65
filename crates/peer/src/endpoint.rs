//! QUIC endpoints: clients that accept what a test tells them to accept, servers with a certificate of their own.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TransportConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    certificate,
    silent_socket::SilentSocket,
    trust::{self, Trust},
};

/// Why an endpoint or its configuration cannot be made.
pub(crate) type SetupError = Box<dyn std::error::Error + Send + Sync>;

/// The ALPN token of HTTP/3 (RFC 9114 §3.1).
pub(crate) const ALPN: &[u8] = b"h3";

/// After this much silence a client gives a connection up. Below the time any test waits for it.
const CLIENT_IDLE: Duration = Duration::from_secs(8);

/// A server that falls silent for longer than this is gone.
const SERVER_IDLE: Duration = Duration::from_secs(30);

/// A free port, on the wildcard address of the family that reaches `remote`.
pub(crate) fn any_port_towards(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Socket buffers asked of the kernel, as the server under test asks for them: with a thousand connections on one socket a
/// smaller one loses packets, and what is measured is how they are sent again.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A bound socket with room for bursts.
pub(crate) fn roomy_socket(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel's maximum may be lower; a smaller buffer is no error.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Datagrams that wait until a test reads them: none that came may be lost here, or a test could not tell who lost it.
const UNREAD_DATAGRAM_BYTES: usize = 64 * 1024 * 1024;

/// An endpoint for loads, on a socket with room for bursts.
fn roomy(server: Option<ServerConfig>, address: SocketAddr) -> io::Result<Endpoint> {
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new(EndpointConfig::default(), server, roomy_socket(address)?, runtime)
}

/// A client endpoint for loads towards `remote`. It has no default configuration.
pub(crate) fn load_client(remote: SocketAddr) -> io::Result<Endpoint> {
    roomy(None, any_port_towards(remote))
}

/// A client endpoint towards `remote` whose connections speak HTTP/3 and accept any certificate.
pub(crate) fn trusting_client(remote: SocketAddr) -> Result<Endpoint, SetupError> {
    let mut endpoint = load_client(remote)?;
    endpoint.set_default_client_config(http3_config(Trust::Anything)?);
    Ok(endpoint)
}

/// A client endpoint whose socket the caller can silence. It has no default configuration.
pub(crate) fn silenceable_client(remote: SocketAddr) -> io::Result<(Endpoint, Arc<SilentSocket>)> {
    let socket = SilentSocket::bind(remote)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let endpoint =
        Endpoint::new_with_abstract_socket(EndpointConfig::default(), None, socket.clone(), runtime)?;
    Ok((endpoint, socket))
}

/// A client configuration with ALPN `h3`.
pub(crate) fn http3_config(trust: Trust) -> Result<ClientConfig, SetupError> {
    let mut config = ClientConfig::new(Arc::new(http3_crypto(trust)?));
    config.transport_config(Arc::new(client_transport()?));
    Ok(config)
}

/// The cryptographic part of a client configuration with ALPN `h3`.
pub(crate) fn http3_crypto(trust: Trust) -> Result<QuicClientConfig, SetupError> {
    let mut tls = trust::client_config(trust, None)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    Ok(QuicClientConfig::try_from(Arc::new(tls))?)
}

/// A client configuration over a finished TLS configuration.
pub(crate) fn client_config(tls: Arc<rustls::ClientConfig>) -> Result<ClientConfig, SetupError> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(client_transport()?));
    Ok(config)
}

/// A server endpoint on 127.0.0.1 with a certificate of its own and ALPN `h3`.
pub(crate) fn server(port: u16) -> Result<Endpoint, SetupError> {
    let (certificate, key) = certificate::for_localhost()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport(SERVER_IDLE)?));
    Ok(roomy(Some(config), (Ipv4Addr::LOCALHOST, port).into())?)
}

/// The transport configuration of every client here, to be changed.
pub(crate) fn client_transport() -> Result<TransportConfig, SetupError> {
    let mut transport = transport(CLIENT_IDLE)?;
    transport.datagram_receive_buffer_size(Some(UNREAD_DATAGRAM_BYTES));
    Ok(transport)
}

fn transport(idle: Duration) -> Result<TransportConfig, SetupError> {
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(idle.try_into()?));
    Ok(transport)
}
