//! Why the kernel refuses a namespace: sysctls, security modules, limits, chroot, seccomp.

use std::fs;

use izba_sys::Errno;

use super::caller::Caller;
use super::{Hint, limit, number, system_root, text};
use crate::namespace::Kind;

/// Everything that can make the kernel refuse a user namespace, as it is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Who asks.
    pub caller: Caller,
    /// The kinds of namespace that the kernel was built with: /proc/self/ns.
    pub kinds: Vec<Kind>,
    /// Debian's kernel.unprivileged_userns_clone, where it exists.
    pub unprivileged_userns_clone: Option<u64>,
    /// user.max_user_namespaces
    pub max_user_namespaces: Option<u64>,
    /// The active security modules.
    pub security_modules: Vec<String>,
    /// Ubuntu's kernel.apparmor_restrict_unprivileged_userns is on, and AppArmor with it.
    pub apparmor_restricts: bool,
    /// The AppArmor profile that confines the caller.
    pub apparmor_profile: Option<String>,
    /// SELinux enforces a policy.
    pub selinux_enforces: bool,
    /// Is the caller's root another than its mount namespace's? Not always known.
    pub chrooted: Option<bool>,
    /// Has the caller's own user id a meaning in its user namespace?
    pub ids_mapped: bool,
    /// Is it in the initial user namespace?
    pub initial: bool,
    /// Is there a /proc to ask at all?
    pub proc: bool,
}

impl Circumstances {
    /// Asks the kernel.
    pub fn read() -> Self {
        let caller = Caller::read();
        let (security_modules, apparmor) = security_modules();
        let restricted =
            number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_some_and(|value| value != 0);
        Self {
            kinds: Kind::ALL.into_iter().filter(|kind| exists(*kind)).collect(),
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            max_user_namespaces: limit::of(Kind::User),
            security_modules,
            apparmor_restricts: apparmor && restricted,
            apparmor_profile: if apparmor { apparmor_profile() } else { None },
            selinux_enforces: number("/sys/fs/selinux/enforce") == Some(1),
            chrooted: system_root::chrooted(),
            initial: text("/proc/self/uid_map").split_whitespace().eq(["0", "0", "4294967295"]),
            ids_mapped: maps(&text("/proc/self/uid_map"), caller.uid) && maps(&text("/proc/self/gid_map"), caller.gid),
            proc: fs::exists("/proc/self/status").unwrap_or(false),
            caller,
        }
    }

    /// Is there anything else that is known to refuse namespaces?
    fn is_restricted(&self) -> bool {
        let Self { caller, .. } = self;
        let confined = self.apparmor_restricts || self.apparmor_profile.is_some() || self.selinux_enforces;
        confined || caller.filtered || caller.is_powerless_root() || self.has_module("bpf")
    }

    fn has_module(&self, name: &str) -> bool {
        self.security_modules.iter().any(|module| module == name)
    }
}

fn exists(kind: Kind) -> bool {
    fs::symlink_metadata(format!("/proc/self/ns/{}", kind.proc_name())).is_ok()
}

/// The active security modules, and whether AppArmor is among them. securityfs is often not mounted in containers.
fn security_modules() -> (Vec<String>, bool) {
    let list = text("/sys/kernel/security/lsm");
    let modules: Vec<String> = list.trim().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let apparmor = text("/sys/module/apparmor/parameters/enabled").trim() == "Y";
    (modules, apparmor)
}

fn apparmor_profile() -> Option<String> {
    let current = text("/proc/self/attr/apparmor/current");
    let current = if current.is_empty() { text("/proc/self/attr/current") } else { current };
    let profile = current.trim_matches(['\0', '\n', ' ']);
    (!profile.is_empty() && profile != "unconfined").then(|| profile.to_owned())
}

/// Is the id, as the caller sees it, one that its user namespace maps? Unmapped ones look like 65534.
fn maps(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let fields: Vec<u64> =
            line.split_whitespace().filter_map(|field| field.parse::<u32>().ok()).map(u64::from).collect();
        matches!(fields[..], [inside, _, count] if (inside..inside + count).contains(&u64::from(id)))
    })
}

