//! What a visitor does where it was sent. This runs between clone3 and exit, so nothing here allocates, locks, formats or panics.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use izba_sys::credential::{DumpableBehavior, set_dumpable_behavior};
use izba_sys::mount::{FsMountFlags, FsOpenFlags, MountAttributes, fsconfig_create, fsmount, fsopen};
use izba_sys::namespace::{CloneFlags, setns, unshare};
use izba_sys::path::{CWD, Mode, OFlags, openat, read};
use izba_sys::process::{Signal, close_all_but, exit, set_parent_process_death_signal, uname};
use izba_sys::{Errno, netlink, socket, terminal};

/// The longest answer.
pub(super) const MOST_BYTES: usize = 16 << 10;

/// The number of the question comes first, then an errno.
const HEADER: usize = 1 + size_of::<i32>();

/// What is to be done in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Errand {
    /// Be there, so that the parent can read /proc/PID of the visitor.
    Stay,
    /// Send a netlink(7) socket.
    Socket,
    /// Send the lists of System V objects, and the directory of POSIX message queues where it can be mounted: sysvipc(7),
    /// mq_overview(7).
    Objects,
    /// Send the host name and the domain name, each with a NUL: uname(2).
    Names,
    /// Send what /proc/self/timens_offsets says: time_namespaces(7).
    Clocks,
    /// Read the file that came along, and send what it says to who is here.
    Read,
    /// Send the files of [`LIMITS`].
    Limits,
}

impl Errand {
    fn of(number: u8) -> Option<Self> {
        let all = [Self::Stay, Self::Socket, Self::Objects, Self::Names, Self::Clocks, Self::Read, Self::Limits];
        all.into_iter().find(|&errand| errand as u8 == number)
    }
}

impl Errand {
    /// Does the visitor get into a namespace by it that the next errand isn't for? Who stays may have entered a user namespace, and lost its
    /// rights outside; who looks for message queues may have left the mount namespace.
    pub(super) fn changes_visitor(self) -> bool {
        matches!(self, Self::Stay | Self::Objects)
    }
}

/// How many namespaces a user may have, in the order of [`crate::namespace::Kind::ALL`]: namespaces(7).
const LIMITS: [&CStr; 8] = [
    c"/proc/sys/user/max_user_namespaces",
    c"/proc/sys/user/max_mnt_namespaces",
    c"/proc/sys/user/max_pid_namespaces",
    c"/proc/sys/user/max_net_namespaces",
    c"/proc/sys/user/max_ipc_namespaces",
    c"/proc/sys/user/max_uts_namespaces",
    c"/proc/sys/user/max_cgroup_namespaces",
    c"/proc/sys/user/max_time_namespaces",
];

/// The System V objects of the IPC namespace in which the file is opened.
const SYSTEM_V: [&CStr; 3] = [c"/proc/sysvipc/shm", c"/proc/sysvipc/sem", c"/proc/sysvipc/msg"];

/// What comes after these, where it does.
pub(crate) const MESSAGE_QUEUES: usize = SYSTEM_V.len();

/// What goes back to the parent.
struct Answer {
    bytes: [u8; MOST_BYTES],
    length: usize,
    descriptors: [Option<OwnedFd>; 8],
}

impl Answer {
    fn empty() -> Self {
        Self { bytes: [0; MOST_BYTES], length: HEADER, descriptors: [const { None }; 8] }
    }

    fn add(&mut self, text: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(text) {
            *to = *from;
        }
        self.length = MOST_BYTES.min(self.length + text.len());
    }

    fn attach(&mut self, fd: OwnedFd) {
        if let Some(free) = self.descriptors.iter_mut().find(|place| place.is_none()) {
            *free = Some(fd);
        }
    }

    fn send(&mut self, channel: BorrowedFd<'_>, question: u8) -> Result<(), Errno> {
        self.bytes[0] = question;
        let mut borrowed = [channel; 8];
        let mut count = 0;
        for (to, from) in borrowed.iter_mut().zip(self.descriptors.iter().flatten()) {
            *to = from.as_fd();
            count += 1;
        }
        let (bytes, descriptors) = (self.bytes.get(..self.length), borrowed.get(..count));
        socket::send(channel, bytes.unwrap_or_default(), descriptors.unwrap_or_default())
    }
}

