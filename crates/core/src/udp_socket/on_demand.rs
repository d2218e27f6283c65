//! Readiness where it is reported by edges (epoll, kqueue): room to send is waited for only once there was none.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use crate::sync::lock;

pub(super) type Socket = std::net::UdpSocket;

#[derive(Debug)]
pub(super) struct Readiness {
    socket: AsyncFd<Socket>,
    /// There was no room: `room` is there.
    full: AtomicBool,
    /// A second descriptor of the socket that waits for room. Its registration ends with it.
    room: Mutex<Option<Arc<AsyncFd<OwnedFd>>>>,
    runtime: Handle,
}

impl Readiness {
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        Ok(Self {
            socket: register(socket, Interest::READABLE)?,
            full: AtomicBool::new(false),
            room: Mutex::new(None),
            runtime: Handle::current(),
        })
    }

    pub(super) fn socket(&self) -> &Socket {
        self.socket.get_ref()
    }

    /// Receives `most` messages by `receive` once there may be something. After `WouldBlock` the next call waits.
    pub(super) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        most: usize,
        receive: impl FnOnce(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut guard = ready!(self.socket.poll_read_ready(cx))?;
        let received = receive(self.socket.get_ref());
        let is_empty = match &received {
            // The kernel stopped before the batch was full. What comes after that is a new edge, which clears nothing.
            Ok(count) => *count < most,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if is_empty {
            guard.clear_ready();
        }
        Poll::Ready(received)
    }

    /// Sends by `send`.
    pub(super) fn try_send(&self, send: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<()> {
        match send(self.socket.get_ref()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.begin_to_wait().and(Err(error)),
            sent => sent,
        }
    }

    /// Whether room must be waited for.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Waits until there is room.
    pub(super) async fn room(&self) -> io::Result<()> {
        let Some(room) = lock(&self.room).clone() else {
            return Ok(());
        };
        drop(room.writable().await?);
        let mut current = lock(&self.room);
        // Another connection may have found the socket full again meanwhile.
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &room))
        {
            *current = None;
            self.full.store(false, Relaxed);
        }
        Ok(())
    }

    pub(super) async fn error(&self) -> io::Result<Option<io::Error>> {
        let mut guard = self.socket.ready(Interest::ERROR).await?;
        let error = socket2::SockRef::from(self.socket.get_ref()).take_error()?;
        if error.is_none() {
            guard.clear_ready();
        }
        Ok(error)
    }

    /// An edge before this is seen too: registering reports the present state.
    fn begin_to_wait(&self) -> io::Result<()> {
        let mut room = lock(&self.room);
        if room.is_none() {
            let second = self.socket.get_ref().as_fd().try_clone_to_owned()?;
            let _inside = self.runtime.enter();
            *room = Some(Arc::new(register(second, Interest::WRITABLE)?));
        }
        self.full.store(true, Relaxed);
        Ok(())
    }
}

/// Registers `descriptor`, which is closed only with what this returns.
fn register<Descriptor: AsRawFd + Into<OwnedFd>>(
    descriptor: Descriptor,
    interest: Interest,
) -> io::Result<AsyncFd<Descriptor>> {
    // SAFETY: what owns its descriptor keeps it open and gives out the same one, and nobody takes it out of there.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn readiness() -> Readiness {
        Readiness::new(nonblocking()).unwrap()
    }

    fn nonblocking() -> Socket {
        let socket = Socket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn no_room(_: &Socket) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }

    async fn receive(readiness: &Readiness, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let received = poll_fn(|cx| readiness.poll_recv(cx, 2, |socket| socket.recv(buffer).map(|_| 1)));
            match timeout(PATIENCE, received).await.unwrap() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    #[tokio::test]
    async fn room_is_waited_for_only_once_there_was_none() {
        let readiness = readiness();
        assert!(readiness.try_send(|_| Ok(())).is_ok());
        assert!(!readiness.is_full());

        let error = readiness.try_send(no_room).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(readiness.is_full());

        // This socket has room in truth, and the kernel says so.
        timeout(PATIENCE, readiness.room()).await.unwrap().unwrap();
        assert!(!readiness.is_full());
        assert!(lock(&readiness.room).is_none());
    }

    #[tokio::test]
    async fn all_who_wait_for_room_are_woken_and_none_waits_without_need() {
        let readiness = readiness();
        timeout(PATIENCE, readiness.room()).await.unwrap().unwrap();
        for _ in 0..3 {
            readiness.try_send(no_room).unwrap_err();
        }
        let (one, other) = timeout(PATIENCE, async {
            tokio::join!(readiness.room(), readiness.room())
        })
        .await
        .unwrap();
        one.unwrap();
        other.unwrap();
        assert!(!readiness.is_full());
    }

    #[tokio::test]
    async fn what_comes_after_an_incomplete_batch_is_a_new_edge() {
        let readiness = readiness();
        let address = readiness.socket().local_addr().unwrap();
        let sender = nonblocking();
        let mut buffer = [0; 8];
        for round in 0..100_u8 {
            sender.send_to(&[round], address).unwrap();
            assert_eq!(receive(&readiness, &mut buffer).await.unwrap(), 1);
            assert_eq!(buffer[0], round);
        }
    }

    #[tokio::test]
    async fn other_errors_are_passed_on() {
        let readiness = readiness();
        let refused = readiness.try_send(|_| Err(ErrorKind::ConnectionRefused.into()));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(!readiness.is_full());
    }
}
