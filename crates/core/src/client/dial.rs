//! From a host and a port to a connection.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use quinn::{ConnectionId, EndpointConfig, TokenMemoryCache, TransportConfig};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::addresses::Target;
use super::attempt::{Attempt, Dialed};
use super::attempted::Attempted;
use super::error::{DialError, Stage};
use super::limits::ClientLimits;
use super::path::{News, OpenError, PathSocket};
use super::tls::{ClientTls, TlsConfig, TlsSetup};
use crate::endpoint::QUIC_V1;
use crate::qlog::QlogFolder;
use crate::tls::TlsError;

/// The head start of an address before the next one is tried beside it (RFC 8305 §8, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

/// What the other addresses get once one server has said no: they may be other machines, but nobody should wait long for
/// an answer that is known.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// For a timeout beyond what the clock can hold.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Bytes of the ids by which qlog files are named, which are those of QUIC's first packets (RFC 9000 §7.2: at least 8).
const ID_BYTES: usize = 16;

/// How a client reaches servers.
#[derive(Clone, Debug)]
pub struct DialOptions {
    /// Whom it believes, and what it says of itself.
    pub tls: ClientTls,
    /// What it grants a server.
    pub limits: ClientLimits,
    /// Time for looking up the name, all attempts and the handshake. Default 10 s.
    pub connect_timeout: Duration,
    /// The address that connections leave from; only addresses of its family are tried. With a port other than 0 there can
    /// be one connection at a time. Default: what the system chooses.
    pub local_address: Option<SocketAddr>,
    /// A folder for one qlog file of each attempt, `<id>_client.sqlog`. Default: none.
    pub qlog_dir: Option<PathBuf>,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            tls: ClientTls::default(),
            limits: ClientLimits::default(),
            connect_timeout: Duration::from_secs(10),
            local_address: None,
            qlog_dir: None,
        }
    }
}

/// Makes the connections of one client. They share sessions, so that one that comes back is quick.
pub struct Dialer {
    setup: TlsSetup,
    tls: OnceCell<Arc<TlsConfig>>,
    alpn: Vec<Vec<u8>>,
    limits: ClientLimits,
    transport: Arc<TransportConfig>,
    /// With which a server recognises the address of a client (RFC 9000 §8.1.3).
    tokens: Arc<TokenMemoryCache>,
    connect_timeout: Duration,
    local_address: Option<SocketAddr>,
    qlog: Option<QlogFolder>,
}

impl Dialer {
    /// # Errors
    /// When the key log cannot be opened.
    pub fn new(options: DialOptions) -> Result<Self, TlsError> {
        Ok(Self {
            alpn: options.tls.alpn.clone(),
            setup: TlsSetup::new(options.tls)?,
            tls: OnceCell::new(),
            transport: Arc::new(options.limits.transport()),
            limits: options.limits,
            tokens: Arc::default(),
            connect_timeout: options.connect_timeout,
            local_address: options.local_address,
            qlog: options.qlog_dir.map(QlogFolder::new),
        })
    }

    /// Connects to `target`. Its addresses are tried one after the other, a quarter of a second apart or as soon as one
    /// fails, IPv6 first (RFC 8305); the first whose handshake completes wins, and the others are closed. Where early data
    /// may be sent, returns before the handshake; see [`Dialed::early`].
    ///
    /// Must be called inside the tokio runtime that is to drive the connection. Dropping the future closes what was begun.
    ///
    /// # Errors
    /// When no address leads to a connection: what a server said itself, or else how far the best attempt came. Once a server
    /// has said no, its other addresses have a second left.
    pub async fn dial(&self, target: &Target) -> Result<Dialed, DialError> {
        let now = Instant::now();
        let deadline = now.checked_add(self.connect_timeout).unwrap_or(now + FOREVER);
        let host = target.host();
        let tls = timeout_at(deadline, self.tls())
            .await
            .map_err(|_| self.timed_out(&host, Stage::Trust))??;
        let found = timeout_at(deadline, target.resolve())
            .await
            .map_err(|_| self.timed_out(&host, Stage::Lookup))?
            .map_err(|source| DialError::NameNotFound {
                host: host.clone(),
                source,
            })?;
        let mut addresses = self.of_our_family(&host, found)?;
        if self.setup.sends_early_data() {
            // Nobody sees whether early data arrives until the handshake ends: it goes where it is known to be taken.
            let last = tls.last_address(target.name(), target.port());
            if let Some(at) = addresses.iter().position(|address| Some(*address) == last) {
                addresses[..=at].rotate_right(1);
            }
        }
        self.race(target, host, &tls, addresses, deadline).await
    }

