//! What a unidirectional stream is, and which of them a peer may open (RFC 9114 §6.2).

use crate::bidi_stream::BidiKind;
use crate::code::Code;
use crate::error::Error;
use crate::{varint, webtransport};

/// Stream type of the control stream (RFC 9114 §6.2.1).
pub(crate) const CONTROL: u64 = 0x0;
const PUSH: u64 = 0x1;
const QPACK_ENCODER: u64 = 0x2;
const QPACK_DECODER: u64 = 0x3;

/// Which side of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We opened the connection.
    Client,
    /// We accepted the connection.
    Server,
}

/// The kind of a unidirectional stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UniKind {
    /// The control stream (RFC 9114 §6.2.1).
    Control,
    /// A push stream (RFC 9114 §6.2.2).
    Push,
    /// The QPACK encoder stream (RFC 9204 §4.2).
    QpackEncoder,
    /// The QPACK decoder stream (RFC 9204 §4.2).
    QpackDecoder,
    /// A stream of a WebTransport session (draft-ietf-webtrans-http3-16 §4.2).
    WebTransport {
        /// Id of the session's CONNECT stream.
        session: u64,
    },
    /// A type nobody here knows: stop reading it with H3_STREAM_CREATION_ERROR, or discard it; it is never a
    /// connection error (RFC 9114 §6.2).
    Unknown(u64),
}

/// Looks at the first bytes of a unidirectional stream: its kind and how many bytes told it. `None`: more are
/// needed (at most 16 in all).
///
/// # Errors
/// H3_ID_ERROR, connection: the session id is no client-initiated bidirectional stream.
pub fn classify_uni(bytes: &[u8]) -> Result<Option<(UniKind, usize)>, Error> {
    let Some((kind, first)) = varint::decode(bytes) else {
        return Ok(None);
    };
    let kind = match kind {
        CONTROL => UniKind::Control,
        PUSH => UniKind::Push,
        QPACK_ENCODER => UniKind::QpackEncoder,
        QPACK_DECODER => UniKind::QpackDecoder,
        webtransport::UNI_STREAM => {
            let Some((session, second)) = varint::decode(&bytes[first..]) else {
                return Ok(None);
            };
            let session = webtransport::check_session_id(session)?;
            return Ok(Some((UniKind::WebTransport { session }, first + second)));
        }
        other => UniKind::Unknown(other),
    };
    Ok(Some((kind, first)))
}

/// Remembers which critical streams the peer opened (RFC 9114 §6.2).
#[derive(Clone, Debug)]
pub struct PeerStreams {
    role: Role,
    control: bool,
    encoder: bool,
    decoder: bool,
}

