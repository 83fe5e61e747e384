//! The channel between parent and child: a pair of sequenced-packet sockets that also carries descriptors, unix(7).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt::set_socket_passcred,
};

/// The most descriptors that one message carries.
pub const MOST_DESCRIPTORS: usize = 32;

const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS), ScmCredentials(1));

/// Two connected ends, close-on-exec. A message arrives whole, and an end that is closed reads as an empty message.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// From now on every message that `receiver` gets says which process has sent it: SO_PASSCRED of unix(7).
///
/// # Errors
/// EBADF, ENOTSOCK.
pub fn ask_for_senders(receiver: BorrowedFd<'_>) -> Result<(), Errno> {
    set_socket_passcred(receiver, true)
}

/// Sends one message, with descriptors if there are any. Never raises SIGPIPE. Allocates nothing.
///
/// # Errors
/// EPIPE where the other end is gone.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOBIG);
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// One message that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes: 0 where the other end is gone.
    pub length: usize,
    /// Who has sent it, in the receiver's PID namespace, if [`ask_for_senders`] has been called. The kernel says so, not the sender.
    pub sender: Option<i32>,
}

/// Receives one message. Descriptors that came with it are handed to `take` one by one, close-on-exec. Allocates nothing.
///
/// A receiver that asks for senders has to see their PID namespace, be it its own or one below: the id 0, which the kernel gives
/// others, is none that rustix can hold.
///
/// # Errors
/// What recvmsg(2) gives.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], take: &mut dyn FnMut(OwnedFd)) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut sender = None;
    for message in ancillary.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.for_each(&mut *take),
            RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(credentials.pid.as_raw_nonzero().get()),
            _ => {}
        }
    }
    Ok(Received { length: received.bytes, sender })
}
