//! A client whose QUIC packets carry the frames of a test: they are swapped just before they are encrypted, so that the
//! packets are valid whatever is in them.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bytes::BytesMut;
use quinn::crypto::rustls::QuicClientConfig;
use quinn_proto::crypto::{
    ClientConfig, CryptoError, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, Session,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectError, ConnectionId, Side, TransportError};

/// Packets with less room keep their frames: acknowledgements, and what makes a connection go.
const LEAST_ROOM: usize = 600;

/// Swaps the frames of large packets for copies of one frame, once it is told to.
#[derive(Clone)]
pub(crate) struct Forger {
    frame: Arc<[u8]>,
    armed: Arc<AtomicBool>,
}

impl Forger {
    /// Fills packets with as many copies of `frame` as fit.
    pub(crate) fn new(frame: &[u8]) -> Self {
        Self {
            frame: frame.into(),
            armed: Arc::default(),
        }
    }

    /// Begins.
    pub(crate) fn arm(&self) {
        self.armed.store(true, SeqCst);
    }

    /// The TLS of a client, with forged packets.
    pub(crate) fn client(&self, tls: QuicClientConfig) -> ForgingClient {
        ForgingClient {
            tls: Arc::new(tls),
            forger: self.clone(),
        }
    }

    fn forge(&self, payload: &mut [u8]) {
        if !self.armed.load(SeqCst) || payload.len() < LEAST_ROOM {
            return;
        }
        payload.fill(0);
        for place in payload.chunks_exact_mut(self.frame.len()) {
            place.copy_from_slice(&self.frame);
        }
    }
}

pub(crate) struct ForgingClient {
    tls: Arc<QuicClientConfig>,
    forger: Forger,
}

impl ClientConfig for ForgingClient {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn Session>, ConnectError> {
        Ok(Box::new(ForgingSession {
            tls: self.tls.clone().start_session(version, server_name, params)?,
            forger: self.forger.clone(),
            has_handshake_keys: false,
        }))
    }
}

struct ForgingSession {
    tls: Box<dyn Session>,
    forger: Forger,
    has_handshake_keys: bool,
}

impl ForgingSession {
    fn forging(&self, keys: KeyPair<Box<dyn PacketKey>>) -> KeyPair<Box<dyn PacketKey>> {
        KeyPair {
            local: Box::new(ForgingKey {
                key: keys.local,
                forger: self.forger.clone(),
            }),
            remote: keys.remote,
        }
    }
}

impl Session for ForgingSession {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> Keys {
        self.tls.initial_keys(dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        self.tls.handshake_data()
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        self.tls.peer_identity()
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        self.tls.early_crypto()
    }

    fn early_data_accepted(&self) -> Option<bool> {
        self.tls.early_data_accepted()
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn read_handshake(&mut self, buf: &[u8]) -> Result<bool, TransportError> {
        self.tls.read_handshake(buf)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        self.tls.transport_parameters()
    }

    fn write_handshake(&mut self, buf: &mut Vec<u8>) -> Option<Keys> {
        let keys = self.tls.write_handshake(buf)?;
        // The first keys are those of the handshake, the second those of everything after it.
        if !std::mem::replace(&mut self.has_handshake_keys, true) {
            return Some(keys);
        }
        Some(Keys {
            header: keys.header,
            packet: self.forging(keys.packet),
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        self.tls.next_1rtt_keys().map(|keys| self.forging(keys))
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        self.tls.is_valid_retry(orig_dst_cid, header, payload)
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        self.tls.export_keying_material(output, label, context)
    }
}

struct ForgingKey {
    key: Box<dyn PacketKey>,
    forger: Forger,
}

impl PacketKey for ForgingKey {
    fn encrypt(&self, packet: u64, buf: &mut [u8], header_len: usize) {
        let end = buf.len() - self.key.tag_len();
        self.forger.forge(&mut buf[header_len..end]);
        self.key.encrypt(packet, buf, header_len);
    }

    fn decrypt(&self, packet: u64, header: &[u8], payload: &mut BytesMut) -> Result<(), CryptoError> {
        self.key.decrypt(packet, header, payload)
    }

    fn tag_len(&self) -> usize {
        self.key.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.key.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.key.integrity_limit()
    }
}
