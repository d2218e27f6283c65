//! The other subcommands, briefly: that they do what they say and end by themselves.

use support::{Peer, once};

mod support;

#[test]
fn a_load_is_answered_without_errors_and_reports_what_it_measured() {
    for kind in ["h3", "canned"] {
        let (mut server, port) = Peer::serve(kind);
        let url = format!("https://127.0.0.1:{port}/");
        let report = once(&[
            "load",
            &url,
            "--seconds",
            "0.5",
            "--warmup",
            "0.1",
            "--connections",
            "2",
            "--streams",
            "4",
        ]);
        assert_eq!(report["errors"], 0, "{kind}: {report}");
        let requests = report["requests"].as_u64().unwrap();
        assert!(requests > 100, "{kind}: {report}");
        assert_eq!(report["bytes_in"].as_u64().unwrap(), requests * 11);
        assert!(report["p50_us"].as_u64() <= report["p99_us"].as_u64());
        assert_eq!(server.finish(), Some(0));
    }
}

#[test]
fn a_paced_load_keeps_its_pace() {
    let (_server, port) = Peer::serve("h3");
    let url = format!("https://127.0.0.1:{port}/");
    let report = once(&["load", &url, "--seconds", "1", "--warmup", "0", "--rate", "200"]);
    let requests = report["requests"].as_u64().unwrap();
    assert!((190..=200).contains(&requests), "{report}");
}

#[test]
fn a_server_that_is_not_there_is_an_error_of_connecting() {
    // A port that was free a moment ago and that nothing listens on.
    let port = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("https://127.0.0.1:{port}/");
    let report = once(&["probe", &url, "--seconds", "0.1"]);
    assert_eq!(
        (report["requests"].as_u64(), report["errors"].as_u64()),
        (Some(0), Some(1)),
        "{report}"
    );
}

#[test]
fn a_probe_measures_an_idle_server() {
    let (_server, port) = Peer::serve("h3");
    let url = format!("https://127.0.0.1:{port}/");
    let report = once(&["probe", &url, "--seconds", "0.5", "--interval-ms", "10"]);
    assert_eq!(report["errors"], 0, "{report}");
    assert!(
        (40..=60).contains(&report["requests"].as_u64().unwrap()),
        "{report}"
    );
}

#[test]
fn every_attack_ends_by_itself_and_the_server_goes_on() {
    let (_server, port) = Peer::serve("canned");
    let url = format!("https://127.0.0.1:{port}/");
    let attacks: [(&str, &[&str]); 9] = [
        ("huge-headers", &["--bytes", "1000000"]),
        ("many-fields", &["--bytes", "10000"]),
        (
            "trickle",
            &["--count", "3", "--bytes", "10", "--interval-ms", "1"],
        ),
        ("half-requests", &["--count", "20"]),
        ("garbage-streams", &["--count", "20"]),
        ("open-reset", &["--count", "200"]),
        ("garbage-udp", &["--count", "500"]),
        ("connect-churn", &["--count", "20"]),
        ("vanish", &["--connections", "2", "--count", "3"]),
    ];
    for (kind, flags) in attacks {
        let mut arguments = vec!["attack", kind, &url, "--hold", "0.3", "--seconds", "15"];
        arguments.extend_from_slice(flags);
        let report = once(&arguments);
        assert_eq!(report["attack"], kind);
        assert!(report["error"].is_null(), "{report}");
        assert!(
            report["outcomes"]
                .as_object()
                .is_some_and(|outcomes| !outcomes.is_empty()),
            "{report}"
        );
    }
    let report = once(&["probe", &url, "--seconds", "0.2"]);
    assert_eq!(report["errors"], 0, "{report}");
}

