//! The socket that a question about the network goes through: netlink(7), rtnetlink(7).

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType};
use rustix::net::{recvfrom, send as send_to, socket_with};

/// A NETLINK_ROUTE socket, close-on-exec. It belongs to the network namespace that the caller is in now, wherever it is sent
/// to later: network_namespaces(7). Allocates nothing.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM; EPROTONOSUPPORT in a kernel without networks.
pub fn route_socket() -> Result<OwnedFd, Errno> {
    // No protocol is protocol 0, NETLINK_ROUTE.
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

/// Sends one message to the kernel.
///
/// # Errors
/// ENOBUFS, EMSGSIZE.
pub fn send(socket: BorrowedFd<'_>, message: &[u8]) -> Result<(), Errno> {
    send_to(socket, message, SendFlags::empty()).map(drop)
}

/// So many messages of others are passed over before an answer is given up: they can be sent without end.
const MOST_FOREIGN: usize = 10_000;

/// Receives what the kernel answers next: one or more messages, as many bytes as are returned. 32 KiB hold whatever it sends.
///
/// Whoever has CAP_NET_ADMIN over the network namespace can send to the socket too. What doesn't come from the kernel is passed over. The
/// kernel answers a question of NETLINK_ROUTE before send(2) returns, and goes on with a list in recvmsg(2); so this never waits.
///
/// # Errors
/// EAGAIN where there is no answer, as for one that had no room beside the messages of others; ENOBUFS where the kernel lost messages or
/// there are too many of others; EMSGSIZE where the buffer is too small.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    for _ in 0..MOST_FOREIGN {
        match recvfrom(socket, &mut *buffer, RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok((_, _, ref sender)) if !is_kernel(sender.as_ref()) => {}
            Ok((_, length, _)) if length > buffer.len() => return Err(Errno::MSGSIZE),
            Ok((_, length, _)) => return Ok(length),
        }
    }
    Err(Errno::NOBUFS)
}

/// The kernel's own port is 0: netlink(7).
fn is_kernel(sender: Option<&SocketAddrAny>) -> bool {
    sender.and_then(|sender| SocketAddrNetlink::try_from(sender.clone()).ok()).is_some_and(|sender| sender.pid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{CloneFlags, unshare};
    use rustix::net::{bind, getsockname, sendto};
    use std::os::fd::AsFd;

    /// struct nlmsghdr of RTM_GETLINK for interface 1, as sequence 7, and struct ifinfomsg.
    fn question() -> Vec<u8> {
        let mut bytes = [32_u32.to_ne_bytes(), [0; 4], 7_u32.to_ne_bytes(), [0; 4]].concat();
        bytes[4..6].copy_from_slice(&18_u16.to_ne_bytes());
        bytes[6..8].copy_from_slice(&1_u16.to_ne_bytes());
        bytes.extend([[0; 4], 1_u32.to_ne_bytes(), [0; 4], [0; 4]].concat());
        bytes
    }

    #[test]
    fn only_the_kernel_answers() {
        // Who is no root in the namespace can't send to others.
        let forging = std::thread::spawn(|| {
            unshare(CloneFlags::NEWNET)?;
            let (socket, other) = (route_socket()?, route_socket()?);
            bind(&socket, &SocketAddrNetlink::new(0, 0))?;
            let port = SocketAddrNetlink::try_from(getsockname(&socket)?).map_err(|_| Errno::INVAL)?;
            for _ in 0..3 {
                sendto(&other, b"forged", SendFlags::empty(), &port)?;
            }
            let mut buffer = vec![0; 32 << 10];
            let nothing = receive(socket.as_fd(), &mut buffer);
            sendto(&other, b"forged", SendFlags::empty(), &port)?;
            send(socket.as_fd(), &question())?;
            let length = receive(socket.as_fd(), &mut buffer)?;
            Ok::<_, Errno>((nothing, length, buffer))
        });
        match forging.join().unwrap() {
            Ok((nothing, length, buffer)) => {
                assert_eq!(nothing, Err(Errno::AGAIN));
                assert!(length > 32, "{:?}", &buffer[..length]);
                assert_eq!((&buffer[4..6], &buffer[8..12]), (&16_u16.to_ne_bytes()[..], &7_u32.to_ne_bytes()[..]));
            }
            Err(errno) => assert_eq!(errno, Errno::PERM),
        }
    }
}
