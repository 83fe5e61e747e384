//! A stream to a server on this machine, which waits only so long: unix(7), SO_SNDTIMEO and SO_RCVTIMEO of socket(7).

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, connect as connect_to, socket_with};

pub use rustix::net::SocketAddrUnix;

/// Connects to who listens at an address, close-on-exec. Neither this nor a later read or write waits longer than `patience`, which isn't 0.
///
/// # Errors
/// ENOENT and ECONNREFUSED where nobody listens; EACCES; EAGAIN where the server doesn't take connections for so long.
pub fn connect(address: &SocketAddrUnix, patience: Duration) -> Result<UnixStream, Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    wait_at_most(socket.as_fd(), patience)?;
    loop {
        match connect_to(&socket, address) {
            Err(Errno::INTR) => {}
            other => return other.map(|()| UnixStream::from(socket)),
        }
    }
}

/// From now on no read or write waits longer: it fails with EAGAIN.
///
/// # Errors
/// EINVAL for 0, which would be for ever.
pub fn wait_at_most(stream: BorrowedFd<'_>, patience: Duration) -> Result<(), Errno> {
    set_socket_timeout(stream, Timeout::Send, Some(patience))?;
    set_socket_timeout(stream, Timeout::Recv, Some(patience))
}

/// Sends what there is room for, and returns how many bytes that was. Never raises SIGPIPE, as write(2) would.
///
/// # Errors
/// EPIPE and ECONNRESET where the other end is gone; EAGAIN where it doesn't read.
pub fn send(stream: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    loop {
        match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    const PATIENCE: Duration = Duration::from_millis(20);

    #[test]
    fn a_server_that_takes_no_connections_or_is_gone_is_an_error() {
        let name = format!("izba-stream-{}", std::process::id());
        let server = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
        let mut streams = Vec::new();
        let full = loop {
            match connect(&address, PATIENCE) {
                Ok(stream) => streams.push(stream),
                Err(errno) => break errno,
            }
        };
        assert_eq!(full, Errno::AGAIN);
        assert_eq!(wait_at_most(streams[0].as_fd(), Duration::ZERO), Err(Errno::INVAL));
        drop(server);
        assert_eq!(send(streams[0].as_fd(), b"."), Err(Errno::PIPE));
        assert_eq!(connect(&address, PATIENCE).unwrap_err(), Errno::CONNREFUSED);
    }
}
