//! What a peer may make QUIC do that carries nothing: frames that quinn answers below HTTP/3, and that only its counters
//! show (RFC 9000 §21.9, RFC 9114 §10.5).

use quinn::ConnectionStats;

use crate::rate::Bucket;

/// What a request stream earns: a client may reset it, stop its answer, give credit for it and say that it is blocked,
/// and send all of it twice.
pub(crate) const FRAMES_PER_REQUEST: u32 = 8;

/// Bytes on the wire, in either direction, that earn one frame. A client that answers every packet it gets with a
/// MAX_DATA and a MAX_STREAM_DATA frame sends two for about 1,200 bytes, and earns more.
const BYTES_PER_FRAME: u64 = 512;

/// Bytes received for one STREAM or DATAGRAM frame: the smallest requests, packed as closely as they can be, are about that
/// long. Empty and one-byte frames are a quarter of it, and cost as much each.
const BYTES_PER_DATA_FRAME: u64 = 16;

/// What a frame counts for that makes us derive connection ids, look for a TLS message in what has gaps, or send a padded
/// packet: microseconds, not nanoseconds.
const COSTLY: u64 = 10;

/// The size to which packets with path challenges and responses are padded (RFC 9000 §8.2.1): 1,200 bytes that a frame of 9
/// bytes asks for, so they earn nothing.
const PADDED_PACKET: u64 = 1_200;

/// Compares the frames that one connection received with what they carried.
#[derive(Debug)]
pub(crate) struct FrameBudget {
    bucket: Bucket,
    last: Totals,
}

/// What a connection has received and sent since its beginning.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    plain: u64,
    costly: u64,
    acks: u64,
    data_frames: u64,
    datagrams_received: u64,
    bytes_received: u64,
    bytes_sent: u64,
    requests: u64,
}

impl FrameBudget {
    /// A connection at its beginning, which may send `per_second` frames without content, and twice as many at once.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            bucket: Bucket::new(per_second),
            last: Totals::default(),
        }
    }

    /// Counts what came since the last call; `requests` are the request streams accepted so far. `false`: too much.
    pub(crate) fn allows(&mut self, stats: &ConnectionStats, requests: u64) -> bool {
        let totals = Totals::of(stats, requests);
        let last = std::mem::replace(&mut self.last, totals);
        let since = |total: fn(&Totals) -> u64| total(&totals).saturating_sub(total(&last));
        let received = since(|totals| totals.bytes_received);
        // An honest packet has one ACK frame at most.
        let acks = since(|totals| totals.acks).saturating_sub(since(|totals| totals.datagrams_received));
        let data_frames = since(|totals| totals.data_frames).saturating_sub(received / BYTES_PER_DATA_FRAME);
        let spent =
            since(|totals| totals.plain) + COSTLY * since(|totals| totals.costly) + acks + data_frames;
        let carried = received + since(|totals| totals.bytes_sent);
        let earned =
            carried / BYTES_PER_FRAME + u64::from(FRAMES_PER_REQUEST) * since(|totals| totals.requests);
        self.bucket.settle(spent, earned)
    }

    /// Whether more than half of what may come at once has come, at the last look.
    pub(crate) fn is_low(&self) -> bool {
        self.bucket.is_half_empty()
    }
}

