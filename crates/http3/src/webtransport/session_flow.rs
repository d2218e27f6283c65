//! The flow control of one session: what both sides may still send on its streams (draft-ietf-webtrans-http3-16 §5).

use super::PeerFlowLimits;
use crate::capsule::Capsule;
use crate::code::{Code, WT_FLOW_CONTROL_ERROR};
use crate::error::Error;
use crate::settings::{Settings, WebTransportSettings};
use crate::varint;

/// Which streams a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowStreams {
    /// Bidirectional ones.
    Bidirectional,
    /// Unidirectional ones.
    Unidirectional,
}

/// The accounts of one session with flow control. It keeps no bytes, and no stream by name: whoever moves them tells it,
/// and asks it after each change for the capsules to send ([`next_capsule`](Self::next_capsule)).
#[derive(Clone, Debug)]
pub struct SessionFlow {
    limits: PeerFlowLimits,
    sent: u64,
    /// Streams that this side opened, by [`FlowStreams`].
    opened: [u64; 2],
    blocked: Blocked,
    bytes: Grant,
    /// Streams that the peer opened, by [`FlowStreams`].
    streams: [Grant; 2],
}

/// The limits that the peer has been told, or will be, to keep this side from going on; each is told once.
#[derive(Clone, Debug, Default)]
struct Blocked {
    data: Told,
    streams: [Told; 2],
}

/// A limit that something waits for.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    waits: bool,
    at: Option<u64>,
}

/// What the peer may use, in all, of something that is given back.
#[derive(Clone, Debug)]
struct Grant {
    /// How much may be used at once.
    window: u64,
    /// The limit that the peer has been told.
    granted: u64,
    /// What the peer has used.
    used: u64,
    /// What was given back.
    returned: u64,
    /// Beyond this there is no limit.
    most: u64,
}

impl SessionFlow {
    /// `None`: not both sides ask for flow control, so there is none, and its capsules are ignored (§5.1).
    pub fn new(ours: &Settings, peers: &Settings) -> Option<Self> {
        if !PeerFlowLimits::is_enabled(ours, peers) {
            return None;
        }
        let WebTransportSettings {
            initial_max_data,
            initial_max_streams_bidi,
            initial_max_streams_uni,
            ..
        } = ours.webtransport;
        Some(Self {
            limits: PeerFlowLimits::new(peers),
            sent: 0,
            opened: [0; 2],
            blocked: Blocked::default(),
            bytes: Grant::new(initial_max_data, varint::MAX),
            streams: [initial_max_streams_bidi, initial_max_streams_uni]
                .map(|window| Grant::new(window, PeerFlowLimits::MAX_STREAMS)),
        })
    }

    /// Takes over what a flow control capsule of the peer says.
    ///
    /// # Errors
    /// See [`PeerFlowLimits::apply`].
    pub fn apply(&mut self, capsule: &Capsule) -> Result<(), Error> {
        self.limits.apply(capsule)
    }

    /// Bytes that may be sent now (§5.6.4). Who gets 0 waits: see [`data_waits`](Self::data_waits).
    pub fn sendable(&self) -> u64 {
        self.limits.max_data().saturating_sub(self.sent)
    }

    /// Somebody waits for bytes that may be sent: the peer is told, once for each limit (§5.6.5).
    pub fn data_waits(&mut self) {
        self.blocked.data.waits = true;
    }

