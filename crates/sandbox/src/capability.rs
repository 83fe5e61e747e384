//! Capability sets by name: capabilities(7).

use std::fmt;
use std::str::FromStr;

/// Every capability's name without `CAP_`, at the position of its number: linux/capability.h.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// One capability, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(u8);

impl Capability {
    /// Every capability that this version knows.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..NAMES.len()).filter_map(|number| u8::try_from(number).ok()).map(Self)
    }

    /// The number in linux/capability.h.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The name without `CAP_`.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("?")
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CAP_{}", self.name())
    }
}

impl FromStr for Capability {
    type Err = String;

    /// Takes `CAP_SYS_ADMIN`, `SYS_ADMIN` and `sys_admin` alike.
    fn from_str(name: &str) -> Result<Self, String> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        Self::all()
            .find(|capability| capability.name() == bare)
            .ok_or_else(|| format!("no capability is called {name:?}: see capabilities(7) for the names"))
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);

    /// What programs in containers commonly need and what can't be used against the host: the set that Podman gives.
    pub fn small() -> Self {
        const SMALL: [&str; 11] = [
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "FSETID",
            "KILL",
            "NET_BIND_SERVICE",
            "SETFCAP",
            "SETGID",
            "SETPCAP",
            "SETUID",
            "SYS_CHROOT",
        ];
        Capability::all().filter(|capability| SMALL.contains(&capability.name())).collect()
    }

    /// All that this version knows.
    pub fn all() -> Self {
        Capability::all().collect()
    }

    /// Is it in the set?
    pub fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability.0) != 0
    }

    /// Adds one.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= 1 << capability.0;
    }

    /// Takes one out.
    pub fn remove(&mut self, capability: Capability) {
        self.0 &= !(1 << capability.0);
    }

    /// Those that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::all().filter(move |&capability| self.contains(capability))
    }

    /// One bit for each, as in /proc/PID/status.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From the bits of /proc/PID/status; unknown ones are left out.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits & Self::all().0)
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(members: I) -> Self {
        let mut set = Self::NONE;
        members.into_iter().for_each(|capability| set.insert(capability));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_common_spelling() {
        for name in ["CAP_SYS_ADMIN", "SYS_ADMIN", "sys_admin", "cap_sys_admin"] {
            assert_eq!(name.parse::<Capability>().unwrap().number(), 21, "{name}");
        }
        assert!("ADMIN".parse::<Capability>().unwrap_err().contains("ADMIN"));
    }

    #[test]
    fn the_small_set_is_what_it_says() {
        let small = Capabilities::small();
        assert_eq!(small.iter().count(), 11);
        assert!(!small.contains("SYS_ADMIN".parse().unwrap()));
        assert!(!small.contains("NET_RAW".parse().unwrap()));
    }

    #[test]
    fn sets_add_remove_and_meet() {
        let chown = "CHOWN".parse().unwrap();
        let mut set = Capabilities::NONE;
        set.insert(chown);
        assert_eq!(set.bits(), 1);
        assert_eq!(set.intersection(Capabilities::all()), set);
        set.remove(chown);
        assert_eq!(set, Capabilities::NONE);
    }
}
