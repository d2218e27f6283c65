//! QUIC frames of the attacker's choice, on a connection that quinn drives.
//!
//! quinn sends no frames but its own. It does leave two doors open: DATAGRAM frames carry any bytes (RFC 9221), and packets are
//! encrypted through a trait. So the frames travel to the encryption as the payload of a DATAGRAM that begins with a secret
//! mark; there, in the plain packet, its type, length and mark are overwritten with PADDING (RFC 9000 §19.1), and what follows
//! are frames like any others. Packet numbers, acknowledgements, loss and congestion stay quinn's business, and so does the
//! rate: nothing is sent that the path does not take.
//!
//! That the server allows DATAGRAM frames is made up for quinn where it does not; none is sent unless the attack says so.
//! quinn must not hear about connection ids that it knows nothing of: in arriving packets those frames are turned into PING.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::{BufMut as _, Bytes, BytesMut};
use quinn::{
    ConnectError, ConnectionId, Side,
    crypto::{
        ClientConfig, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
    },
};
use quinn_proto::{TransportError, transport_parameters::TransportParameters};

use super::quic_frame;
use crate::{failure::Failure, wire};

/// Type and length before the mark: a payload of 64 bytes or more has a length of two bytes.
const DATAGRAM_HEAD: usize = 3;
const LEAST_PAYLOAD: usize = 64;
const MARK: usize = 8;

/// The transport parameter max_datagram_frame_size (RFC 9221 §3).
const MAX_DATAGRAM_FRAME_SIZE: u64 = 0x20;

/// Above every packet number (RFC 9000 §12.3).
const NONE: u64 = u64::MAX;

/// What the frames of one attacker have in common.
pub(super) struct RawFrames {
    /// Random, so that nothing else in a packet is taken for it.
    mark: [u8; MARK],
    /// The largest sequence number of a connection id that the server has issued.
    issued: AtomicU64,
    /// The number of a packet with a short header that has come, or [`NONE`].
    received: AtomicU64,
    /// The server's transport parameters allow DATAGRAM frames.
    takes_datagrams: AtomicBool,
}

impl RawFrames {
    /// A new mark; nothing seen.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            mark: fastrand::u64(..).to_be_bytes(),
            issued: AtomicU64::new(0),
            received: AtomicU64::new(NONE),
            takes_datagrams: AtomicBool::new(false),
        })
    }

    /// The configuration of a client whose packets can carry the frames.
    pub(super) fn over(self: &Arc<Self>, inner: Arc<dyn ClientConfig>) -> Arc<dyn ClientConfig> {
        Arc::new(Config {
            inner,
            frames: self.clone(),
        })
    }

    /// The bytes of frames that fit in one packet now.
    pub(super) fn room(&self, quic: &quinn::Connection) -> usize {
        quic.max_datagram_size().unwrap_or(0).saturating_sub(MARK)
    }

    /// Puts whole frames, at most [`room`](Self::room) bytes, in the queue; waits while that is full.
    pub(super) async fn send(&self, quic: &quinn::Connection, frames: &[u8]) -> Result<(), Failure> {
        let mut payload = BytesMut::with_capacity(LEAST_PAYLOAD.max(MARK + frames.len()));
        payload.put_slice(&self.mark);
        payload.put_slice(frames);
        // PADDING again.
        payload.resize(payload.len().max(LEAST_PAYLOAD), 0);
        match quic.send_datagram_wait(payload.freeze()).await {
            Ok(()) => Ok(()),
            Err(quinn::SendDatagramError::ConnectionLost(lost)) => Err(lost.into()),
            Err(error) => Err(Failure::new("datagram", error)),
        }
    }

    /// The largest sequence number of a connection id that the server has issued; 0 before it has issued any.
    pub(super) fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    /// The number of a packet that the server has sent after the handshake; `None`: none has come. (It may leave out any number,
    /// 0 among them, to see who acknowledges what was never sent, RFC 9000 §21.4.)
    pub(super) fn received(&self) -> Option<u64> {
        let number = self.received.load(Ordering::Relaxed);
        (number != NONE).then_some(number)
    }

    /// Whether the server allows DATAGRAM frames (RFC 9221 §3).
    pub(super) fn server_takes_datagrams(&self) -> bool {
        self.takes_datagrams.load(Ordering::Relaxed)
    }

    /// Turns the marked DATAGRAM frames of a plain packet into what they carry.
    fn unpack(&self, packet: &mut [u8]) {
        let mut from = 0;
        while let Some(at) = packet[from..]
            .windows(DATAGRAM_HEAD + MARK)
            .position(|window| window[0] == quic_frame::DATAGRAM && window[DATAGRAM_HEAD..] == self.mark)
        {
            let start = from + at;
            from = start + DATAGRAM_HEAD + MARK;
            packet[start..from].fill(0);
        }
    }

    /// Hides the server's handling of connection ids from quinn; PING keeps the packet one that is acknowledged.
    fn hide_connection_ids(&self, packet: &mut [u8]) {
        let mut hidden = Vec::new();
        quic_frame::each(packet, |kind, place| {
            if matches!(
                kind,
                quic_frame::NEW_CONNECTION_ID | quic_frame::RETIRE_CONNECTION_ID
            ) {
                hidden.push((kind, place));
            }
        });
        for (kind, place) in hidden {
            let mut fields = &packet[place.start + 1..place.end];
            if let (quic_frame::NEW_CONNECTION_ID, Some(sequence)) = (kind, quic_frame::number(&mut fields)) {
                self.issued.fetch_max(sequence, Ordering::Relaxed);
            }
            packet[place.start] = quic_frame::PING;
            packet[place.start + 1..place.end].fill(0);
        }
    }
}