/// The child: says whether it got into the user namespace, then does errands until the parent has none left.
pub(super) fn serve(channel: &OwnedFd, user: Option<BorrowedFd<'_>>) -> ! {
    let alone = hide().and_then(|()| isolate(channel, user));
    let mut told = reply(channel.as_fd(), 0, alone.map(|()| Answer::empty()));
    while told.is_ok() {
        let mut request = [0; 3];
        let mut came = [const { None }; 2];
        let mut take = |fd| {
            if let Some(free) = came.iter_mut().find(|place: &&mut Option<OwnedFd>| place.is_none()) {
                *free = Some(fd);
            }
        };
        match socket::receive(channel.as_fd(), &mut request, &mut take) {
            Ok(received) if received.length == request.len() => {
                let [errand, enters, question] = request;
                told = reply(channel.as_fd(), question, visit([errand, enters], came));
            }
            _ => break,
        }
    }
    exit(0)
}

/// Nothing of the caller's is open when it enters the user namespace. The change of credentials there makes it dumpable again where
/// fs.suid_dumpable says so: it is hidden once more.
fn isolate(channel: &OwnedFd, user: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    terminal::dup2_stdin(channel)?;
    terminal::dup2_stdout(channel)?;
    terminal::dup2_stderr(channel)?;
    let channel = channel.as_raw_fd();
    if let Some(user) = user {
        let user_fd = user.as_raw_fd();
        close_all_but(&[channel.min(user_fd), channel.max(user_fd)])?;
        setns(user, CloneFlags::NEWUSER)?;
    }
    close_all_but(&[channel])?;
    hide()?;
    // A change of credentials takes it back too.
    set_parent_process_death_signal(Some(Signal::KILL))
}

/// Keeps processes of the namespaces that it enters from tracing it: ptrace(2). It has the caller's root directory.
fn hide() -> Result<(), Errno> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

fn reply(channel: BorrowedFd<'_>, question: u8, answer: Result<Answer, Errno>) -> Result<(), Errno> {
    match answer {
        Ok(mut answer) => answer.send(channel, question),
        Err(errno) => {
            let [a, b, c, d] = errno.raw_os_error().to_ne_bytes();
            socket::send(channel, &[question, a, b, c, d], &[])
        }
    }
}

fn visit([errand, enters]: [u8; 2], came: [Option<OwnedFd>; 2]) -> Result<Answer, Errno> {
    let [first, second] = came;
    let (namespace, file) = if enters == 0 { (None, first) } else { (first, second) };
    if let Some(namespace) = namespace {
        setns(namespace.as_fd(), CloneFlags::empty())?;
    }
    let mut answer = Answer::empty();
    match Errand::of(errand).ok_or(Errno::INVAL)? {
        Errand::Stay => {}
        Errand::Socket => answer.attach(netlink::route_socket()?),
        Errand::Objects => objects(&mut answer)?,
        Errand::Names => {
            let names = uname();
            answer.add(names.nodename().to_bytes_with_nul());
            answer.add(names.domainname().to_bytes_with_nul());
        }
        Errand::Clocks => add_file(&mut answer, &open(c"/proc/self/timens_offsets")?)?,
        Errand::Read => add_file(&mut answer, &file.ok_or(Errno::BADF)?)?,
        Errand::Limits => {
            for path in LIMITS {
                answer.attach(open(path)?);
            }
        }
    }
    Ok(answer)
}

fn open(path: &CStr) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn add_file(answer: &mut Answer, file: &OwnedFd) -> Result<(), Errno> {
    loop {
        let mut part = [0; 4096];
        match read(file, &mut part)? {
            0 => return Ok(()),
            length => answer.add(part.get(..length).unwrap_or_default()),
        }
    }
}

fn objects(answer: &mut Answer) -> Result<(), Errno> {
    for path in SYSTEM_V {
        answer.attach(open(path)?);
    }
    // Whoever is root of a user namespace only may mount in a mount namespace of it: fsopen(2) asks for CAP_SYS_ADMIN over that.
    let queues = message_queues().or_else(|_| unshare(CloneFlags::NEWNS).and_then(|()| message_queues()));
    if let Ok(directory) = queues {
        answer.attach(directory);
    }
    Ok(())
}

/// The directory of the message queues of this IPC namespace, mounted nowhere.
fn message_queues() -> Result<OwnedFd, Errno> {
    let context = fsopen(c"mqueue", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttributes::MOUNT_ATTR_RDONLY;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    openat(mount, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