/// Why a namespace of this kind could not be made.
pub fn explain(kind: Kind, errno: Errno, around: &Circumstances) -> Hint {
    if around.proc && !around.kinds.contains(&kind) {
        return Hint::new(
            format!("this kernel has no {kind} namespaces"),
            format!("use a kernel built with {}, or --share {kind}", config(kind)),
        );
    }
    match errno {
        Errno::NOSPC | Errno::USERS => {
            limit::reached(&if kind == Kind::User { vec![kind] } else { vec![Kind::User, kind] })
        }
        Errno::AGAIN => Hint::new(
            "the caller has as many processes as RLIMIT_NPROC or its pids cgroup allows",
            "end some, or raise the limit: ulimit -u, pids.max",
        ),
        Errno::NOMEM => {
            Hint::new("the kernel is out of memory, or of ids in the caller's PID namespace", "free some memory")
        }
        Errno::NOSYS => no_clone3(around),
        Errno::INVAL => Hint::new(
            format!("the kernel doesn't know {kind} namespaces, or can't combine what was asked for"),
            format!("use a kernel built with {}", config(kind)),
        ),
        _ if around.caller.is_privileged() && kind != Kind::User => denied(errno, around),
        _ => user_namespace(errno, around),
    }
}

fn config(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "CONFIG_USER_NS",
        Kind::Mount => "CONFIG_NAMESPACES",
        Kind::Pid => "CONFIG_PID_NS",
        Kind::Net => "CONFIG_NET_NS",
        Kind::Ipc => "CONFIG_IPC_NS",
        Kind::Uts => "CONFIG_UTS_NS",
        Kind::Cgroup => "CONFIG_CGROUPS",
        Kind::Time => "CONFIG_TIME_NS",
    }
}

fn no_clone3(around: &Circumstances) -> Hint {
    if around.caller.filtered {
        filtered()
    } else {
        Hint::new("this kernel has no clone3(2)", "use Linux 5.14 or later")
    }
}

/// Docker's and Podman's default profiles answer ENOSYS to clone3, EPERM to clone and unshare with new namespaces.
fn filtered() -> Hint {
    Hint::new(
        "a seccomp filter is in force, as container engines and systemd's RestrictNamespaces= set it",
        "start the container around izba with --security-opt seccomp=unconfined, or run izba outside of it",
    )
}

/// The causes of a refused user namespace, the certain ones first: user_namespaces(7).
fn user_namespace(errno: Errno, around: &Circumstances) -> Hint {
    if around.unprivileged_userns_clone == Some(0) && !around.caller.is_privileged() {
        return Hint::new(
            "kernel.unprivileged_userns_clone is 0 (a setting of Debian's and Arch's kernels)",
            "let root allow it: sysctl -w kernel.unprivileged_userns_clone=1, or run izba as root",
        );
    }
    if around.max_user_namespaces == Some(0) {
        return limit::reached(&[Kind::User]);
    }
    if !around.ids_mapped && around.proc {
        return Hint::new(
            "the caller's own user or group id isn't mapped in the user namespace that it is in",
            "map the ids, or switch to mapped ones, before running izba",
        );
    }
    if around.chrooted == Some(true) {
        return Hint::new(
            "the caller is in a chroot, where the kernel makes no user namespaces",
            "run izba outside of the chroot, or as root and without --userns in it; enter directories with izba run, not chroot",
        );
    }
    if around.chrooted.is_none() && !around.is_restricted() {
        return Hint::new(
            "none of the known settings explains it; perhaps the caller is in a chroot, where the kernel makes no user namespaces",
            "run izba outside of it, or as root",
        );
    }
    denied(errno, around)
}

