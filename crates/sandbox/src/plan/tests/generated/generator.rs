//! Intents and facts of all sorts, the same each time.

use super::super::group;
use super::*;

/// xorshift64*: Vigna 2016.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.next()).unwrap() % from.len()].clone()
    }

    fn some<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        from.iter().filter(|_| self.one_in(3)).cloned().collect()
    }
}

fn any_namespaces(random: &mut Random) -> Namespaces {
    let mut namespaces = Namespaces::isolated();
    namespaces.user = match random.next() % 4 {
        0 => Namespace::Share,
        1 => own_ids(),
        2 => range(100_000, MapWriter::Helpers),
        _ => range(0, MapWriter::Direct),
    };
    if random.one_in(4) {
        namespaces.time = Namespace::New(ClockOffsets { monotonic: 1, boottime: 2 });
    }
    for kind in Kind::ALL {
        match random.next() % 8 {
            0 => namespaces.share(kind),
            1 => namespaces.join(kind, format!("/proc/7/ns/{kind}").into()),
            _ => {}
        }
    }
    namespaces
}

fn any_root(random: &mut Random) -> Root {
    let path = PathBuf::from("/srv/root");
    let entries = vec![
        Entry::Bind { source: "/usr".into(), path: "/usr".into(), directory: true },
        Entry::Bind { source: "/etc/fstab".into(), path: "/etc/a/fstab".into(), directory: false },
        Entry::Symlink { target: "usr/bin".into(), path: "/bin".into() },
        Entry::Directory { path: "/tmp".into(), mode: 0o1777, owner: None },
    ];
    match random.next() % 7 {
        0 => Root::Caller(any_caller_root(random)),
        1 | 2 => Root::Assembled { entries, size: 1 << 20 },
        3 => Root::Directory { path, writes: Writes::Refused },
        4 => Root::Directory { path, writes: Writes::DiscardedFromMemory { size: 1 << 20 } },
        5 => Root::Directory { path, writes: Writes::DiscardedFromDisk { dir: "/scratch".into() } },
        _ => Root::Directory { path, writes: Writes::InPlace },
    }
}

fn any_caller_root(random: &mut Random) -> CallerRoot {
    CallerRoot {
        chroot: random.pick(&[None, Some("/proc/7/root".into())]),
        propagation: random.pick(&[None, Some(Propagation::Slave)]),
        proc: random.one_in(3),
    }
}

fn any_mounts(random: &mut Random) -> Vec<Mount> {
    let tmpfs = MountSource::Filesystem {
        fstype: "tmpfs".into(),
        source: "tmpfs".into(),
        options: vec![("size".into(), Some("1m".into())), ("ro".into(), None)],
    };
    let shifted = MountSource::Bind { path: "/data".into(), directory: true, recursive: false, idmap: true };
    let mounts = [
        bind("/work", "/home/ann", true),
        bind("/work/deep/file", "/etc/motd", false),
        Mount { target: "/a/b".into(), source: tmpfs, attributes: MountAttributes::MOUNT_ATTR_NOSUID },
        Mount { target: "/data".into(), source: shifted, attributes: MountAttributes::MOUNT_ATTR_RDONLY },
        bind("/proc/sys/kernel/x", "/etc/motd", false),
    ];
    random.some(&mounts)
}

fn any_process(random: &mut Random) -> Process {
    let mut process = sandbox().process;
    process.user = User::Become(Ids {
        uid: random.pick(&[0, 1000]),
        gid: random.pick(&[0, 1000]),
        groups: random.some(&[5, 60, 61]),
    });
    if random.one_in(4) {
        process.user = User::Kept;
    }
    process.cwd = random.pick(&[
        WorkingDirectory::Path("/work".into()),
        WorkingDirectory::Path("/".into()),
        WorkingDirectory::Kept,
        WorkingDirectory::Outside("/proc/7/cwd".into()),
    ]);
    process.capabilities = random.pick(&[Capabilities::NONE, Capabilities::small(), Capabilities::all()]);
    process.no_new_privs = !random.one_in(3);
    process.descriptors = random.some(&[3, 9]);
    process.terminal = random.pick(&[Terminal::Inherit, Terminal::New { rows: 1, columns: 2 }]);
    process.init = random.pick(&[Init::Builtin, Init::Builtin, Init::Program]);
    process.oom_score_adj = random.pick(&[None, Some(5)]);
    process.rlimits = random.some(&["nofile=5:6".parse().unwrap(), "core=0".parse().unwrap()]);
    process
}

pub(super) fn any_sandbox(random: &mut Random) -> Sandbox {
    let namespaces = any_namespaces(random);
    Sandbox {
        root: any_root(random),
        no_pivot: random.one_in(8),
        system: random.pick(&[SystemMounts::Private, SystemMounts::Private, SystemMounts::Caller, SystemMounts::None]),
        mounts: any_mounts(random),
        files: random.some(
            &["/etc/hosts", "/etc/hostname"].map(|path| ProvidedFile { path: path.into(), content: b"x\n".to_vec() }),
        ),
        hostname: namespaces.is_new(Kind::Uts).then(|| c"box".to_owned()),
        domainname: None,
        sysctls: random.some(&[Sysctl { path: "kernel/domainname".into(), value: "x".into() }]),
        cgroup: random.pick(&[ControlGroup::Caller, joined_groups(), new_group()]),
        requires: random.pick(&[None, Some(7)]),
        handed_out: random.some(&[Kind::Net, Kind::Pid]),
        process: any_process(random),
        namespaces,
    }
}

pub(super) fn any_facts(random: &mut Random, sandbox: &Sandbox) -> Facts {
    let mut facts = random.pick(&[privileged(), ordinary()]);
    facts.initial_user_namespace = !random.one_in(4);
    facts.proc_fully_visible = !random.one_in(4);
    facts.sysfs_fully_visible = !random.one_in(4);
    facts.host_mqueue = !random.one_in(4);
    facts.bounding = random.pick(&[Capabilities::all(), Capabilities::all(), Capabilities::small()]);
    facts.root.writable = !random.one_in(3);
    facts.denies_setgroups = random.one_in(8);
    facts.joined_denies_setgroups = random.one_in(2);
    facts.joined_has_root = !random.one_in(4);
    facts.has_terminals = random.one_in(2);
    facts.cgroups = random.pick(&[group::unified(), group::hybrid()]);
    let wanted = sandbox.mounts.iter().map(|mount| &mount.target).chain(sandbox.files.iter().map(|file| &file.path));
    let targets: Vec<PathBuf> = wanted.cloned().chain(["/proc", "/dev", "/sys"].map(PathBuf::from)).collect();
    for target in targets {
        let depth = target.iter().count() - 1;
        let known = usize::try_from(random.next()).unwrap() % (depth + 1);
        facts.root.existing.insert(target, if random.one_in(2) { depth } else { known });
    }
    facts
}
