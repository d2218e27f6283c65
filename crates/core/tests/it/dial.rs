//! How our client reaches a server, or says why not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use trilane_core::Limits;
use trilane_core::client::{
    DialError, DialErrorKind, DialOptions, Dialer, Stage, Target, TargetError, Trust,
};

use crate::dial_scene::{Made, Welcome, dial, dial_as, options, serve, serve_as, silent, target, tls};
use crate::scratch::Scratch;
use crate::support::{Script, Setup, answer, found, soon, start};

/// What takes milliseconds on the loopback, on a machine that is busy. QUIC itself would try again after a second, and keep
/// a socket for three.
const AT_ONCE: Duration = Duration::from_millis(800);

/// A port of 127.0.0.1 that nobody listens on.
async fn closed_port(address: &str) -> SocketAddr {
    silent(address).await.local_addr().unwrap()
}

fn impatient(trust: Trust) -> DialOptions {
    DialOptions {
        connect_timeout: Duration::from_millis(500),
        ..options(trust)
    }
}

#[tokio::test]
async fn a_server_of_ours_is_reached_and_answers() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| answer(exchange, "served")),
    );
    let trust = Trust::authorities(&[&server.certificate]).unwrap();
    let dialed = dial_as(trust, server.address).await.unwrap();
    assert_eq!(dialed.alpn.as_deref(), Some(&b"h3"[..]));
    assert!(dialed.early.is_none() && !dialed.is_resumed);
    assert!(dialed.local_address.unwrap().ip().is_loopback());
    assert!(dialed.handshake > Duration::ZERO);
    let (mut send, mut recv) = dialed.quic.open_bi().await.unwrap();
    // GET /a
    send.write_all(&[1, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, b'a'])
        .await
        .unwrap();
    send.finish().unwrap();
    let answer = soon("an answer", recv.read_to_end(10_000)).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("served"));
}

#[tokio::test]
async fn a_name_of_this_machine_is_looked_up() {
    let address = serve(tls(Made::default().self_signed()));
    let dialer = Dialer::new(options(Trust::Insecure)).unwrap();
    let target = Target::new("localhost", address.port()).unwrap();
    let dialed = soon("a handshake", dialer.dial(&target)).await.unwrap();
    assert_eq!(dialed.remote_address, address);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_said_to_be_unknown() {
    let dialer = Dialer::new(options(Trust::Insecure)).unwrap();
    // Longer than a label may be (RFC 1035 §2.3.4) is refused without asking anyone; this one is for the system.
    let error = dialer
        .dial(&Target::new("no-such-host.invalid", 443).unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            DialError::NameNotFound { .. }
                | DialError::TimedOut {
                    stage: Stage::Lookup,
                    ..
                }
        ),
        "{error}"
    );
    let long = Target::new(&"a".repeat(64), 443).unwrap_err();
    assert!(matches!(long, TargetError::Host { .. }));
}

#[tokio::test]
async fn a_closed_port_is_known_at_once() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let address = closed_port(any).await;
        let began = Instant::now();
        let error = dial_as(Trust::Insecure, address).await.unwrap_err();
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        assert_eq!(error.kind(), DialErrorKind::Refused);
        assert!(
            matches!(error, DialError::PortClosed { address: at } if at == address),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_that_takes_nobody_in_refuses_at_once() {
    let address = serve_as(
        tls(Made::default().self_signed()),
        (Ipv4Addr::LOCALHOST, 0).into(),
        Welcome::Refuse,
    );
    let error = dial_as(Trust::Insecure, address).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    assert_eq!(error.kind(), DialErrorKind::Refused);
}

#[tokio::test]
async fn a_full_server_of_ours_refuses_at_once() {
    let limits = Limits {
        max_connections: 0,
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let error = dial_as(Trust::Insecure, server.address).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn nobody_who_answers_is_told_from_a_handshake_that_stalls() {
    let nobody = silent("127.0.0.1:0").await;
    let error = dial(impatient(Trust::Insecure), nobody.local_addr().unwrap())
        .await
        .unwrap_err();
    let in_time = |stage| DialError::TimedOut {
        host: "localhost".to_owned(),
        after: Duration::from_millis(500),
        stage,
    };
    assert_eq!(format!("{error:?}"), format!("{:?}", in_time(Stage::Silence)));

    let babbler = silent("127.0.0.1:0").await;
    let address = babbler.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 2000];
        while let Ok((_, from)) = babbler.recv_from(&mut packet).await {
            babbler.send_to(b"no QUIC", from).await.unwrap();
        }
    });
    let error = dial(impatient(Trust::Insecure), address).await.unwrap_err();
    assert_eq!(format!("{error:?}"), format!("{:?}", in_time(Stage::Handshake)));
}

