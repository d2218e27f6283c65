//! `request`.

use std::{sync::Arc, time::Duration};

use h3::error::Code;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    Reply,
    body::{Body, Pace},
    connection::{Connection, Connections},
    exchange::{Exchange, Outbound},
    inbound::{Inbound, Until},
    within,
};
use crate::failure::{self, Direction, Failure};

/// A complete response may come before the request is complete; the rest of the request gets this long.
const REST_OF_REQUEST: Duration = Duration::from_secs(1);

/// A request as a script writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    conn: String,
    /// The name for `send`, `read` and `cancel`; needed with `read: "headers"`.
    request: Option<String>,
    /// GET unless given.
    method: Option<String>,
    path: Option<String>,
    authority: Option<String>,
    /// `:protocol` of an extended CONNECT; h3 knows `webtransport` and `connect-udp`.
    protocol: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body_base64: Option<String>,
    body_size: Option<u64>,
    chunk_size: Option<usize>,
    #[serde(default)]
    chunk_delay_ms: u64,
    trailers: Option<Vec<(String, String)>>,
    reset_after_bytes: Option<u64>,
    reset_code: Option<u64>,
    /// The request is left without an end; `send` goes on with it.
    #[serde(default)]
    keep_open: bool,
    #[serde(default)]
    read: ReadMode,
    #[serde(default)]
    read_delay_ms: u64,
    stop_after_bytes: Option<u64>,
    stop_code: Option<u64>,
}

/// What the reply waits for.
#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum ReadMode {
    /// The whole response.
    #[default]
    All,
    /// Its header block; the rest is for `read`.
    Headers,
    /// Nothing: the reply comes when the request's header block has been sent.
    None,
}

/// Sends a request and reads the response as far as the script wants it.
pub(super) async fn run(
    connections: &Connections,
    arguments: Arguments,
    patience: Duration,
) -> Result<Reply, Failure> {
    let connection = connections.get(&arguments.conn)?;
    let deadline = tokio::time::Instant::now() + patience;
    let body = Body::new(arguments.body_base64.as_deref(), arguments.body_size)?;
    let trailers = arguments.trailers.as_deref().map(header_map).transpose()?;
    let (pace, until) = (pace(&arguments)?, until(&arguments)?);
    let request = head(&connection, &arguments)?;
    let (exchange, stream_id) =
        within(patience, "credit to open a stream", begin(&connection, request)).await?;
    let exchange = match (&arguments.request, arguments.read) {
        (Some(name), _) => connection.exchanges.insert(name.clone(), exchange),
        (None, ReadMode::All) => Arc::new(exchange),
        (None, _) => {
            return Err(Failure::usage(
                "read other than \"all\" needs a name in `request`",
            ));
        }
    };
    // The lock is taken here, so that a `send` that comes next waits for this body.
    let mut outbound = exchange.outbound.clone().lock_owned().await;
    let keep_open = arguments.keep_open;
    let sending = tokio::spawn(async move {
        outbound.send(&body, &pace).await?;
        if keep_open {
            Ok(())
        } else {
            outbound.finish(trailers).await
        }
    });
    let mut inbound = exchange.inbound.lock().await;
    let receiving = async {
        if arguments.read != ReadMode::None {
            inbound.head().await?;
        }
        if arguments.read == ReadMode::All {
            inbound.body(until).await?;
        }
        Ok(())
    };
    let received = within(patience, "the response", receiving).await;
    let mut reply = inbound.report();
    reply.insert("stream_id".to_owned(), json!(stream_id));
    if let Err(failure) = received {
        reply.insert("error".to_owned(), failure.to_json());
    }
    if arguments.read == ReadMode::All {
        let rest = deadline.min(tokio::time::Instant::now() + REST_OF_REQUEST);
        if let Some(failure) = outcome_of(sending, rest).await {
            reply.insert("send_error".to_owned(), failure.to_json());
        }
    }
    Ok(reply)
}

