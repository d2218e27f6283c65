//! The connections of a server: how many there are, from where, and how to reach them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use slab::Slab;
use tokio::sync::Notify;

use crate::address_validation::AddressValidation;
use crate::congestion;
use crate::connection_state::ConnectionState;
use crate::frame_budget::FrameBudget;
use crate::limits::Limits;
use crate::rate::Bucket;
use crate::stats::Counters;
use crate::sync::lock;

/// Counts connections from the first packet on, and knows those whose handshake is done.
pub(crate) struct Connections {
    table: Mutex<Table>,
    counters: Arc<Counters>,
    empty: Notify,
    opened: Notify,
    max_overhead_frames_per_second: u32,
}

/// Names one connection of a server. A slot is used again, its generation is not (it wraps after 2³² connections).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionName {
    /// Index in the server's table; small, used again.
    pub slot: u32,
    /// Tells the slot's users apart.
    pub generation: u32,
}

struct Table {
    open: Slab<Open>,
    next_generation: u32,
    /// Connections and handshakes by [`origin`].
    by_ip: HashMap<IpAddr, usize>,
    total: usize,
    handshakes: usize,
    /// Handshakes begun with clients that have not proven their address.
    begun: Bucket,
    refusals: Bucket,
    retries: Bucket,
}

impl Table {
    fn new(limits: &Limits) -> Self {
        Self {
            open: Slab::new(),
            next_generation: 0,
            by_ip: HashMap::new(),
            total: 0,
            handshakes: 0,
            begun: Bucket::new(limits.retry_above_handshakes_per_second),
            refusals: Bucket::new(REFUSALS_PER_SECOND),
            retries: Bucket::new(RETRIES_PER_SECOND),
        }
    }

    fn refuse(&mut self) -> Verdict {
        match self.refusals.take() {
            true => Verdict::Refuse,
            false => Verdict::Ignore,
        }
    }

    fn validate(&mut self) -> Verdict {
        match self.retries.take() {
            true => Verdict::Validate,
            false => Verdict::Ignore,
        }
    }
}

/// A connection whose handshake is done.
struct Open {
    state: Arc<ConnectionState>,
    budget: FrameBudget,
}

/// What a look at some connections found.
pub(crate) struct Sampled {
    /// The key to go on from.
    pub(crate) next: usize,
    /// Whether one of them has spent much of what it may.
    pub(crate) is_suspicious: bool,
}

/// What to do with a new connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    /// Have the client prove its address first.
    Validate,
    /// Say that there is no room.
    Refuse,
    /// Say nothing: too many are refused already, and they may not be where they say.
    Ignore,
}

/// Attempts a second that are answered with a refusal, twice as many in one burst: an honest client learns at once that it
/// should go elsewhere, and forged ones send little to others.
const REFUSALS_PER_SECOND: u32 = 1_000;

/// Attempts a second that are answered with a Retry, twice as many in one burst. Clients whose first packet is ignored
/// send it again.
const RETRIES_PER_SECOND: u32 = 10_000;

