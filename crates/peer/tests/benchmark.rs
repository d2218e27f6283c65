//! The subcommands of the benchmark: that they measure what they say, and call a failure one.

use support::{Peer, once};

mod support;

const BYTES: &str = "3000000";

fn url(port: u64, path: &str) -> String {
    format!("https://127.0.0.1:{port}{path}")
}

#[test]
fn a_large_body_comes_whole_from_quinn_and_from_the_core_and_goes_whole_to_them() {
    let file = std::env::temp_dir().join(format!("trilane-peer-bulk-{}", std::process::id()));
    std::fs::write(&file, vec![b'x'; BYTES.parse().unwrap()]).unwrap();
    for kind in ["quinn-bulk", "core-bulk"] {
        let server = Peer::start(&[kind, "--file", file.to_str().unwrap()]);
        let port = server.line()["port"].as_u64().unwrap();
        let downloads = ["/generator", "/buffer", "/file"].map(|path| ("download", path));
        for (way, path) in downloads.into_iter().chain([("upload", "/upload")]) {
            let report = once(&["bulk", way, &url(port, path), "--bytes", BYTES, "--within", "10"]);
            assert_eq!(report["bytes"].to_string(), BYTES, "{kind}{path}: {report}");
            assert!(report["mb_per_s"].as_f64() > Some(0.0), "{report}");
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_body_of_another_length_is_no_transfer() {
    let (_server, port) = Peer::serve("canned");
    let mut peer = Peer::start(&["bulk", "download", &url(port, "/"), "--bytes", "12"]);
    assert_eq!(peer.finish(), Some(2));
    let report = once(&["bulk", "download", &url(port, "/"), "--bytes", "11"]);
    assert_eq!(report["bytes"], 11, "{report}");
}

#[test]
fn an_echo_of_json_is_compared_byte_by_byte() {
    let (_server, port) = Peer::serve("core");
    let fields: Vec<String> = (1..=8).map(|number| format!("x-field-{number}:v")).collect();
    let address = url(port, "/json");
    let mut arguments = vec!["load", &address, "--method", "POST", "--json", "1024", "--echoes"];
    arguments.extend_from_slice(&["--seconds", "0.3", "--warmup", "0.1", "--announce"]);
    for field in &fields {
        arguments.extend_from_slice(&["--header", field]);
    }
    let mut peer = Peer::start(&arguments);
    assert_eq!(peer.line()["measuring"], true);
    let report = peer.line();
    let requests = report["requests"].as_u64().unwrap();
    assert!(requests > 0 && report["errors"] == 0, "{report}");
    assert_eq!(report["bytes_in"].as_u64(), Some(1024 * requests), "{report}");
    assert_eq!(peer.finish(), Some(0));
    // What is not an echo: `hello world`, to a server that does not care what it is sent.
    let (_server, port) = Peer::serve("canned");
    let flags = [
        "--method",
        "POST",
        "--json",
        "1024",
        "--echoes",
        "--seconds",
        "0.2",
    ];
    let report = once(&[&["load", &url(port, "/")][..], &flags].concat());
    assert_eq!(report["requests"], 0, "{report}");
    assert!(report["errors_by_kind"]["echo"].as_u64() > Some(0), "{report}");
}

#[test]
fn idle_connections_stay_until_nobody_wants_them() {
    let (_server, port) = Peer::serve("core");
    let mut idle = Peer::start(&["idle", &url(port, "/hello"), "--connections", "40"]);
    let report = idle.line();
    assert_eq!(
        (report["open"].as_u64(), report["failed"].as_u64()),
        (Some(40), Some(0))
    );
    assert_eq!(idle.finish(), Some(0));
    assert_eq!(idle.line()["alive"], 40);
}

#[test]
fn short_connections_are_counted_and_paced() {
    let (_server, port) = Peer::serve("core");
    let address = url(port, "/hello");
    let report = once(&["connect", &address, "--seconds", "0.5", "--at-once", "4"]);
    assert_eq!(report["errors"], 0, "{report}");
    assert!(report["connections"].as_u64() > Some(0), "{report}");
    let report = once(&["connect", &address, "--seconds", "1", "--rate", "20"]);
    assert!(
        (15..=22).contains(&report["connections"].as_u64().unwrap()),
        "{report}"
    );
}

#[test]
fn a_cold_start_lasts_from_the_process_to_its_first_answer() {
    let report = once(&["start", env!("CARGO_BIN_EXE_peer"), "core", "--port", "0"]);
    let milliseconds = |name: &str| report[name].as_f64().unwrap();
    assert!(milliseconds("listening_ms") > 0.0, "{report}");
    assert!(
        milliseconds("first_answer_ms") >= milliseconds("listening_ms"),
        "{report}"
    );
    let mut peer = Peer::start(&["start", "true"]);
    assert_eq!(peer.finish(), Some(2), "a program that says no port");
}
