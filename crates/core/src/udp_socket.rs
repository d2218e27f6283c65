//! The UDP socket of an endpoint.
//!
//! quinn's own, on tokio's, waits for room to send all the time: behind every packet the kernel reports that there is room
//! again, and each report is one more turn of the IO thread. It also asks once more behind each batch, to hear that there is
//! nothing. With one request under way that was two of seven system calls of the IO thread.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};

use crate::intake::Intake;

#[cfg(not(unix))]
mod always;
#[cfg(unix)]
mod on_demand;

#[cfg(not(unix))]
use always::{Readiness, Socket};
#[cfg(unix)]
use on_demand::{Readiness, Socket};

/// A bound UDP socket, driven by the tokio runtime inside which it was made.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    readiness: Arc<Readiness>,
    state: UdpSocketState,
    intake: Arc<Intake>,
}

impl UdpSocket {
    /// Takes over `socket`, which no longer blocks then. Must be called inside the tokio runtime that is to drive it.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        socket.set_nonblocking(true)?;
        let readiness = Arc::new(Readiness::new(socket)?);
        Ok(Self {
            readiness,
            state,
            intake: Arc::default(),
        })
    }

    /// What counts the bytes that come.
    pub(crate) fn intake(&self) -> Arc<Intake> {
        self.intake.clone()
    }

    /// Sends by `send`. `WouldBlock`: there is no room, and [`UdpPoller::poll_writable`] tells when there is.
    pub(crate) fn send_by(
        &self,
        send: impl FnOnce(&UdpSocketState, &Socket) -> io::Result<()>,
    ) -> io::Result<()> {
        self.readiness.try_send(|socket| send(&self.state, socket))
    }

    /// Waits until the kernel reports an error of an earlier datagram, and takes it; `None`: there was none after all. One at
    /// a time may wait.
    pub(crate) async fn error(&self) -> io::Result<Option<io::Error>> {
        self.readiness.error().await
    }
}

impl AsyncUdpSocket for UdpSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room {
            readiness: self.readiness.clone(),
            waiting: None,
        })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.send_by(|state, socket| state.send(socket.into(), transmit))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Some(most) = self.intake.allowed() else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let most = most.min(buffers.len());
        let buffers = &mut buffers[..most];
        loop {
            let received = self
                .readiness
                .poll_recv(cx, most, |socket| self.state.recv(socket.into(), buffers, meta));
            match received {
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Poll::Ready(Ok(count)) => {
                    self.intake.count(meta[..count].iter().map(|one| one.len).sum());
                    return Poll::Ready(Ok(count));
                }
                received => return received,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.readiness.socket().local_addr()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }
}

type Waiting = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// What one connection waits with until there is room to send.
struct Room {
    readiness: Arc<Readiness>,
    waiting: Option<Waiting>,
}

impl UdpPoller for Room {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_none() {
            if !self.readiness.is_full() {
                return Poll::Ready(Ok(()));
            }
            let readiness = self.readiness.clone();
            self.waiting = Some(Box::pin(async move { readiness.room().await }));
        }
        let polled = match &mut self.waiting {
            Some(waiting) => waiting.as_mut().poll(cx),
            None => Poll::Ready(Ok(())),
        };
        if polled.is_ready() {
            self.waiting = None;
        }
        polled
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Room").finish_non_exhaustive()
    }
}
