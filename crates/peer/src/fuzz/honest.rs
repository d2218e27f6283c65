//! The client that is nobody's enemy: it sends bytes to `/echo` and wants them back.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf as _, Bytes};
use tokio::time::timeout;

use crate::{
    endpoint,
    failure::{Direction, Failure},
    load::Requests,
    target::Target,
};

/// For the handshake and both requests.
const WITHIN: Duration = Duration::from_secs(10);

/// Two exchanges on a connection of their own to `address`, where the target itself is or a way to it.
pub(super) async fn check(target: &Target, address: SocketAddr, seed: u64) -> Result<(), Failure> {
    timeout(WITHIN, exchange_twice(target, address, seed))
        .await
        .map_err(|_| Failure::new("deadline", "an honest client was not served within 10 s"))?
}

async fn exchange_twice(target: &Target, address: SocketAddr, seed: u64) -> Result<(), Failure> {
    let setup = |error: &dyn std::fmt::Display| Failure::new("setup", error);
    let endpoint = endpoint::trusting_client(address).map_err(|error| setup(&error))?;
    let connecting = endpoint
        .connect(address, &target.name)
        .map_err(|error| setup(&error))?;
    let quic = connecting.await?;
    let built = h3::client::new(h3_quinn::Connection::new(quic.clone())).await;
    let (mut driver, mut requests) = built.map_err(|error| Failure::from_h3_connection(&error, &quic))?;
    let driving = tokio::spawn(async move { driver.wait_idle().await });
    let mut random = fastrand::Rng::with_seed(seed);
    let mut result = Ok(());
    for length in [random.usize(0..100), random.usize(1000..40_000)] {
        let mut body = vec![0; length];
        random.fill(&mut body);
        result = echo(&mut requests, target, &quic, body.into()).await;
        if result.is_err() {
            break;
        }
    }
    drop(requests);
    quic.close(0x100_u32.into(), b"");
    driving.abort();
    let _ = timeout(Duration::from_millis(500), endpoint.wait_idle()).await;
    result
}

async fn echo(
    requests: &mut Requests,
    target: &Target,
    quic: &quinn::Connection,
    body: Bytes,
) -> Result<(), Failure> {
    let received = |error| Failure::from_h3(&error, quic, Direction::Receiving);
    let sent = |error| Failure::from_h3(&error, quic, Direction::Sending);
    let authority = target
        .url
        .authority()
        .map_or("localhost", http::uri::Authority::as_str);
    let request = http::Request::post(format!("https://{authority}/echo"))
        .body(())
        .map_err(|error| Failure::new("setup", error))?;
    let mut stream = requests.send_request(request).await.map_err(sent)?;
    stream.send_data(body.clone()).await.map_err(sent)?;
    stream.finish().await.map_err(sent)?;
    let response = stream.recv_response().await.map_err(received)?;
    if response.status() != http::StatusCode::OK {
        return Err(Failure::status(response.status()));
    }
    let mut echoed = Vec::with_capacity(body.len());
    while let Some(mut chunk) = stream.recv_data().await.map_err(received)? {
        echoed.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
    }
    if echoed == body {
        Ok(())
    } else {
        Err(Failure::new(
            "wrong_answer",
            format!("{} bytes for {}", echoed.len(), body.len()),
        ))
    }
}
