//! `--sysctl NAME=VALUE`: only settings that belong to a namespace, or the whole machine would be changed.

use std::str::FromStr;

use izba_sandbox::namespace::Kind;
use izba_sandbox::sandbox::Sysctl;

/// What of `kernel.` belongs to an IPC namespace: ipc_namespaces(7).
const IPC: [&str; 12] = [
    "auto_msgmni",
    "msg_next_id",
    "msgmax",
    "msgmnb",
    "msgmni",
    "sem",
    "sem_next_id",
    "shm_next_id",
    "shm_rmid_forced",
    "shmall",
    "shmmax",
    "shmmni",
];

/// A setting, and the kind of namespace that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The setting.
    pub sysctl: Sysctl,
    /// Has to be a new one.
    pub kind: Kind,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} sets nothing: write NAME=VALUE"))?;
        let name = name.trim();
        let path = path_of(name);
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
            return Err(format!("{name:?} is no kernel parameter: write a name such as net.ipv4.ip_forward"));
        }
        let kind = kind_of(&path).ok_or_else(|| {
            format!(
                "{name} belongs to no namespace, so setting it would change the whole machine: use sysctl(8) for that"
            )
        })?;
        Ok(Self { sysctl: Sysctl { path, value: value.to_owned() }, kind })
    }
}

/// The path below /proc/sys. As in sysctl(8), the first separator decides: after a dot, a slash stands for a dot that
/// belongs to a name, as in `net.ipv4.conf.eth0/1.forwarding`.
fn path_of(name: &str) -> String {
    let name = name.strip_prefix("/proc/sys/").unwrap_or(name);
    match name.find(['.', '/']) {
        Some(first) if name[first..].starts_with('.') => {
            let swap = |letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            };
            name.chars().map(swap).collect()
        }
        _ => name.to_owned(),
    }
}

fn kind_of(path: &str) -> Option<Kind> {
    let (first, rest) = path.split_once('/')?;
    match (first, rest) {
        ("net", _) => Some(Kind::Net),
        ("user", _) => Some(Kind::User),
        ("fs", rest) if rest.starts_with("mqueue/") => Some(Kind::Ipc),
        ("kernel", "ns_last_pid") => Some(Kind::Pid),
        ("kernel", name) if IPC.contains(&name) => Some(Kind::Ipc),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_dots_and_slashes() {
        for (text, path, kind) in [
            ("net.ipv4.ip_forward=1", "net/ipv4/ip_forward", Kind::Net),
            ("net/ipv4/ip_forward=1", "net/ipv4/ip_forward", Kind::Net),
            ("net.ipv4.conf.eth0/1.forwarding=1", "net/ipv4/conf/eth0.1/forwarding", Kind::Net),
            ("net/ipv4/conf/eth0.1/forwarding=1", "net/ipv4/conf/eth0.1/forwarding", Kind::Net),
            ("kernel.shmmax=1", "kernel/shmmax", Kind::Ipc),
            ("fs.mqueue.msg_max=1", "fs/mqueue/msg_max", Kind::Ipc),
            ("user.max_user_namespaces=1", "user/max_user_namespaces", Kind::User),
        ] {
            let setting: Setting = text.parse().unwrap();
            assert_eq!((setting.sysctl.path.as_str(), setting.kind), (path, kind), "{text}");
        }
    }

    #[test]
    fn the_value_is_everything_behind_the_first_equals_sign() {
        let setting: Setting = "kernel.sem=250 32000 32 128".parse().unwrap();
        assert_eq!(setting.sysctl.value, "250 32000 32 128");
        assert_eq!("net.a=b=c".parse::<Setting>().unwrap().sysctl.value, "b=c");
    }

    #[test]
    fn settings_of_the_whole_machine_and_ways_out_are_refused() {
        for bad in [
            "",
            "x",
            "=1",
            "kernel.core_pattern=|/x",
            "vm.swappiness=1",
            "kernel=1",
            "net/../kernel/core_pattern=1",
            "net//x=1",
            "net.=1",
            "/net/ipv4=1",
            "kernel/shmmax/../core_pattern=1",
        ] {
            assert!(bad.parse::<Setting>().is_err(), "{bad}");
        }
    }
}
