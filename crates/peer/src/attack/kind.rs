//! The kinds of attack, and what each does unless told otherwise.

use std::time::Duration;

/// What is done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    HugeHeaders,
    ManyFields,
    Trickle,
    HalfRequests,
    GarbageStreams,
    OpenReset,
    GarbageUdp,
    ConnectChurn,
    Vanish,
    Fairness,
    EmptyData,
    UnknownFrames,
    UnknownStreams,
    PriorityUpdate,
    SettingsChurn,
    StopSending,
    TinyWindows,
    FrozenWindows,
    PingFlood,
    PathChallenge,
    CidChurn,
    FlowFrames,
    Datagrams,
    LateCrypto,
    StreamFrames,
    AckFlood,
}

/// Where a neighbour of the attack can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it happens on one connection, which a sound server keeps for the neighbour's sake.
    OneConnection,
    /// No attacked connection is there for a neighbour; the text says why.
    Elsewhere(&'static str),
}

/// A kind's sizes, unless the command line says otherwise.
pub(super) struct Defaults {
    pub(super) connections: usize,
    pub(super) count: usize,
    pub(super) bytes: usize,
    pub(super) interval: Duration,
}

impl Kind {
    pub(super) const ALL: [Self; 26] = [
        Self::HugeHeaders,
        Self::ManyFields,
        Self::Trickle,
        Self::HalfRequests,
        Self::GarbageStreams,
        Self::OpenReset,
        Self::GarbageUdp,
        Self::ConnectChurn,
        Self::Vanish,
        Self::Fairness,
        Self::EmptyData,
        Self::UnknownFrames,
        Self::UnknownStreams,
        Self::PriorityUpdate,
        Self::SettingsChurn,
        Self::StopSending,
        Self::TinyWindows,
        Self::FrozenWindows,
        Self::PingFlood,
        Self::PathChallenge,
        Self::CidChurn,
        Self::FlowFrames,
        Self::Datagrams,
        Self::LateCrypto,
        Self::StreamFrames,
        Self::AckFlood,
    ];

    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HugeHeaders => "huge-headers",
            Self::ManyFields => "many-fields",
            Self::Trickle => "trickle",
            Self::HalfRequests => "half-requests",
            Self::GarbageStreams => "garbage-streams",
            Self::OpenReset => "open-reset",
            Self::GarbageUdp => "garbage-udp",
            Self::ConnectChurn => "connect-churn",
            Self::Vanish => "vanish",
            Self::Fairness => "fairness",
            Self::EmptyData => "empty-data",
            Self::UnknownFrames => "unknown-frames",
            Self::UnknownStreams => "unknown-streams",
            Self::PriorityUpdate => "priority-update",
            Self::SettingsChurn => "settings-churn",
            Self::StopSending => "stop-sending",
            Self::TinyWindows => "tiny-windows",
            Self::FrozenWindows => "frozen-windows",
            Self::PingFlood => "ping-flood",
            Self::PathChallenge => "path-challenge",
            Self::CidChurn => "cid-churn",
            Self::FlowFrames => "flow-frames",
            Self::Datagrams => "datagrams",
            Self::LateCrypto => "late-crypto",
            Self::StreamFrames => "stream-frames",
            Self::AckFlood => "ack-flood",
        }
    }

    /// The kind of this name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name);
                format!("no attack {name}; there are {}", names.join(", "))
            })
    }

    pub(super) fn defaults(self) -> Defaults {
        let (connections, count, bytes, interval) = match self {
            Self::HugeHeaders => (1, 1, 64 << 20, 0),
            Self::ManyFields => (1, 1, 100_000, 0),
            Self::Trickle => (1, 50, 100, 20),
            Self::HalfRequests => (1, 1_000, 0, 0),
            Self::GarbageStreams => (4, 1_000, 2_048, 0),
            Self::OpenReset => (1, 10_000, 0, 0),
            Self::GarbageUdp => (1, 20_000, 1_200, 0),
            Self::ConnectChurn => (8, 300, 0, 0),
            Self::Vanish => (10, 10, 10_000, 0),
            // A header block of 60 bytes is then whole every quarter of a second.
            Self::Fairness => (1, 100, 0, 3),
            Self::EmptyData | Self::PingFlood => (1, 200_000, 0, 0),
            Self::UnknownFrames | Self::FlowFrames | Self::StreamFrames | Self::AckFlood => {
                (1, 100_000, 0, 0)
            }
            Self::PriorityUpdate => (1, 50_000, 0, 0),
            Self::UnknownStreams | Self::PathChallenge | Self::CidChurn => (1, 20_000, 0, 0),
            Self::Datagrams => (1, 20_000, 100, 0),
            Self::StopSending => (1, 10_000, 0, 0),
            Self::LateCrypto => (1, 1_000, 0, 0),
            Self::SettingsChurn => (1, 50, 0, 0),
            Self::TinyWindows => (1, 50, 4_096, 0),
            Self::FrozenWindows => (1, 100, 0, 0),
        };
        Defaults {
            connections,
            count,
            bytes,
            interval: Duration::from_millis(interval),
        }
    }

    /// The most parts that leave a neighbour on the same connection streams to open: how many may be open at once is the
    /// connection's limit, not the stream's (RFC 9000 §4.6), and a client that uses it up has starved itself.
    pub(super) fn count_beside_a_neighbour(self) -> usize {
        match self {
            Self::HalfRequests => 200,
            _ => usize::MAX,
        }
    }

    /// The least time from the beginning of one round to that of the next.
    ///
    /// A server may end a connection that resets without end (RFC 9114 §10.5). 10,000 in a burst, again and again, but never
    /// much above 8,000 a second, is what it has to bear here.
    pub(super) fn round(self) -> Duration {
        match self {
            Self::OpenReset => Duration::from_millis(1_200),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn scope(self) -> Scope {
        match self {
            Self::GarbageStreams => Scope::Elsewhere(
                "garbage ends its connection: unexpected frames, broken SETTINGS and QPACK errors are connection errors (RFC 9114 §7, §8, RFC 9204 §6)",
            ),
            Self::GarbageUdp => Scope::Elsewhere("the packets belong to no connection"),
            Self::ConnectChurn => Scope::Elsewhere("no connection lasts"),
            Self::Vanish => Scope::Elsewhere("who shares the connection vanishes with it"),
            Self::Fairness => Scope::Elsewhere("its classes are each other's neighbours"),
            _ if self.is_flood() => {
                Scope::Elsewhere("a server may end a connection that floods it (RFC 9114 §10.5)")
            }
            _ => Scope::OneConnection,
        }
    }

    /// Whether this is one cheap thing again and again, which a server may answer by ending the connection.
    pub(super) fn is_flood(self) -> bool {
        matches!(
            self,
            Self::EmptyData
                | Self::UnknownFrames
                | Self::UnknownStreams
                | Self::PriorityUpdate
                | Self::SettingsChurn
                | Self::StopSending
                | Self::TinyWindows
                | Self::FrozenWindows
        ) || self.is_below_http()
    }

    /// Whether the flood consists of QUIC frames that quinn would not send by itself.
    pub(super) fn is_below_http(self) -> bool {
        matches!(
            self,
            Self::PingFlood
                | Self::PathChallenge
                | Self::CidChurn
                | Self::FlowFrames
                | Self::Datagrams
                | Self::LateCrypto
                | Self::StreamFrames
                | Self::AckFlood
        )
    }

    /// The stream window of a client that takes its answers in crumbs, in bytes; `None`: as large as usual.
    pub(super) fn stream_window(self) -> Option<u32> {
        matches!(self, Self::TinyWindows | Self::FrozenWindows).then_some(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_no_other_is() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Ok(kind));
        }
        let refusal = Kind::named("tickle").unwrap_err();
        assert!(refusal.contains("trickle"), "{refusal}");
    }
}
