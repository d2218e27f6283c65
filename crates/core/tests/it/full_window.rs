//! What quinn does not do yet.

use std::time::Duration;

use trilane_core::Stop;

use crate::client::connect;
use crate::support::{Script, Setup, answer, start};

/// Larger than any congestion window after the few round trips of a handshake.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// The client hears nothing for so long: the server's window fills with what is not acknowledged.
const STANDSTILL: Duration = Duration::from_millis(200);

/// When this fails, quinn sends CONNECTION_CLOSE although the congestion window is full (RFC 9002 §7: it is not congestion
/// controlled, being no ack-eliciting packet). `peer fuzz` then need not take a stateless reset for a close.
#[tokio::test(flavor = "multi_thread")]
async fn quinn_still_loses_a_close_behind_a_full_congestion_window() {
    let server = start(
        Setup::default(),
        Script::new(|_, exchange| answer(exchange, vec![b'x'; ANSWER_BYTES])),
    );
    let runtime = tokio::runtime::Handle::current();
    // The client has a thread to itself, so that it can stand still.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let own = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            own.block_on(async {
                let mut client = connect(&server).await;
                let _stream = client.begin_get().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                std::thread::sleep(STANDSTILL);
                runtime.spawn(server.server.stop(Stop::Now));
                std::thread::sleep(STANDSTILL);
                let closed = tokio::time::timeout(Duration::from_millis(500), client.quic.closed()).await;
                assert!(closed.is_err(), "the close arrived: {closed:?}");
            });
        });
    });
}
