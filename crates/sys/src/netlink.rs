//! The socket that a question about the network goes through: netlink(7), rtnetlink(7).

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send as send_to, socket_with};

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

/// Receives what the kernel answers next: one or more messages, as many bytes as are returned. 32 KiB hold whatever it sends.
///
/// # Errors
/// ENOBUFS where the kernel lost messages, EMSGSIZE where the buffer is too small.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match recv(socket, &mut *buffer, RecvFlags::TRUNC) {
            Err(Errno::INTR) => {}
            Ok((_, length)) if length > buffer.len() => return Err(Errno::MSGSIZE),
            other => return other.map(|(_, length)| length),
        }
    }
}
