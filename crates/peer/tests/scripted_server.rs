//! `peer client` against a server that writes given bytes: what a sound server rarely says, and what an unsound one might.
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use support::Peer;

mod support;

/// A control stream with SETTINGS that promise nothing.
const SETTINGS: &[u8] = b"\x00\x04\x00";

/// HEADERS with only `:status` 200.
const OK: &[u8] = b"\x01\x03\x00\x00\xd9";

/// How the server refuses a request stream that was reset: H3_REQUEST_INCOMPLETE.
const INCOMPLETE: u32 = 0x10d;

/// What the server does with every complete request.
#[derive(Clone, Copy)]
enum Then {
    Finish,
    Reset(u32),
    /// Nothing, until the client stops the answer; then the connection is closed with the client's code.
    Wait,
}

/// Serves on a thread of its own until the test process ends. Returns the port.
fn serve(control: &'static [u8], response: &'static [u8], then: Then) -> u16 {
    serve_signed(control, response, then).0
}

/// The same; returns the port and the server's certificate.
fn serve_signed(control: &'static [u8], response: &'static [u8], then: Then) -> (u16, String) {
    let (ready, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let (endpoint, pem) = endpoint();
            ready.send((endpoint.local_addr().unwrap().port(), pem)).unwrap();
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(async move {
                    let connection = incoming.await.unwrap();
                    let mut stream = connection.open_uni().await.unwrap();
                    stream.write_all(control).await.unwrap();
                    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                        if receive.read_to_end(1 << 20).await.is_err() {
                            send.reset(INCOMPLETE.into()).unwrap();
                            continue;
                        }
                        send.write_all(response).await.unwrap();
                        match then {
                            Then::Finish => send.finish().unwrap(),
                            Then::Reset(code) => {
                                tokio::time::sleep(Duration::from_millis(50)).await;
                                send.reset(code.into()).unwrap();
                            }
                            Then::Wait => {
                                let code = send.stopped().await.unwrap().unwrap();
                                connection.close(code, b"stopped");
                            }
                        }
                    }
                });
            }
        });
    });
    told.recv_timeout(Duration::from_secs(10))
        .expect("the server starts")
}

fn endpoint() -> (quinn::Endpoint, String) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    (
        quinn::Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap(),
        pair.cert.pem(),
    )
}

fn connected(port: u16) -> Peer {
    let mut client = Peer::start(&["client"]);
    let reply = client.ask(json!({ "id": 0, "command": "connect", "conn": "c", "port": port }));
    assert_eq!(reply["error"], Value::Null);
    client
}

#[test]
fn the_id_of_a_goaway_is_told_and_requests_after_it_are_refused() {
    let port = serve(b"\x00\x04\x00\x07\x01\x04", OK, Then::Finish);
    let mut client = connected(port);
    assert_eq!(
        client.ask(json!({ "id": 1, "command": "goaway", "conn": "c" }))["goaway"],
        4
    );
    let reply = client.ask(json!({ "id": 2, "command": "request", "conn": "c" }));
    assert_eq!(reply["error"]["kind"], "goaway");
}

#[test]
fn a_goaway_that_grows_closes_the_connection() {
    let port = serve(b"\x00\x04\x00\x07\x01\x04\x07\x01\x08", OK, Then::Finish);
    let mut client = connected(port);
    let reply = client.ask(json!({ "id": 1, "command": "wait_closed", "conn": "c" }));
    // H3_ID_ERROR (RFC 9114 §5.2).
    assert_eq!(
        (&reply["h3_fault"]["kind"], &reply["h3_fault"]["code"]),
        (&json!("protocol"), &json!(0x108))
    );
}

