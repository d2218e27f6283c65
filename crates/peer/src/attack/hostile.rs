//! One hostile connection and what the server does to its streams.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use quinn::{Connection, Endpoint, RecvStream, SendStream};

use super::{Plan, raw_frames::RawFrames};
use crate::{endpoint, failure::Failure, silent_socket::SilentSocket, trust::Trust, wire};

/// How long a handshake may take: a server under attack may be slow, but not dead.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Frames of a flood that wait for the path, in bytes: few, so that what is counted as sent has nearly left.
const QUEUED_FRAMES: usize = 32 * 1024;

/// As much of a response as is looked at.
const LOOK_AT: usize = 64;

/// A connection that has sent its SETTINGS, as a sound client would, before it misbehaves.
pub(super) struct Hostile {
    /// The QUIC connection.
    pub(super) quic: Connection,
    /// Its socket, which can fall silent.
    pub(super) socket: Arc<SilentSocket>,
    /// The control stream. Held open: closing it would be another offence.
    pub(super) control: SendStream,
    endpoint: Endpoint,
}

/// What a hostile client makes different from the moment it connects.
pub(super) struct Character {
    /// What the control stream begins with.
    pub(super) control: Bytes,
    /// The carrier of frames that quinn would not send.
    pub(super) raw_frames: Option<Arc<RawFrames>>,
    /// The window of each stream it receives, in bytes.
    pub(super) stream_window: Option<u32>,
    /// What it has sent and the server has not acknowledged, at most, in bytes: what is counted as sent has then nearly arrived.
    pub(super) send_window: Option<u32>,
}

impl Default for Character {
    fn default() -> Self {
        Self {
            control: Bytes::from_static(wire::CONTROL_STREAM),
            raw_frames: None,
            stream_window: None,
            send_window: None,
        }
    }
}

impl Hostile {
    /// Connects on a socket of its own, like a sound client.
    pub(super) async fn connect(plan: &Plan) -> Result<Self, Failure> {
        Self::connect_as(plan, &Character::default()).await
    }

    /// Connects on a socket of its own.
    pub(super) async fn connect_as(plan: &Plan, character: &Character) -> Result<Self, Failure> {
        let setup = |error: &dyn std::fmt::Display| Failure::new("setup", error);
        let (mut endpoint, socket) =
            endpoint::silenceable_client(plan.target.address).map_err(|error| setup(&error))?;
        endpoint.set_default_client_config(config(character).map_err(|error| setup(&error))?);
        let connecting = endpoint
            .connect(plan.target.address, &plan.target.name)
            .map_err(|error| setup(&error))?;
        let quic = tokio::time::timeout(CONNECT_WITHIN, connecting)
            .await
            .map_err(|_| Failure::new("deadline", "no handshake within 10 s"))??;
        let mut control = quic.open_uni().await?;
        control.write_all(&character.control).await?;
        Ok(Self {
            quic,
            socket,
            control,
            endpoint,
        })
    }

    /// Closes the connection and waits until the server has heard of it.
    pub(super) async fn close(self) {
        self.quic.close(0x100_u32.into(), b"");
        let _ = tokio::time::timeout(Duration::from_millis(500), self.endpoint.wait_idle()).await;
    }
}

fn config(character: &Character) -> Result<quinn::ClientConfig, endpoint::SetupError> {
    let tls: Arc<dyn quinn::crypto::ClientConfig> = Arc::new(endpoint::http3_crypto(Trust::Anything)?);
    let mut config = quinn::ClientConfig::new(match &character.raw_frames {
        Some(frames) => frames.over(tls),
        None => tls,
    });
    let mut transport = endpoint::client_transport()?;
    transport.datagram_send_buffer_size(QUEUED_FRAMES);
    if let Some(window) = character.stream_window {
        transport.stream_receive_window(window.into());
    }
    if let Some(window) = character.send_window {
        transport.send_window(window.into());
    }
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Opens a request stream; a server that gives no credit for `plan.hold` is a failure of kind `no_credit`.
pub(super) async fn open_request(
    plan: &Plan,
    quic: &Connection,
) -> Result<(SendStream, RecvStream), Failure> {
    match tokio::time::timeout(plan.hold, quic.open_bi()).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(Failure::new("no_credit", "the server allows no further stream")),
    }
}

/// Waits for what the server says on a stream: `answered:431`, `reset:0x107`, `closed:0x107`, `finished`, or `silence`.
pub(super) async fn verdict(plan: &Plan, receive: &mut RecvStream) -> String {
    let mut seen = Vec::with_capacity(LOOK_AT);
    let read = async {
        while let Some(chunk) = receive.read_chunk(LOOK_AT, true).await? {
            plan.tally.received(chunk.bytes.len());
            if seen.len() < LOOK_AT {
                seen.extend_from_slice(&chunk.bytes);
            }
            if let Some(status) = wire::status(&seen) {
                return Ok::<_, Failure>(format!("answered:{status}"));
            }
        }
        Ok("finished".to_owned())
    };
    match tokio::time::timeout(plan.hold, read).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(failure)) => failure.label(),
        Err(_) => "silence".to_owned(),
    }
}

/// Writes everything, as far as the server lets it; what it stopped or closed is told by [`verdict`].
pub(super) async fn write(plan: &Plan, send: &mut SendStream, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let written = send.write(bytes).await?;
        plan.tally.sent(written);
        bytes = &bytes[written..];
    }
    Ok(())
}
