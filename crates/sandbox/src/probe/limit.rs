//! How many namespaces a user may have: /proc/sys/user/max_*_namespaces, namespaces(7).

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use izba_sys::nsfs;

use super::{Hint, number};
use crate::namespace::Kind;
use crate::survey::open_namespace;

/// The name of the limit of a kind.
pub fn name(kind: Kind) -> String {
    format!("user.max_{}_namespaces", kind.proc_name())
}

/// Its value in the caller's user namespace.
pub fn of(kind: Kind) -> Option<u64> {
    number(format!("/proc/sys/user/max_{}_namespaces", kind.proc_name()))
}

/// Why the kernel answered ENOSPC to a wish for these kinds.
pub fn reached(kinds: &[Kind]) -> Hint {
    let none = kinds.iter().find(|&&kind| of(kind) == Some(0));
    if let Some(&kind) = none {
        return Hint::new(format!("the limit {} is 0", name(kind)), raise(kind));
    }
    let full = kinds.iter().find(|&&kind| of(kind).is_some_and(|limit| limit <= seen(kind)));
    match (full, kinds) {
        (Some(&kind), _) | (None, &[kind]) => reached_one(kind),
        _ => Hint::new(
            format!(
                "one of the limits {} is reached",
                kinds.iter().map(|&kind| name(kind)).collect::<Vec<_>>().join(", ")
            ),
            "end something that holds namespaces, or raise them: sysctl user | grep namespaces",
        ),
    }
}

fn reached_one(kind: Kind) -> Hint {
    let limit = of(kind).map_or_else(|| "?".to_owned(), |limit| limit.to_string());
    let nested = match kind {
        Kind::User | Kind::Pid => ", or 32 of them are nested, which is the most",
        _ => "",
    };
    let cause = format!(
        "the limit {} ({limit} here, {} seen in use) is reached, here or in a user namespace around{nested}",
        name(kind),
        seen(kind)
    );
    Hint::new(cause, format!("end something that holds namespaces, or {}", raise(kind)))
}

fn raise(kind: Kind) -> String {
    format!("let root raise it: sysctl -w {}=15000 (and in /etc/sysctl.d to keep it)", name(kind))
}

/// How many namespaces of a kind, that are owned here or below, can be seen in /proc. Those of other users' processes can't, so there may be more.
fn seen(kind: Kind) -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let paths = processes.map(|process| process.path().join("ns").join(kind.proc_name()));
    let seen: BTreeMap<_, _> = paths.filter_map(|path| Some((fs::read_link(&path).ok()?, path))).collect();
    seen.into_values().filter(|path| is_counted_here(path)).count() as u64
}

/// The kernel tells the owner of those only that are owned in the caller's user namespace or below.
fn is_counted_here(path: &Path) -> bool {
    open_namespace(path).is_ok_and(|namespace| nsfs::owner(namespace.as_fd()).is_ok())
}