impl Connections {
    pub(crate) fn new(counters: Arc<Counters>, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table::new(limits)),
            counters,
            empty: Notify::new(),
            opened: Notify::new(),
            max_overhead_frames_per_second: limits.max_overhead_frames_per_second,
        })
    }

    /// What becomes of an attempt from `ip`, which is `validated` if it brought a token of ours.
    pub(crate) fn judge(
        &self,
        ip: IpAddr,
        validated: bool,
        validation: AddressValidation,
        limits: &Limits,
    ) -> Verdict {
        let mut table = lock(&self.table);
        let from_ip = table.by_ip.get(&origin(ip)).copied().unwrap_or(0);
        if table.total >= limits.max_connections {
            return table.refuse();
        }
        if !validated {
            // RFC 9000 §8.1.2
            let asked = validation == AddressValidation::Always
                || table.handshakes >= limits.retry_above_handshakes
                // An address may be forged until it is validated: the count by address holds only then.
                || from_ip >= limits.max_connections_per_ip
                || !table.begun.take();
            return if asked { table.validate() } else { Verdict::Accept };
        }
        if from_ip >= limits.max_connections_per_ip {
            return table.refuse();
        }
        Verdict::Accept
    }

    /// Counts a connection until the place is dropped.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr) -> Place {
        let ip = origin(ip);
        let mut table = lock(&self.table);
        table.total += 1;
        table.handshakes += 1;
        *table.by_ip.entry(ip).or_insert(0) += 1;
        Place {
            connections: self.clone(),
            ip,
            in_handshake: true,
        }
    }

    /// Makes a connection reachable until the registration is dropped.
    pub(crate) fn register(
        self: &Arc<Self>,
        make: impl FnOnce(ConnectionName) -> ConnectionState,
    ) -> (Arc<ConnectionState>, Registration) {
        self.counters.connections_active.fetch_add(1, Relaxed);
        let mut table = lock(&self.table);
        let generation = table.next_generation;
        table.next_generation = generation.wrapping_add(1);
        let entry = table.open.vacant_entry();
        let slot = entry.key() as u32;
        let state = Arc::new(make(ConnectionName { slot, generation }));
        entry.insert(Open {
            state: state.clone(),
            budget: FrameBudget::new(self.max_overhead_frames_per_second),
        });
        self.opened.notify_waiters();
        let registration = Registration {
            connections: self.clone(),
            name: state.name(),
        };
        (state, registration)
    }

    /// The connection of this name, if it is still open.
    pub(crate) fn get(&self, name: ConnectionName) -> Option<Arc<ConnectionState>> {
        let table = lock(&self.table);
        let state = &table.open.get(name.slot as usize)?.state;
        (state.name() == name).then(|| state.clone())
    }

    /// Every open connection, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<ConnectionState>> {
        let table = lock(&self.table);
        table.open.iter().map(|(_, open)| open.state.clone()).collect()
    }

    /// Wakes the task of every connection: the server's state has changed.
    pub(crate) fn wake_all(&self) {
        for (_, connection) in &lock(&self.table).open {
            connection.state.idle();
        }
    }

    /// Looks at the next connections from the key `from` on, at most `most` of them, and calls `overdrawn` for those that sent too
    /// many frames without content.
    pub(crate) fn sample(
        &self,
        from: usize,
        most: usize,
        mut overdrawn: impl FnMut(&ConnectionState),
    ) -> Sampled {
        let mut table = lock(&self.table);
        let end = table.open.capacity();
        let mut is_suspicious = false;
        let mut looks = 0;
        for key in from.min(end)..end {
            let Some(Open { state, budget }) = table.open.get_mut(key) else {
                continue;
            };
            if looks == most {
                return Sampled {
                    next: key,
                    is_suspicious,
                };
            }
            looks += 1;
            if !budget.allows(&state.quic.stats(), state.requests()) {
                overdrawn(state);
            }
            is_suspicious |= budget.is_low();
        }
        Sampled {
            next: 0,
            is_suspicious,
        }
    }

    /// Waits until there is a connection whose handshake is done.
    pub(crate) async fn some_open(&self) {
        loop {
            let opened = self.opened.notified();
            if !lock(&self.table).open.is_empty() {
                return;
            }
            opened.await;
        }
    }

    /// Lets the close of every connection out, whatever is in flight.
    pub(crate) fn make_way(&self) {
        for (_, connection) in &lock(&self.table).open {
            congestion::make_way(&connection.state.quic);
        }
    }

    /// Waits until no connection is registered.
    pub(crate) async fn none_registered(&self) {
        loop {
            let emptied = self.empty.notified();
            if lock(&self.table).open.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Waits until there is neither a connection nor a handshake.
    pub(crate) async fn none_left(&self) {
        loop {
            let emptied = self.empty.notified();
            if lock(&self.table).total == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// What counts as one address: of IPv6 the network of 64 bits, which is the least that a customer gets, and in which every
/// address is free for the taking.
fn origin(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

/// One connection's place in the count.
pub(crate) struct Place {
    connections: Arc<Connections>,
    /// See [`origin`].
    ip: IpAddr,
    in_handshake: bool,
}

impl Place {
    /// The handshake is over.
    pub(crate) fn established(&mut self) {
        if std::mem::replace(&mut self.in_handshake, false) {
            lock(&self.connections.table).handshakes -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.established();
        let mut table = lock(&self.connections.table);
        table.total -= 1;
        if let Some(count) = table.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                table.by_ip.remove(&self.ip);
            }
        }
        if table.total == 0 {
            self.connections.empty.notify_waiters();
        }
    }
}

/// A connection that can be reached.
pub(crate) struct Registration {
    connections: Arc<Connections>,
    name: ConnectionName,
}

impl Registration {
    pub(crate) fn name(&self) -> ConnectionName {
        self.name
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = lock(&self.connections.table);
        table.open.remove(self.name.slot as usize);
        if table.open.is_empty() {
            self.connections.empty.notify_waiters();
        }
        drop(table);
        self.connections.counters.connections_active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn limits() -> Limits {
        Limits {
            max_connections: 3,
            max_connections_per_ip: 2,
            retry_above_handshakes: 2,
            ..Limits::default()
        }
    }

    #[test]
    fn many_handshakes_at_once_must_validate_their_address() {
        let connections = Connections::new(Arc::new(Counters::new()), &limits());
        let mut first = connections.enter("::1".parse().unwrap());
        let _second = connections.enter("::2".parse().unwrap());
        assert_eq!(
            connections.judge(IP, false, AddressValidation::Auto, &limits()),
            Verdict::Validate
        );
        first.established();
        assert_eq!(
            connections.judge(IP, false, AddressValidation::Auto, &limits()),
            Verdict::Accept
        );
    }

    #[test]
    fn one_address_is_refused_at_its_limit_only_once_it_is_proven() {
        let connections = Connections::new(Arc::new(Counters::new()), &limits());
        let places: Vec<_> = (0..2)
            .map(|_| {
                let mut place = connections.enter(IP);
                place.established();
                place
            })
            .collect();
        assert_eq!(
            connections.judge(IP, false, AddressValidation::Auto, &limits()),
            Verdict::Validate
        );
        assert_eq!(
            connections.judge(IP, true, AddressValidation::Auto, &limits()),
            Verdict::Refuse
        );
        drop(places);
        assert_eq!(
            connections.judge(IP, true, AddressValidation::Auto, &limits()),
            Verdict::Accept
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let connections = Connections::new(Arc::new(Counters::new()), &limits());
        let _places: Vec<_> = ["2001:db8::1", "2001:db8::ffff:0:0:1"]
            .map(|ip| {
                let mut place = connections.enter(ip.parse().unwrap());
                place.established();
                place
            })
            .into();
        let judge =
            |ip: &str| connections.judge(ip.parse().unwrap(), true, AddressValidation::Auto, &limits());
        assert_eq!(judge("2001:db8::2"), Verdict::Refuse);
        assert_eq!(judge("2001:db8:0:1::2"), Verdict::Accept);
        // IPv4 on a socket for both.
        assert_eq!(judge("::ffff:192.0.2.1"), Verdict::Accept);
    }

    #[test]
    fn the_total_is_a_limit_for_everybody() {
        let connections = Connections::new(Arc::new(Counters::new()), &limits());
        let _places: Vec<_> = (1..=3)
            .map(|i| connections.enter(IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, i))))
            .collect();
        assert_eq!(
            connections.judge("::1".parse().unwrap(), true, AddressValidation::Auto, &limits()),
            Verdict::Refuse
        );
    }

    /// RFC 9000 §8.1.2
    #[test]
    fn always_asks_everybody_who_brings_no_token() {
        let connections = Connections::new(Arc::new(Counters::new()), &limits());
        let judge = |validated| connections.judge(IP, validated, AddressValidation::Always, &limits());
        assert_eq!(judge(false), Verdict::Validate);
        assert_eq!(judge(true), Verdict::Accept);
    }

    #[test]
    fn many_handshakes_a_second_must_validate_their_address() {
        let limits = Limits {
            retry_above_handshakes_per_second: 5,
            ..Limits::default()
        };
        let connections = Connections::new(Arc::new(Counters::new()), &limits);
        let judge = |validated| connections.judge(IP, validated, AddressValidation::Auto, &limits);
        let accepted = (0..20).filter(|_| judge(false) == Verdict::Accept).count();
        assert_eq!(accepted, 10);
        assert_eq!(judge(false), Verdict::Validate);
        assert_eq!(judge(true), Verdict::Accept);
    }

    #[test]
    fn a_flood_of_attempts_is_answered_at_a_bounded_rate() {
        let full = Limits {
            max_connections: 0,
            ..limits()
        };
        let connections = Connections::new(Arc::new(Counters::new()), &full);
        let verdicts: Vec<_> = (0..3 * REFUSALS_PER_SECOND)
            .map(|_| connections.judge(IP, false, AddressValidation::Auto, &full))
            .collect();
        assert_eq!(verdicts[0], Verdict::Refuse);
        assert_eq!(verdicts.last(), Some(&Verdict::Ignore));
        let asked = (0..3 * RETRIES_PER_SECOND)
            .map(|_| connections.judge(IP, false, AddressValidation::Always, &limits()))
            .filter(|verdict| *verdict == Verdict::Validate)
            .count();
        assert!((20_000..25_000).contains(&asked), "{asked}");
    }
}
