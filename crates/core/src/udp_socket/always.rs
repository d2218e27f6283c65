//! Readiness as tokio's socket keeps it, for systems whose descriptors cannot be registered otherwise.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;

pub(super) type Socket = tokio::net::UdpSocket;

#[derive(Debug)]
pub(super) struct Readiness(Socket);

impl Readiness {
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self(Socket::from_std(socket)?))
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.0
    }

    /// Receives by `receive` once there may be something. After `WouldBlock` the next call waits.
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        _most: usize,
        receive: impl FnOnce(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.0.poll_recv_ready(cx))?;
        Poll::Ready(self.0.try_io(Interest::READABLE, || receive(&self.0)))
    }

    /// Sends by `send`.
    pub(super) fn try_send(&self, send: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<()> {
        self.0.try_io(Interest::WRITABLE, || send(&self.0))
    }

    /// Whether room must be waited for: asked each time, which costs nothing while there is some.
    pub(super) fn is_full(&self) -> bool {
        true
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) -> io::Result<()> {
        self.0.writable().await
    }

    pub(super) async fn error(&self) -> io::Result<Option<io::Error>> {
        let _ = self.0.ready(Interest::ERROR).await?;
        let taken = self.0.try_io(Interest::ERROR, || {
            let error = socket2::SockRef::from(&self.0).take_error()?;
            error.ok_or_else(|| ErrorKind::WouldBlock.into())
        });
        match taken {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            taken => taken.map(Some),
        }
    }
}
