//! A UDP socket that can fall silent: how a peer vanishes.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use quinn::{AsyncUdpSocket, UdpPoller, udp};

use crate::endpoint;

/// A UDP socket that, once silenced, keeps its port, sends nothing and hears nothing.
///
/// The port stays bound on purpose: a closed one would answer the server with ICMP, which a peer behind a dead link does not.
#[derive(Debug)]
pub(crate) struct SilentSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    silent: AtomicBool,
}

impl SilentSocket {
    /// Binds a free port of the address family that reaches `remote`.
    pub(crate) fn bind(remote: SocketAddr) -> io::Result<Arc<Self>> {
        let socket = endpoint::roomy_socket(endpoint::any_port_towards(remote))?;
        let inner = quinn::Runtime::wrap_udp_socket(&quinn::TokioRuntime, socket)?;
        Ok(Arc::new(Self {
            inner,
            silent: AtomicBool::new(false),
        }))
    }

    /// From now on nothing is sent and everything that arrives is thrown away.
    pub(crate) fn silence(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }
}

impl AsyncUdpSocket for SilentSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &udp::Transmit<'_>) -> io::Result<()> {
        if self.silent.load(Ordering::Relaxed) {
            Ok(())
        } else {
            self.inner.try_send(transmit)
        }
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [udp::RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let received = self.inner.poll_recv(context, buffers, meta);
            if !(self.silent.load(Ordering::Relaxed) && matches!(received, Poll::Ready(Ok(_)))) {
                return received;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Duration};

    use super::*;

    fn transmit(destination: SocketAddr) -> udp::Transmit<'static> {
        udp::Transmit {
            destination,
            ecn: None,
            contents: b"x",
            segment_size: None,
            src_ip: None,
        }
    }

    #[tokio::test]
    async fn a_silenced_socket_sends_nothing_and_keeps_its_port() {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let address = other.local_addr().unwrap();
        let socket = SilentSocket::bind(address).unwrap();
        let mut buffer = [0; 8];
        let mut writable = socket.clone().create_io_poller();
        std::future::poll_fn(|context| writable.as_mut().poll_writable(context))
            .await
            .unwrap();
        socket.try_send(&transmit(address)).unwrap();
        assert_eq!(other.recv(&mut buffer).unwrap(), 1);
        socket.silence();
        socket.try_send(&transmit(address)).unwrap();
        assert!(other.recv(&mut buffer).is_err());
        let port = socket.local_addr().unwrap().port();
        assert!(
            UdpSocket::bind(("0.0.0.0", port)).is_err(),
            "the port is still taken"
        );
    }
}