#[test]
fn informational_responses_and_trailers_are_told_apart() {
    // 103, 200, DATA "hi", trailers `a: b`.
    let response = b"\x01\x03\x00\x00\xd8\x01\x03\x00\x00\xd9\x00\x02hi\x01\x06\x00\x00\x21a\x01b";
    let mut client = connected(serve(SETTINGS, response, Then::Finish));
    let reply = client.ask(json!({ "id": 1, "command": "request", "conn": "c" }));
    assert_eq!(reply["informational"], json!([{ "status": 103, "headers": [] }]));
    assert_eq!(
        (&reply["status"], &reply["body_base64"]),
        (&json!(200), &json!("aGk="))
    );
    assert_eq!(reply["trailers"], json!([["a", "b"]]));
}

#[test]
fn a_response_that_is_reset_half_way_is_told_with_its_code() {
    let mut client = connected(serve(
        SETTINGS,
        b"\x01\x03\x00\x00\xd9\x00\x05hi",
        Then::Reset(0x10c),
    ));
    let reply = client.ask(json!({ "id": 1, "command": "request", "conn": "c" }));
    assert_eq!(
        (&reply["status"], &reply["body_length"]),
        (&json!(200), &json!(2))
    );
    assert_eq!(
        (&reply["error"]["kind"], &reply["error"]["code"]),
        (&json!("reset"), &json!(0x10c))
    );
}

#[test]
fn a_response_that_ends_inside_a_frame_is_not_taken_for_complete() {
    let mut client = connected(serve(SETTINGS, b"\x01\x03\x00\x00\xd9\x00\x05hi", Then::Finish));
    let reply = client.ask(json!({ "id": 1, "command": "request", "conn": "c" }));
    // H3_FRAME_ERROR (RFC 9114 §7.1).
    assert_eq!(
        (&reply["error"]["kind"], &reply["error"]["code"]),
        (&json!("protocol"), &json!(0x106))
    );
}

#[test]
fn a_response_can_be_read_in_parts_and_stopped() {
    let response = b"\x01\x03\x00\x00\xd9\x00\x05hello\x00\x05world";
    let mut client = connected(serve(SETTINGS, response, Then::Finish));
    let head =
        client.ask(json!({ "id": 1, "command": "request", "conn": "c", "request": "r", "read": "headers" }));
    assert_eq!((&head["status"], &head["body_length"]), (&json!(200), &json!(0)));
    let part = client.ask(json!({ "id": 2, "command": "read", "conn": "c", "request": "r", "min_bytes": 1 }));
    assert!(part["body_length"].as_u64() >= Some(1), "{part}");
    let stopped = client.ask(json!({ "id": 3, "command": "request", "conn": "c", "stop_after_bytes": 1 }));
    assert_eq!(stopped["error"]["kind"], "stopped_by_us");
}

#[test]
fn a_load_counts_a_short_body_as_incomplete() {
    // `content-length: 5` before two bytes.
    let response = b"\x01\x15\x00\x00\xd9\x27\x07content-length\x015\x00\x02hi";
    let port = serve(SETTINGS, response, Then::Finish);
    let report = short_load(port);
    assert_eq!(report["requests"], 0, "{report}");
    assert!(
        report["errors_by_kind"]["incomplete"].as_u64() > Some(0),
        "{report}"
    );
}

#[test]
fn a_load_counts_other_statuses_and_resets_by_kind() {
    let not_found = short_load(serve(SETTINGS, b"\x01\x03\x00\x00\xdb", Then::Finish));
    assert!(
        not_found["errors_by_kind"]["status:404"].as_u64() > Some(0),
        "{not_found}"
    );
    let reset = short_load(serve(SETTINGS, OK, Then::Reset(0x102)));
    assert!(
        reset["errors_by_kind"]["reset:0x102"].as_u64() > Some(0),
        "{reset}"
    );
}

fn short_load(port: u16) -> Value {
    let url = format!("https://127.0.0.1:{port}/");
    let flags = [
        "--seconds",
        "0.3",
        "--warmup",
        "0",
        "--connections",
        "1",
        "--streams",
        "2",
    ];
    support::once(&[["load", &url].as_slice(), &flags].concat())
}

