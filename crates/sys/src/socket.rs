//! The channel between parent and child: a pair of sequenced-packet sockets that also carries descriptors, unix(7).

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, sendmsg,
    shutdown, socketpair, sockopt::set_socket_passcred,
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

/// From now on nothing can be sent to this end: EPIPE. What has come before can be received, and then it reads as if the other end were closed.
///
/// # Errors
/// EBADF, ENOTSOCK.
pub fn close_for_receiving(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    shutdown(socket, Shutdown::Read)
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
    /// `None` too for one in a PID namespace that the receiver doesn't see: the kernel calls it 0, which is nobody.
    pub sender: Option<i32>,
}

/// Where control messages are put, aligned for their headers: the length of all, the level, the type, and then what is told. cmsg(3).
#[repr(C, align(8))]
struct Control([u8; SPACE]);

/// Receives one message. Descriptors that came with it are handed to `take` one by one, close-on-exec. Allocates nothing.
///
/// # Errors
/// What recvmsg(2) gives.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], take: &mut dyn FnMut(OwnedFd)) -> Result<Received, Errno> {
    let mut control = Control([0; SPACE]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: null pointers and lengths of 0 make a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control.0).cast();
    header.msg_controllen = SPACE as _;
    let length = loop {
        // SAFETY: the header leads to the buffer and to control, with their lengths, and both live on.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(received) {
            Ok(length) => break length,
            Err(_) => match crate::last_errno() {
                Errno::INTR => {}
                errno => return Err(errno),
            },
        }
    };
    Ok(Received { length, sender: unpack(&control.0, take) })
}

/// Reads control messages, as the kernel has just put them: descriptors are handed to `take`, and who has sent them is the result.
fn unpack(mut control: &[u8], take: &mut dyn FnMut(OwnedFd)) -> Option<i32> {
    let mut sender = None;
    // Where none is any more there are zeros.
    while let Some((length, rest)) =
        control.split_first_chunk().filter(|(length, _)| usize::from_ne_bytes(**length) > 0)
    {
        let length = usize::from_ne_bytes(*length);
        let Some(message) = rest.get(..length.saturating_sub(size_of::<usize>())) else { break };
        let mut numbers = message.as_chunks().0.iter().copied().map(i32::from_ne_bytes);
        match (numbers.next(), numbers.next()) {
            (Some(libc::SOL_SOCKET), Some(libc::SCM_RIGHTS)) => numbers.for_each(|fd| {
                // SAFETY: the kernel has just made this descriptor for this message, so nobody else owns it.
                take(unsafe { OwnedFd::from_raw_fd(fd) });
            }),
            // struct ucred begins with the process id.
            (Some(libc::SOL_SOCKET), Some(libc::SCM_CREDENTIALS)) => sender = numbers.next().filter(|&pid| pid > 0),
            _ => {}
        }
        control = control.get(length.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::CloneFlags;
    use crate::process::{WaitId, WaitIdOptions, clone3, exit, waitid};
    use std::os::fd::AsFd;

    #[test]
    fn a_message_comes_with_its_sender_and_its_descriptors() {
        let (one, other) = pair().unwrap();
        let mut taken = Vec::new();
        ask_for_senders(other.as_fd()).unwrap();
        let many: Vec<BorrowedFd<'_>> = (0..MOST_DESCRIPTORS).map(|_| one.as_fd()).collect();
        for descriptors in [&many[..], &many[..1], &[]] {
            send(one.as_fd(), b"abc", descriptors).unwrap();
            let mut buffer = [0; 8];
            let received = receive(other.as_fd(), &mut buffer, &mut |fd| taken.push(fd)).unwrap();
            let own = i32::try_from(std::process::id()).ok();
            assert_eq!((received, &buffer[..4]), (Received { length: 3, sender: own }, &b"abc\0"[..]));
            assert_eq!(taken.len(), descriptors.len());
            // They lead where the sent one does: with the last of them the other end sees the end.
            taken.drain(..).for_each(|fd| send(fd.as_fd(), b"x", &[]).unwrap());
            for _ in descriptors {
                receive(other.as_fd(), &mut buffer, &mut drop).unwrap();
            }
        }
        drop(one);
        assert_eq!(receive(other.as_fd(), &mut [0], &mut drop).unwrap(), Received { length: 0, sender: None });
    }

    #[test]
    fn without_a_question_there_is_no_sender() {
        let (one, other) = pair().unwrap();
        send(one.as_fd(), b"a", &[]).unwrap();
        assert_eq!(receive(other.as_fd(), &mut [0], &mut drop).unwrap(), Received { length: 1, sender: None });
    }

    /// The kernel gives the id 0 then.
    #[test]
    fn a_sender_out_of_sight_is_none() {
        let (one, other) = pair().unwrap();
        ask_for_senders(other.as_fd()).unwrap();
        send(one.as_fd(), b"a", &[]).unwrap();
        let Some(child) = clone3(CloneFlags::NEWUSER | CloneFlags::NEWPID, None).unwrap() else {
            let received = receive(other.as_fd(), &mut [0], &mut drop);
            exit(if received == Ok(Received { length: 1, sender: None }) { 42 } else { 1 })
        };
        let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(42));
    }
}
