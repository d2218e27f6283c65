//! Which addresses a server has, and in which order they are tried.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls_pki_types::{DnsName, ServerName};

/// Addresses of one server that are tried: a name server may send any number.
const MAX_ADDRESSES: usize = 16;

/// A server to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    name: ServerName<'static>,
    port: u16,
    addresses: Option<Vec<IpAddr>>,
    authority: Arc<str>,
}

/// Why a host or a port cannot be dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is neither a name nor an address.
    #[error(
        "{host:?} is no host: expected a name (an international one in its \"xn--\" form) or an IP address"
    )]
    Host {
        /// As it was given.
        host: String,
    },
    /// Nobody listens on port 0.
    #[error("port 0 cannot be connected to: pass the port of the server")]
    Port,
    /// A resolver found nothing.
    #[error("an empty list of addresses: pass at least one, or none at all to ask the system")]
    Addresses,
}

impl Target {
    /// The server of a host, which is a name or an address (IPv6 with or without brackets), on a port. A dot behind a
    /// name is left out where names are compared and sent.
    ///
    /// # Errors
    /// When there can be no such server.
    pub fn new(host: &str, port: u16) -> Result<Self, TargetError> {
        let bad_host = || TargetError::Host {
            host: host.to_owned(),
        };
        if port == 0 {
            return Err(TargetError::Port);
        }
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        let name = match bare.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) if bare.len() != host.len() => return Err(bad_host()),
            Ok(address) => ServerName::from(address),
            Err(_) => {
                // Reading leaves a dot at the end out. In lower case: the same server, the same sessions.
                let name = DnsName::try_from(host).map_err(|_| bad_host())?;
                ServerName::DnsName(name.to_lowercase_owned())
            }
        };
        let authority = authority(&name.to_str(), port).into();
        Ok(Self {
            name,
            port,
            addresses: None,
            authority,
        })
    }

    /// Connects to these addresses instead of asking the system for them. The certificate must be for the host all the
    /// same.
    ///
    /// # Errors
    /// When there is none.
    pub fn at(mut self, addresses: Vec<IpAddr>) -> Result<Self, TargetError> {
        if addresses.is_empty() {
            return Err(TargetError::Addresses);
        }
        self.addresses = Some(addresses);
        Ok(self)
    }

    /// The host as it stands in a URL without brackets: a name in lower case without a dot at its end, or an address.
    pub fn host(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `:authority` (RFC 9114 §4.3.1). No two servers have the same.
    pub(super) fn authority(&self) -> &Arc<str> {
        &self.authority
    }

    pub(super) fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// Finds the addresses and puts them in order; at least one. A name that is being looked up when the future is dropped
    /// is looked up to the end by a thread of the runtime, and nobody is told.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<IpAddr> = match (&self.name, &self.addresses) {
            (_, Some(addresses)) => addresses.clone(),
            (ServerName::IpAddress(address), None) => vec![IpAddr::from(*address)],
            (name, None) => tokio::net::lookup_host((name.to_str().as_ref(), self.port))
                .await?
                .map(|address| address.ip())
                .collect(),
        };
        if found.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(in_order(&found)
            .into_iter()
            .map(|ip| SocketAddr::new(ip, self.port))
            .collect())
    }
}

/// Takes families in turn, IPv6 first, each in the order of the resolver, which is that of RFC 6724 (RFC 8305 §4). Without
/// repetition, and 16 at most.
fn in_order(found: &[IpAddr]) -> Vec<IpAddr> {
    let mut sixes = found.iter().filter(|address| address.is_ipv6());
    let mut fours = found.iter().filter(|address| address.is_ipv4());
    let mut ordered = Vec::new();
    while ordered.len() < MAX_ADDRESSES {
        let pair = [sixes.next(), fours.next()];
        if pair == [None, None] {
            break;
        }
        for address in pair.into_iter().flatten() {
            if !ordered.contains(address) {
                ordered.push(*address);
            }
        }
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

/// Without the port if that is the one of https.
fn authority(host: &str, port: u16) -> String {
    let is_v6 = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
    match (is_v6, port) {
        (true, 443) => format!("[{host}]"),
        (true, port) => format!("[{host}]:{port}"),
        (false, 443) => host.to_owned(),
        (false, port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// RFC 8305 §4.
    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let found = ips(&["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "192.0.2.3"]);
        let expected = ips(&["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        assert_eq!(in_order(&found), expected);
    }

    #[test]
    fn no_more_than_sixteen_addresses_are_tried() {
        let many: Vec<IpAddr> = (0..1000_u128).map(|n| IpAddr::V6(n.into())).collect();
        assert_eq!(in_order(&many).len(), 16);
        let mixed: Vec<IpAddr> = (0..100_u32)
            .map(|n| IpAddr::V4(n.into()))
            .chain(many.iter().copied())
            .collect();
        assert_eq!(in_order(&mixed).len(), 16);
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for (host, expected) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("a_b.example", "a_b.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(Target::new(host, 443).unwrap().host(), expected);
        }
        for host in [
            "",
            ".",
            "a b",
            "a..b",
            "[127.0.0.1]",
            "[example.com]",
            "[::1",
            "bücher.example",
            "a:443",
        ] {
            assert!(
                matches!(Target::new(host, 443), Err(TargetError::Host { .. })),
                "{host}"
            );
        }
        assert_eq!(Target::new("a", 0), Err(TargetError::Port));
        assert_eq!(
            Target::new("a", 1).unwrap().at(Vec::new()),
            Err(TargetError::Addresses)
        );
    }

    #[tokio::test]
    async fn literals_and_given_addresses_are_not_looked_up() {
        let found = Target::new("[::1]", 443).unwrap().resolve().await.unwrap();
        assert_eq!(found, ["[::1]:443".parse().unwrap()]);
        let given = Target::new("no-such-host.invalid", 443)
            .unwrap()
            .at(ips(&["127.0.0.1", "::1"]))
            .unwrap();
        let expected: [SocketAddr; 2] = ["[::1]:443".parse().unwrap(), "127.0.0.1:443".parse().unwrap()];
        assert_eq!(given.resolve().await.unwrap(), expected);
    }

    #[test]
    fn an_authority_has_its_port_unless_it_is_443_and_brackets_around_ipv6() {
        let authority = |host: &str, port: u16| Target::new(host, port).unwrap().authority().to_string();
        assert_eq!(authority("a.example", 443), "a.example");
        assert_eq!(authority("a.example", 4433), "a.example:4433");
        assert_eq!(authority("::1", 443), "[::1]");
        assert_eq!(authority("[::1]", 1), "[::1]:1");
        assert_eq!(authority("127.0.0.1", 1), "127.0.0.1:1");
    }
}
