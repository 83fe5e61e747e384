//! The file system of an IPC namespace's message queues: mq_overview(7).

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use izba_sys::Errno;
use izba_sys::mount::{FsMountFlags, FsOpenFlags, MountAttributes, fsconfig_create, fsmount, fsopen};
use izba_sys::namespace::{CloneFlags, setns};
use izba_sys::path::{fstat, major, minor, write};
use izba_sys::process::{self, WaitId, WaitIdOptions, waitid};

use super::super::{Id, Survey};

/// Its number as a mount table shows it. The kernel has one such file system for each IPC namespace, so a child goes there, mounts it
/// once more, where nobody sees it, and looks. `None` without the rights to do that.
pub(super) fn device(survey: &Survey, id: Id) -> Option<String> {
    let namespace = survey.open(id).ok()?;
    let (mut reader, writer) = std::io::pipe().ok()?;
    let child = match process::clone3(CloneFlags::empty()).ok()? {
        Some(child) => child,
        None => process::exit(i32::from(tell(namespace.as_fd(), writer.as_fd()).is_err())),
    };
    drop(writer);
    let mut answer = [0; 8];
    let read = reader.read_exact(&mut answer);
    let _reaped = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
    read.ok()?;
    let device = u64::from_ne_bytes(answer);
    Some(format!("{}:{}", major(device), minor(device)))
}

/// The child's part: nothing of it allocates.
fn tell(namespace: BorrowedFd<'_>, answer: BorrowedFd<'_>) -> Result<(), Errno> {
    setns(namespace, CloneFlags::NEWIPC)?;
    let context = fsopen(c"mqueue", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let mount: OwnedFd = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttributes::empty())?;
    let device: u64 = fstat(&mount)?.st_dev;
    write(answer, &device.to_ne_bytes()).map(drop)
}
