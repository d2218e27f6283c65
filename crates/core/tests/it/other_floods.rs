//! Floods where no request is: in the capsules of a session, and on a connection whose protocol is not HTTP/3.

use quinn::ConnectionError;
use trilane_core::{DatagramOptions, Limits};
use trilane_http3::write_data_header;

use crate::client::{endpoint, tls_as};
use crate::forger::Forger;
use crate::session_scene::Scene;
use crate::support::{Script, Setup, answer, soon, start};

fn tiny() -> Limits {
    Limits {
        max_overhead_frames_per_second: 100,
        ..Limits::default()
    }
}

/// RFC 9297 §3.2: unknown capsules are skipped, RFC 9114 §10.5: but not for ever.
#[tokio::test]
async fn unknown_capsules_end_the_connection() {
    let scene = Scene::with(tiny()).await;
    let (_, mut connect) = scene.session(0).await;
    let capsules = [0x21, 0].repeat(5_000);
    let mut wire = bytes::BytesMut::new();
    write_data_header(&mut wire, capsules.len() as u64);
    wire.extend_from_slice(&capsules);
    let _ = connect.send.write_all(&wire).await;
    let ConnectionError::ApplicationClosed(close) = soon("the close", scene.client.closed()).await else {
        panic!("{:?}", scene.client.close_reason())
    };
    assert_eq!(close.error_code, 0x107_u32.into());
    assert_eq!(scene.server.server.stats().excessive_load, 1);
}

#[tokio::test]
async fn pings_end_a_connection_of_another_protocol() {
    let setup = Setup {
        limits: tiny(),
        alpn: Some(b"echo"),
        datagrams: DatagramOptions {
            raw: true,
            ..DatagramOptions::default()
        },
        ..Setup::default()
    };
    let server = start(setup, Script::new(|_, exchange| answer(exchange, "")));
    let forger = Forger::new(&[0x01]);
    let endpoint = endpoint("127.0.0.1:0", forger.client(tls_as(&server, b"echo")));
    let connecting = endpoint.connect(server.address, "localhost").unwrap();
    let connection = soon("a handshake", connecting).await.unwrap();
    forger.arm();
    let mut send = connection.open_uni().await.unwrap();
    soon("the end of the flood", async {
        while send.write_all(&[0; 10_000]).await.is_ok() {}
    })
    .await;
    soon("the close", connection.closed()).await;
    assert_eq!(server.server.stats().excessive_load, 1);
}
