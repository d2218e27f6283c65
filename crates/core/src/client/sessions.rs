//! Sessions that a client can resume, and the address and the settings of their servers.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls_pki_types::ServerName;
use trilane_http3::Settings;

use crate::sync::lock;

/// Servers that are remembered; of more, the one that was asked least recently goes.
const MAX_SERVERS: usize = 256;

/// Tickets kept for a server, 1 to 4 KiB each with the certificates (TLS allows 64 KiB); of more, the oldest goes. Each
/// serves once (RFC 8446 §C.4).
const MAX_TICKETS: usize = 4;

/// Who issued a ticket: other ports may be other servers.
type Origin = (ServerName<'static>, u16);

/// The sessions of one client. Bounded.
#[derive(Default)]
pub(super) struct Sessions {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    servers: HashMap<Origin, Server>,
    /// Counts uses.
    clock: u64,
}

#[derive(Default)]
struct Server {
    last_use: u64,
    group: Option<NamedGroup>,
    tickets: VecDeque<Tls13ClientSessionValue>,
    address: Option<SocketAddr>,
    /// What it said last (RFC9114-7.2.4.2-remembered-settings).
    settings: Option<Settings>,
}

impl Sessions {
    /// The address with which `server` was reached last.
    pub(super) fn address(&self, server: &ServerName<'_>, port: u16) -> Option<SocketAddr> {
        let known = lock(&self.known);
        known.servers.get(&(server.to_owned(), port))?.address
    }

    /// Remembers that `server` was reached at `address`.
    pub(super) fn reached(&self, server: &ServerName<'_>, port: u16, address: SocketAddr) {
        self.edit((server.to_owned(), port), |entry| entry.address = Some(address));
    }

    /// The settings of `server`, as it said them last.
    pub(super) fn settings(&self, server: &ServerName<'_>, port: u16) -> Option<Settings> {
        let known = lock(&self.known);
        known.servers.get(&(server.to_owned(), port))?.settings.clone()
    }

    /// Remembers the settings of `server`.
    pub(super) fn keep_settings(&self, server: &ServerName<'_>, port: u16, settings: Settings) {
        self.edit((server.to_owned(), port), |entry| entry.settings = Some(settings));
    }

    /// Forgets `server` and its tickets.
    pub(super) fn forget(&self, server: &ServerName<'_>, port: u16) {
        lock(&self.known).servers.remove(&(server.to_owned(), port));
    }

    fn edit<Output>(&self, origin: Origin, change: impl FnOnce(&mut Server) -> Output) -> Output {
        let mut known = lock(&self.known);
        known.clock += 1;
        let now = known.clock;
        if known.servers.len() >= MAX_SERVERS && !known.servers.contains_key(&origin) {
            // Looked for among a few hundred, and only when a connection to a new server was made.
            let oldest = known.servers.iter().min_by_key(|(_, entry)| entry.last_use);
            if let Some(oldest) = oldest.map(|(origin, _)| origin.clone()) {
                known.servers.remove(&oldest);
            }
        }
        let entry = known.servers.entry(origin).or_default();
        entry.last_use = now;
        change(entry)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sessions(secret)")
    }
}

/// The sessions with the servers on one port, as rustls asks for them: it names only the host.
#[derive(Debug)]
pub(super) struct PortSessions {
    pub(super) sessions: Arc<Sessions>,
    pub(super) port: u16,
}

impl PortSessions {
    fn origin(&self, server: &ServerName<'_>) -> Origin {
        (server.to_owned(), self.port)
    }
}

impl ClientSessionStore for PortSessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.sessions
            .edit((server, self.port), |entry| entry.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        lock(&self.sessions.known)
            .servers
            .get(&self.origin(server))?
            .group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.sessions.edit((server, self.port), |entry| {
            if entry.tickets.len() >= MAX_TICKETS {
                entry.tickets.pop_front();
            }
            entry.tickets.push_back(ticket);
        });
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut known = lock(&self.sessions.known);
        known.servers.get_mut(&self.origin(server))?.tickets.pop_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ServerName<'static> {
        format!("host-{number}.example").try_into().unwrap()
    }

    #[test]
    fn the_server_that_was_asked_least_recently_is_forgotten_first() {
        let sessions = Sessions::default();
        let address = "127.0.0.1:1".parse().unwrap();
        for number in 0..MAX_SERVERS {
            sessions.reached(&name(number), 443, address);
        }
        sessions.reached(&name(0), 443, address);
        for number in MAX_SERVERS..2 * MAX_SERVERS - 1 {
            sessions.reached(&name(number), 443, address);
        }
        assert_eq!(lock(&sessions.known).servers.len(), MAX_SERVERS);
        assert_eq!(sessions.address(&name(0), 443), Some(address));
        assert_eq!(sessions.address(&name(1), 443), None);
        assert_eq!(sessions.address(&name(0), 444), None);
    }
}
