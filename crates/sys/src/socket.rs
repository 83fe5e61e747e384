//! The channel between parent and child: a pair of sequenced-packet sockets that also carries descriptors, unix(7).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// The most descriptors that one message carries.
pub const MOST_DESCRIPTORS: usize = 32;

const SPACE: usize = rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS));

/// Two connected ends, close-on-exec. A message arrives whole, and an end that is closed reads as an empty message.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
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

/// Receives one message: how many bytes came, 0 where the other end is gone. Descriptors that came with it are handed
/// to `take` one by one, close-on-exec. Allocates nothing.
///
/// # Errors
/// What recvmsg(2) gives.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], take: &mut dyn FnMut(OwnedFd)) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            descriptors.for_each(&mut *take);
        }
    }
    Ok(received.bytes)
}