/// RFC9114-3.2-alpn.
#[tokio::test]
async fn a_server_that_does_not_speak_h3_is_said_to_be_one() {
    for spoken in [vec![b"smtp".to_vec()], Vec::new()] {
        let mut tls = tls(Made::default().self_signed());
        tls.alpn_protocols = spoken;
        let error = dial_as(Trust::Insecure, serve(tls)).await.unwrap_err();
        assert_eq!(error.kind(), DialErrorKind::Alpn, "{error}");
        assert!(error.to_string().contains("(h3)"), "{error}");
    }
}

#[tokio::test]
async fn other_protocols_are_offered_in_their_order() {
    let mut tls = tls(Made::default().self_signed());
    tls.alpn_protocols = vec![b"b".to_vec()];
    let mut options = options(Trust::Insecure);
    options.tls.alpn = vec![b"a".to_vec(), b"b".to_vec()];
    let dialed = dial(options, serve(tls)).await.unwrap();
    assert_eq!(dialed.alpn.as_deref(), Some(&b"b"[..]));
}

/// RFC 9000 §6.2.
#[tokio::test]
async fn a_server_of_another_version_of_quic_is_said_to_be_one() {
    let server = silent("127.0.0.1:0").await;
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut packet = [0; 2000];
        let (_, from) = server.recv_from(&mut packet).await.unwrap();
        // A long header: flags, version, both connection ids. They come back swapped, with the versions we "speak".
        let (destination, rest) = packet[6..].split_at(usize::from(packet[5]));
        let source = &rest[1..1 + usize::from(rest[0])];
        let ids = [
            &[source.len() as u8][..],
            source,
            &[destination.len() as u8],
            destination,
        ];
        let answer = [&[0x80, 0, 0, 0, 0][..], &ids.concat(), &[0x6b, 0x33, 0x43, 0xcf]].concat();
        server.send_to(&answer, from).await.unwrap();
    });
    let error = dial_as(Trust::Insecure, address).await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Version, "{error}");
}

#[tokio::test]
async fn a_server_that_gives_up_during_the_handshake_is_quoted() {
    let address = serve_as(
        tls(Made::default().self_signed()),
        (Ipv4Addr::LOCALHOST, 0).into(),
        Welcome::Abandon,
    );
    let error = dial_as(Trust::Insecure, address).await.unwrap_err();
    // APPLICATION_ERROR: what an application's code becomes before the handshake is complete (RFC 9000 §10.2.3).
    assert!(
        matches!(
            error,
            DialError::Closed {
                code: Some(0xc),
                by_application: false,
                ..
            }
        ),
        "{error:?}"
    );
}

/// RFC 8305 §5.
#[tokio::test]
async fn an_address_that_is_silent_holds_the_next_up_for_a_quarter_of_a_second() {
    let address = serve(tls(Made::default().self_signed()));
    let silent = silent(&format!("127.0.0.2:{}", address.port())).await;
    let dialer = Dialer::new(options(Trust::Insecure)).unwrap();
    let target = Target::new("localhost", address.port())
        .unwrap()
        .at(vec![[127, 0, 0, 2].into(), address.ip()])
        .unwrap();
    let began = Instant::now();
    let dialed = soon("a handshake", dialer.dial(&target)).await.unwrap();
    let took = began.elapsed();
    assert_eq!(dialed.remote_address, address);
    assert!(
        took >= Duration::from_millis(250) && took < Duration::from_secs(5),
        "{took:?}"
    );
    // The loser says goodbye, and then its port is free.
    let mut packet = [0; 2000];
    let (_, loser) = soon("its first packet", silent.recv_from(&mut packet))
        .await
        .unwrap();
    is_free(loser).await;
    drop(dialed);
}

