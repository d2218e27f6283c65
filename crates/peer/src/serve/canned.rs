//! Bare quinn with a canned reply: what QUIC alone costs, and so the floor of every benchmark.

use bytes::Bytes;

use super::Options;
use crate::Outcome;

/// HEADERS (`:status` 200, `content-type` text/plain) and DATA `hello world`, both field lines from QPACK's static table.
const REPLY: Bytes = Bytes::from_static(b"\x01\x04\x00\x00\xd9\xf5\x00\x0bhello world");

/// Runs the server.
pub(crate) async fn run(options: Options) -> Outcome {
    super::serve(options, connection).await
}

async fn connection(quic: quinn::Connection) {
    // A control stream with empty SETTINGS, held open (RFC 9114 §6.2.1).
    let Ok(mut control) = quic.open_uni().await else {
        return;
    };
    if control.write_all(b"\x00\x04\x00").await.is_err() {
        return;
    }
    tokio::spawn(drain_control_streams(quic.clone()));
    while let Ok((mut send, mut receive)) = quic.accept_bi().await {
        while let Ok(Some(_)) = receive.read_chunk(64 * 1024, true).await {}
        let _ = send.write_chunk(REPLY).await;
        let _ = send.finish();
    }
}

async fn drain_control_streams(quic: quinn::Connection) {
    while let Ok(mut stream) = quic.accept_uni().await {
        tokio::spawn(async move { while let Ok(Some(_)) = stream.read_chunk(64 * 1024, true).await {} });
    }
}