/// Opens a stream and sends the header block. Also returns the stream's id.
async fn begin(connection: &Connection, request: http::Request<()>) -> Result<(Exchange, u64), Failure> {
    let quic = &connection.quic;
    let opened = connection.http3()?.requests().send_request(request).await;
    let stream = opened.map_err(|error| Failure::from_h3(&error, quic, Direction::Sending))?;
    let id = stream.id().into_inner();
    let (send, receive) = stream.split();
    let exchange = Exchange {
        outbound: Arc::new(Mutex::new(Outbound::new(send, quic.clone()))),
        inbound: Mutex::new(Inbound::new(receive, quic.clone())),
    };
    Ok((exchange, id))
}

/// How the sending of the body ended; one that goes on after `rest` is given up.
async fn outcome_of(
    mut sending: tokio::task::JoinHandle<Result<(), Failure>>,
    rest: tokio::time::Instant,
) -> Option<Failure> {
    match tokio::time::timeout_at(rest, &mut sending).await {
        Ok(Ok(sent)) => sent.err(),
        Ok(Err(_)) => Some(Failure::new("worker", "the sending task panicked")),
        Err(_) => {
            sending.abort();
            Some(Failure::new(
                "unfinished",
                "the server did not take the rest of the request",
            ))
        }
    }
}

fn head(connection: &Connection, arguments: &Arguments) -> Result<http::Request<()>, Failure> {
    let authority = match &arguments.authority {
        Some(authority) => authority.as_str(),
        None => &connection.http3()?.authority,
    };
    let method = arguments.method.as_deref().unwrap_or("GET");
    // A plain CONNECT names a host and port only (RFC 9114 §4.4).
    let url = if method == "CONNECT" && arguments.protocol.is_none() && arguments.path.is_none() {
        authority.to_owned()
    } else {
        format!("https://{authority}{}", arguments.path.as_deref().unwrap_or("/"))
    };
    let mut request = http::Request::builder()
        .method(method)
        .uri(url)
        .body(())
        .map_err(Failure::usage)?;
    *request.headers_mut() = header_map(&arguments.headers)?;
    if let Some(token) = &arguments.protocol {
        let protocol: h3::ext::Protocol = token
            .parse()
            .map_err(|_| Failure::usage(format!("h3 cannot send :protocol {token}; use the raw commands")))?;
        request.extensions_mut().insert(protocol);
    }
    Ok(request)
}

fn pace(arguments: &Arguments) -> Result<Pace, Failure> {
    let chunk_size = arguments.chunk_size.unwrap_or(64 * 1024);
    if chunk_size == 0 {
        return Err(Failure::usage("chunk_size is at least 1"));
    }
    let reset_code = code(arguments.reset_code)?;
    Ok(Pace {
        chunk_size,
        pause: pause(arguments.chunk_delay_ms),
        reset: arguments.reset_after_bytes.map(|limit| (limit, reset_code)),
    })
}

fn until(arguments: &Arguments) -> Result<Until, Failure> {
    let stop_code = code(arguments.stop_code)?;
    Ok(Until {
        stop: arguments.stop_after_bytes.map(|limit| (limit, stop_code)),
        enough: None,
        pause: pause(arguments.read_delay_ms),
    })
}

fn pause(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

fn code(given: Option<u64>) -> Result<Code, Failure> {
    let Some(code) = given else {
        return Ok(Code::H3_REQUEST_CANCELLED);
    };
    Ok(Code::from(failure::code(code)?.into_inner()))
}

/// Fields as the http crate allows them; anything else is for the raw commands.
pub(super) fn header_map(fields: &[(String, String)]) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let name: HeaderName = name.parse().map_err(Failure::usage)?;
        map.append(
            name,
            HeaderValue::from_bytes(value.as_bytes()).map_err(Failure::usage)?,
        );
    }
    Ok(map)
}
