//! `izba ns run`: what is asked for, as unshare(1) understands it.

use izba_sandbox::idmap::{IdMaps, MapWriter};
use izba_sandbox::namespace::{ClockOffsets, Kind, Loopback, Namespace, Namespaces};
use izba_sandbox::rootfs::CallerRoot;
use izba_sandbox::sandbox::{Init, Sandbox, WorkingDirectory};
use izba_sys::mount::Propagation;

use super::identity::{self, Identity, map_by_hand, subordinate_maps};
use super::{c_string, kept};
use crate::args::ns::run::{MapArgs, NsRunArgs, PropagationWord, Setgroups};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::parse::path::in_root;

/// The intent.
pub fn lower(args: &NsRunArgs, caller: &Caller) -> Result<Sandbox> {
    let kinds = kinds(args);
    if kinds.is_empty() {
        return Err(Failure::new("no new namespace is asked for")
            .remedy("-n for a network, -p for process ids, -a for all; izba ns run --help shows the rest"));
    }
    let is_new = |kind| kinds.contains(&kind);
    if args.with.propagation.is_some() && !is_new(Kind::Mount) {
        return Err(Failure::new("--propagation is about a new mount namespace, and none is asked for").remedy("-m"));
    }
    let root = CallerRoot {
        chroot: args.with.root.as_ref().map(|dir| caller.absolute(dir)),
        propagation: if is_new(Kind::Mount) { propagation(args) } else { None },
        proc: args.with.mount_proc,
    };
    let mut sandbox = kept::sandbox(&args.command, &args.program, namespaces(args, &kinds, caller)?, root, caller)?;
    sandbox.hostname = args.with.hostname.clone().map(c_string).transpose()?;
    sandbox.domainname = args.with.domainname.clone().map(c_string).transpose()?;
    if let Some(dir) = &args.with.wd {
        let dir = in_root(caller.absolute(dir).as_os_str()).map_err(|why| Failure::new(format!("--wd: {why}")))?;
        sandbox.process.cwd = WorkingDirectory::Path(dir);
    }
    if args.with.init {
        sandbox.process.init = Init::Builtin;
    }
    Ok(sandbox)
}

/// Those that are named, and those that another option means nothing without.
fn kinds(args: &NsRunArgs) -> Vec<Kind> {
    let (with, ids) = (&args.with, &args.ids);
    let named = args.kinds.named();
    let implied = |kind| match kind {
        Kind::User => maps_ids(ids) || ids.setgroups.is_some(),
        Kind::Mount => with.mount_proc,
        Kind::Uts => with.hostname.is_some() || with.domainname.is_some(),
        Kind::Time => with.boottime.is_some() || with.monotonic.is_some(),
        Kind::Pid | Kind::Net | Kind::Ipc | Kind::Cgroup => false,
    };
    Kind::ALL.into_iter().filter(|&kind| named.contains(&kind) || implied(kind)).collect()
}

fn maps_ids(ids: &MapArgs) -> bool {
    ids.map_root || ids.map_current || ids.map_auto || !ids.uidmap.is_empty() || !ids.gidmap.is_empty()
}

fn propagation(args: &NsRunArgs) -> Option<Propagation> {
    args.with.propagation.unwrap_or(PropagationWord::Private).propagation()
}

fn namespaces(args: &NsRunArgs, kinds: &[Kind], caller: &Caller) -> Result<Namespaces> {
    let (monotonic, boottime) = (args.with.monotonic.unwrap_or(0), args.with.boottime.unwrap_or(0));
    let mut namespaces = Namespaces {
        user: Namespace::New(if kinds.contains(&Kind::User) { maps(&args.ids, caller)? } else { IdMaps::none() }),
        // As a new one is, and as programs about networks expect it.
        net: Namespace::New(Loopback::Down),
        time: Namespace::New(ClockOffsets { monotonic, boottime }),
        ..Namespaces::isolated()
    };
    Kind::ALL.into_iter().filter(|kind| !kinds.contains(kind)).for_each(|kind| namespaces.share(kind));
    Ok(namespaces)
}

fn maps(args: &MapArgs, caller: &Caller) -> Result<IdMaps> {
    let own = if args.map_current { (caller.uid, caller.gid) } else { (0, 0) };
    let mut maps = if args.map_auto {
        with_subordinate_ids(own, caller)?
    } else if args.map_root || args.map_current {
        IdMaps { deny_setgroups: !caller.privileged, ..IdMaps::own_ids(own, (caller.uid, caller.gid)) }
    } else if maps_ids(args) {
        map_by_hand(&args.uidmap, &args.gidmap, caller)?
    } else {
        IdMaps::none()
    };
    let needs_deny = maps.deny_setgroups && maps.writer == MapWriter::Direct;
    match args.setgroups {
        Some(Setgroups::Allow) if needs_deny => {
            return Err(Failure::new(
                "--setgroups allow: an ordinary user who maps its own group alone can't keep setgroups(2)",
            )
            .because("it could leave groups that keep it out of files: user_namespaces(7)")
            .remedy("leave it out, or --map-auto, where newgidmap(1) maps the groups"));
        }
        Some(Setgroups::Deny) => maps.deny_setgroups = true,
        Some(Setgroups::Allow) | None => {}
    }
    Ok(maps)
}

fn with_subordinate_ids(own: (u32, u32), caller: &Caller) -> Result<IdMaps> {
    match identity::of_ordinary_user(caller) {
        Identity::Subordinate { uids, gids } => {
            let maps = subordinate_maps(own, caller, &uids, &gids)?;
            let writer = if caller.privileged { MapWriter::Direct } else { MapWriter::Helpers };
            Ok(IdMaps { writer, ..maps })
        }
        _ => Err(Failure::new("--map-auto: you have no subordinate ids, or newuidmap(1) isn't installed")
            .remedy("lines for you in /etc/subuid and /etc/subgid (usermod --add-subuids), and the package uidmap")),
    }
}
