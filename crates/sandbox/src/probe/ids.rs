//! Subordinate ids and the programs that map them: subuid(5), newuidmap(1).

use std::env;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use izba_sys::path::{StatVfsMountFlags, getxattr, statvfs};

use super::caller::Caller;
use super::{Finding, Hint, State, text};
use crate::idmap::subordinate_ranges;

/// Can more than the caller's own id be mapped?
pub(super) fn finding(caller: &Caller) -> Finding {
    let name = "subordinate ids";
    if caller.may("SETUID") && caller.may("SETGID") {
        return Finding::works(name, "not needed: the caller may map any ids");
    }
    match missing(caller) {
        None => Finding::works(name, format!("{} users and groups can be mapped", count("/etc/subuid", caller.uid))),
        Some(hint) => {
            let cause = format!("only the caller's own id can be mapped: {}", hint.cause);
            Finding::refused(name, State::Limited, Hint::new(cause, hint.remedy))
        }
    }
}

/// What the full range of ids is lacking, if anything.
pub fn missing(caller: &Caller) -> Option<Hint> {
    if caller.no_new_privs {
        return Some(Hint::new(
            "no_new_privs is set on the caller, so newuidmap(1) gets no rights",
            "run izba from where it isn't set (a login, not a sandbox)",
        ));
    }
    ["newuidmap", "newgidmap"].into_iter().find_map(helper_problem).or_else(|| {
        let user = user_name(&text("/etc/passwd"), caller.uid);
        ["/etc/subuid", "/etc/subgid"].into_iter().find_map(|file| no_range(file, user.as_deref(), caller.uid))
    })
}

fn no_range(file: &str, user: Option<&str>, uid: u32) -> Option<Hint> {
    if !subordinate_ranges(&text(file), user.unwrap_or_default(), uid).is_empty() {
        return None;
    }
    let user = user.map_or_else(|| uid.to_string(), str::to_owned);
    let remedy = if user.parse::<u32>().is_ok() {
        format!("let root add the line {uid}:524288:65536 to /etc/subuid and /etc/subgid")
    } else {
        format!("let root add ranges: usermod --add-subuids 524288-589823 --add-subgids 524288-589823 {user}")
    };
    Some(Hint::new(format!("{file} has no range for {user}"), remedy))
}

fn count(file: &str, uid: u32) -> u64 {
    let name = user_name(&text("/etc/passwd"), uid).unwrap_or_default();
    subordinate_ranges(&text(file), &name, uid).iter().map(|&(_, count)| u64::from(count)).sum::<u64>() + 1
}

/// The name of a user in the text of /etc/passwd: passwd(5).
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    let mut entries = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(uid))?;
    entry.first().map(|name| (*name).to_owned())
}

/// Why newuidmap(1) or newgidmap(1) would not work.
fn helper_problem(name: &str) -> Option<Hint> {
    let Some(path) = find(name) else {
        return Some(Hint::new(
            format!("{name} isn't installed"),
            "install the package uidmap (Debian, Ubuntu, Alpine: shadow-uidmap) or shadow-utils (Fedora), shadow (Arch)",
        ));
    };
    let shown = path.display();
    if !is_privileged_program(&path) {
        let remedy = format!("let root restore it: chmod u+s {shown}, or reinstall its package");
        return Some(Hint::new(format!("{shown} is neither set-user-ID root nor has file capabilities"), remedy));
    }
    let nosuid = statvfs(&path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOSUID));
    nosuid.then(|| {
        Hint::new(
            format!("{shown} is on a file system mounted nosuid, so it gets no rights"),
            "let root mount it without nosuid, or run izba outside of the sandbox that mounts it so",
        )
    })
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let standard = ["/usr/bin", "/bin", "/usr/local/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(standard).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn is_privileged_program(path: &Path) -> bool {
    let set_user_id = path.metadata().is_ok_and(|file| file.uid() == 0 && file.permissions().mode() & 0o4000 != 0);
    set_user_id || getxattr(path, "security.capability", &mut [0_u8; 64][..]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(user_name(passwd, 7), None);
    }

    #[test]
    fn no_new_privs_is_the_first_cause() {
        let caller = Caller { uid: 1000, no_new_privs: true, ..Caller::default() };
        assert!(missing(&caller).unwrap().cause.contains("no_new_privs"));
    }
}
