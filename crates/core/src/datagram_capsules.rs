//! HTTP datagrams as capsules: the way for a tunnel whose client takes no QUIC datagrams (RFC 9297 §3.5).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use trilane_http3::{Capsule, write_capsule};

use crate::connection_state::ConnectionState;
use crate::datagram_counters::DatagramLayer;
use crate::datagram_queue::DatagramError;
use crate::exchange::Notify;
use crate::outbound::{Outbound, WriteError};

/// The largest datagram in a capsule, either way, in bytes: larger ones fit no UDP datagram either.
pub(crate) const MAX_CAPSULE_DATAGRAM: usize = 65_527;

/// Appends a datagram to the answer of a tunnel. A queue that is full drops it: what is in a stream already cannot be
/// taken back, so the newest goes, not the oldest.
pub(crate) fn send(
    connection: &ConnectionState,
    answer: Option<&Arc<Outbound>>,
    payload: &[u8],
) -> Result<(), DatagramError> {
    if payload.len() > MAX_CAPSULE_DATAGRAM {
        connection.dropped_outgoing(DatagramLayer::Http);
        return Err(DatagramError::TooLarge);
    }
    // RFC 9297 §3.1: the data stream of the answer begins with its head.
    let Some(queue) = answer else {
        connection.dropped_outgoing(DatagramLayer::Http);
        return Err(DatagramError::NotSupported);
    };
    let mut out = BytesMut::with_capacity(payload.len() + 16);
    write_capsule(&mut out, &Capsule::Datagram(Bytes::copy_from_slice(payload)));
    match queue.push(out.freeze(), Notify::Never) {
        Ok(()) => {
            connection.sent(DatagramLayer::Http, 1);
            Ok(())
        }
        Err(error) => {
            connection.dropped_outgoing(DatagramLayer::Http);
            match error {
                WriteError::Full => Ok(()),
                WriteError::Ended => Err(DatagramError::Gone),
            }
        }
    }
}
