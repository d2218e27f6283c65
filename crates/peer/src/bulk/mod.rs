//! `peer bulk`: one large body over one connection, down or up, and how fast it came through.
//!
//! HTTP/3 by hand over quinn, so that as little as possible of what is measured is ours: content is counted, not kept.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use lexopt::prelude::*;
use quinn::{Connection, RecvStream, SendStream};
use serde_json::json;

use self::content::{Content, Counted};
use crate::{Outcome, arguments, endpoint, output, target::Target, trust, trust::Trust, wire};

pub(crate) mod content;

/// What one write hands over.
pub(crate) const CHUNK: usize = 64 * 1024;

/// The most of an answer that is kept to be looked at: its head, or the text behind an upload.
const KEPT: usize = 64 * 1024;

type BulkError = Box<dyn std::error::Error + Send + Sync>;

/// Which way the body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `GET URL?bytes=N`, answered with N bytes.
    Download,
    /// `POST URL` with N bytes, answered with their number.
    Upload,
}

/// The command line of `peer bulk`.
pub(crate) struct Options {
    way: Way,
    target: Target,
    bytes: u64,
    within: Duration,
}

impl Options {
    /// Reads the command line; a way and a URL are needed, the rest has defaults.
    pub(crate) fn parse(parser: &mut lexopt::Parser) -> Result<Self, BulkError> {
        let (mut way, mut target) = (None, None);
        let (mut bytes, mut within) = (1_000_000_000, Duration::from_secs(60));
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) if way.is_none() => {
                    way = Some(match name.to_str() {
                        Some("download") => Way::Download,
                        Some("upload") => Way::Upload,
                        _ => return Err("expected download or upload".into()),
                    });
                }
                Value(url) => target = Some(url.string()?.parse::<Target>()?),
                Long("bytes") => bytes = arguments::value(parser)?,
                Long("within") => within = arguments::seconds(parser)?,
                other => return Err(other.unexpected().into()),
            }
        }
        if bytes == 0 {
            return Err("--bytes is at least 1".into());
        }
        Ok(Self {
            way: way.ok_or("expected download or upload, and a URL")?,
            target: target.ok_or("expected a URL")?,
            bytes,
            within,
        })
    }
}

/// Transfers once and prints one line. A body that is not whole is an error.
pub(crate) async fn run(options: Options) -> Outcome {
    let within = options.within;
    tokio::time::timeout(within, transfer(options))
        .await
        .map_err(|_| format!("the transfer took longer than {} s", within.as_secs_f64()))?
}

async fn transfer(options: Options) -> Outcome {
    let mut tls = trust::client_config(Trust::Anything, None)?;
    tls.alpn_protocols = vec![endpoint::ALPN.to_vec()];
    let mut quic_endpoint = endpoint::load_client(options.target.address)?;
    quic_endpoint.set_default_client_config(endpoint::client_config(Arc::new(tls))?);
    let quic = quic_endpoint
        .connect(options.target.address, &options.target.name)?
        .await?;
    let mut control = quic.open_uni().await?;
    control.write_all(wire::CONTROL_STREAM).await?;
    tokio::spawn(drain(quic.clone()));

    let begun = Instant::now();
    let (mut send, mut receive) = quic.open_bi().await?;
    let content = match options.way {
        Way::Download => {
            send.write_all(&head(&options)?).await?;
            send.finish()?;
            count(&mut receive, begun).await?
        }
        Way::Upload => {
            send.write_all(&head(&options)?).await?;
            upload(&mut send, options.bytes).await?;
            count(&mut receive, begun).await?
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    check(&options, &content)?;
    output::line(&json!({
        "bytes": options.bytes,
        "seconds": seconds,
        "mb_per_s": options.bytes as f64 / seconds / 1e6,
        "first_byte_ms": content.first_byte.as_secs_f64() * 1e3,
    }));
    quic.close(h3::error::Code::H3_NO_ERROR.value().try_into()?, b"done");
    let _ = tokio::time::timeout(Duration::from_secs(1), quic_endpoint.wait_idle()).await;
    Ok(())
}

/// The HEADERS frame of the request, and behind it the header of the one DATA frame of an upload.
fn head(options: &Options) -> Result<BytesMut, BulkError> {
    let length = options.bytes.to_string();
    let fields = match options.way {
        Way::Download => {
            let url = format!("{}?bytes={length}", options.target.url).parse()?;
            wire::request("GET", &url, &[])
        }
        Way::Upload => {
            let announced = [(&b"content-length"[..], length.as_bytes())];
            wire::request("POST", &options.target.url, &announced)
        }
    };
    let mut out = BytesMut::new();
    wire::frame(&mut out, wire::HEADERS, &fields);
    if options.way == Way::Upload {
        wire::varint(&mut out, wire::DATA);
        wire::varint(&mut out, options.bytes);
    }
    Ok(out)
}

async fn upload(send: &mut SendStream, bytes: u64) -> Result<(), BulkError> {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let mut left = bytes;
    while left > 0 {
        let length = left.min(CHUNK as u64) as usize;
        send.write_chunk(chunk.slice(..length)).await?;
        left -= length as u64;
    }
    Ok(send.finish()?)
}

/// What came back.
struct Answer {
    status: Option<u16>,
    counted: Counted,
    first_byte: Duration,
}

async fn count(receive: &mut RecvStream, begun: Instant) -> Result<Answer, BulkError> {
    let mut content = Content::keeping(KEPT);
    let mut head = Vec::new();
    let mut answer = Answer {
        status: None,
        counted: Counted::default(),
        first_byte: Duration::ZERO,
    };
    while let Some(chunk) = receive.read_chunk(usize::MAX, true).await? {
        if answer.first_byte.is_zero() {
            answer.first_byte = begun.elapsed();
        }
        if answer.status.is_none() && head.len() < KEPT {
            head.extend_from_slice(&chunk.bytes[..chunk.bytes.len().min(KEPT)]);
            answer.status = wire::status(&head);
        }
        content.take(&chunk.bytes);
    }
    answer.counted = content.finish()?;
    Ok(answer)
}

fn check(options: &Options, answer: &Answer) -> Result<(), BulkError> {
    if answer.status != Some(200) {
        return Err(format!("the status is {:?}, not 200", answer.status).into());
    }
    let whole = match options.way {
        Way::Download => answer.counted.bytes == options.bytes,
        Way::Upload => answer.counted.beginning == options.bytes.to_string().as_bytes(),
    };
    if whole {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.counted.beginning[..answer.counted.beginning.len().min(64)]);
    Err(format!(
        "the answer has {} bytes, which begin with {text:?}",
        answer.counted.bytes
    )
    .into())
}

/// Reads the server's own streams and forgets what they say.
async fn drain(quic: Connection) {
    while let Ok(mut stream) = quic.accept_uni().await {
        tokio::spawn(async move { while let Ok(Some(_)) = stream.read_chunk(CHUNK, true).await {} });
    }
}
