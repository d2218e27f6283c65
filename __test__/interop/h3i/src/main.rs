//! h3i, on quiche, holds the conversations of `malformed.json`: `trilane-interop-h3i <url> <table>`.

use std::error::Error;
use std::time::{Duration, Instant};

use h3i::actions::h3::{Action, StreamEvent, StreamEventType, WaitType};
use h3i::client::connection_summary::ConnectionSummary;
use h3i::client::sync_client;
use h3i::config::Config;
use h3i::frame::H3iFrame;
use h3i::quiche;
use serde::Deserialize;
use serde_json::json;

/// How long the server has to read a stream before it is reset, and to mind what it should not.
const A_MOMENT: Duration = Duration::from_millis(100);
/// A conversation that goes on for longer has not ended as it should.
const IDLE_MS: u64 = 5_000;
/// HEADERS of `GET https://a/hello`.
const HELLO: &str = "request 010f 0000 d1 d7 500161 5106 2f68656c6c6f fin";
/// H3_REQUEST_CANCELLED
const CANCELLED: u64 = 0x10c;
/// H3_NO_ERROR
const NO_ERROR: u64 = 0x100;

#[derive(Deserialize)]
struct Conversation {
    name: String,
    streams: Vec<String>,
    expect: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(table)) = (arguments.next(), arguments.next()) else {
        return Err("usage: trilane-interop-h3i <url> <table>".into());
    };
    let host_port = url.trim_start_matches("https://").trim_end_matches('/');
    let conversations: Vec<Conversation> = serde_json::from_str(&std::fs::read_to_string(table)?)?;
    for conversation in conversations {
        let started = Instant::now();
        let mut report = json!({ "check": conversation.name, "ok": true });
        if conversation
            .streams
            .iter()
            .any(|stream| stream.starts_with("datagram"))
        {
            report["skipped"] = "quiche sends no DATAGRAM frame to a peer that takes none".into();
        } else {
            let end = hold(host_port, &conversation).unwrap_or_else(|error| error.to_string());
            if end != conversation.expect {
                report["ok"] = false.into();
                report["error"] = format!("{end}, expected {}", conversation.expect).into();
            }
        }
        report["ms"] = (started.elapsed().as_millis() as u64).into();
        println!("{report}");
    }
    Ok(())
}

/// Holds a conversation, and says how it ended in the words of the table.
fn hold(host_port: &str, conversation: &Conversation) -> Result<String, Box<dyn Error>> {
    let config = Config::new()
        .with_host_port(host_port.to_owned())
        .verify_peer(false)
        .with_idle_timeout(IDLE_MS)
        .build()?;
    let mut script = Script::default();
    let mut request = None;
    for stream in &conversation.streams {
        request = script.open(stream)?.or(request);
    }
    let closes = conversation.expect.starts_with("close");
    let mut honest = 0;
    if !closes {
        match request {
            Some(stream) => script.wait_for(stream),
            None => script.wait(),
        }
        honest = script.open(HELLO)?.ok_or("the honest request is none")?;
        script.wait_for(honest);
        script.close();
    }
    let summary = sync_client::connect(config, script.actions, None).map_err(|error| format!("{error:?}"))?;
    if let Some(error) = summary.conn_close_details.peer_error() {
        let kind = if error.is_app { "close" } else { "transport-close" };
        return Ok(format!("{kind} {:#x}", error.error_code));
    }
    if closes {
        return Ok("alive".to_owned());
    }
    let counted = conversation.expect.contains("content");
    let end = request.map_or_else(|| "alive".to_owned(), |stream| end_of(&summary, stream, counted));
    match end_of(&summary, honest, false) {
        after if after == "status 200" => Ok(end),
        after => Ok(format!("{end}, then {after}")),
    }
}

/// What h3i is to do on one connection.
struct Script {
    actions: Vec<Action>,
    next_request: u64,
    next_uni: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            actions: Vec::new(),
            next_request: 0,
            next_uni: 2,
        }
    }
}

impl Script {
    /// Opens a stream of the table, `kind hex… end`; returns its id if it is a request.
    fn open(&mut self, stream: &str) -> Result<Option<u64>, Box<dyn Error>> {
        let words: Vec<&str> = stream.split(' ').collect();
        let [kind, hex @ .., end] = &words[..] else {
            return Err(format!("{stream} is no stream").into());
        };
        let next = match *kind {
            "request" => &mut self.next_request,
            _ => &mut self.next_uni,
        };
        let stream_id = *next;
        *next += 4;
        self.actions.push(Action::StreamBytes {
            stream_id,
            fin_stream: *end == "fin",
            bytes: decode_hex(&hex.concat())?,
            expected_result: Default::default(),
        });
        if *end == "reset" {
            self.wait();
            self.actions.push(Action::ResetStream {
                stream_id,
                error_code: CANCELLED,
            });
        }
        Ok((*kind == "request").then_some(stream_id))
    }

    fn wait(&mut self) {
        self.actions.push(WaitType::WaitDuration(A_MOMENT).into());
    }

    /// Waits for the end of a stream, clean or not.
    fn wait_for(&mut self, stream_id: u64) {
        let event_type = StreamEventType::Finished;
        self.actions.push(
            WaitType::StreamEvent(StreamEvent {
                stream_id,
                event_type,
            })
            .into(),
        );
    }

    fn close(&mut self) {
        self.actions.push(Action::ConnectionClose {
            error: quiche::ConnectionError {
                is_app: true,
                error_code: NO_ERROR,
                reason: Vec::new(),
            },
        });
    }
}

/// How a request ended; its content is counted where the table says how long it is.
fn end_of(summary: &ConnectionSummary, stream: u64, counted: bool) -> String {
    let (mut status, mut content) = ("none".to_owned(), 0);
    for frame in summary.stream_map.stream(stream) {
        match frame {
            H3iFrame::Headers(headers) => {
                if let Some(code) = headers.status_code() {
                    status = String::from_utf8_lossy(code).into_owned();
                }
            }
            H3iFrame::QuicheH3(quiche::h3::frame::Frame::Data { payload }) => content += payload.len(),
            H3iFrame::ResetStream(reset) => return format!("reset {:#x}", reset.error_code),
            H3iFrame::QuicheH3(_) => {}
        }
    }
    if counted {
        format!("status {status} content {content}")
    } else {
        format!("status {status}")
    }
}

fn decode_hex(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            let pair = digits.get(at..at + 2).ok_or("an odd number of digits")?;
            Ok(u8::from_str_radix(pair, 16)?)
        })
        .collect()
}