    /// So many bytes were sent on streams of the session, their prefixes not counted.
    pub fn sent(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// Counts one more stream of this side, if the peer allows it; `false`: wait for the next WT_MAX_STREAMS, the peer is
    /// told (§5.6.2, §5.6.3).
    pub fn open(&mut self, kind: FlowStreams) -> bool {
        let allowed = self.opened[kind as usize] < self.max_streams(kind);
        self.opened[kind as usize] += u64::from(allowed);
        self.blocked.streams[kind as usize].waits |= !allowed;
        allowed
    }

    /// A stream that was counted is not opened after all.
    pub fn unopen(&mut self, kind: FlowStreams) {
        self.opened[kind as usize] = self.opened[kind as usize].saturating_sub(1);
    }

    /// The peer opened a stream.
    ///
    /// # Errors
    /// WT_FLOW_CONTROL_ERROR, stream, so the session: it was one too many (§5.6.2).
    pub fn stream_came(&mut self, kind: FlowStreams) -> Result<(), Error> {
        self.streams[kind as usize].take(1)
    }

    /// A stream that the peer opened is done with: it may open another.
    pub fn stream_done(&mut self, kind: FlowStreams) {
        self.streams[kind as usize].give_back(1);
    }

    /// The peer opened a stream of this session that never showed up as such: reset, it lost its prefix. It counts for the
    /// peer (§5.6.2).
    pub fn stream_lost(&mut self, kind: FlowStreams) {
        self.streams[kind as usize].give_back(1);
    }

    /// So many bytes of the peer were read, and leave to whoever wanted them.
    ///
    /// # Errors
    /// WT_FLOW_CONTROL_ERROR, stream, so the session: more than it was allowed to send (§5.6.4).
    pub fn read(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes.take(bytes)?;
        self.bytes.give_back(bytes);
        Ok(())
    }

    /// A stream ended in a reset, by the peer or asked for by this side, and nobody knows how many bytes were sent on it
    /// beyond those that were read: `at_most` this many. They count for the peer (§5.2), so that all that it may have
    /// sent is given back.
    pub fn lost(&mut self, at_most: u64) {
        self.bytes
            .give_back(at_most.min(self.bytes.granted - self.bytes.used));
    }

    /// The next capsule that is due, until there is none: limits that grow once half a window was given back, and limits of
    /// the peer that something waits for.
    pub fn next_capsule(&mut self) -> Option<Capsule> {
        let [bidi, uni] = &mut self.streams;
        let grant = (self.bytes.grow().map(Capsule::MaxData))
            .or_else(|| bidi.grow().map(Capsule::MaxStreamsBidi))
            .or_else(|| uni.grow().map(Capsule::MaxStreamsUni));
        if grant.is_some() {
            return grant;
        }
        let limits = &self.limits;
        let [bidi, uni] = &mut self.blocked.streams;
        (self
            .blocked
            .data
            .tell(limits.max_data())
            .map(Capsule::DataBlocked))
        .or_else(|| {
            bidi.tell(limits.max_streams_bidi())
                .map(Capsule::StreamsBlockedBidi)
        })
        .or_else(|| uni.tell(limits.max_streams_uni()).map(Capsule::StreamsBlockedUni))
    }

    fn max_streams(&self, kind: FlowStreams) -> u64 {
        match kind {
            FlowStreams::Bidirectional => self.limits.max_streams_bidi(),
            FlowStreams::Unidirectional => self.limits.max_streams_uni(),
        }
    }
}

impl Grant {
    fn new(window: u64, most: u64) -> Self {
        let window = window.min(most);
        Self {
            window,
            granted: window,
            used: 0,
            returned: 0,
            most,
        }
    }

    fn take(&mut self, amount: u64) -> Result<(), Error> {
        if amount > self.granted - self.used {
            let code = Code::from(WT_FLOW_CONTROL_ERROR);
            return Err(Error::stream(code, "more than flow control allows"));
        }
        self.used += amount;
        Ok(())
    }

    fn give_back(&mut self, amount: u64) {
        self.returned = self.returned.saturating_add(amount);
    }

