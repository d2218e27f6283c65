//! One handshake with one address, and what comes of it.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use quinn::{Connecting, Endpoint, EndpointConfig, ZeroRttAccepted};
use tokio::time::{Instant, timeout_at};

use super::addresses::Target;
use super::attempted::Attempted;
use super::drivers::{Drivers, Evidence, Reins};
use super::error::{DialError, Stage};
use super::memory::Memory;
use super::path::{News, PathSocket};
use super::tls::TlsConfig;
use crate::endpoint::protocol;

/// A connection that was made. It lives as long as a clone of `quic` or a stream of it; dropping the last closes it, and
/// its socket follows when the server can have heard of that. Nothing else keeps it alive, and it keeps nothing else.
#[derive(Debug)]
pub struct Dialed {
    /// The connection.
    pub quic: quinn::Connection,
    /// Its endpoint, for [`Endpoint::wait_idle`] behind a close that should arrive. It may be dropped.
    pub endpoint: Endpoint,
    /// The server's address.
    pub remote_address: SocketAddr,
    /// Address and port on this side.
    pub local_address: Option<SocketAddr>,
    /// The protocol that was agreed on; `None` before the handshake is complete, and if none was offered.
    pub alpn: Option<Vec<u8>>,
    /// Whether an earlier session was resumed. Of an early connection: whether the server was asked to.
    pub is_resumed: bool,
    /// The handshake, if it is not complete: what is sent until then is early data.
    pub early: Option<Early>,
    /// From the first packet to this winning address to the end of the handshake, or to the beginning of early data.
    pub handshake: Duration,
    /// What is remembered of the server.
    pub(super) memory: Memory,
}

/// A handshake that goes on while its connection already carries early data.
#[derive(Debug)]
pub struct Early {
    over: ZeroRtt,
    quic: quinn::Connection,
    watch: Watch,
    deadline: Instant,
}

/// What is known of an attempt besides its connection.
#[derive(Debug)]
struct Watch {
    socket: Arc<PathSocket>,
    evidence: Arc<Evidence>,
    attempted: Attempted,
    memory: Memory,
}

/// An attempt whose first packet has left. Dropping it closes it.
pub(super) struct Attempt {
    connecting: Connecting,
    endpoint: Endpoint,
    watch: Watch,
    reins: Reins,
    begun: Instant,
}

impl Attempt {
    pub(super) fn begin(
        socket: Arc<PathSocket>,
        endpoint: EndpointConfig,
        config: quinn::ClientConfig,
        target: &Target,
        attempted: Attempted,
        tls: Arc<TlsConfig>,
    ) -> Result<Self, DialError> {
        let (drivers, reins) = Drivers::new();
        let watch = Watch {
            socket: socket.clone(),
            evidence: drivers.evidence(),
            attempted,
            memory: Memory::new(tls, target.name().clone(), target.port()),
        };
        let begun = Instant::now();
        let endpoint = Endpoint::new_with_abstract_socket(endpoint, None, socket, drivers)
            .map_err(|source| DialError::Socket { source })?;
        let connecting = endpoint
            .connect_with(config, watch.socket.remote(), &watch.memory.name().to_str())
            .map_err(|error| watch.attempted.not_begun(error))?;
        Ok(Self {
            connecting,
            endpoint,
            watch,
            reins,
            begun,
        })
    }

    pub(super) fn news(&self) -> Arc<News> {
        self.watch.socket.news()
    }

    /// Waits for the handshake, unless there can be early data.
    pub(super) async fn complete(self, deadline: Instant) -> Result<Dialed, DialError> {
        let Self {
            connecting,
            endpoint,
            watch,
            reins,
            begun,
        } = self;
        let mut connecting = match connecting.into_0rtt() {
            Ok((quic, over)) => {
                reins.keep();
                return Ok(Dialed {
                    remote_address: watch.socket.remote(),
                    local_address: endpoint.local_addr().ok(),
                    alpn: None,
                    is_resumed: true,
                    handshake: begun.elapsed(),
                    endpoint,
                    memory: watch.memory.clone(),
                    quic: quic.clone(),
                    early: Some(Early {
                        over: ZeroRtt(over),
                        quic,
                        watch,
                        deadline,
                    }),
                });
            }
            Err(connecting) => connecting,
        };
        let quic = match select(&mut connecting, pin!(watch.fault())).await {
            Either::Left((Ok(quic), _)) => quic,
            Either::Left((Err(error), _)) => return Err(watch.failed(error)),
            Either::Right((fault, _)) => return Err(fault),
        };
        reins.keep();
        watch.reached();
        Ok(Dialed {
            remote_address: watch.socket.remote(),
            local_address: endpoint.local_addr().ok(),
            alpn: quic
                .handshake_data()
                .map(protocol)
                .filter(|token| !token.is_empty()),
            is_resumed: !watch.evidence.was_certificate_shown(),
            early: None,
            handshake: begun.elapsed(),
            memory: watch.memory,
            endpoint,
            quic,
        })
    }
}

impl Early {
    /// Waits for the end of the handshake, and tells whether the server took the early data. If not, streams that were
    /// opened before fail with [`quinn::WriteError::ZeroRttRejected`] and nothing that was sent on them was seen: it can be
    /// sent again, on new ones. Needs no runtime to be polled; dropping it leaves the connection as it is.
    ///
    /// # Errors
    /// When the handshake fails, or is not over within the dial's connect timeout: the connection is closed then.
    pub async fn accepted(self) -> Result<bool, DialError> {
        let Self {
            mut over,
            quic,
            watch,
            deadline,
        } = self;
        let ended = async {
            match select(&mut over.0, pin!(watch.fault())).await {
                Either::Left((is_accepted, _)) => match quic.close_reason() {
                    None => Ok(is_accepted),
                    Some(error) => Err(watch.failed(error)),
                },
                Either::Right((fault, _)) => Err(fault),
            }
        };
        let ended = match timeout_at(deadline, ended).await {
            Ok(ended) => ended,
            Err(_) => Err(DialError::TimedOut {
                host: watch.attempted.host.clone(),
                after: watch.attempted.timeout,
                stage: if watch.socket.news().heard() {
                    Stage::Handshake
                } else {
                    Stage::Silence
                },
            }),
        };
        match &ended {
            Ok(_) => watch.reached(),
            Err(_) => {
                watch.memory.forget();
                quic.close(0_u32.into(), b"");
            }
        }
        ended
    }
}

impl Watch {
    fn failed(&self, error: quinn::ConnectionError) -> DialError {
        self.attempted.ended(error, self.evidence.take_fault())
    }

    /// Waits until the network says that nobody is there. Not after somebody has answered: anyone could say so then.
    async fn fault(&self) -> DialError {
        let kind = self.socket.fault().await;
        if self.socket.news().heard() {
            pending::<()>().await;
        }
        self.attempted.fault(kind)
    }

    fn reached(&self) {
        self.memory.reached(self.attempted.address);
    }
}

/// quinn's future does not say what it is.
struct ZeroRtt(ZeroRttAccepted);

impl std::fmt::Debug for ZeroRtt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ZeroRttAccepted")
    }
}
