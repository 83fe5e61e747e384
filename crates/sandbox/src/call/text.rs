//! A call as strace(1) shows it, with the names of slots in braces where it shows descriptors.

use std::ffi::{CStr, CString};
use std::fmt::Write;

use izba_sys::mount::MountAttributes;
use izba_sys::namespace::CloneFlags;
use izba_sys::path::OFlags;
use izba_sys::rlimit::Resource;

use super::{At, Call, Resolve, Slot};
use crate::capability::{Capabilities, Capability};
use crate::plan::{Plan, Program};

impl Plan {
    /// The system calls that change something, as strace(1) shows them.
    pub(crate) fn text_of(&self, call: &Call) -> String {
        let text = Text { slots: &self.slots, program: &self.program };
        text.mounting(call)
            .or_else(|| text.files(call))
            .or_else(|| text.groups(call))
            .or_else(|| text.process(call))
            .unwrap_or_else(|| text.rights(call))
    }
}

struct Text<'a> {
    slots: &'a [String],
    program: &'a Program,
}

impl Text<'_> {
    fn slot(&self, slot: Slot) -> String {
        let name = self.slots.get(usize::from(slot.0)).map_or("?", String::as_str);
        format!("{{{name}}}")
    }

    /// The first two arguments of an *at call.
    fn at(&self, at: &At) -> String {
        match at {
            At::Host(path) => format!("AT_FDCWD, {}", quoted(path)),
            At::Slot(slot) => format!("{}, \"\"", self.slot(*slot)),
            At::In(slot, path) => format!("{}, {}", self.slot(*slot), quoted(path)),
        }
    }

    fn openat2(&self, at: &At, flags: OFlags, resolve: Resolve) -> String {
        format!(
            "openat2({}, {{flags={}, resolve={}}}, 24)",
            self.at(at),
            open_flag_names(flags),
            resolve_names(resolve)
        )
    }

    fn write_setting(&self, at: &At, content: &[u8]) -> String {
        let resolve = if matches!(at, At::Host(_)) { Resolve::Freely } else { Resolve::NoLinks };
        format!("{}; {}", self.openat2(at, OFlags::WRONLY, resolve), write_of(content))
    }

    fn mounting(&self, call: &Call) -> Option<String> {
        Some(match call {
            Call::OpenTree { from, recursive, .. } => {
                let empty = if matches!(from, At::Slot(_)) { "|AT_EMPTY_PATH" } else { "" };
                let recursive = if *recursive { "|AT_RECURSIVE" } else { "" };
                format!("open_tree({}, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC{empty}{recursive})", self.at(from))
            }
            Call::FsOpen { fstype, .. } => format!("fsopen({}, FSOPEN_CLOEXEC)", quoted(fstype)),
            Call::FsConfig { fs, key, value: Some(value) } => {
                format!("fsconfig({}, FSCONFIG_SET_STRING, {}, {}, 0)", self.slot(*fs), quoted(key), quoted(value))
            }
            Call::FsConfig { fs, key, value: None } => {
                format!("fsconfig({}, FSCONFIG_SET_FLAG, {}, NULL, 0)", self.slot(*fs), quoted(key))
            }
            Call::FsCreate { fs } => format!("fsconfig({}, FSCONFIG_CMD_CREATE, NULL, NULL, 0)", self.slot(*fs)),
            Call::FsMount { fs, attributes, .. } => {
                format!("fsmount({}, FSMOUNT_CLOEXEC, {})", self.slot(*fs), attribute_names(*attributes))
            }
            Call::MountSetattr { at, recursive, set, propagation, idmap } => {
                let empty = if matches!(at, At::Slot(_)) { "AT_EMPTY_PATH" } else { "" };
                let flags = match (*recursive, empty) {
                    (true, "") => "AT_RECURSIVE".to_owned(),
                    (true, _) => format!("{empty}|AT_RECURSIVE"),
                    (false, "") => "0".to_owned(),
                    (false, _) => empty.to_owned(),
                };
                let idmapped = if idmap.is_some() { *set | MountAttributes::MOUNT_ATTR_IDMAP } else { *set };
                let propagation = propagation.map_or("0", |propagation| propagation.flag_name());
                let change = format!("attr_set={}, attr_clr=0, propagation={propagation}", attribute_names(idmapped));
                let userns = idmap.map_or_else(|| "0".to_owned(), |slot| self.slot(slot));
                format!("mount_setattr({}, {flags}, {{{change}, userns_fd={userns}}}, 32)", self.at(at))
            }
            Call::MoveMount { mount, target } => {
                let to_empty = if matches!(target, At::Slot(_)) { "|MOVE_MOUNT_T_EMPTY_PATH" } else { "" };
                format!(
                    "move_mount({}, \"\", {}, MOVE_MOUNT_F_EMPTY_PATH{to_empty})",
                    self.slot(*mount),
                    self.at(target)
                )
            }
            Call::PivotRoot => "pivot_root(\".\", \".\")".to_owned(),
            Call::DetachOldRoot => "umount2(\".\", MNT_DETACH)".to_owned(),
            _ => return None,
        })
    }

    fn files(&self, call: &Call) -> Option<String> {
        Some(match call {
            Call::Open { at, flags, resolve, .. } => self.openat2(at, *flags, *resolve),
            Call::RefuseFilesystem { slot, .. } => format!("fstatfs({})", self.slot(*slot)),
            Call::RequireDevice { slot, major, minor } => {
                format!("fstat({}) # has to be {major}:{minor}", self.slot(*slot))
            }
            Call::Mkdir { dir, path, mode } => format!("mkdirat({}, {}, 0{mode:o})", self.slot(*dir), quoted(path)),
            Call::Mknod { dir, name, mode, major, minor } => {
                let device = format!("makedev({}, {})", hexadecimal(*major), hexadecimal(*minor));
                format!("mknodat({}, {}, S_IFCHR|0{mode:o}, {device})", self.slot(*dir), quoted(name))
            }
            Call::Symlink { target, dir, path } => {
                format!("symlinkat({}, {}, {})", quoted(target), self.slot(*dir), quoted(path))
            }
            Call::Unlink { dir, name } => format!("unlinkat({}, {}, 0)", self.slot(*dir), quoted(name)),
            Call::MakeFile { dir, path, mode, content } => {
                let open = format!(
                    "openat({}, {}, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0{mode:o})",
                    self.slot(*dir),
                    quoted(path)
                );
                if content.is_empty() { open } else { format!("{open}; {}", write_of(content)) }
            }
            Call::WriteSetting { at, content } => self.write_setting(at, content),
            Call::Chown { at, uid, gid } => {
                let flags = if matches!(at, At::Slot(_)) { "AT_EMPTY_PATH" } else { "AT_SYMLINK_NOFOLLOW" };
                let gid = gid.map_or("-1".to_owned(), |gid| gid.to_string());
                format!("fchownat({}, {uid}, {gid}, {flags})", self.at(at))
            }
            Call::Fchdir { dir } => format!("fchdir({})", self.slot(*dir)),
            Call::Chroot => "chroot(\".\")".to_owned(),
            Call::WriteMap { file, content } => {
                format!("openat(AT_FDCWD, \"/proc/PID/{file}\", O_WRONLY|O_CLOEXEC); {}", write_of(content))
            }
            Call::RunMapHelper { helper, args } => format!("{helper} PID {}", args.join(" ")),
            Call::OpenChildNamespace { kind, .. } => {
                format!("openat(AT_FDCWD, \"/proc/PID/ns/{kind}\", O_RDONLY|O_CLOEXEC)")
            }
            _ => return None,
        })
    }

    fn groups(&self, call: &Call) -> Option<String> {
        Some(match call {
            Call::Fork { namespaces, group: None } => format!("clone3({{flags={}}})", clone_flag_names(*namespaces)),
            Call::Fork { namespaces, group: Some(group) } => {
                let flags = match clone_flag_names(*namespaces).as_str() {
                    "0" => "CLONE_INTO_CGROUP".to_owned(),
                    names => format!("{names}|CLONE_INTO_CGROUP"),
                };
                format!("clone3({{flags={flags}, cgroup={}}})", self.slot(*group))
            }
            Call::AttachToUnit { bus, unit, below } => {
                format!("AttachProcessesToUnit(\"{unit}\", \"{below}\", [child]) on {bus}")
            }
            Call::StartScope { scope, .. } => {
                let properties: Vec<&str> = scope.properties.iter().map(|property| property.name).collect();
                format!(
                    "StartTransientUnit(\"{}\", PIDs=[child], {}) on {}",
                    scope.unit,
                    properties.join(", "),
                    scope.bus
                )
            }
            Call::WriteLimit { group, files, .. } => {
                let write =
                    |(file, content): &(CString, Vec<u8>)| self.write_setting(&At::In(*group, file.clone()), content);
                files.iter().map(write).collect::<Vec<_>>().join("; ")
            }
            Call::AttachDevices { group, program } => {
                let count = program.instructions().len();
                let load = format!("bpf(BPF_PROG_LOAD, {{prog_type=BPF_PROG_TYPE_CGROUP_DEVICE, insn_cnt={count}}})");
                format!(
                    "{load}; bpf(BPF_PROG_ATTACH, {{target_fd={}, attach_type=BPF_CGROUP_DEVICE}})",
                    self.slot(*group)
                )
            }
            Call::MakeGroupAbove { path } => {
                let path = quoted(path);
                format!("mkdirat(AT_FDCWD, {path}, 01355); fchmodat(AT_FDCWD, {path}, 03755)")
            }
            Call::FillGroupAbove { file, content } => {
                let file = quoted(file);
                format!("openat(AT_FDCWD, {file}, O_RDWR|O_NOFOLLOW|O_CLOEXEC); {}", write_of(content))
            }
            Call::MakeGroup { path, .. } => {
                let path = quoted(path);
                format!(
                    "mkdirat(AT_FDCWD, {path}, 01755); openat(AT_FDCWD, {path}, O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_DIRECTORY); \
                     fchmod({{group}}, 01755); flock({{group}}, LOCK_EX|LOCK_NB); fcntl({{group}}, F_DUPFD_CLOEXEC, 0)"
                )
            }
            _ => return None,
        })
    }

    fn process(&self, call: &Call) -> Option<String> {
        Some(match call {
            Call::SetHostname(name) => format!("sethostname({}, {})", quoted(name), name.count_bytes()),
            Call::SetDomainname(name) => format!("setdomainname({}, {})", quoted(name), name.count_bytes()),
            Call::LoopbackUp => "socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP); \
                ioctl({socket}, SIOCSIFFLAGS, {ifr_name=\"lo\", ifr_flags=IFF_UP|IFF_RUNNING})"
                .to_owned(),
            Call::Setns { namespace, kind } => format!("setns({}, {})", self.slot(*namespace), kind.names()),
            Call::Unshare(flags) => format!("unshare({})", flags.names()),
            Call::AwaitParent { receive } => format!("recvmsg(CHANNEL) # {} descriptors", receive.len()),
            Call::ReleaseChild { send } => format!("sendmsg(CHANNEL) # {} descriptors", send.len()),
            Call::Announce => "sendmsg(CHANNEL) # 0 descriptors".to_owned(),
            Call::SendToParent { slot, .. } => format!("sendmsg(CHANNEL, {})", self.slot(*slot)),
            Call::HearOfChildren => "rt_sigaction(SIGCHLD, {sa_handler=SIG_DFL})".to_owned(),
            Call::ReplaceArguments(name) => format!("prctl(PR_SET_NAME, {})", quoted(name)),
            Call::ClearUmask => "umask(000)".to_owned(),
            Call::RestoreUmask => "umask(CALLER)".to_owned(),
            Call::OpenTerminal { master, to, rows, columns } => {
                let (master, slave) = (self.slot(*master), self.slot(*to));
                let flags = (OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
                let size = format!("{{ws_row={rows}, ws_col={columns}, ws_xpixel=0, ws_ypixel=0}}");
                format!(
                    "ioctl({master}, TIOCSPTLCK, [0]); ioctl({master}, TIOCGPTPEER, {flags:#x}); ioctl({slave}, TIOCSWINSZ, {size})"
                )
            }
            Call::AttachTerminal { slot } => {
                let slot = self.slot(*slot);
                format!("dup2({slot}, 0); dup2({slot}, 1); dup2({slot}, 2); ioctl({slot}, TIOCSCTTY, 0)")
            }
            Call::Vfork => "clone(child_stack={stack}, flags=CLONE_VM|CLONE_VFORK|SIGCHLD)".to_owned(),
            Call::Setsid => "setsid()".to_owned(),
            Call::NewSessionKeyring => "keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)".to_owned(),
            Call::CloseOnExec => "close_range(3, 2147483647, CLOSE_RANGE_CLOEXEC)".to_owned(),
            Call::KeepOverExec(fd) => format!("fcntl({fd}, F_SETFD, 0)"),
            Call::RestoreSignals => {
                "rt_sigaction(SIGPIPE, {sa_handler=SIG_DFL}); rt_sigprocmask(SIG_SETMASK, CALLER)".to_owned()
            }
            Call::Exec => self.exec(),
            _ => return None,
        })
    }

    /// Each candidate until one is there. The environment may hold secrets, so that it isn't shown.
    fn exec(&self) -> String {
        let args: Vec<String> = self.program.args.iter().map(|arg| quoted(arg)).collect();
        let attempts =
            self.program.candidates.iter().map(|path| format!("execve({}, [{}], ENV)", quoted(path), args.join(", ")));
        attempts.collect::<Vec<_>>().join("; ")
    }

    fn rights(&self, call: &Call) -> String {
        match call {
            Call::SetDumpable(on) => {
                format!("prctl(PR_SET_DUMPABLE, {})", if *on { "SUID_DUMP_USER" } else { "SUID_DUMP_DISABLE" })
            }
            Call::RequireRunning { pidfd } => format!("pidfd_send_signal({pidfd}, 0, NULL, 0)"),
            Call::DieWithParent => "prctl(PR_SET_PDEATHSIG, SIGKILL)".to_owned(),
            Call::SetRlimit { resource, soft, hard } => {
                let show = |limit: &Option<u64>| limit.map_or("RLIM64_INFINITY".to_owned(), |limit| limit.to_string());
                format!(
                    "prlimit64(0, {}, {{rlim_cur={}, rlim_max={}}}, NULL)",
                    resource_name(*resource),
                    show(soft),
                    show(hard)
                )
            }
            Call::DropFromBoundingSet(number) => {
                let name = Capability::all().find(|capability| capability.number() == *number);
                format!("prctl(PR_CAPBSET_DROP, {})", name.map_or_else(|| number.to_string(), |name| name.to_string()))
            }
            Call::SetGroups(groups) => format!("setgroups({}, {groups:?})", groups.len()),
            Call::SetGid(gid) => format!("setresgid({gid}, {gid}, {gid})"),
            Call::SetUid(uid) => format!("setresuid({uid}, {uid}, {uid})"),
            Call::ClearAmbient => "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)".to_owned(),
            Call::SetCapabilities(bits) => {
                let held = joined(Capabilities::from_bits(*bits).iter().map(|capability| format!("1<<{capability}")));
                let version = "{version=_LINUX_CAPABILITY_VERSION_3, pid=0}";
                format!("capset({version}, {{effective={held}, permitted={held}, inheritable=0}})")
            }
            Call::NoNewPrivs => "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)".to_owned(),
            _ => String::new(),
        }
    }
}

