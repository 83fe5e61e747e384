//! Reading what is in other namespaces without being in them: a child goes there and hands back what it finds.
//!
//! A socket belongs to the network namespace that it was made in, an open file of /proc/sysvipc to the IPC namespace; so the
//! child opens and sends, and the parent reads. The child has a closed list of [`Errand`]s and knows nothing of ours but them: it
//! has no other descriptor, and nobody in the namespaces may trace it, as it isn't dumpable.

mod errand;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::path::fstat;
use izba_sys::process::{Cloned, PollFd, PollFlags, Timespec, WaitId, WaitIdOptions, clone3, poll, waitid};
use izba_sys::signal::{self, SignalSet, set_mask};
use izba_sys::{Errno, nsfs, socket};

pub(crate) use errand::{Errand, MESSAGE_QUEUES};

use crate::namespace::Kind;
use crate::survey::Id;

/// What came back from an errand.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Text.
    pub bytes: Vec<u8>,
    /// Open files or sockets.
    pub descriptors: Vec<OwnedFd>,
}

/// Errands take microseconds. But who has CAP_KILL in a user namespace that the visitor has entered can stop it.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// A child that goes where it is sent. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Visitor {
    channel: OwnedFd,
    child: Cloned,
    /// The number of the last question. A late answer has another one.
    question: u8,
    /// Has it gone where it can't come back from, or failed to answer? Then it is asked nothing more.
    is_spent: bool,
}

impl Visitor {
    /// Makes the child; it enters the user namespace first, where there is one, and has all capabilities in it then.
    ///
    /// # Errors
    /// EPERM where the caller may not enter that; what clone3(2) and socketpair(2) give.
    fn start(user: Option<BorrowedFd<'_>>) -> Result<Self, Errno> {
        let (ours, theirs) = socket::pair()?;
        // No handler of the caller's may run in the child.
        let mask = set_mask(&SignalSet::full());
        let cloned = clone3(izba_sys::namespace::CloneFlags::empty(), None);
        if let Ok(None) = cloned {
            errand::serve(&theirs, user);
        }
        set_mask(&mask);
        let child = cloned?.ok_or(Errno::INVAL)?;
        drop(theirs);
        let visitor = Self { channel: ours, child, question: 0, is_spent: false };
        visitor.answer().map(|_| visitor)
    }

    /// Its id in the caller's PID namespace: what it has entered is in /proc/PID.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Sends it into `namespace`, if one is given, on an errand.
    ///
    /// # Errors
    /// EPERM where the caller has no rights over the namespace; what the errand's calls give.
    fn ask(
        &mut self,
        errand: Errand,
        namespace: Option<BorrowedFd<'_>>,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Found, Errno> {
        let sent: Vec<BorrowedFd<'_>> = namespace.into_iter().chain(file).collect();
        self.question = self.question.wrapping_add(1);
        self.is_spent = errand.changes_visitor();
        let request = [errand as u8, u8::from(namespace.is_some()), self.question];
        let answer = socket::send(self.channel.as_fd(), &request, &sent).and_then(|()| self.answer());
        self.is_spent |= matches!(answer, Err(Errno::TIMEDOUT | Errno::PIPE));
        answer
    }

    fn answer(&self) -> Result<Found, Errno> {
        let channel = &self.channel;
        let mut wanted = [PollFd::new(channel, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut wanted, Some(&PATIENCE)) {}
        if wanted[0].revents().is_empty() {
            return Err(Errno::TIMEDOUT);
        }
        let mut message = vec![0; errand::MOST_BYTES];
        let mut descriptors = Vec::new();
        let received = socket::receive(channel.as_fd(), &mut message, &mut |fd| descriptors.push(fd))?;
        message.truncate(received.length);
        let Some((&question, rest)) = message.split_first() else { return Err(Errno::PIPE) };
        let Some((errno, bytes)) = rest.split_first_chunk().filter(|_| question == self.question) else {
            return Err(Errno::PIPE);
        };
        match i32::from_ne_bytes(*errno) {
            0 => Ok(Found { bytes: bytes.to_vec(), descriptors }),
            errno => Err(Errno::from_raw_os_error(errno)),
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        // Whatever somebody has done to it. It has nothing left to finish.
        let _ended = signal::pidfd_send_signal(self.child.pidfd.as_fd(), signal::SIGKILL);
        while let Err(Errno::INTR) = waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED) {}
    }
}

/// The visitors of one look around: one that stays in the caller's own namespaces, one that goes elsewhere with the caller's own rights, and
/// one for each user namespace that gives more.
#[derive(Debug, Default)]
pub(crate) struct Visitors {
    at_home: Option<Visitor>,
    direct: Option<Visitor>,
    /// By inode number.
    inside: HashMap<u64, Visitor>,
}

impl Visitors {
    /// Sends a visitor into the namespace: as the caller is where that is allowed, else by way of the user namespace that owns it, over
    /// which the caller has all rights if it made it: user_namespaces(7), "Capabilities". The caller's own need no rights.
    ///
    /// # Errors
    /// EPERM where neither is allowed; what the errand's calls give.
    pub fn ask(
        &mut self,
        errand: Errand,
        id: Id,
        namespace: BorrowedFd<'_>,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(&Visitor, Found), Errno> {
        if is_own(id) {
            let visitor = started(&mut self.at_home)?;
            return visitor.ask(errand, None, file).map(|found| (&*visitor, found));
        }
        let refused = match started(&mut self.direct)?.ask(errand, Some(namespace), file) {
            Ok(found) => return self.direct.as_ref().map(|visitor| (visitor, found)).ok_or(Errno::SRCH),
            Err(errno) => errno,
        };
        if refused != Errno::PERM || id.kind == Kind::User {
            return Err(refused);
        }
        let owner = nsfs::owner(namespace).map_err(|_| Errno::PERM)?;
        let visitor = self.by_way_of(&owner)?;
        visitor.ask(errand, Some(namespace), file).map(|found| (&*visitor, found))
    }

    fn by_way_of(&mut self, owner: &OwnedFd) -> Result<&mut Visitor, Errno> {
        let inode = fstat(owner)?.st_ino;
        if is_own(Id { kind: Kind::User, inode }) {
            return Err(Errno::PERM);
        }
        self.inside.retain(|_, visitor| !visitor.is_spent);
        match self.inside.entry(inode) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => Ok(entry.insert(Visitor::start(Some(owner.as_fd()))?)),
        }
    }
}

fn started(visitor: &mut Option<Visitor>) -> Result<&mut Visitor, Errno> {
    if visitor.as_ref().is_none_or(|visitor| visitor.is_spent) {
        *visitor = Some(Visitor::start(None)?);
    }
    visitor.as_mut().ok_or(Errno::SRCH)
}

/// Is this the caller's own namespace? It needs no rights to look around in that.
pub(crate) fn is_own(id: Id) -> bool {
    Id::own(id.kind) == Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn who_has_moved_is_sent_nowhere_else() {
        let file = File::open("/proc/self/ns/uts").unwrap();
        let id = Id::own(Kind::Uts).unwrap();
        let mut visitors = Visitors::default();
        let mut pid = |errand| visitors.ask(errand, id, file.as_fd(), None).unwrap().0.pid();
        let (names, again) = (pid(Errand::Names), pid(Errand::Names));
        assert_eq!(names, again);
        let stays = pid(Errand::Stay);
        assert_ne!(pid(Errand::Names), stays);
    }
}
