//! The server a URL names.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    str::FromStr,
};

/// The server a URL names: where its packets go, the name its certificate is asked for, and the URL itself.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The first IPv4 address of the host, or its first address.
    pub(crate) address: SocketAddr,
    /// The host, without brackets.
    pub(crate) name: String,
    /// The whole URL.
    pub(crate) url: http::Uri,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: http::Uri = text.parse().map_err(|error| format!("{text}: {error}"))?;
        if url.scheme_str() != Some("https") {
            return Err(format!("expected an https URL, got {text}"));
        }
        let name = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let address = resolve(&name, url.port_u16().unwrap_or(443))?;
        Ok(Self { address, name, url })
    }
}

impl Target {
    /// An error unless packets to this server stay on this machine.
    pub(crate) fn require_loopback(&self) -> Result<(), String> {
        if self.address.ip().is_loopback() {
            return Ok(());
        }
        Err(format!(
            "hostile loads go to loopback addresses only, not to {}",
            self.address
        ))
    }
}

/// Resolves a host name, preferring IPv4: test servers listen on 127.0.0.1 unless told otherwise.
pub(crate) fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let addresses: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{host}: {error}"))?
        .collect();
    addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first())
        .copied()
        .ok_or_else(|| format!("{host} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_address_server_name_and_path() {
        let target: Target = "https://localhost:4433/a?b".parse().unwrap();
        assert_eq!(target.address, "127.0.0.1:4433".parse().unwrap());
        assert_eq!(target.name, "localhost");
        assert_eq!(target.url.path_and_query().unwrap(), "/a?b");
    }

    #[test]
    fn an_ipv6_literal_loses_its_brackets() {
        let target: Target = "https://[::1]:4433/".parse().unwrap();
        assert_eq!(target.address, "[::1]:4433".parse().unwrap());
        assert_eq!(target.name, "::1");
    }

    #[test]
    fn a_url_without_https_is_refused() {
        assert!("http://localhost/".parse::<Target>().is_err());
    }

    #[test]
    fn only_loopback_may_be_attacked() {
        let mut target: Target = "https://127.0.0.1:1/".parse().unwrap();
        assert!(target.require_loopback().is_ok());
        target.address = "192.0.2.1:1".parse().unwrap();
        assert!(target.require_loopback().is_err());
    }
}