    /// A larger limit, if it is worth a capsule.
    fn grow(&mut self) -> Option<u64> {
        let limit = self.returned.saturating_add(self.window).min(self.most);
        if limit - self.granted < self.window.div_ceil(2).max(1) {
            return None;
        }
        self.granted = limit;
        Some(limit)
    }
}

impl Told {
    fn tell(&mut self, limit: u64) -> Option<u64> {
        if !std::mem::take(&mut self.waits) || self.at == Some(limit) {
            return None;
        }
        self.at = Some(limit);
        Some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::FlowStreams::{Bidirectional, Unidirectional};
    use super::*;
    use crate::webtransport::flow_limits::tests::settings;

    fn flow(ours: [u64; 3], peers: [u64; 3]) -> SessionFlow {
        let [ours, peers] = [ours, peers].map(|[data, bidi, uni]| settings(data, bidi, uni));
        SessionFlow::new(&ours, &peers).unwrap()
    }

    fn capsules(flow: &mut SessionFlow) -> Vec<Capsule> {
        std::iter::from_fn(|| flow.next_capsule()).collect()
    }

    fn is_flow_control_error(result: Result<(), Error>) -> bool {
        result.is_err_and(|error| {
            error.code == Code::from(WT_FLOW_CONTROL_ERROR) && error.scope == crate::Scope::Stream
        })
    }

    /// §5.1.
    #[test]
    fn there_is_no_flow_control_unless_both_sides_ask_for_it() {
        let (some, none) = (settings(1, 0, 0), Settings::default());
        assert!(SessionFlow::new(&some, &none).is_none());
        assert!(SessionFlow::new(&none, &some).is_none());
        assert!(SessionFlow::new(&some, &settings(0, 0, 1)).is_some());
    }

    /// §5.6.4.
    #[test]
    fn the_peer_may_send_what_it_was_granted_and_not_a_byte_more() {
        let mut flow = flow([100, 0, 0], [1, 0, 0]);
        flow.read(40).unwrap();
        assert_eq!(capsules(&mut flow), []);
        flow.read(60).unwrap();
        assert!(is_flow_control_error(flow.read(1)));
        assert_eq!(capsules(&mut flow), [Capsule::MaxData(200)]);
        flow.read(100).unwrap();
        assert!(is_flow_control_error(flow.read(1)));
    }

    #[test]
    fn a_limit_grows_when_half_a_window_was_read_and_not_before() {
        let mut flow = flow([100, 0, 0], [1, 0, 0]);
        flow.read(49).unwrap();
        assert_eq!(capsules(&mut flow), []);
        flow.read(1).unwrap();
        assert_eq!(capsules(&mut flow), [Capsule::MaxData(150)]);
        assert_eq!(capsules(&mut flow), []);
    }

    /// §5.2: what was sent on a stream that was reset counts, and its size is not known here.
    #[test]
    fn bytes_that_a_reset_swallowed_are_given_back() {
        let mut flow = flow([100, 0, 0], [1, 0, 0]);
        flow.read(10).unwrap();
        // Of a limit of 100, a peer that keeps to it can have lost 90 and not 1000.
        flow.lost(1000);
        assert_eq!(capsules(&mut flow), [Capsule::MaxData(200)]);
        flow.lost(50);
        assert_eq!(capsules(&mut flow), [Capsule::MaxData(250)]);
    }

    /// Whatever is lost, a peer that keeps to its limits is never accused, and never left without credit once all was read.
    #[test]
    fn a_peer_that_resets_streams_goes_on_for_ever() {
        const WINDOW: u64 = 64;
        let mut flow = flow([WINDOW, 0, 0], [1, 0, 0]);
        let (mut limit, mut sent) = (WINDOW, 0);
        for round in 0..10_000_u64 {
            // All that it may send: a part of it is read, the rest is on a stream that it resets.
            let credit = limit - sent;
            assert!(credit > 0, "round {round}");
            sent = limit;
            flow.read(credit * (round % 7) / 7).unwrap();
            flow.lost(WINDOW);
            for capsule in capsules(&mut flow) {
                let Capsule::MaxData(grown) = capsule else {
                    panic!("{capsule:?}")
                };
                assert!(grown > limit);
                limit = grown;
            }
        }
    }

    /// §5.6.2.
    #[test]
    fn the_peer_may_open_as_many_streams_as_it_was_granted_and_more_when_some_are_done() {
        let mut flow = flow([0, 2, 4], [1, 0, 0]);
        flow.stream_came(Bidirectional).unwrap();
        flow.stream_came(Bidirectional).unwrap();
        assert!(is_flow_control_error(flow.clone().stream_came(Bidirectional)));
        flow.stream_came(Unidirectional).unwrap();
        flow.stream_done(Bidirectional);
        assert_eq!(capsules(&mut flow), [Capsule::MaxStreamsBidi(3)]);
        flow.stream_came(Bidirectional).unwrap();
        flow.stream_done(Unidirectional);
        assert_eq!(capsules(&mut flow), []);
        flow.stream_lost(Unidirectional);
        assert_eq!(capsules(&mut flow), [Capsule::MaxStreamsUni(6)]);
    }

    /// §5.6.2: no limit above 2^60 is ever sent.
    #[test]
    fn a_limit_that_can_not_grow_is_not_repeated() {
        let mut flow = flow([varint::MAX, u64::MAX, 0], [1, 0, 0]);
        flow.stream_came(Bidirectional).unwrap();
        flow.stream_done(Bidirectional);
        flow.read(1 << 61).unwrap();
        assert_eq!(capsules(&mut flow), []);
    }

    #[test]
    fn what_was_not_granted_by_settings_is_never_granted_without_use() {
        let mut flow = flow([10, 0, 0], [1, 0, 0]);
        assert_eq!(capsules(&mut flow), []);
        assert!(is_flow_control_error(flow.stream_came(Bidirectional)));
    }

    /// §5.6.4 and §5.6.5.
    #[test]
    fn this_side_sends_what_the_peer_allows_and_says_once_that_it_waits() {
        let mut flow = flow([1, 0, 0], [10, 0, 0]);
        assert_eq!(flow.sendable(), 10);
        flow.sent(10);
        assert_eq!(flow.sendable(), 0);
        flow.data_waits();
        assert_eq!(capsules(&mut flow), [Capsule::DataBlocked(10)]);
        flow.data_waits();
        assert_eq!(capsules(&mut flow), []);
        flow.apply(&Capsule::MaxData(15)).unwrap();
        assert_eq!(flow.sendable(), 5);
        flow.sent(5);
        flow.data_waits();
        assert_eq!(capsules(&mut flow), [Capsule::DataBlocked(15)]);
        assert!(is_flow_control_error(flow.apply(&Capsule::MaxData(15))));
    }

    /// §5.6.2 and §5.6.3.
    #[test]
    fn this_side_opens_the_streams_that_the_peer_allows_and_says_once_that_it_waits() {
        let mut flow = flow([1, 0, 0], [0, 1, 1]);
        assert!(flow.open(Bidirectional));
        assert!(!flow.open(Bidirectional));
        assert!(!flow.open(Bidirectional));
        assert!(flow.open(Unidirectional));
        assert_eq!(capsules(&mut flow), [Capsule::StreamsBlockedBidi(1)]);
        flow.unopen(Unidirectional);
        assert!(flow.open(Unidirectional));
        flow.apply(&Capsule::MaxStreamsBidi(2)).unwrap();
        assert!(flow.open(Bidirectional));
        assert!(!flow.open(Unidirectional));
        assert_eq!(capsules(&mut flow), [Capsule::StreamsBlockedUni(1)]);
    }
}
