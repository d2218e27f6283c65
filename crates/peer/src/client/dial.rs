//! `connect` and `raw_connect`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use data_encoding::HEXLOWER_PERMISSIVE;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use serde_json::json;

use super::{
    Reply,
    connection::{Connection, Connections, Named},
    http3::{Http3, Settings},
    raw::RawStream,
    reply, session, within,
};
use crate::{
    certificate, endpoint,
    failure::Failure,
    silent_socket::SilentSocket,
    target::{self, Target},
    trust::{self, Trust},
};

/// Both commands. The server is given by `url` or by `host` and `port`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dial {
    conn: String,
    url: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    /// The server name of the handshake; the host unless given.
    sni: Option<String>,
    /// `["h3"]` unless given.
    alpn: Option<Vec<String>>,
    /// Roots to check the certificate against; else the hash; else any certificate will do.
    ca_pem: Option<String>,
    cert_sha256: Option<String>,
    /// The certificate and key this client shows if asked.
    client_cert_pem: Option<String>,
    client_key_pem: Option<String>,
    /// Stream data the server may send before it is read: small values make back-pressure visible soon.
    stream_receive_window: Option<u32>,
    /// The end of a silent connection, in ms.
    idle_timeout_ms: Option<u32>,
    #[serde(default)]
    settings: Settings,
    /// `raw_connect` only: the bytes of a unidirectional stream that is opened first and named `control`.
    control_hex: Option<String>,
    /// Connections of the same session resume it; the first one's trust and ALPN hold for all.
    session: Option<String>,
    /// `raw_connect` only: all of a bidirectional stream, sent in early data and named `early`.
    early_hex: Option<String>,
}

/// Opens a connection that h3 drives.
pub(super) async fn connect(
    connections: &Connections,
    dial: Dial,
    patience: Duration,
) -> Result<Reply, Failure> {
    if dial.control_hex.is_some() || dial.early_hex.is_some() {
        return Err(Failure::usage(
            "control_hex and early_hex are for raw_connect: h3 has streams of its own",
        ));
    }
    within(patience, "the handshake", async {
        let (mut connection, authority) = open(&dial).await?;
        connection.http3 = Some(Http3::start(&connection.quic, authority, &dial.settings).await?);
        let connection = connections.0.insert(dial.conn.clone(), connection);
        Ok(describe(&connection))
    })
    .await
}

/// Opens a connection without h3.
pub(super) async fn raw_connect(
    connections: &Connections,
    dial: Dial,
    patience: Duration,
) -> Result<Reply, Failure> {
    within(patience, "the handshake", async {
        let (connection, _) = open(&dial).await?;
        if let Some(hex) = &dial.control_hex {
            let bytes = HEXLOWER_PERMISSIVE
                .decode(hex.as_bytes())
                .map_err(Failure::usage)?;
            let mut control = connection.quic.open_uni().await?;
            control.write_all(&bytes).await?;
            connection
                .streams
                .insert("control".to_owned(), RawStream::new(Some(control), None));
        }
        let connection = connections.0.insert(dial.conn.clone(), connection);
        Ok(describe(&connection))
    })
    .await
}

/// Handshake on a fresh socket. Also returns the authority for requests.
async fn open(dial: &Dial) -> Result<(Connection, String), Failure> {
    let (address, host) = server(dial)?;
    let config = config(dial)?;
    let (endpoint, socket): (_, Arc<SilentSocket>) =
        endpoint::silenceable_client(address).map_err(|error| Failure::new("setup", error))?;
    let name = dial.sni.as_deref().unwrap_or(&host);
    let connecting = endpoint
        .connect_with(config, address, name)
        .map_err(Failure::usage)?;
    let streams = Named::new("stream");
    let (quic, early_data) = match &dial.early_hex {
        None => (connecting.await?, None),
        Some(hex) => {
            let (quic, stream, accepted) = session::early(connecting, hex).await?;
            streams.insert("early".to_owned(), stream);
            (quic, Some(accepted))
        }
    };
    let authority = match address {
        SocketAddr::V6(_) if host.contains(':') => format!("[{host}]:{}", address.port()),
        _ => format!("{host}:{}", address.port()),
    };
    let connection = Connection {
        quic,
        endpoint,
        socket,
        http3: None,
        early_data,
        streams,
        exchanges: Named::new("request"),
    };
    Ok((connection, authority))
}

fn server(dial: &Dial) -> Result<(SocketAddr, String), Failure> {
    match (&dial.url, &dial.host, dial.port) {
        (Some(url), None, None) => {
            let target: Target = url.parse().map_err(|error: String| Failure::usage(error))?;
            Ok((target.address, target.name))
        }
        (None, host, Some(port)) => {
            let host = host.as_deref().unwrap_or("localhost");
            Ok((
                target::resolve(host, port).map_err(Failure::usage)?,
                host.to_owned(),
            ))
        }
        _ => Err(Failure::usage("expected url, or port and perhaps host")),
    }
}

fn config(dial: &Dial) -> Result<quinn::ClientConfig, Failure> {
    let trust = match (&dial.ca_pem, &dial.cert_sha256) {
        (Some(pem), None) => Trust::Roots(pem.clone()),
        (None, Some(hash)) => Trust::Pinned(hash.clone()),
        (None, None) => Trust::Anything,
        _ => return Err(Failure::usage("ca_pem and cert_sha256 exclude each other")),
    };
    let identity = match (&dial.client_cert_pem, &dial.client_key_pem) {
        (Some(certificate), Some(key)) => Some((certificate.as_str(), key.as_str())),
        (None, None) => None,
        _ => return Err(Failure::usage("client_cert_pem and client_key_pem go together")),
    };
    let make = || {
        let mut tls = trust::client_config(trust, identity).map_err(Failure::usage)?;
        tls.alpn_protocols = match &dial.alpn {
            Some(tokens) => tokens.iter().map(|token| token.clone().into_bytes()).collect(),
            None => vec![endpoint::ALPN.to_vec()],
        };
        Ok(tls)
    };
    let tls = match &dial.session {
        Some(name) => session::config(name, make)?,
        None => Arc::new(make()?),
    };
    let mut config = endpoint::client_config(tls).map_err(Failure::usage)?;
    if dial.stream_receive_window.is_some() || dial.idle_timeout_ms.is_some() {
        let mut transport = endpoint::client_transport().map_err(Failure::usage)?;
        if let Some(idle) = dial.idle_timeout_ms {
            transport.max_idle_timeout(Some(quinn::VarInt::from_u32(idle).into()));
        }
        if let Some(window) = dial.stream_receive_window {
            transport.stream_receive_window(window.into());
        }
        config.transport_config(Arc::new(transport));
    }
    Ok(config)
}

fn describe(connection: &Connection) -> Reply {
    let quic = &connection.quic;
    let certificate = quic
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .and_then(|chain| chain.first().map(|leaf| certificate::sha256(leaf)));
    let alpn = quic
        .handshake_data()
        .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok())
        .and_then(|data| data.protocol)
        .map(|token| String::from_utf8_lossy(&token).into_owned());
    reply([
        ("certificate_sha256", json!(certificate)),
        ("alpn", json!(alpn)),
        ("early_data", json!(connection.early_data)),
        ("max_datagram_size", json!(quic.max_datagram_size())),
        (
            "local_port",
            json!(
                connection
                    .endpoint
                    .local_addr()
                    .ok()
                    .map(|address| address.port())
            ),
        ),
    ])
}
