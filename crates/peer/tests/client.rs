//! `peer client` against `peer h3`: two processes, one port, every reply looked at.

use serde_json::{Value, json};

use support::Peer;

mod support;

fn connected() -> (Peer, Peer, u64) {
    let (server, port) = Peer::serve("h3");
    let mut client = Peer::start(&["client"]);
    let reply = client.ask(json!({ "id": 0, "command": "connect", "conn": "c", "port": port }));
    assert_eq!(
        (&reply["id"], &reply["alpn"], &reply["error"]),
        (&json!(0), &json!("h3"), &Value::Null)
    );
    (server, client, port)
}

fn raw_connected(control: Option<&str>) -> (Peer, Peer) {
    let (server, port) = Peer::serve("h3");
    let mut client = Peer::start(&["client"]);
    let reply = client
        .ask(json!({ "id": 0, "command": "raw_connect", "conn": "c", "port": port, "control_hex": control }));
    assert_eq!(reply["error"], Value::Null);
    (server, client)
}

#[test]
fn a_request_brings_status_headers_body_and_its_hash() {
    let (_server, mut client, _) = connected();
    let reply = client.ask(json!({ "id": "x", "command": "request", "conn": "c", "path": "/a?b" }));
    assert_eq!(reply["id"], "x");
    assert_eq!(reply["status"], 200);
    assert_eq!(reply["headers"], json!([["content-type", "text/plain"]]));
    assert_eq!(reply["body_base64"], "aGVsbG8gd29ybGQ=");
    assert_eq!(
        reply["body_sha256"],
        "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    );
    assert_eq!(
        (&reply["trailers"], &reply["ended"], &reply["error"]),
        (&Value::Null, &json!(true), &Value::Null)
    );
}

#[test]
fn a_patterned_body_in_chunks_with_trailers_is_taken() {
    let (_server, mut client, _) = connected();
    let reply = client.ask(json!({
        "id": 1, "command": "request", "conn": "c", "method": "POST", "body_size": 300_000, "chunk_size": 10_000,
        "trailers": [["x-sum", "1"]],
    }));
    assert_eq!(
        (&reply["status"], &reply["send_error"]),
        (&json!(200), &Value::Null)
    );
}

#[test]
fn a_request_left_open_is_answered_when_it_is_ended() {
    let (_server, mut client, _) = connected();
    let command = json!({
        "id": 1, "command": "request", "conn": "c", "method": "POST", "request": "r", "read": "none", "keep_open": true,
    });
    assert_eq!(client.ask(command)["error"], Value::Null);
    let early =
        client.ask(json!({ "id": 2, "command": "read", "conn": "c", "request": "r", "timeout_ms": 100 }));
    assert_eq!(early["error"]["kind"], "deadline");
    client.ask(json!({ "id": 3, "command": "send", "conn": "c", "request": "r", "body_base64": "aGk=", "fin": true }));
    let reply = client.ask(json!({ "id": 4, "command": "read", "conn": "c", "request": "r" }));
    assert_eq!(
        (&reply["status"], &reply["body_length"]),
        (&json!(200), &json!(11))
    );
}

#[test]
fn a_cancelled_request_does_not_end_the_connection() {
    let (_server, mut client, _) = connected();
    let command = json!({
        "id": 1, "command": "request", "conn": "c", "method": "POST", "request": "r", "read": "none", "keep_open": true,
    });
    client.ask(command);
    client.ask(json!({ "id": 2, "command": "cancel", "conn": "c", "request": "r" }));
    let reply = client.ask(json!({ "id": 3, "command": "request", "conn": "c" }));
    assert_eq!(reply["status"], 200);
}

#[test]
fn the_peers_certificate_hash_can_be_pinned() {
    let (_server, mut client, port) = connected();
    let first = client.ask(json!({ "id": 1, "command": "connect", "conn": "d", "port": port }));
    let hash = &first["certificate_sha256"];
    let right =
        client.ask(json!({ "id": 2, "command": "connect", "conn": "e", "port": port, "cert_sha256": hash }));
    assert_eq!(right["error"], Value::Null);
    let wrong = client.ask(
        json!({ "id": 3, "command": "connect", "conn": "f", "port": port, "cert_sha256": "00".repeat(32) }),
    );
    assert_eq!(wrong["error"]["kind"], "tls");
}

#[test]
fn an_alpn_that_the_server_does_not_know_fails_with_the_alert() {
    let (_server, mut client, port) = connected();
    let reply =
        client.ask(json!({ "id": 1, "command": "connect", "conn": "d", "port": port, "alpn": ["nope"] }));
    // no_application_protocol (RFC 7301 §3.2).
    assert_eq!(
        (&reply["error"]["kind"], &reply["error"]["code"]),
        (&json!("tls"), &json!(120))
    );
}

#[test]
fn a_close_of_ours_is_seen_by_wait_closed() {
    let (_server, mut client, _) = connected();
    client.tell(json!({ "id": 1, "command": "wait_closed", "conn": "c" }));
    client.tell(json!({ "id": 2, "command": "close", "conn": "c", "code": 256 }));
    let mut replies = [client.line(), client.line()];
    replies.sort_by_key(|reply| reply["id"].as_u64());
    assert_eq!(replies[0]["closed"]["kind"], "closed_locally");
}

#[test]
fn no_goaway_in_time_is_null() {
    let (_server, mut client, _) = connected();
    let reply = client.ask(json!({ "id": 1, "command": "goaway", "conn": "c", "timeout_ms": 50 }));
    assert_eq!(reply, json!({ "id": 1, "goaway": null }));
}

#[test]
fn the_servers_settings_are_read_as_bytes() {
    let (_server, mut client) = raw_connected(Some("000400"));
    client.ask(json!({ "id": 1, "command": "raw_accept", "conn": "c", "kind": "uni", "stream": "s" }));
    let reply = client.ask(
        json!({ "id": 2, "command": "raw_read", "conn": "c", "stream": "s", "min": 3, "timeout_ms": 2000 }),
    );
    // Stream type 0, then SETTINGS (RFC 9114 §6.2.1).
    assert!(reply["hex"].as_str().unwrap().starts_with("0004"), "{reply}");
    assert_eq!(reply["fin"], false);
}

#[test]
fn a_request_written_by_hand_is_answered() {
    let (_server, mut client) = raw_connected(Some("000400"));
    client.ask(json!({ "id": 1, "command": "raw_open", "conn": "c", "kind": "bidi", "stream": "s" }));
    client.ask(json!({
        "id": 2, "command": "raw_write", "conn": "c", "stream": "s", "fin": true, "headers":
        [[":method", "GET"], [":scheme", "https"], [":authority", "localhost"], [":path", "/"]],
    }));
    let reply = client.ask(json!({ "id": 3, "command": "raw_read", "conn": "c", "stream": "s" }));
    assert!(
        reply["hex"].as_str().unwrap().ends_with("68656c6c6f20776f726c64"),
        "{reply}"
    );
    assert_eq!(
        (&reply["fin"], &reply["timed_out"]),
        (&json!(true), &json!(false))
    );
}

#[test]
fn a_second_settings_frame_is_seen_to_close_the_connection() {
    let (_server, mut client) = raw_connected(Some("000400"));
    client.ask(json!({ "id": 1, "command": "raw_write", "conn": "c", "stream": "control", "hex": "0400" }));
    let reply = client.ask(json!({ "id": 2, "command": "wait_closed", "conn": "c" }));
    // H3_FRAME_UNEXPECTED (RFC 9114 §7.2.4).
    assert_eq!(
        (&reply["closed"]["kind"], &reply["closed"]["code"]),
        (&json!("closed"), &json!(0x105))
    );
}

#[test]
fn a_stop_sending_of_the_server_is_seen_with_its_code() {
    let (_server, mut client) = raw_connected(Some("000400"));
    client.ask(json!({ "id": 1, "command": "raw_open", "conn": "c", "kind": "uni", "stream": "s" }));
    // A stream of an unknown type, which may be ended with H3_STREAM_CREATION_ERROR (RFC 9114 §6.2.3).
    client.ask(json!({ "id": 2, "command": "raw_write", "conn": "c", "stream": "s", "hex": "40bb00" }));
    let reply = client.ask(json!({ "id": 3, "command": "raw_stopped", "conn": "c", "stream": "s" }));
    assert_eq!(reply["stopped"], 0x103, "{reply}");
}

#[test]
fn a_peer_that_vanished_hears_nothing_more() {
    let (_server, mut client, _) = connected();
    client.ask(json!({ "id": 1, "command": "raw_drop", "conn": "c" }));
    let reply = client.ask(json!({ "id": 2, "command": "request", "conn": "c", "timeout_ms": 300 }));
    assert_eq!(reply["error"]["kind"], "deadline");
}

#[test]
fn reading_nothing_is_not_an_error_but_timed_out() {
    let (_server, mut client) = raw_connected(None);
    client.ask(json!({ "id": 1, "command": "raw_open", "conn": "c", "kind": "bidi", "stream": "s" }));
    let command = json!({ "id": 2, "command": "raw_read", "conn": "c", "stream": "s", "timeout_ms": 50 });
    let reply = client.ask(command);
    assert_eq!(
        (&reply["hex"], &reply["timed_out"], &reply["fin"]),
        (&json!(""), &json!(true), &json!(false))
    );
    let datagram =
        client.ask(json!({ "id": 3, "command": "raw_read_datagram", "conn": "c", "timeout_ms": 50 }));
    assert_eq!(datagram["timed_out"], true);
}

#[test]
fn a_misspelt_field_is_an_error() {
    let mut client = Peer::start(&["client"]);
    let reply = client.ask(json!({ "id": 1, "command": "close", "conn": "c", "resaon": "" }));
    assert_eq!(
        (&reply["id"], &reply["error"]["kind"]),
        (&json!(1), &json!("usage"))
    );
    assert_eq!(client.finish(), Some(0));
}

#[test]
fn a_line_that_is_not_json_is_answered_without_an_id() {
    let mut client = Peer::start(&["client"]);
    client.tell(json!("not an object"));
    assert_eq!(client.line()["error"]["kind"], "usage");
}