/// RFC 8305 §5: a failure starts the next attempt.
#[tokio::test]
async fn an_address_that_refuses_holds_nobody_up() {
    let address = serve(tls(Made::default().self_signed()));
    let dialer = Dialer::new(options(Trust::Insecure)).unwrap();
    let target = Target::new("localhost", address.port())
        .unwrap()
        .at(vec!["::1".parse().unwrap(), [127, 0, 0, 2].into(), address.ip()])
        .unwrap();
    let began = Instant::now();
    let dialed = soon("a handshake", dialer.dial(&target)).await.unwrap();
    assert_eq!(dialed.remote_address, address);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

/// RFC 8305 §5. A quarter of a second for the first, and nothing for those that refuse behind it.
#[tokio::test]
async fn a_failure_starts_the_next_attempt_while_an_older_one_still_waits() {
    let address = serve(tls(Made::default().self_signed()));
    let _silent = silent(&format!("127.0.0.2:{}", address.port())).await;
    let dialer = Dialer::new(options(Trust::Insecure)).unwrap();
    let refusing = (3..=10).map(|last| IpAddr::from([127, 0, 0, last]));
    let addresses = [IpAddr::from([127, 0, 0, 2])]
        .into_iter()
        .chain(refusing)
        .chain([address.ip()]);
    let target = Target::new("localhost", address.port())
        .unwrap()
        .at(addresses.collect())
        .unwrap();
    let began = Instant::now();
    let dialed = soon("a handshake", dialer.dial(&target)).await.unwrap();
    assert_eq!(dialed.remote_address, address);
    assert!(began.elapsed() < 2 * AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_a_server_said_counts_more_than_a_port_that_is_closed() {
    let address = serve(tls(Made::default().self_signed()));
    for addresses in [[[127, 0, 0, 1], [127, 0, 0, 2]], [[127, 0, 0, 2], [127, 0, 0, 1]]] {
        let trust = Trust::pinned(&[[0; 32]]).unwrap();
        let dialer = Dialer::new(options(trust)).unwrap();
        let target = Target::new("localhost", address.port())
            .unwrap()
            .at(addresses.map(IpAddr::from).to_vec())
            .unwrap();
        let error = soon("a refusal", dialer.dial(&target)).await.unwrap_err();
        assert_eq!(error.kind(), DialErrorKind::PinMismatch, "{error}");
    }
}

#[tokio::test]
async fn what_a_server_said_is_not_held_back_for_an_address_that_is_silent() {
    let address = serve(tls(Made::default().self_signed()));
    let _silent = silent(&format!("127.0.0.2:{}", address.port())).await;
    let dialer = Dialer::new(options(Trust::pinned(&[[0; 32]]).unwrap())).unwrap();
    let target = Target::new("localhost", address.port())
        .unwrap()
        .at(vec![address.ip(), [127, 0, 0, 2].into()])
        .unwrap();
    let began = Instant::now();
    let error = soon("a refusal", dialer.dial(&target)).await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::PinMismatch, "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_timeout_may_be_as_long_as_a_number_can_say() {
    let options = DialOptions {
        connect_timeout: Duration::MAX,
        ..options(Trust::Insecure)
    };
    dial(options, serve(tls(Made::default().self_signed())))
        .await
        .unwrap();
}

/// RFC 9000 §10.1.2.
#[tokio::test]
async fn signs_of_life_keep_a_connection_open_whoever_asked_for_them() {
    let address = serve(tls(Made::default().self_signed()));
    for keep_alive in [None, Some(Duration::from_millis(50))] {
        let mut options = options(Trust::Insecure);
        options.limits.idle_timeout = Duration::from_millis(500);
        options.limits.keep_alive = keep_alive;
        let dialed = dial(options, address).await.unwrap();
        let end = tokio::time::timeout(Duration::from_millis(1500), dialed.quic.closed()).await;
        assert!(end.is_err(), "{end:?}");
    }
}

#[tokio::test]
async fn the_unspecified_address_is_this_machine() {
    let address = serve(tls(Made::default().self_signed()));
    let unspecified = SocketAddr::from(([0, 0, 0, 0], address.port()));
    let dialed = dial_as(Trust::Insecure, unspecified).await.unwrap();
    assert_eq!(dialed.remote_address, address);
}

/// Waits until nobody has `address`.
async fn is_free(address: SocketAddr) {
    found("a free port", || std::net::UdpSocket::bind(address).ok()).await;
}

fn from(local: SocketAddr) -> DialOptions {
    DialOptions {
        local_address: Some(local),
        ..options(Trust::Insecure)
    }
}

#[tokio::test]
async fn a_dial_that_is_dropped_says_goodbye_and_leaves_no_socket() {
    let silent = silent("127.0.0.1:0").await;
    let local = closed_port("127.0.0.1:0").await;
    let dialer = Dialer::new(from(local)).unwrap();
    let target = target("localhost", silent.local_addr().unwrap());
    let dropped = tokio::time::timeout(Duration::from_millis(50), dialer.dial(&target)).await;
    assert!(dropped.is_err());
    let began = Instant::now();
    is_free(local).await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let mut packet = [0; 2000];
    for what in ["the ClientHello", "the end"] {
        soon(what, silent.recv_from(&mut packet)).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_dial_leaves_no_socket() {
    let local = closed_port("127.0.0.1:0").await;
    let mut options = from(local);
    options.tls.trust = Trust::pinned(&[[0; 32]]).unwrap();
    dial(options, serve(tls(Made::default().self_signed())))
        .await
        .unwrap_err();
    let began = Instant::now();
    is_free(local).await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_socket_goes_with_the_last_handle_of_its_connection() {
    let local = closed_port("127.0.0.1:0").await;
    let address = serve(tls(Made::default().self_signed()));
    let dialed = dial(from(local), address).await.unwrap();
    assert_eq!(dialed.local_address, Some(local));
    let quic = dialed.quic.clone();
    drop(dialed);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(quic.close_reason().is_none());
    assert!(std::net::UdpSocket::bind(local).is_err());
    drop(quic);
    is_free(local).await;
}

#[tokio::test]
async fn a_local_address_that_cannot_be_had_is_named() {
    let address = serve(tls(Made::default().self_signed()));
    let taken = silent("127.0.0.1:0").await;
    let error = dial(from(taken.local_addr().unwrap()), address)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::LocalAddressInUse, "{error}");
    let error = dial(from("192.0.2.1:0".parse().unwrap()), address)
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::LocalAddress { .. }), "{error}");
    let error = dial(from("[::1]:0".parse().unwrap()), address).await.unwrap_err();
    assert!(matches!(error, DialError::LocalFamily { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_leaves_from_the_local_address() {
    let address = serve(tls(Made::default().self_signed()));
    let dialed = dial(from("127.0.0.3:0".parse().unwrap()), address).await.unwrap();
    assert_eq!(dialed.local_address.unwrap().ip(), IpAddr::from([127, 0, 0, 3]));
}

#[tokio::test]
async fn each_attempt_has_a_qlog_file_and_each_handshake_its_secrets() {
    let scratch = Scratch::new();
    let key_log = scratch.path().join("keys");
    let options = DialOptions {
        qlog_dir: Some(scratch.path().to_owned()),
        ..options(Trust::Insecure)
    };
    let mut options = options;
    options.tls.key_log = trilane_core::tls::KeyLogTarget::File(key_log.clone());
    let dialed = dial(options, serve(tls(Made::default().self_signed())))
        .await
        .unwrap();
    dialed.quic.close(0_u32.into(), b"");
    soon("the end", dialed.endpoint.wait_idle()).await;
    drop(dialed);
    let is_log = |name: &str| name.ends_with("_client.sqlog");
    let log = found("a qlog file", || {
        let entries = std::fs::read_dir(scratch.path()).unwrap();
        let text = entries
            .map(Result::unwrap)
            .find(|entry| is_log(&entry.file_name().into_string().unwrap()))
            .map(|entry| std::fs::read_to_string(entry.path()).unwrap())?;
        text.contains("packet_sent").then_some(text)
    })
    .await;
    assert!(log.contains("trilane client"), "{log}");
    let keys = std::fs::read_to_string(key_log).unwrap();
    assert!(keys.contains("CLIENT_HANDSHAKE_TRAFFIC_SECRET"), "{keys}");
}