impl PeerStreams {
    /// Nothing opened yet. `role` is ours.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            control: false,
            encoder: false,
            decoder: false,
        }
    }

    /// Notes a new stream of the peer.
    ///
    /// # Errors
    /// Both close the connection. H3_STREAM_CREATION_ERROR: a second control, encoder or decoder stream (RFC 9114 §6.2.1,
    /// RFC9204-4.2-second-encoder-stream, RFC9204-4.2-second-decoder-stream), or a push stream from a client (RFC 9114 §6.2.2). H3_ID_ERROR: a
    /// push stream from a server, because we never allow a push id (RFC 9114 §4.6).
    pub fn open(&mut self, kind: &UniKind) -> Result<(), Error> {
        let seen = match kind {
            UniKind::Control => &mut self.control,
            UniKind::QpackEncoder => &mut self.encoder,
            UniKind::QpackDecoder => &mut self.decoder,
            UniKind::Push => return Err(self.push_error()),
            // RFC9114-6.2-unknown-type, RFC9114-6.2.3-reserved-types
            UniKind::WebTransport { .. } | UniKind::Unknown(_) => return Ok(()),
        };
        // RFC9114-6.2.1-second-control-stream
        if std::mem::replace(seen, true) {
            return Err(Error::connection(
                Code::H3_STREAM_CREATION_ERROR,
                "critical stream opened twice",
            ));
        }
        Ok(())
    }

    /// Notes a new bidirectional stream of the peer.
    ///
    /// # Errors
    /// H3_STREAM_CREATION_ERROR, connection: a server opened a stream that is none of a WebTransport session (RFC 9114
    /// §6.1).
    pub fn open_bidi(&self, kind: &BidiKind) -> Result<(), Error> {
        match (self.role, kind) {
            // RFC9114-6.1-server-stream
            (Role::Client, BidiKind::Request) => Err(Error::connection(
                Code::H3_STREAM_CREATION_ERROR,
                "request stream opened by a server",
            )),
            (Role::Client, BidiKind::WebTransport { .. }) | (Role::Server, _) => Ok(()),
        }
    }

    fn push_error(&self) -> Error {
        match self.role {
            // RFC9114-6.2.2-push-from-client
            Role::Server => Error::connection(Code::H3_STREAM_CREATION_ERROR, "push stream from a client"),
            // RFC9114-4.6-push-stream
            Role::Client => Error::connection(Code::H3_ID_ERROR, "push stream without an allowed push id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;
    use bytes::BytesMut;

    #[test]
    fn the_stream_types_are_those_of_h3() {
        use h3::proto::stream::StreamType;
        assert_eq!(StreamType::CONTROL.value(), CONTROL);
        assert_eq!(StreamType::PUSH.value(), PUSH);
        assert_eq!(StreamType::ENCODER.value(), QPACK_ENCODER);
        assert_eq!(StreamType::DECODER.value(), QPACK_DECODER);
    }

    #[test]
    fn each_type_is_recognised() {
        let kinds = [
            UniKind::Control,
            UniKind::Push,
            UniKind::QpackEncoder,
            UniKind::QpackDecoder,
        ];
        for (byte, kind) in kinds.into_iter().enumerate() {
            assert_eq!(classify_uni(&[byte as u8, 0xff]), Ok(Some((kind, 1))));
        }
        assert_eq!(classify_uni(&[0x21]), Ok(Some((UniKind::Unknown(0x21), 1))));
        assert_eq!(classify_uni(&[0x40, 0x00]), Ok(Some((UniKind::Control, 2))));
        assert_eq!(classify_uni(&[0x40]), Ok(None));
    }

    #[test]
    fn a_webtransport_prefix_names_its_session_once_it_is_complete() {
        let mut wire = BytesMut::new();
        webtransport::write_uni_prefix(&mut wire, 8);
        for cut in 0..wire.len() {
            assert_eq!(classify_uni(&wire[..cut]), Ok(None));
        }
        assert_eq!(
            classify_uni(&wire),
            Ok(Some((UniKind::WebTransport { session: 8 }, wire.len())))
        );
        assert_eq!(
            classify_uni(&[0x40, 0x54, 0x02]).unwrap_err().code,
            Code::H3_ID_ERROR
        );
    }

    /// RFC9114-6.2.1-second-control-stream, RFC9204-4.2-second-encoder-stream, RFC9204-4.2-second-decoder-stream
    #[test]
    fn a_second_critical_stream_closes_the_connection() {
        for kind in [UniKind::Control, UniKind::QpackEncoder, UniKind::QpackDecoder] {
            let mut streams = PeerStreams::new(Role::Server);
            assert_eq!(streams.open(&kind), Ok(()));
            let error = streams.open(&kind).unwrap_err();
            assert_eq!(
                (error.code, error.scope),
                (Code::H3_STREAM_CREATION_ERROR, Scope::Connection)
            );
        }
    }

    #[test]
    fn a_push_stream_closes_the_connection_on_both_sides() {
        let open = |role| PeerStreams::new(role).open(&UniKind::Push).unwrap_err().code;
        // RFC9114-6.2.2-push-from-client
        assert_eq!(open(Role::Server), Code::H3_STREAM_CREATION_ERROR);
        // RFC9114-4.6-push-stream
        assert_eq!(open(Role::Client), Code::H3_ID_ERROR);
    }

    /// RFC9114-6.1-server-stream
    #[test]
    fn a_request_stream_of_a_server_closes_the_connection() {
        let client = PeerStreams::new(Role::Client);
        let error = client.open_bidi(&BidiKind::Request).unwrap_err();
        assert_eq!(
            (error.code, error.scope),
            (Code::H3_STREAM_CREATION_ERROR, Scope::Connection)
        );
        let of_session = BidiKind::WebTransport {
            session: 0,
            prefix_len: 3,
        };
        assert_eq!(client.open_bidi(&of_session), Ok(()));
        let server = PeerStreams::new(Role::Server);
        assert_eq!(server.open_bidi(&BidiKind::Request), Ok(()));
        assert_eq!(server.open_bidi(&of_session), Ok(()));
    }

    /// RFC9114-6.2-unknown-type, RFC9114-6.2.3-reserved-types
    #[test]
    fn other_streams_may_be_opened_as_often_as_the_peer_likes() {
        let mut streams = PeerStreams::new(Role::Server);
        for _ in 0..3 {
            for kind in [0x21, 0x40, 0x4, 0xabcd] {
                assert_eq!(streams.open(&UniKind::Unknown(kind)), Ok(()));
            }
            assert_eq!(streams.open(&UniKind::WebTransport { session: 0 }), Ok(()));
        }
    }
}