/// Floods that one connection stands, whatever becomes of it: kinds, and as much of them as a test wants.
const FLOODS: [(&str, &[&str]); 16] = [
    ("empty-data", &["--count", "1000"]),
    ("unknown-frames", &["--count", "1000"]),
    ("unknown-streams", &["--count", "300"]),
    ("priority-update", &["--count", "1000"]),
    ("settings-churn", &["--count", "3"]),
    ("stop-sending", &["--count", "300"]),
    ("tiny-windows", &["--count", "5"]),
    ("frozen-windows", &["--count", "5"]),
    ("ping-flood", &["--count", "2000"]),
    ("path-challenge", &["--count", "2000"]),
    ("cid-churn", &["--count", "500"]),
    ("flow-frames", &["--count", "2000"]),
    ("datagrams", &["--count", "100"]),
    ("late-crypto", &["--count", "100"]),
    ("stream-frames", &["--count", "2000"]),
    ("ack-flood", &["--count", "2000"]),
];

#[test]
fn every_flood_tells_what_it_sent_and_how_its_connections_ended() {
    let (_server, port) = Peer::serve("canned");
    let url = format!("https://127.0.0.1:{port}/");
    for (kind, flags) in FLOODS {
        let mut arguments = vec!["attack", kind, &url, "--hold", "0.3", "--seconds", "15"];
        arguments.extend_from_slice(flags);
        let report = once(&arguments);
        assert_eq!(report["attack"], kind);
        assert!(report["error"].is_null(), "{report}");
        for number in ["frames_sent", "packets_sent", "bytes_sent"] {
            assert!(report[number].as_u64() > Some(0), "{number}: {report}");
        }
        assert!(
            report["ends"].as_object().is_some_and(|ends| !ends.is_empty()),
            "{report}"
        );
    }
    let report = once(&["probe", &url, "--seconds", "0.2"]);
    assert_eq!(report["errors"], 0, "{report}");
}

#[test]
fn a_flood_comes_back_no_more_often_than_it_may() {
    let (_server, port) = Peer::serve("core");
    let url = format!("https://127.0.0.1:{port}/");
    let flags = ["--lasting", "5", "--reconnects", "2", "--count", "1"];
    let report = once(&[&["attack", "settings-churn", &url][..], &flags].concat());
    assert_eq!(report["ends"]["closed:0x105"], 3, "{report}");
    assert_eq!(report["outcomes"]["no reconnects left"], 1, "{report}");
    assert!(report["elapsed_ms"].as_u64() < Some(4_000), "{report}");
}

#[test]
fn an_attack_stays_on_this_machine() {
    let mut peer = Peer::start(&["attack", "open-reset", "https://192.0.2.1:443/"]);
    assert_eq!(peer.finish(), Some(2));
}

#[test]
fn fuzzing_needs_a_server_that_gives_bytes_back_and_says_which_conversations_it_did_not() {
    let (_server, port) = Peer::serve("canned");
    let url = format!("https://127.0.0.1:{port}/");
    for mode in ["streams", "packets"] {
        let report = once(&["fuzz", &url, "--mode", mode, "--seed", "3", "--only", "5..6"]);
        assert_eq!(report["seed"], 3);
        assert_eq!(report["failure"]["error"]["kind"], "wrong_answer", "{report}");
        let (first, last) = (&report["failure"]["first"], &report["failure"]["last"]);
        assert!(first.as_u64() >= Some(5) && last.as_u64() <= Some(6), "{report}");
    }
}

#[test]
fn fuzzing_a_server_that_is_gone_fails_at_its_first_conversation() {
    let (mut server, port) = Peer::serve("core");
    assert_eq!(server.finish(), Some(0));
    let report = once(&["fuzz", &format!("https://127.0.0.1:{port}/"), "--parallel", "1"]);
    assert_eq!(report["failure"]["first"], 0, "{report}");
    assert_eq!(report["honest"], 0);
}

#[test]
fn fuzzing_stays_on_this_machine() {
    let mut peer = Peer::start(&["fuzz", "https://192.0.2.1:443/"]);
    assert_eq!(peer.finish(), Some(2));
}
