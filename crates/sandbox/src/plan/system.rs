//! /dev, /proc and /sys.

use std::path::Path;

use izba_sys::mount::MountAttributes;
use izba_sys::path::OFlags;

use super::root::{option, set_attributes};
use super::{PlanError, Planner, c_path};
use crate::call::{At, Call, Resolve, Slot};
use crate::facts::Guarded;
use crate::namespace::{Kind, Namespace};
use crate::rootfs::SystemMounts;

/// Name, major and minor number of every device that a program may expect: devices.txt of the kernel.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links that programs expect in /dev.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The tty group of Debian and most others: grantpt(3).
const TTY_GROUP: u32 = 5;

pub(super) fn inert() -> MountAttributes {
    MountAttributes::MOUNT_ATTR_NOSUID | MountAttributes::MOUNT_ATTR_NODEV | MountAttributes::MOUNT_ATTR_NOEXEC
}

impl Planner<'_> {
    /// Copies of the caller's own mounts, where the kernel gives no new ones.
    pub(super) fn system_sources(&mut self) -> Result<(), PlanError> {
        match self.sandbox.system {
            SystemMounts::None => {}
            SystemMounts::Caller => {
                self.sources.proc = Some(self.host_source("/proc"));
                self.sources.dev = Some(self.host_source("/dev"));
                self.sources.sys = Some(self.host_source("/sys"));
            }
            SystemMounts::Private => self.private_sources()?,
        }
        Ok(())
    }

    fn private_sources(&mut self) -> Result<(), PlanError> {
        let shared = self.sandbox.namespaces.is_shared(Kind::Pid);
        if !self.owns(Kind::Pid) || (shared && !self.facts.proc_fully_visible) {
            self.sources.proc = Some(self.host_source("/proc"));
        } else if !self.facts.proc_fully_visible {
            return Err(no_new_proc("add --share pid to use the caller's /proc"));
        }
        if !self.owns(Kind::Net) || !self.facts.sysfs_fully_visible {
            self.sources.sys = Some(self.host_source("/sys"));
        }
        if !self.owns(Kind::Ipc) && self.facts.host_mqueue {
            self.sources.mqueue = Some(self.host_source("/dev/mqueue"));
        }
        if !self.makes_devices() {
            let calls = DEVICES.iter().flat_map(|device| self.device_source(*device)).collect();
            self.step("copy the host's devices", None, calls);
        }
        Ok(())
    }

    fn host_source(&mut self, path: &str) -> Slot {
        let to = self.slot(format!("the caller's {path}"));
        self.source_step(format!("copy the mount {path}"), Path::new(path), true, false, to);
        to
    }

    /// mknod(2) of a device takes CAP_MKNOD in the initial user namespace.
    fn makes_devices(&self) -> bool {
        self.facts.initial_user_namespace && self.facts.may("MKNOD") && self.sandbox.namespaces.is_shared(Kind::User)
    }

    fn device_source(&mut self, (name, major, minor): (&str, u32, u32)) -> [Call; 2] {
        let to = self.slot(format!("/dev/{name}"));
        self.sources.devices.push(to);
        let open = Call::OpenTree { from: At::Host(c_path(format!("/dev/{name}"))), recursive: false, to };
        // Whoever could replace a device file would have us mount anything: CVE-2025-31133.
        [open, Call::RequireDevice { slot: to, major, minor }]
    }

    /// Mounts all three, /dev first: its null device hides files of the others.
    pub(super) fn mount_system(&mut self) -> Result<(), PlanError> {
        match self.sandbox.system {
            SystemMounts::None => {}
            SystemMounts::Caller => {
                for (path, source) in
                    [("/dev", self.sources.dev), ("/proc", self.sources.proc), ("/sys", self.sources.sys)]
                {
                    if let Some(source) = source {
                        self.attach(path, source, Vec::new(), format!("mount --rbind {path} /newroot{path}"));
                    }
                }
            }
            SystemMounts::Private => {
                self.dev();
                self.proc();
                self.sysctls()?;
                self.sys();
                self.guard();
            }
        }
        Ok(())
    }

    /// Mounts on a directory right below the root, which must not be a link: CVE-2019-19921.
    fn attach(&mut self, path: &str, mount: Slot, mut calls: Vec<Call>, shell: String) {
        let (open, place) = self.target(Path::new(path), true, Resolve::NoLinks);
        calls.extend(open);
        calls.push(Call::MoveMount { mount, target: At::Slot(place) });
        self.step(format!("mount {path}"), shell, calls);
    }

    fn dev(&mut self) {
        let dev = self.slot("dev");
        self.dev = Some(dev);
        let attributes = MountAttributes::MOUNT_ATTR_NOSUID | MountAttributes::MOUNT_ATTR_NOEXEC;
        let options = [option("size", "65536k"), option("mode", "0755")];
        let calls = self.new_filesystem("tmpfs", "dev".as_ref(), options, attributes, dev);
        self.attach("/dev", dev, calls, "mount -t tmpfs -o nosuid,noexec,mode=755 dev /newroot/dev".to_owned());
        self.devices(dev);
        let links = LINKS.map(|(name, target)| Call::Symlink { target: c_path(target), dir: dev, path: c_path(name) });
        self.step("make links in /dev", "ln -s /proc/self/fd /newroot/dev/fd".to_owned(), links.to_vec());
        self.devpts(dev);
        self.shm(dev);
        self.mqueue(dev);
    }

    fn devices(&mut self, dev: Slot) {
        let sources = std::mem::take(&mut self.sources.devices);
        let mut calls = Vec::new();
        for (index, (name, major, minor)) in DEVICES.into_iter().enumerate() {
            let name = c_path(name);
            match sources.get(index) {
                None => calls.push(Call::Mknod { dir: dev, name, mode: 0o666, major, minor }),
                Some(&mount) => {
                    calls.push(Call::MakeFile { dir: dev, path: name.clone(), mode: 0o666, content: Vec::new() });
                    calls.push(Call::MoveMount { mount, target: At::In(dev, name) });
                }
            }
        }
        self.step("make devices", "mknod -m 666 /newroot/dev/null c 1 3".to_owned(), calls);
    }

    fn devpts(&mut self, dev: Slot) {
        let pts = self.slot("devpts");
        self.devpts = Some(pts);
        let mut options = vec![option("mode", "0620"), option("ptmxmode", "0666")];
        let tty_group_mapped = match &self.sandbox.namespaces.user {
            Namespace::New(maps) => maps.gids.outside_of(TTY_GROUP).is_some(),
            Namespace::Share => self.facts.initial_user_namespace,
            Namespace::Join(_) => false,
        };
        if tty_group_mapped {
            options.push(option("gid", TTY_GROUP.to_string()));
        }
        let attributes = MountAttributes::MOUNT_ATTR_NOSUID | MountAttributes::MOUNT_ATTR_NOEXEC;
        let mut calls = self.new_filesystem("devpts", "devpts".as_ref(), options, attributes, pts);
        attach_in(dev, "pts", pts, &mut calls);
        let shell = "mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=666,mode=620 devpts /newroot/dev/pts";
        self.step("mount /dev/pts", shell.to_owned(), calls);
    }

    fn shm(&mut self, dev: Slot) {
        let shm = self.slot("shm");
        let options = [option("size", "65536k"), option("mode", "1777")];
        let mut calls = self.new_filesystem("tmpfs", "shm".as_ref(), options, inert(), shm);
        attach_in(dev, "shm", shm, &mut calls);
        let shell = "mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=65536k shm /newroot/dev/shm";
        self.step("mount /dev/shm", shell.to_owned(), calls);
    }

    fn mqueue(&mut self, dev: Slot) {
        let mut calls = Vec::new();
        let mqueue = match self.sources.mqueue {
            Some(copied) => copied,
            None if !self.owns(Kind::Ipc) => return,
            None => {
                let mqueue = self.slot("mqueue");
                calls = self.new_filesystem("mqueue", "mqueue".as_ref(), [], inert(), mqueue);
                mqueue
            }
        };
        attach_in(dev, "mqueue", mqueue, &mut calls);
        self.step(
            "mount /dev/mqueue",
            "mount -t mqueue -o nosuid,nodev,noexec mqueue /newroot/dev/mqueue".to_owned(),
            calls,
        );
    }

    fn proc(&mut self) {
        let (proc, calls, shell) = match self.sources.proc {
            Some(copied) => (copied, Vec::new(), "mount --rbind /proc /newroot/proc"),
            None => {
                let proc = self.slot("proc");
                let calls = self.new_filesystem("proc", "proc".as_ref(), [], inert(), proc);
                (proc, calls, "mount -t proc -o nosuid,nodev,noexec proc /newroot/proc")
            }
        };
        self.proc = Some(proc);
        self.attach("/proc", proc, calls, shell.to_owned());
    }

    /// Written through the procfs that was just mounted, by descriptor, before /proc/sys is write-protected: CVE-2025-52881.
    fn sysctls(&mut self) -> Result<(), PlanError> {
        for sysctl in &self.sandbox.sysctls {
            let Some(proc) = self.proc else { return Err(PlanError::new("sysctls need /proc", "leave them out")) };
            let at = At::In(proc, c_path(format!("sys/{}", sysctl.path)));
            let write = Call::WriteSetting { at, content: sysctl.value.clone().into_bytes() };
            let shell = format!("sysctl -w {}={}", sysctl.path.replace('/', "."), sysctl.value);
            self.step(format!("set the sysctl {}", sysctl.path), shell, vec![write]);
        }
        Ok(())
    }

    fn sys(&mut self) {
        let set = inert() | MountAttributes::MOUNT_ATTR_RDONLY;
        let (sys, calls, shell) = match self.sources.sys {
            Some(copied) => (copied, vec![set_attributes(copied, set)], "mount --rbind -o ro /sys /newroot/sys"),
            None => {
                let sys = self.slot("sys");
                let calls = self.new_filesystem("sysfs", "sysfs".as_ref(), [], set, sys);
                (sys, calls, "mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /newroot/sys")
            }
        };
        self.sources.sys = Some(sys);
        self.attach("/sys", sys, calls, shell.to_owned());
        self.cgroupfs(sys);
    }

    /// Hides and write-protects what leaks or harms.
    fn guard(&mut self) {
        let guarded = self.facts.guarded.clone();
        let (place, cover) = (self.slot("guarded path"), self.slot("its cover"));
        for guarded in guarded {
            let (base, relative) = match guarded.path.strip_prefix("/proc/") {
                Some(relative) => (self.proc, relative),
                None => (self.sources.sys, guarded.path.trim_start_matches("/sys/")),
            };
            let Some(base) = base else { continue };
            let mut calls = vec![Call::Open {
                at: At::In(base, c_path(relative)),
                flags: OFlags::PATH,
                resolve: Resolve::NoLinks,
                to: place,
            }];
            calls.extend(self.cover(&guarded, place, cover));
            calls.push(Call::MoveMount { mount: cover, target: At::Slot(place) });
            let path = &guarded.path;
            let (verb, shell) = match (guarded.hidden, guarded.directory) {
                (true, true) => ("hide", format!("mount -t tmpfs -o ro tmpfs /newroot{path}")),
                (true, false) => ("hide", format!("mount --bind /dev/null /newroot{path}")),
                (false, _) => ("write-protect", format!("mount --bind -o ro /newroot{path} /newroot{path}")),
            };
            self.step(format!("{verb} {path}"), shell, calls);
        }
    }

    fn cover(&self, guarded: &Guarded, place: Slot, cover: Slot) -> Vec<Call> {
        let protect = set_attributes(cover, inert() | MountAttributes::MOUNT_ATTR_RDONLY);
        let copy = |from, recursive| Call::OpenTree { from, recursive, to: cover };
        match (guarded.hidden, guarded.directory, self.dev) {
            (true, true, _) => vec![copy(At::In(self.staging, c"empty".to_owned()), false), protect],
            (true, false, Some(dev)) => vec![copy(At::In(dev, c"null".to_owned()), false)],
            _ => vec![copy(At::Slot(place), true), protect],
        }
    }
}

/// The kernel judges by what is mounted over parts of the caller's own /proc.
pub(super) fn no_new_proc(remedy: &str) -> PlanError {
    PlanError::new(
        "the kernel mounts no new /proc here: in the caller's own /proc something is hidden by another mount, as inside \
         a container, and a new user namespace may not see more than its maker (mount_namespaces(7))",
        format!("{remedy}, or start the outer container with an unmasked /proc"),
    )
}

pub(super) fn attach_in(dev: Slot, name: &str, mount: Slot, calls: &mut Vec<Call>) {
    calls.push(Call::Mkdir { dir: dev, path: c_path(name), mode: 0o755 });
    calls.push(Call::MoveMount { mount, target: At::In(dev, c_path(name)) });
}