#[test]
fn an_upload_that_is_reset_half_way_never_looks_complete() {
    let mut client = connected(serve(SETTINGS, OK, Then::Finish));
    let reply = client.ask(json!({
        "id": 1, "command": "request", "conn": "c", "method": "POST", "body_size": 1000, "reset_after_bytes": 500,
    }));
    assert_eq!(
        (&reply["error"]["kind"], &reply["error"]["code"]),
        (&json!("reset"), &json!(INCOMPLETE))
    );
}

#[test]
fn a_request_that_is_given_up_does_not_leave_its_stream_open() {
    let mut client = connected(serve(SETTINGS, OK, Then::Finish));
    // No end of the request, so no answer: the command gives up, and with it the stream.
    let given_up = client.ask(json!({
        "id": 1, "command": "request", "conn": "c", "method": "POST", "keep_open": true, "timeout_ms": 100,
    }));
    assert_eq!(given_up["error"]["kind"], "deadline");
    let next = client.ask(json!({ "id": 2, "command": "request", "conn": "c" }));
    assert_eq!(next["status"], 200);
}

#[test]
fn a_certificate_is_checked_against_the_roots_and_the_name() {
    let (port, pem) = serve_signed(SETTINGS, OK, Then::Finish);
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .unwrap()
        .cert
        .pem();
    let mut client = Peer::start(&["client"]);
    let mut connect = |ca: &str, sni: &str| {
        client.ask(
            json!({ "id": 0, "command": "connect", "conn": "c", "port": port, "ca_pem": ca, "sni": sni }),
        )
    };
    assert_eq!(connect(&pem, "localhost")["error"], Value::Null);
    assert_eq!(connect(&other, "localhost")["error"]["kind"], "tls");
    assert_eq!(connect(&pem, "example.com")["error"]["kind"], "tls");
}

/// HEADERS, then a DATA frame of three bytes.
const BEGINNING: &[u8] = b"\x01\x03\x00\x00\xd9\x00\x03abc";

#[test]
fn an_answer_that_pauses_is_stopped_with_our_code() {
    let mut client = connected(serve(SETTINGS, BEGINNING, Then::Wait));
    let reply = client.ask(json!({
        "id": 1, "command": "request", "conn": "c", "stop_after_bytes": 3, "stop_code": 0x10b,
    }));
    assert_eq!(
        (reply["status"].as_u64(), reply["body_length"].as_u64()),
        (Some(200), Some(3)),
        "{reply}"
    );
    assert_eq!(reply["error"]["kind"], "stopped_by_us", "{reply}");
    let end = client.ask(json!({ "id": 2, "command": "wait_closed", "conn": "c" }));
    assert_eq!(end["closed"]["code"], 0x10b, "{end}");
}

#[test]
fn a_request_is_cancelled_after_a_read_that_waited_in_vain() {
    let mut client = connected(serve(SETTINGS, BEGINNING, Then::Wait));
    let request = json!({ "id": 1, "command": "request", "conn": "c", "request": "r", "read": "headers" });
    assert_eq!(client.ask(request)["status"], 200);
    let read = json!({
        "id": 2, "command": "read", "conn": "c", "request": "r", "min_bytes": 4, "timeout_ms": 100,
    });
    let reply = client.ask(read);
    assert_eq!(
        (&reply["error"]["kind"], &reply["body_length"]),
        (&json!("deadline"), &json!(3)),
        "{reply}"
    );
    let reply = client.ask(json!({
        "id": 3, "command": "cancel", "conn": "c", "request": "r", "code": 0x10c,
    }));
    assert_eq!(reply["error"], Value::Null);
    let end = client.ask(json!({ "id": 4, "command": "wait_closed", "conn": "c" }));
    assert_eq!(end["closed"]["code"], 0x10c, "{end}");
}
