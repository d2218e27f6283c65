//! The buffers of the UDP socket: what was asked of the kernel, and what it gave.

use socket2::Socket;

/// Asked of the kernel, which gives what it allows: a burst from many clients must not be lost while the IO thread answers
/// others.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// How large the buffers of a socket are, in bytes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketBuffers {
    /// What was asked for, each way.
    pub asked: usize,
    /// What received packets have.
    pub receive: usize,
    /// What packets to be sent have.
    pub send: usize,
}

impl SocketBuffers {
    /// Asks for them. Getting less is no error; a kernel that does not say is believed to have given all.
    pub(crate) fn ask(socket: &Socket) -> Self {
        let asked = SOCKET_BUFFER_BYTES;
        let _ = socket.set_recv_buffer_size(asked);
        let _ = socket.set_send_buffer_size(asked);
        Self {
            asked,
            receive: socket.recv_buffer_size().map_or(asked, of_packets),
            send: socket.send_buffer_size().map_or(asked, of_packets),
        }
    }

    /// Whether the kernel gave less than was asked for.
    pub fn are_small(&self) -> bool {
        self.receive < self.asked || self.send < self.asked
    }
}

/// Linux reports twice what it was given, the other half being for its own use (socket(7), SO_RCVBUF).
fn of_packets(reported: usize) -> usize {
    if cfg!(target_os = "linux") {
        reported / 2
    } else {
        reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_way_may_be_small() {
        let full = SocketBuffers {
            asked: 10,
            receive: 10,
            send: 20,
        };
        assert!(!full.are_small());
        assert!(SocketBuffers { receive: 9, ..full }.are_small());
        assert!(SocketBuffers { send: 9, ..full }.are_small());
    }
}
