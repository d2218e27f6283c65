//! What a peer allows us to send in a session (draft-ietf-webtrans-http3-16 §5).

use crate::capsule::Capsule;
use crate::code::{Code, WT_FLOW_CONTROL_ERROR};
use crate::error::Error;
use crate::settings::Settings;

/// The limits that a peer set for one session. Use it only when flow control is enabled, see
/// [`is_enabled`](Self::is_enabled).
#[derive(Clone, Debug)]
pub struct PeerFlowLimits {
    data: Limit,
    streams_bidi: Limit,
    streams_uni: Limit,
}

/// A limit that only grows.
#[derive(Clone, Copy, Debug)]
struct Limit {
    value: u64,
    /// Whether a capsule set it; repeating the initial value once is harmless.
    announced: bool,
}

impl PeerFlowLimits {
    /// Largest number of streams (§5.6.2).
    pub(super) const MAX_STREAMS: u64 = 1 << 60;

    /// Whether both sides asked for flow control (§5.1). If not, flow control capsules are ignored. In the drafts that had
    /// WT_MAX_SESSIONS, a number above 1 asked for it too (draft-ietf-webtrans-http3-14 §5.1).
    pub fn is_enabled(ours: &Settings, peers: &Settings) -> bool {
        let asks = |settings: &Settings| {
            let values = &settings.webtransport;
            values.initial_max_data != 0
                || values.initial_max_streams_uni != 0
                || values.initial_max_streams_bidi != 0
                || values.max_sessions_draft13 > 1 && values.enabled == 0
        };
        asks(ours) && asks(peers)
    }

    /// The initial limits, from the peer's settings (§5.5).
    pub fn new(peers: &Settings) -> Self {
        let values = &peers.webtransport;
        let limit = |value| Limit {
            value,
            announced: false,
        };
        Self {
            data: limit(values.initial_max_data),
            streams_bidi: limit(values.initial_max_streams_bidi),
            streams_uni: limit(values.initial_max_streams_uni),
        }
    }

    /// Bytes that may be sent on streams of the session in all.
    pub fn max_data(&self) -> u64 {
        self.data.value
    }

    /// Bidirectional streams that may be opened in all.
    pub fn max_streams_bidi(&self) -> u64 {
        self.streams_bidi.value
    }

    /// Unidirectional streams that may be opened in all.
    pub fn max_streams_uni(&self) -> u64 {
        self.streams_uni.value
    }

    /// Takes over the limit in `capsule`, if it has one.
    ///
    /// # Errors
    /// WT_FLOW_CONTROL_ERROR, stream, so the session: a limit that does not grow, or more than 2^60 streams
    /// (§5.6).
    pub fn apply(&mut self, capsule: &Capsule) -> Result<(), Error> {
        match capsule {
            Capsule::MaxData(value) => self.data.raise(*value),
            Capsule::MaxStreamsBidi(value) => {
                check_streams(*value).and_then(|value| self.streams_bidi.raise(value))
            }
            Capsule::MaxStreamsUni(value) => {
                check_streams(*value).and_then(|value| self.streams_uni.raise(value))
            }
            Capsule::StreamsBlockedBidi(value) | Capsule::StreamsBlockedUni(value) => {
                check_streams(*value).map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

impl Limit {
    fn raise(&mut self, value: u64) -> Result<(), Error> {
        if value < self.value || value == self.value && self.announced {
            return Err(flow_control_error("flow control limit that does not grow"));
        }
        *self = Self {
            value,
            announced: true,
        };
        Ok(())
    }
}

fn check_streams(value: u64) -> Result<u64, Error> {
    if value > PeerFlowLimits::MAX_STREAMS {
        Err(flow_control_error("limit of more than 2^60 streams"))
    } else {
        Ok(value)
    }
}

fn flow_control_error(reason: &'static str) -> Error {
    Error::stream(Code::from(WT_FLOW_CONTROL_ERROR), reason)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MAX_STREAMS: u64 = PeerFlowLimits::MAX_STREAMS;

    /// SETTINGS with these initial limits of bytes and of streams.
    pub(in crate::webtransport) fn settings(data: u64, bidi: u64, uni: u64) -> Settings {
        let mut settings = Settings::default();
        settings.webtransport.initial_max_data = data;
        settings.webtransport.initial_max_streams_bidi = bidi;
        settings.webtransport.initial_max_streams_uni = uni;
        settings
    }

    /// §5.1.
    #[test]
    fn flow_control_needs_a_value_other_than_zero_from_both_sides() {
        let none = Settings::default();
        for some in [settings(1, 0, 0), settings(0, 1, 0), settings(0, 0, 1)] {
            assert!(PeerFlowLimits::is_enabled(&some, &some));
            assert!(!PeerFlowLimits::is_enabled(&some, &none));
            assert!(!PeerFlowLimits::is_enabled(&none, &some));
        }
    }

    /// draft-ietf-webtrans-http3-14 §5.1.
    #[test]
    fn a_peer_of_the_drafts_that_counted_sessions_asks_for_flow_control_with_more_than_one() {
        let ours = settings(1, 0, 0);
        let mut peers = Settings::default();
        peers.webtransport.max_sessions_draft13 = 1;
        assert!(!PeerFlowLimits::is_enabled(&ours, &peers));
        peers.webtransport.max_sessions_draft13 = 2;
        assert!(PeerFlowLimits::is_enabled(&ours, &peers));
        // The newest draft counts, and there the number means nothing.
        peers.webtransport.enabled = 1;
        assert!(!PeerFlowLimits::is_enabled(&ours, &peers));
    }

    #[test]
    fn limits_begin_with_the_settings_and_grow_by_capsules() {
        let mut limits = PeerFlowLimits::new(&settings(10, 2, 3));
        limits.apply(&Capsule::MaxData(10)).unwrap();
        limits.apply(&Capsule::MaxData(20)).unwrap();
        limits.apply(&Capsule::MaxStreamsBidi(4)).unwrap();
        limits.apply(&Capsule::MaxStreamsUni(MAX_STREAMS)).unwrap();
        limits.apply(&Capsule::DrainSession).unwrap();
        assert_eq!(
            (
                limits.max_data(),
                limits.max_streams_bidi(),
                limits.max_streams_uni()
            ),
            (20, 4, MAX_STREAMS)
        );
    }

    /// §5.6.2 and §5.6.4.
    #[test]
    fn a_limit_that_does_not_grow_ends_the_session() {
        for make in [Capsule::MaxData, Capsule::MaxStreamsBidi, Capsule::MaxStreamsUni] {
            let mut limits = PeerFlowLimits::new(&settings(5, 5, 5));
            assert_eq!(
                limits.apply(&make(4)).unwrap_err().code,
                Code::from(WT_FLOW_CONTROL_ERROR)
            );
            limits.apply(&make(6)).unwrap();
            assert!(limits.apply(&make(6)).is_err());
            assert!(limits.apply(&make(7)).is_ok());
        }
    }

    /// §5.6.2 and §5.6.3.
    #[test]
    fn more_than_2_to_the_60_streams_end_the_session() {
        let makes = [
            Capsule::MaxStreamsBidi,
            Capsule::MaxStreamsUni,
            Capsule::StreamsBlockedBidi,
            Capsule::StreamsBlockedUni,
        ];
        for make in makes {
            let error = PeerFlowLimits::new(&Settings::default())
                .apply(&make(MAX_STREAMS + 1))
                .unwrap_err();
            assert_eq!(
                (error.code, error.scope),
                (Code::from(WT_FLOW_CONTROL_ERROR), crate::Scope::Stream)
            );
        }
    }
}
