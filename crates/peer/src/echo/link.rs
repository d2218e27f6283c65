//! One connection with what its echo needs: nothing, an open request, or an accepted session.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use quinn::{Connection, Endpoint, RecvStream, SendStream};

use super::{Kind, Options};
use crate::{endpoint, trust, trust::Trust, wire};

/// How long connecting may take, and the server's answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// ALPN of raw datagrams.
const RAW_ALPN: &[u8] = b"echo";

/// The SETTINGS of a client that wants everything: extended CONNECT, HTTP datagrams, and WebTransport in the dialects of its
/// drafts (RFC 9220 §3, RFC 9297 §2.1.1).
const SETTINGS: [(u64, u64); 5] = [
    (0x8, 1),
    (0x33, 1),
    (0x2b60_3742, 1),
    (0x2c7c_f000, 1),
    (0xc671_706a, 1),
];

type LinkError = Box<dyn std::error::Error + Send + Sync>;

/// An open connection. Dropped, it is closed.
pub(super) struct Link {
    pub(super) quic: Connection,
    _endpoint: Endpoint,
    /// The client's control stream and the request, which stay open.
    _kept: Vec<SendStream>,
    _answer: Option<RecvStream>,
}

impl Link {
    /// Connects, and waits until the path carries datagrams of the wanted size.
    pub(super) async fn open(options: &Options) -> Result<Self, LinkError> {
        tokio::time::timeout(PATIENCE, Self::dial(options))
            .await
            .map_err(|_| "no connection with an open echo within 10 s")?
    }

    async fn dial(options: &Options) -> Result<Self, LinkError> {
        let target = &options.target;
        let mut tls = trust::client_config(Trust::Anything, None)?;
        let alpn = if options.kind == Kind::Raw {
            RAW_ALPN
        } else {
            endpoint::ALPN
        };
        tls.alpn_protocols = vec![alpn.to_vec()];
        let mut endpoint = endpoint::load_client(target.address)?;
        endpoint.set_default_client_config(endpoint::client_config(Arc::new(tls))?);
        let quic = endpoint.connect(target.address, &target.name)?.await?;
        let mut link = Self {
            quic,
            _endpoint: endpoint,
            _kept: Vec::new(),
            _answer: None,
        };
        if options.kind != Kind::Raw {
            link.ask(options).await?;
        }
        if options.kind != Kind::Streams {
            // The quarter stream id of stream 0 is one byte.
            while link
                .quic
                .max_datagram_size()
                .ok_or("the server takes no datagrams")?
                <= options.size
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(link)
    }

    /// Opens the request or the session, on stream 0.
    async fn ask(&mut self, options: &Options) -> Result<(), LinkError> {
        let mut control = self.quic.open_uni().await?;
        control.write_all(&settings()).await?;
        let (method, path, protocol): (_, _, &[(&[u8], &[u8])]) = match options.kind {
            Kind::Http => ("POST", "/datagrams", &[]),
            _ => ("CONNECT", "/echo", &[(b":protocol", b"webtransport")]),
        };
        let authority = options
            .target
            .url
            .authority()
            .map_or("localhost", http::uri::Authority::as_str);
        let url: http::Uri = format!("https://{authority}{path}").parse()?;
        let mut head = BytesMut::new();
        wire::frame(&mut head, wire::HEADERS, &wire::request(method, &url, protocol));
        let (mut send, mut recv) = self.quic.open_bi().await?;
        send.write_all(&head).await?;
        let mut answer = Vec::new();
        let status = loop {
            let chunk = recv.read_chunk(4096, true).await?;
            answer.extend_from_slice(&chunk.ok_or("no answer")?.bytes);
            if let Some(status) = wire::status(&answer) {
                break status;
            }
        };
        if status != 200 {
            return Err(format!("{method} {path} was answered with {status}").into());
        }
        self._kept = vec![control, send];
        self._answer = Some(recv);
        Ok(())
    }
}

/// The beginning of a control stream.
fn settings() -> BytesMut {
    let mut payload = BytesMut::new();
    for (id, value) in SETTINGS {
        wire::varint(&mut payload, id);
        wire::varint(&mut payload, value);
    }
    let mut out = BytesMut::from(&[0][..]);
    wire::frame(&mut out, 4, &payload);
    out
}
