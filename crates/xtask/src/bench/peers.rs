//! Who is measured: izba and the tools that do the same, each told to do as nearly the same work as it can.

use super::contender::Contender;
use super::ground::Ground;
use crate::setup::{self, Account};
use crate::{Outcome, command};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kernel paths that izba masks and a peer can be told to mask.
pub(super) const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Everyone who could take part. The floor comes first: the ratios are to it.
pub(super) fn line_up(ground: &Ground) -> Outcome<Vec<Contender>> {
    let root = Account::root();
    let mut contenders = Vec::new();
    for account in [Some(root), setup::account(setup::USER_WITH_RANGES), setup::account(setup::USER_WITHOUT)] {
        let Some(account) = account else { continue };
        let directory = ground.root_for(&account)?;
        let entry = |name: &str, program: &Path, arguments: Vec<OsString>| Contender {
            name: format!("{}: {name}", account.name),
            program: program.into(),
            arguments,
            account: account.clone(),
        };
        if account.uid == 0 {
            contenders.push(entry("the floor", &ground.floor, words(&[directory.as_ref(), "/bin/true".as_ref()])));
            contenders.push(entry("the program alone", Path::new("/bin/busybox"), words(&["true".as_ref()])));
        }
        contenders.push(entry("izba run DIR", &ground.izba, izba(&["run"], &directory)));
        contenders.push(entry("izba run --no-init DIR", &ground.izba, izba(&["run", "--no-init"], &directory)));
        contenders.push(entry("bubblewrap DIR", &program("bwrap"), bubblewrap(&account, Some(&directory), false)));
        let as_pid_1 = bubblewrap(&account, Some(&directory), true);
        contenders.push(entry("bubblewrap --as-pid-1 DIR", &program("bwrap"), as_pid_1));
        contenders.push(entry("unshare DIR", &program("unshare"), unshare(&account, &directory)));
        contenders.push(entry("izba run host", &ground.izba, izba(&["run"], Path::new("host"))));
        contenders.push(entry("bubblewrap host", &program("bwrap"), bubblewrap(&account, None, false)));
    }
    Ok(contenders)
}

/// Those that work here, and the others with the reason.
pub(super) fn present(contenders: Vec<Contender>) -> (Vec<Contender>, Vec<(Contender, String)>) {
    let mut present = Vec::new();
    let mut absent = Vec::new();
    for contender in contenders {
        match contender.check() {
            Ok(()) => present.push(contender),
            Err(reason) => absent.push((contender, reason)),
        }
    }
    (present, absent)
}

/// The peers' own words on their versions.
pub(super) fn versions(tools: &[&str]) -> Vec<String> {
    let ask = |name: &str| command::output(Command::new(program(name)).arg("--version")).ok();
    tools.iter().copied().filter_map(ask).filter_map(|text| text.lines().next().map(str::to_owned)).collect()
}

pub(super) fn izba(options: &[&str], root: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = options.iter().map(OsString::from).collect();
    arguments.extend([root.into(), "/bin/true".into()]);
    arguments
}

/// The same namespaces and mounts. bubblewrap can't mount sysfs, so it binds the caller's; /dev/shm is a directory of /dev.
fn bubblewrap(account: &Account, directory: Option<&Path>, as_pid_1: bool) -> Vec<OsString> {
    let mut line: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| line.extend(words.iter().map(OsString::from));
    add(&["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"]);
    add(&["--hostname", "izba", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
    if account.uid != 0 {
        add(&["--unshare-user", "--uid", "0", "--gid", "0"]);
    }
    if as_pid_1 {
        add(&["--as-pid-1"]);
    }
    match directory {
        Some(directory) => add(&["--bind", &directory.to_string_lossy(), "/"]),
        None => host(&mut add),
    }
    add(&["--proc", "/proc", "--dev", "/dev", "--mqueue", "/dev/mqueue", "--ro-bind", "/sys", "/sys"]);
    for path in MASKED.iter().map(Path::new) {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => add(&["--tmpfs", &path.to_string_lossy()]),
            Ok(_) => add(&["--ro-bind", "/dev/null", &path.to_string_lossy()]),
            Err(_) => {}
        }
    }
    add(&["/bin/true"]);
    line
}

/// A root from the host's own programs, as `izba run host` makes it.
fn host(add: &mut impl FnMut(&[&str])) {
    add(&["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]);
    for name in ["bin", "sbin", "lib", "lib32", "lib64"] {
        let path = format!("/{name}");
        match std::fs::read_link(&path) {
            Ok(target) => add(&["--symlink", &target.to_string_lossy(), &path]),
            Err(_) if Path::new(&path).is_dir() => add(&["--ro-bind", &path, &path]),
            Err(_) => {}
        }
    }
    for path in ["/tmp", "/run", "/var", "/home"] {
        add(&["--tmpfs", path]);
    }
}

/// The same namespaces; of the mounts only /proc.
pub(super) fn unshare(account: &Account, directory: &Path) -> Vec<OsString> {
    let mut line: Vec<OsString> = Vec::new();
    if account.uid != 0 {
        line.push("--map-root-user".into());
    }
    let namespaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"];
    line.extend(namespaces.iter().map(OsString::from));
    line.push("--mount-proc".into());
    line.push(format!("--root={}", directory.display()).into());
    line.push("/bin/true".into());
    line
}

/// Looked up once, so that no contender pays for a search.
pub(super) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| name.into())
}

pub(super) fn words(list: &[&std::ffi::OsStr]) -> Vec<OsString> {
    list.iter().map(OsString::from).collect()
}