/// Who else can say no.
fn denied(errno: Errno, around: &Circumstances) -> Hint {
    if around.apparmor_restricts && !around.caller.is_privileged() {
        return apparmor();
    }
    if around.caller.filtered {
        return filtered();
    }
    if let Some(profile) = &around.apparmor_profile {
        return Hint::new(
            format!("the AppArmor profile {profile} confines the caller"),
            "allow `userns,` and `mount,` in it, or start the container around izba with --security-opt apparmor=unconfined",
        );
    }
    if around.selinux_enforces && errno == Errno::ACCESS {
        return Hint::new(
            "SELinux enforces a policy that doesn't let this domain make user namespaces",
            "look at `ausearch -m avc -ts recent`, and allow user_namespace create",
        );
    }
    if around.caller.is_powerless_root() {
        return Hint::new(
            "the caller is root by name only, without capabilities",
            "start izba where root has not given them up",
        );
    }
    if around.has_module("bpf") || around.selinux_enforces {
        return Hint::new("a security module refused it", "look at dmesg and at the audit log");
    }
    Hint::new(
        "none of the known settings explains it",
        "look at dmesg and at the audit log; izba doctor shows what was probed",
    )
}

fn apparmor() -> Hint {
    Hint::new(
        "AppArmor takes the capabilities from user namespaces of ordinary users (kernel.apparmor_restrict_unprivileged_userns is 1)",
        "install a profile for izba with `userns,` in /etc/apparmor.d/izba, or let root allow all: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    )
}

/// Why a new user namespace gives no rights within: Ubuntu lets it be made, and moves the maker to a profile that denies all.
pub fn powerless(errno: Errno, around: &Circumstances) -> Hint {
    if around.apparmor_restricts {
        return apparmor();
    }
    let hint = denied(errno, around);
    Hint::new(format!("it is made, but setting it up fails with {errno}: {}", hint.cause), hint.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordinary() -> Circumstances {
        Circumstances {
            caller: Caller { uid: 1000, gid: 1000, ..Caller::default() },
            kinds: Kind::ALL.to_vec(),
            max_user_namespaces: Some(1000),
            chrooted: Some(false),
            ids_mapped: true,
            proc: true,
            ..Circumstances::default()
        }
    }

    fn cause(errno: Errno, change: impl Fn(&mut Circumstances)) -> String {
        let mut around = ordinary();
        change(&mut around);
        explain(Kind::User, errno, &around).cause
    }

    #[test]
    fn each_known_setting_is_told_apart() {
        type Change = fn(&mut Circumstances);
        let cases: [(Errno, Change, &str); 10] = [
            (Errno::PERM, |it| it.unprivileged_userns_clone = Some(0), "unprivileged_userns_clone is 0"),
            (Errno::PERM, |it| it.max_user_namespaces = Some(0), "max_user_namespaces"),
            (Errno::PERM, |it| it.chrooted = Some(true), "in a chroot"),
            (Errno::PERM, |it| it.chrooted = None, "perhaps the caller is in a chroot"),
            (Errno::PERM, |it| it.ids_mapped = false, "isn't mapped"),
            (Errno::ACCESS, |it| it.apparmor_restricts = true, "AppArmor takes"),
            (Errno::PERM, |it| it.caller.filtered = true, "seccomp"),
            (Errno::NOSYS, |it| it.caller.filtered = true, "seccomp"),
            (Errno::ACCESS, |it| it.selinux_enforces = true, "SELinux"),
            (Errno::INVAL, |it| it.kinds.clear(), "no user namespaces"),
        ];
        for (errno, change, expected) in cases {
            let cause = cause(errno, change);
            assert!(cause.contains(expected), "{expected}: {cause}");
        }
    }

    #[test]
    fn ubuntu_lets_a_user_namespace_be_made_without_rights() {
        let around = Circumstances { apparmor_restricts: true, ..ordinary() };
        assert!(powerless(Errno::PERM, &around).remedy.contains("/etc/apparmor.d/izba"));
    }

    #[test]
    fn id_maps_are_searched() {
        assert!(maps("         0          0 4294967295\n", 1000));
        assert!(maps("0 1000 1\n1 100000 65536\n", 65_534));
        assert!(!maps("0 1000 1\n", 65_534));
        assert!(!maps("", 0));
        assert!(!maps("garbage\n1 2\n", 0));
    }
}