fn clone_flag_names(namespaces: CloneFlags) -> String {
    joined(
        ["PIDFD"]
            .into_iter()
            .chain(namespaces.iter_names().map(|(name, _)| name))
            .chain(["CLEAR_SIGHAND"])
            .map(|name| format!("CLONE_{name}")),
    )
}

fn attribute_names(attributes: MountAttributes) -> String {
    joined(attributes.iter_names().map(|(name, _)| name).filter(|name| *name != "MOUNT_ATTR_RELATIME"))
}

/// In strace's order.
fn open_flag_names(flags: OFlags) -> String {
    const NAMES: [(OFlags, &str); 4] = [
        (OFlags::NOCTTY, "O_NOCTTY"),
        (OFlags::CLOEXEC, "O_CLOEXEC"),
        (OFlags::PATH, "O_PATH"),
        (OFlags::DIRECTORY, "O_DIRECTORY"),
    ];
    let access = match flags & OFlags::RWMODE {
        OFlags::WRONLY => "O_WRONLY",
        OFlags::RDWR => "O_RDWR",
        _ => "O_RDONLY",
    };
    let flags = flags | OFlags::CLOEXEC;
    joined(
        [access].into_iter().chain(NAMES.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| name)),
    )
}

/// As strace(1) shows numbers in base 16.
fn hexadecimal(number: u32) -> String {
    if number == 0 { "0".to_owned() } else { format!("{number:#x}") }
}

fn resource_name(resource: Resource) -> String {
    format!("RLIMIT_{}", format!("{resource:?}").to_ascii_uppercase())
}

fn write_of(content: &[u8]) -> String {
    format!("write({{file}}, {}, {})", quoted_bytes(content), content.len())
}

fn resolve_names(resolve: Resolve) -> &'static str {
    match resolve {
        Resolve::Freely => "0",
        Resolve::NoMagicLinks => "RESOLVE_NO_MAGICLINKS",
        Resolve::InRootMount => "RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT",
        Resolve::InRoot => "RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT",
        Resolve::NoLinks => "RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT",
    }
}

fn joined(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    if names.is_empty() { "0".to_owned() } else { names.join("|") }
}

fn quoted(text: &CStr) -> String {
    quoted_bytes(text.to_bytes())
}

/// As strace(1) quotes strings.
fn quoted_bytes(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0x20..0x7f => text.push(char::from(byte)),
            // Writing to a String can't fail.
            _ => drop(write!(text, "\\{byte:o}")),
        }
    }
    text.push('"');
    text
}