    async fn race(
        &self,
        target: &Target,
        host: String,
        tls: &Arc<TlsConfig>,
        addresses: Vec<SocketAddr>,
        mut deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let mut addresses = addresses.into_iter().peekable();
        let mut attempts = FuturesUnordered::new();
        let mut news: Vec<Arc<News>> = Vec::new();
        let mut failure: Option<DialError> = None;
        let mut next_start = Instant::now();
        loop {
            let is_due = attempts.is_empty() || Instant::now() >= next_start;
            if let Some(address) = addresses.next_if(|_| is_due) {
                let attempted = Attempted {
                    host: host.clone(),
                    address,
                    alpn: self.alpn.clone(),
                    timeout: self.connect_timeout,
                };
                match self.begin(target, attempted, tls) {
                    Ok(attempt) => {
                        news.push(attempt.news());
                        attempts.push(attempt.complete(deadline));
                        next_start = Instant::now() + HEAD_START;
                    }
                    Err(error) => {
                        keep_weightier(&mut failure, error);
                        next_start = Instant::now();
                    }
                }
                continue;
            }
            let wake = match addresses.peek() {
                Some(_) => next_start.min(deadline),
                None => deadline,
            };
            match timeout_at(wake, attempts.next()).await {
                Ok(Some(Ok(dialed))) => return Ok(dialed),
                Ok(Some(Err(error))) => {
                    if error.is_from_server() {
                        deadline = deadline.min(Instant::now() + LAST_CHANCE);
                    }
                    keep_weightier(&mut failure, error);
                    next_start = Instant::now();
                }
                // No attempt is left, and no address: each has said why, and there was one at least.
                Ok(None) => return Err(failure.unwrap_or_else(|| self.timed_out(&host, Stage::Silence))),
                Err(_) if Instant::now() < deadline => {}
                Err(_) => {
                    let was_heard = news.iter().any(|news| news.heard());
                    let stage = if was_heard {
                        Stage::Handshake
                    } else {
                        Stage::Silence
                    };
                    keep_weightier(&mut failure, self.timed_out(&host, stage));
                    return Err(failure.unwrap_or(DialError::Cancelled));
                }
            }
        }
    }

    /// Sends the first packet to an address.
    fn begin(
        &self,
        target: &Target,
        attempted: Attempted,
        tls: &Arc<TlsConfig>,
    ) -> Result<Attempt, DialError> {
        let address = attempted.address;
        let socket = PathSocket::open(self.local_address, address).map_err(|error| match error {
            OpenError::Local(source) => self.local_error(address, source),
            OpenError::Remote(source) => DialError::Unreachable { address, source },
            OpenError::System(source) => DialError::Socket { source },
        })?;
        let mut config = quinn::ClientConfig::new(tls.for_port(target.port())?);
        config
            .transport_config(self.transport.clone())
            .token_store(self.tokens.clone());
        self.log(&mut config, address);
        let mut endpoint = EndpointConfig::default();
        endpoint.supported_versions(vec![QUIC_V1]);
        Attempt::begin(socket, endpoint, config, target, attempted, tls.clone())
    }

    async fn tls(&self) -> Result<Arc<TlsConfig>, DialError> {
        let made = self
            .tls
            .get_or_try_init(|| async { self.setup.finish().await.map(Arc::new) });
        made.await.cloned()
    }

    fn of_our_family(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, DialError> {
        let Some(local) = self.local_address else {
            return Ok(found);
        };
        let ours: Vec<_> = found
            .into_iter()
            .filter(|address| address.is_ipv4() == local.is_ipv4())
            .collect();
        if ours.is_empty() {
            return Err(DialError::LocalFamily {
                host: host.to_owned(),
                address: local,
            });
        }
        Ok(ours)
    }

    fn local_error(&self, remote: SocketAddr, source: io::Error) -> DialError {
        match (self.local_address, source.kind()) {
            (Some(address), io::ErrorKind::AddrInUse) => DialError::LocalAddressInUse { address },
            (Some(address), _) => DialError::LocalAddress { address, source },
            // A machine without IPv6 has no "::" to leave from.
            (None, io::ErrorKind::AddrNotAvailable) => DialError::Unreachable {
                address: remote,
                source,
            },
            (None, _) => DialError::Socket { source },
        }
    }

    fn timed_out(&self, host: &str, stage: Stage) -> DialError {
        DialError::TimedOut {
            host: host.to_owned(),
            after: self.connect_timeout,
            stage,
        }
    }

    /// Gives a connection a qlog file, if there is a folder for them.
    fn log(&self, config: &mut quinn::ClientConfig, server: SocketAddr) {
        let mut id = [0; ID_BYTES];
        let Some(folder) = self.qlog.as_ref() else {
            return;
        };
        if SystemRandom::new().fill(&mut id).is_err() {
            return;
        }
        let id = ConnectionId::new(&id);
        let Some(stream) = folder.begin_client(id, server) else {
            return;
        };
        let mut transport = self.limits.transport();
        transport.qlog_stream(Some(stream));
        config
            .transport_config(Arc::new(transport))
            .initial_dst_cid_provider(Arc::new(move || id));
    }
}

/// The first of those that say most.
fn keep_weightier(kept: &mut Option<DialError>, error: DialError) {
    if kept.as_ref().is_none_or(|kept| kept.weight() < error.weight()) {
        *kept = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(value: T) -> T {
        value
    }

    #[tokio::test]
    async fn a_dial_may_move_between_threads_and_takes_no_longer_than_it_may() {
        let dialer = Dialer::new(DialOptions {
            connect_timeout: Duration::ZERO,
            ..DialOptions::default()
        });
        let target = Target::new("127.0.0.1", 9).unwrap();
        let dialer = dialer.unwrap();
        let error = is_send(dialer.dial(&target)).await.unwrap_err();
        assert!(
            matches!(error, DialError::TimedOut { .. } | DialError::NoSystemTrust(_)),
            "{error}"
        );
    }
}