impl Totals {
    fn of(stats: &ConnectionStats, requests: u64) -> Self {
        let (received, sent) = (&stats.frame_rx, &stats.frame_tx);
        let padded = PADDED_PACKET * (sent.path_response + sent.path_challenge);
        Self {
            plain: received.ping
                + received.max_data
                + received.max_stream_data
                + received.max_streams_bidi
                + received.max_streams_uni
                + received.data_blocked
                + received.stream_data_blocked
                + received.streams_blocked_bidi
                + received.streams_blocked_uni
                + received.stop_sending
                + received.reset_stream
                + received.ack_frequency
                + received.immediate_ack
                + received.path_response
                + received.new_token,
            costly: received.crypto
                + received.path_challenge
                + received.new_connection_id
                + received.retire_connection_id,
            acks: received.acks,
            data_frames: received.stream + received.datagram,
            datagrams_received: stats.udp_rx.datagrams,
            bytes_received: stats.udp_rx.bytes,
            bytes_sent: stats.udp_tx.bytes.saturating_sub(padded),
            requests,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `step` a hundred times and says whether all of it was allowed.
    fn survives(mut step: impl FnMut(&mut ConnectionStats, &mut u64)) -> bool {
        let mut budget = FrameBudget::new(50);
        let (mut stats, mut requests) = (ConnectionStats::default(), 0);
        (0..100).all(|_| {
            step(&mut stats, &mut requests);
            budget.allows(&stats, requests)
        })
    }

    #[test]
    fn pings_alone_are_too_much() {
        assert!(!survives(|stats, _| {
            stats.frame_rx.ping += 1_170;
            stats.udp_rx.bytes += 1_200;
            stats.udp_rx.datagrams += 1;
        }));
    }

    #[test]
    fn late_tls_messages_are_too_much() {
        assert!(!survives(|stats, _| {
            stats.frame_rx.crypto += 30;
            stats.udp_rx.bytes += 1_200;
            stats.udp_rx.datagrams += 1;
        }));
    }

    /// The ClientHello in two packets, a client's certificates in two more, all of it sent twice.
    #[test]
    fn a_handshake_is_no_flood() {
        let mut stats = ConnectionStats::default();
        stats.frame_rx.crypto += 8;
        assert!(FrameBudget::new(50).allows(&stats, 0));
    }

    #[test]
    fn window_updates_for_every_packet_of_a_download_are_paid_by_it() {
        assert!(survives(|stats, _| {
            stats.udp_tx.bytes += 1_200;
            stats.udp_rx.bytes += 60;
            stats.udp_rx.datagrams += 1;
            stats.frame_rx.acks += 1;
            stats.frame_rx.max_data += 1;
            stats.frame_rx.max_stream_data += 1;
        }));
    }

    #[test]
    fn small_requests_packed_closely_are_no_flood() {
        assert!(survives(|stats, requests| {
            stats.udp_rx.bytes += 1_200;
            stats.udp_rx.datagrams += 1;
            stats.frame_rx.stream += 75;
            stats.frame_rx.reset_stream += 75;
            stats.frame_rx.stop_sending += 75;
            *requests += 75;
        }));
    }

    #[test]
    fn one_byte_data_frames_are_too_much() {
        assert!(!survives(|stats, _| {
            stats.udp_rx.bytes += 1_200;
            stats.udp_rx.datagrams += 1;
            stats.frame_rx.stream += 200;
        }));
    }

    #[test]
    fn empty_datagrams_are_too_much_and_small_ones_are_not() {
        let packet_of = |frames: u64| {
            survives(|stats, _| {
                stats.udp_rx.bytes += 1_200;
                stats.udp_rx.datagrams += 1;
                stats.frame_rx.datagram += frames;
            })
        };
        assert!(!packet_of(400));
        assert!(packet_of(75));
    }

    #[test]
    fn many_acknowledgements_in_one_packet_are_too_much() {
        assert!(!survives(|stats, _| {
            stats.udp_rx.bytes += 1_200;
            stats.udp_rx.datagrams += 1;
            stats.frame_rx.acks += 200;
        }));
    }

    /// RFC 9000 §8.2.2: the padding of a response is not content.
    #[test]
    fn padded_path_responses_earn_nothing() {
        assert!(!survives(|stats, _| {
            stats.udp_rx.bytes += 40;
            stats.udp_rx.datagrams += 1;
            stats.frame_rx.path_challenge += 1;
            stats.frame_tx.path_response += 1;
            stats.udp_tx.bytes += 1_200;
        }));
    }

    #[test]
    fn a_bulk_upload_is_no_flood() {
        assert!(survives(|stats, _| {
            stats.udp_rx.bytes += 120_000;
            stats.udp_rx.datagrams += 100;
            stats.frame_rx.stream += 100;
            stats.frame_rx.data_blocked += 100;
            stats.frame_rx.stream_data_blocked += 100;
        }));
    }
}
