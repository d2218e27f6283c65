//! The UDP socket of one connection attempt: connected, so that the kernel says when nobody listens at the other end.
//!
//! quinn's own socket swallows what ICMP reports, because an attacker may forge it for an established connection. During
//! a handshake it is worth as much as the RST of TCP: a closed port is known after one round trip instead of a timeout.
//! So this socket keeps the first such error for whoever dials; afterwards nobody asks. The price of a connected socket
//! is that a connection keeps the local address it began with.

use std::fmt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use futures_util::future::{Either, select};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;

use crate::socket_buffers::SocketBuffers;
use crate::sync::lock;
use crate::udp_socket::UdpSocket;

/// Reports that are taken from a socket before others get their turn: whoever forges them may be quick.
const ERRORS_PER_TURN: usize = 16;

/// A socket that speaks with one address only.
pub(super) struct PathSocket {
    socket: Arc<UdpSocket>,
    remote: SocketAddr,
    news: Arc<News>,
}

/// What the socket has noticed, for the one who dials.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Whether any datagram came from the other end.
    heard: AtomicBool,
    /// The first fault that was reported.
    fault: Mutex<Option<ErrorKind>>,
    noted: Notify,
}

/// Why there is no socket.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The local address cannot be bound.
    Local(io::Error),
    /// There is no way to the remote address.
    Remote(io::Error),
    /// The system gives no socket.
    System(io::Error),
}

impl PathSocket {
    /// Opens a socket from `local` (any address and a free port if `None`) to `remote`. Must be called inside the tokio
    /// runtime that is to drive it.
    pub(super) fn open(local: Option<SocketAddr>, remote: SocketAddr) -> Result<Arc<Self>, OpenError> {
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = Socket::new(Domain::for_address(remote), Type::DGRAM, Some(Protocol::UDP))
            .map_err(OpenError::System)?;
        if remote.is_ipv6() {
            socket.set_only_v6(true).map_err(OpenError::System)?;
        }
        SocketBuffers::ask(&socket);
        let local = local.unwrap_or(SocketAddr::new(any, 0));
        socket.bind(&local.into()).map_err(OpenError::Local)?;
        let mut remote = remote;
        // Windows reports closed ports without that, and a connected socket may be refused an address with a datagram.
        if !cfg!(windows) {
            socket.connect(&remote.into()).map_err(OpenError::Remote)?;
            // "0.0.0.0" and "::" become an address of this machine, from which the answers will come.
            let peer = socket.peer_addr().map_err(OpenError::Remote)?;
            remote = peer.as_socket().unwrap_or(remote);
        }
        let socket = UdpSocket::new(socket.into()).map_err(OpenError::System)?;
        Ok(Arc::new(Self {
            socket: Arc::new(socket),
            remote,
            news: Arc::default(),
        }))
    }

    /// Where the datagrams go.
    pub(super) fn remote(&self) -> SocketAddr {
        self.remote
    }

    pub(super) fn news(&self) -> Arc<News> {
        self.news.clone()
    }

    /// Waits until the network reports that the other end cannot be reached. One at a time may wait.
    pub(super) async fn fault(&self) -> ErrorKind {
        loop {
            if let Some(kind) = *lock(&self.news.fault) {
                return kind;
            }
            // An error that is pending makes a socket neither readable nor writable everywhere.
            let pending = pin!(self.socket.error());
            match select(pin!(self.news.noted.notified()), pending).await {
                Either::Left(_) | Either::Right((Ok(None), _)) => {}
                Either::Right((Ok(Some(error)) | Err(error), _)) => self.news.note(&error),
            }
        }
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.send_by(|state, socket| {
            // Where a connected socket takes no address with a datagram, it is sent plainly, without its ECN mark.
            if cfg!(target_vendor = "apple") {
                return socket2::SockRef::from(socket).send(transmit.contents).map(|_| ());
            }
            state.try_send(socket.into(), transmit)
        })
    }
}

impl News {
    /// Whether any datagram came from the other end.
    pub(super) fn heard(&self) -> bool {
        self.heard.load(Relaxed)
    }

    /// Remembers `error` if it says something about the way to the other end.
    fn note(&self, error: &io::Error) {
        let kind = match error.kind() {
            // Windows says "reset" for a closed UDP port.
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ErrorKind::ConnectionRefused,
            kind @ (ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::PermissionDenied
            | ErrorKind::AddrNotAvailable) => kind,
            _ => return,
        };
        lock(&self.fault).get_or_insert(kind);
        self.noted.notify_one();
    }
}

impl AsyncUdpSocket for PathSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        // An error may have been reported for an earlier datagram, and then says nothing about this one: once more.
        for _ in 0..2 {
            match self.send(transmit) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) => self.news.note(&error),
                Ok(()) => return Ok(()),
            }
        }
        // As if the network had lost it, which is what QUIC is made for.
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..ERRORS_PER_TURN {
            match ready!(self.socket.poll_recv(cx, buffers, meta)) {
                Ok(count) => {
                    self.news.heard.store(true, Relaxed);
                    return Poll::Ready(Ok(count));
                }
                Err(error) => self.news.note(&error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        if cfg!(target_vendor = "apple") {
            return 1;
        }
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }
}

impl fmt::Debug for PathSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PathSocket")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}