struct Config {
    inner: Arc<dyn ClientConfig>,
    frames: Arc<RawFrames>,
}

impl ClientConfig for Config {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let inner = self.inner.clone().start_session(version, server_name, params)?;
        Ok(Box::new(RawSession {
            inner,
            frames: self.frames.clone(),
        }))
    }
}

/// The TLS session, with keys that see the plain packets.
struct RawSession {
    inner: Box<dyn Session>,
    frames: Arc<RawFrames>,
}

impl RawSession {
    fn over(&self, keys: KeyPair<Box<dyn PacketKey>>) -> KeyPair<Box<dyn PacketKey>> {
        let over = |inner| -> Box<dyn PacketKey> {
            Box::new(RawKey {
                inner,
                frames: self.frames.clone(),
            })
        };
        KeyPair {
            local: over(keys.local),
            remote: over(keys.remote),
        }
    }
}

impl Session for RawSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.inner.initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.inner.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.inner.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.inner.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.inner.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.inner.read_handshake(buf)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let Some(given) = self.inner.transport_parameters()? else {
            return Ok(None);
        };
        let mut bytes = BytesMut::new();
        given.write(&mut bytes);
        wire::varint(&mut bytes, MAX_DATAGRAM_FRAME_SIZE);
        wire::varint(&mut bytes, 4);
        wire::varint(&mut bytes, 65_535);
        // A parameter that comes twice is refused: then the server allows datagrams anyway.
        let made_up = TransportParameters::read(Side::Client, &mut Bytes::from(bytes));
        self.frames
            .takes_datagrams
            .store(made_up.is_err(), Ordering::Relaxed);
        Ok(Some(made_up.unwrap_or(given)))
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let Keys { header, packet } = self.inner.write_handshake(buf)?;
        Some(Keys {
            header,
            packet: self.over(packet),
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.inner.next_1rtt_keys()?;
        Some(self.over(keys))
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.inner.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.inner.export_keying_material(output, label, context)
    }
}

/// A key that looks at packets before they are encrypted and after they are decrypted.
struct RawKey {
    inner: Box<dyn PacketKey>,
    frames: Arc<RawFrames>,
}

