//! Who asks: ids, capabilities and restrictions of the calling process, from /proc/self/status (proc_pid_status(5)).

use izba_sys::credential::{capabilities, getegid, geteuid};

use super::{Finding, State};
use crate::capability::{Capabilities, Capability};

/// The calling process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Effective capabilities.
    pub effective: Capabilities,
    /// PR_SET_NO_NEW_PRIVS is on: set-user-ID programs such as newuidmap(1) don't work.
    pub no_new_privs: bool,
    /// A seccomp filter is in force: usually the caller is in a container already.
    pub filtered: bool,
}

impl Caller {
    /// Asks the kernel.
    pub fn read() -> Self {
        let status = super::text("/proc/self/status");
        let effective =
            capabilities(None).map_or(Capabilities::NONE, |sets| Capabilities::from_bits(sets.effective.bits()));
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw(), effective, ..Self::parse(&status) }
    }

    /// The restrictions that the text of /proc/PID/status names.
    pub fn parse(status: &str) -> Self {
        Self {
            no_new_privs: field(status, "NoNewPrivs") == Some("1"),
            filtered: field(status, "Seccomp") == Some("2"),
            ..Self::default()
        }
    }

    /// Does it hold this capability?
    pub fn may(&self, capability: &str) -> bool {
        capability.parse::<Capability>().is_ok_and(|capability| self.effective.contains(capability))
    }

    /// May it make namespaces without a user namespace around them?
    pub fn is_privileged(&self) -> bool {
        self.may("SYS_ADMIN")
    }

    /// Is it called root without having a capability?
    pub fn is_powerless_root(&self) -> bool {
        self.uid == 0 && self.effective == Capabilities::NONE
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// What the lack of a capability means for `izba run`. Only those whose lack a user meets.
const LACKS: [(&str, &str); 5] = [
    ("SYS_RESOURCE", "hard limits can't be raised, nor oom_score_adj lowered"),
    ("NET_ADMIN", "no networks can be wired on the host"),
    ("SYS_CHROOT", "no chroot(2) and no joining of mount namespaces"),
    ("MKNOD", "no devices can be made"),
    ("SETUID", "no ids can be mapped"),
];

/// How the caller runs things.
pub(super) fn finding(caller: &Caller) -> Finding {
    let Caller { uid, effective, .. } = caller;
    if !caller.is_privileged() {
        let detail = format!("user {uid}, {}: runs with a user namespace", count(*effective));
        return Finding::works("caller", detail);
    }
    let lacking: Vec<String> =
        Capability::all().filter(|&one| !effective.contains(one)).map(|one| one.to_string()).collect();
    if lacking.is_empty() {
        return Finding::works("caller", format!("user {uid}, all capabilities: no user namespace needed"));
    }
    let means: Vec<&str> = LACKS.iter().filter(|(name, _)| !caller.may(name)).map(|&(_, means)| means).collect();
    let means = if means.is_empty() { String::new() } else { format!(": {}", means.join("; ")) };
    Finding {
        remedy: Some("start izba from where they have not been given up (a login, not a container)".to_owned()),
        ..Finding::new("caller", State::Limited, format!("user {uid}, without {}{means}", lacking.join(", ")))
    }
}

fn count(set: Capabilities) -> String {
    match set.iter().count() {
        0 => "no capabilities".to_owned(),
        1 => "one capability".to_owned(),
        many => format!("{many} capabilities"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restrictions_are_read() {
        let caller = Caller::parse("Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n");
        assert!(caller.no_new_privs && caller.filtered);
        let caller = Caller::parse("NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t2\n");
        assert!(!caller.no_new_privs && !caller.filtered);
        assert_eq!(Caller::parse(""), Caller::default());
    }

    #[test]
    fn what_root_lacks_is_named_with_its_meaning() {
        let mut effective = Capabilities::all();
        effective.remove("SYS_RESOURCE".parse().unwrap());
        let finding = finding(&Caller { effective, ..Caller::default() });
        assert_eq!(finding.state, State::Limited);
        assert!(finding.detail.contains("CAP_SYS_RESOURCE: hard limits"), "{}", finding.detail);
    }
}
