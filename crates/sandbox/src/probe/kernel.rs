//! The kernel itself: its version, the calls that izba needs, cgroups, security modules.

use std::os::fd::OwnedFd;

use izba_sys::Errno;
use izba_sys::path::{CWD, Mode, OFlags, ResolveFlags, openat2};
use izba_sys::process::{PidfdFlags, getpid, pidfd_open, uname};

use super::refusal::Circumstances;
use super::{Finding, Hint, State};

/// The oldest kernel that has cgroup.kill; mount_setattr(2) and the rest are older.
pub const OLDEST: (u32, u32) = (5, 14);

/// Major and minor number of a release such as `6.1.0-13-amd64`.
pub fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Why this kernel can't be used, if it is too old.
pub fn too_old() -> Option<Hint> {
    too_old_release(&uname().release().to_string_lossy())
}

fn too_old_release(release: &str) -> Option<Hint> {
    let (major, minor) = OLDEST;
    let known = parse_release(release)?;
    (known < OLDEST).then(|| {
        Hint::new(
            format!("the kernel is Linux {release}, and izba needs {major}.{minor} or later"),
            "update the kernel; distributions of 2022 and later have a newer one",
        )
    })
}

pub(super) fn version() -> Finding {
    let finding = match too_old() {
        Some(hint) => Finding::refused("kernel", State::Missing, hint),
        None => Finding::works("kernel", format!("Linux {}", uname().release().to_string_lossy())),
    };
    finding.essential()
}

/// Calls that a seccomp filter may refuse though the kernel has them.
pub(super) fn system_calls(around: &Circumstances) -> Finding {
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty());
    let tried: [(&str, Result<OwnedFd, Errno>); 2] = [("openat2", open_in_root()), ("pidfd_open", pidfd)];
    let refused: Vec<String> =
        tried.iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.as_ref().err()?))).collect();
    if refused.is_empty() {
        return Finding::works("system calls", "openat2, pidfd_open").essential();
    }
    let remedy = if around.caller.filtered {
        "a seccomp filter is in force: start the container around izba with --security-opt seccomp=unconfined"
    } else {
        "use Linux 5.14 or later"
    };
    Finding::refused("system calls", State::Missing, Hint::new(refused.join("; "), remedy)).essential()
}

fn open_in_root() -> Result<OwnedFd, Errno> {
    openat2(CWD, c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// Which cgroup hierarchies are mounted: cgroups(7).
pub(super) fn cgroups(mountinfo: &str) -> Finding {
    let mounted = |fstype: &str| mountinfo.lines().any(|line| line.contains(&format!(" - {fstype} ")));
    match (mounted("cgroup2"), mounted("cgroup")) {
        (true, false) => Finding::works("cgroups", "version 2"),
        (true, true) => Finding::works("cgroups", "hybrid: version 1 for the controllers, version 2 beside it"),
        (false, true) => Finding::works("cgroups", "version 1"),
        (false, false) => Finding::refused(
            "cgroups",
            State::Limited,
            Hint::new(
                "none mounted: no limits of CPU and memory",
                "mount them: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            ),
        ),
    }
}

/// Who else decides on this machine.
pub(super) fn security_modules(around: &Circumstances) -> Finding {
    let modules = if around.security_modules.is_empty() {
        "not known (securityfs isn't mounted)".to_owned()
    } else {
        around.security_modules.join(", ")
    };
    let mut details = vec![modules];
    details.extend(around.selinux_enforces.then(|| "SELinux enforces".to_owned()));
    details.extend(around.apparmor_profile.as_ref().map(|profile| format!("confined by AppArmor profile {profile}")));
    details.extend(around.caller.filtered.then(|| "the caller is under a seccomp filter".to_owned()));
    details.extend(around.caller.no_new_privs.then(|| "the caller has no_new_privs set".to_owned()));
    Finding::works("security modules", details.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        for (release, expected) in [
            ("6.18.44-fc-v657", Some((6, 18))),
            ("5.14.0-427.el9.x86_64", Some((5, 14))),
            ("7.0", Some((7, 0))),
            ("", None),
            ("linux", None),
        ] {
            assert_eq!(parse_release(release), expected, "{release}");
        }
        assert!(too_old_release("4.18.0-553.el8").is_some_and(|hint| hint.cause.contains("needs 5.14")));
        assert_eq!(too_old_release("5.14.0"), None);
    }

    #[test]
    fn cgroup_versions_are_told_apart() {
        let v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let v2 = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        for (text, word) in [(v1, "version 1"), (v2, "version 2"), (&format!("{v1}{v2}"), "hybrid"), ("", "none")] {
            assert!(cgroups(text).detail.starts_with(word), "{text}");
        }
    }
}