impl PacketKey for RawKey {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let end = buf.len().saturating_sub(self.inner.tag_len());
        if let Some(plain) = buf.get_mut(header_len..end) {
            self.frames.unpack(plain);
        }
        self.inner.encrypt(packet, buf, header_len);
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.inner.decrypt(packet, header, payload)?;
        // RFC 9000 §17.3: the first bit tells short headers.
        if header.first().is_some_and(|first| first & 0x80 == 0) {
            self.frames.received.store(packet, Ordering::Relaxed);
        }
        self.frames.hide_connection_ids(payload);
        Ok(())
    }

    fn tag_len(&self) -> usize {
        self.inner.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.inner.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.inner.integrity_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(frames: &RawFrames, content: &[u8]) -> BytesMut {
        let mut payload = frames.mark.to_vec();
        payload.extend_from_slice(content);
        payload.resize(LEAST_PAYLOAD, 0);
        let mut packet = BytesMut::new();
        quic_frame::datagram(&mut packet, &payload);
        packet
    }

    #[test]
    fn a_marked_datagram_becomes_the_frames_it_carries() {
        let frames = RawFrames::new();
        let mut packet = BytesMut::from(&b"\x01"[..]);
        packet.extend_from_slice(&carried(&frames, b"\x19\x05"));
        packet.extend_from_slice(&carried(&frames, b"\x12\x07"));
        frames.unpack(&mut packet);
        let mut found = Vec::new();
        quic_frame::each(&packet, |kind, place| {
            if kind != 0 {
                found.push((kind, place.len()));
            }
        });
        assert_eq!(found, [(0x01, 1), (0x19, 2), (0x12, 2)]);
    }

    #[test]
    fn a_datagram_without_the_mark_stays_one() {
        let frames = RawFrames::new();
        let mut packet = carried(&RawFrames::new(), b"\x19\x05");
        let before = packet.clone();
        frames.unpack(&mut packet);
        assert_eq!(packet, before);
    }

    #[test]
    fn connection_ids_are_seen_and_hidden() {
        let frames = RawFrames::new();
        let mut packet = BytesMut::new();
        quic_frame::new_connection_id(&mut packet, 300, 1);
        quic_frame::retire_connection_id(&mut packet, 9);
        frames.hide_connection_ids(&mut packet);
        assert_eq!(frames.issued(), 300);
        quic_frame::each(&packet, |kind, _| assert!(kind <= 1, "{kind:#x}"));
    }

    /// A connection between a client with raw frames and quinn's own server.
    async fn connected(
        frames: &Arc<RawFrames>,
    ) -> (quinn::Connection, quinn::Connection, [quinn::Endpoint; 2]) {
        let server = crate::endpoint::server(0).unwrap();
        let address = server.local_addr().unwrap();
        let mut client = quinn::Endpoint::client(crate::endpoint::any_port_towards(address)).unwrap();
        let tls = crate::endpoint::http3_crypto(crate::trust::Trust::Anything).unwrap();
        client.set_default_client_config(quinn::ClientConfig::new(frames.over(Arc::new(tls))));
        let connecting = client.connect(address, "localhost").unwrap();
        let (attacker, attacked) = tokio::join!(connecting, async { server.accept().await.unwrap().await });
        (attacker.unwrap(), attacked.unwrap(), [client, server])
    }

    async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        for _ in 0..200 {
            if is_so() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("2 s without {what}");
    }

    #[tokio::test]
    async fn the_server_receives_the_frames_and_no_datagram() {
        let frames = RawFrames::new();
        let (attacker, attacked, _endpoints) = connected(&frames).await;
        // Far more packets than quinn sends before its first key update (RFC 9001 §6).
        for number in 0..3_000 {
            let mut packet = BytesMut::new();
            packet.put_bytes(quic_frame::PING, 10);
            quic_frame::path_challenge(&mut packet, number);
            frames.send(&attacker, &packet).await.unwrap();
        }
        until("3,000 PATH_CHALLENGE", || {
            attacked.stats().frame_rx.path_challenge >= 3_000
        })
        .await;
        let received = attacked.stats().frame_rx;
        assert!(received.ping >= 30_000, "{received:?}");
        assert_eq!(received.datagram, 0);
        assert!(attacker.close_reason().is_none() && attacked.close_reason().is_none());
    }

    #[tokio::test]
    async fn connection_ids_can_be_given_back_again_and_again() {
        let frames = RawFrames::new();
        let (attacker, attacked, _endpoints) = connected(&frames).await;
        for sequence in 1..=100 {
            until("another connection id", || frames.issued() >= sequence).await;
            let mut packet = BytesMut::new();
            quic_frame::retire_connection_id(&mut packet, sequence);
            frames.send(&attacker, &packet).await.unwrap();
        }
        until("100 RETIRE_CONNECTION_ID", || {
            attacked.stats().frame_rx.retire_connection_id >= 100
        })
        .await;
        assert!(attacker.close_reason().is_none() && attacked.close_reason().is_none());
    }
}
