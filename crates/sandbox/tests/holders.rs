//! What keeps namespaces alive, each kind of holder for real. Needs root, as CI has it, and unshare(1).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::holder::{Holder, Holders, Mounted, Search};
use izba_sandbox::survey::{Detail, Id, Link, Survey, identify};
use izba_sys::namespace::{CloneFlags, unshare};
use izba_sys::process::close_all_but;

/// A process that has printed a line and lives until this is dropped.
struct Living(Child);

impl Living {
    fn start(options: &[&str], script: &str) -> Self {
        let mut command = Command::new("unshare");
        command.args(options).args(["sh", "-c", &format!("{script}\necho up; read end")]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// Of a process that stays outside of its PID namespace: the one inside.
    fn child(&self) -> i32 {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap();
        children.trim().parse().unwrap()
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

fn namespace(pid: impl std::fmt::Display, link: &str) -> Id {
    let link = fs::read_link(format!("/proc/{pid}/ns/{link}")).unwrap();
    link.to_str().unwrap().parse().unwrap()
}

/// The tests are threads of one process, and a search has namespaces open that another one would find.
static SEARCHING: Mutex<()> = Mutex::new(());

fn holders(id: Id) -> Holders {
    let _alone = SEARCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let (survey, search) = Search::run(Detail::Leaders).unwrap();
    assert!(survey.namespaces.contains_key(&id), "{id}");
    let mut holders = search.holders(&survey, id);
    // Other test processes search at the same time, with every namespace open.
    let own = i32::try_from(std::process::id()).unwrap();
    holders.found.retain(|holder| !matches!(holder, Holder::Descriptor { pid, .. } if *pid != own));
    holders
}

fn mounted(by: i32, point: &str) -> Mounted {
    Mounted { namespace: namespace(by, "mnt"), pid: by, point: point.into() }
}

#[test]
fn processes_and_those_whose_children_will_be_in_it() {
    let member = Living::start(&["--uts"], "");
    assert_eq!(holders(namespace(member.pid(), "uts")).found, [Holder::Member(member.pid())]);
    // The kernel shows a PID namespace only from its first process on, and then still when that is gone.
    let parent = Living::start(&["--pid"], "/bin/true");
    assert_eq!(holders(namespace(parent.pid(), "pid_for_children")).found, [Holder::ForChildren(parent.pid())]);
}

#[test]
fn a_descriptor() {
    let living = Living::start(&["--net"], "");
    let id = namespace(living.pid(), "net");
    let file = File::open(format!("/proc/{}/ns/net", living.pid())).unwrap();
    drop(living);
    let pid = i32::try_from(std::process::id()).unwrap();
    let own = Holder::Descriptor { pid, fd: file.as_raw_fd() };
    // A child that another test is just starting has a copy until it executes.
    let found: Vec<Holder> = holders(id).found;
    assert!(found.contains(&own), "{found:?}");
    assert!(found.iter().all(|holder| matches!(holder, Holder::Descriptor { fd, .. } if *fd == file.as_raw_fd())));
}

#[test]
fn a_thread_that_went_its_own_way() {
    // execve(2) would enter the time namespace: only a thread stays outside.
    for (flag, link) in [(CloneFlags::NEWUTS, "uts"), (CloneFlags::NEWTIME, "time_for_children")] {
        let (entered, wait) = channel();
        let (leave, left) = channel::<()>();
        let thread = std::thread::spawn(move || {
            unshare(flag).unwrap();
            let own = fs::read_link("/proc/thread-self").unwrap();
            let tid = own.file_name().unwrap().to_str().unwrap().parse().unwrap();
            entered.send((tid, namespace("thread-self", link))).unwrap();
            let _dropped = left.recv();
        });
        let (tid, id): (i32, Id) = wait.recv().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert_eq!(holders(id).found, [Holder::Thread { pid, tid }]);
        drop(leave);
        thread.join().unwrap();
    }
}

#[test]
fn a_descriptor_of_a_thread_with_a_table_of_its_own() {
    let living = Living::start(&["--net"], "");
    let id = namespace(living.pid(), "net");
    let path = format!("/proc/{}/ns/net", living.pid());
    let (opened, wait) = channel();
    let (leave, left) = channel::<()>();
    let thread = std::thread::spawn(move || {
        // CLONE_FILES
        unshare(CloneFlags::from_bits_retain(0x400)).unwrap();
        let file = File::open(path).unwrap();
        // A copy of a pipe's end would keep other processes of these tests waiting.
        close_all_but(&[file.as_raw_fd()]).unwrap();
        opened.send(file.as_raw_fd()).unwrap();
        let _dropped = left.recv();
    });
    let fd = wait.recv().unwrap();
    drop(living);
    let pid = i32::try_from(std::process::id()).unwrap();
    assert_eq!(holders(id).found, [Holder::Descriptor { pid, fd }]);
    drop(leave);
    thread.join().unwrap();
}

#[test]
fn a_bind_mount_in_a_mount_namespace_elsewhere() {
    let script = "mount -t tmpfs none /mnt; touch \"/mnt/a b\"; unshare --uts=\"/mnt/a b\" true";
    let living = Living::start(&["--mount"], script);
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", living.pid())).unwrap();
    let line = table.lines().find(|line| line.contains(" - nsfs ") && line.contains("/mnt/a\\040b")).unwrap();
    let id = line.split(' ').nth(3).unwrap().parse().unwrap();
    assert_eq!(holders(id).found, [Holder::BindMount(mounted(living.pid(), "/mnt/a b"))]);
}

#[test]
fn procfs_of_a_pid_namespace() {
    let living = Living::start(&["--pid", "--fork", "--kill-child", "--mount-proc"], "mount --bind /proc/sys /mnt");
    let (id, first) = (namespace(living.child(), "pid"), living.child());
    // The table is read through the first process in it, which is unshare itself.
    let seen = living.pid();
    let expected = [
        Holder::Member(first),
        Holder::ForChildren(seen),
        Holder::Proc(mounted(seen, "/proc")),
        Holder::Proc(mounted(seen, "/mnt")),
    ];
    assert_eq!(holders(id).found, expected);
    // What the caller's own procfs shows is known without asking a process of others.
    let own = holders(namespace("self", "pid"));
    assert!(own.found.iter().any(|holder| matches!(holder, Holder::Proc(at) if at.point == Path::new("/proc"))));
}

#[test]
fn message_queues_of_an_ipc_namespace() {
    let living = Living::start(&["--ipc", "--mount"], "mount -t mqueue none /mnt");
    let expected = [Holder::Member(living.pid()), Holder::Mqueue(mounted(living.pid(), "/mnt"))];
    assert_eq!(holders(namespace(living.pid(), "ipc")).found, expected);
}

#[test]
fn what_is_below() {
    let living = Living::start(&["--user", "--map-root-user", "--uts"], "unshare --user sh -c 'echo up; read end'");
    let (user, uts) = (namespace(living.pid(), "user"), namespace(living.pid(), "uts"));
    let below = namespace(living.child(), "user");
    let found = holders(user).found;
    assert_eq!(found, [Holder::Member(living.pid()), Holder::Child(below), Holder::Owned(uts)]);
}

/// A namespace in the middle, without a process, is found from below and can be opened.
#[test]
fn ancestors_without_a_process() {
    let script = "exec unshare --user --map-root-user sh -c 'echo up; read end'";
    let living = Living::start(&["--user", "--map-root-user"], script);
    let survey = {
        let _alone = SEARCHING.lock().unwrap_or_else(PoisonError::into_inner);
        Survey::take(Detail::Leaders).unwrap()
    };
    let inner = namespace(living.pid(), "user");
    let Link::To(middle) = survey.namespaces[&inner].parent else { panic!("{:?}", survey.namespaces[&inner]) };
    let seen = &survey.namespaces[&middle];
    assert_eq!((seen.members.as_slice(), seen.owner_uid, seen.parent), (&[][..], Some(0), seen.owner));
    assert_eq!(seen.parent, Link::To(namespace("self", "user")));
    assert_eq!(identify(survey.open(middle).unwrap().as_fd()), Ok(middle));
    assert!(survey.open(Id { kind: Kind::User, inode: 1 }).is_err());
}
