//! `izba run`: options, intent, plan, kernel.

mod company;
mod count;

use std::path::{Path, PathBuf};
use std::time::Instant;

use izba_image::Tree;
use izba_sandbox::cgroup::group::Usage;
use izba_sandbox::namespace::Kind;
use izba_sandbox::rlimit::Rlimit;
use izba_sys::process::is_open;
use izba_sys::rlimit::{self, Resource, getrlimit, setrlimit};

use crate::args::run::{Ephemeral, RunArgs};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::launch::launch;
use crate::lower::identity::{self, Identity};
use crate::lower::root::{self, Ground, RootName};
use crate::lower::{self, Lowered};
use crate::record::Asked;
use crate::result::{self, ResultFile};
use crate::scratch::Scratch;
use crate::{archive, cache_place, output, own_binary};
use company::RunCompany;

/// Runs a program and ends with its status.
pub fn run(args: &RunArgs) -> Result<u8> {
    // Before we open anything ourselves: it could get the same number.
    check_descriptors(&args.process.descriptors)?;
    let mut used = None;
    let Some(path) = args.group.result.as_deref().filter(|_| !args.show.dry_run) else {
        return start(args, &mut used);
    };
    let file = ResultFile::open(path)?;
    let begun = Instant::now();
    let status = start(args, &mut used);
    // It doesn't change what the program has ended with.
    let document = result::document(args.name.as_ref(), &status, used.as_ref(), begun.elapsed());
    file.write(&document).unwrap_or_else(|failure| output::failure(&failure));
    status
}

/// What the run has used is told in any case.
fn start(args: &RunArgs, used: &mut Option<Usage>) -> Result<u8> {
    if has_company(args) {
        own_binary::seal()?;
    }
    let caller = Caller::of_this_process();
    let identity = identity::choose(args, &caller)?;
    let place = Place::prepare(args, &caller, &identity)?;
    let result = run_in(args, &caller, &identity, &place, used);
    place.clean_up(&caller, &identity);
    result
}

fn run_in(args: &RunArgs, caller: &Caller, identity: &Identity, place: &Place, used: &mut Option<Usage>) -> Result<u8> {
    let Lowered { mut sandbox, user, notes } = lower::lower(args, caller, identity, &place.ground)?;
    sandbox.process.rlimits.extend(make_room(&sandbox.process.rlimits, args.show.dry_run));
    let asked = Asked { root: &args.root_and_command[0], user: user.as_deref() };
    let mut company = RunCompany::new(args, caller, &sandbox, asked);
    let status = launch(&sandbox, &args.show, &notes, &mut company);
    *used = company.end()?;
    status
}

/// Every mount on its way takes a descriptor. Where the limit is low we raise our own, and the program gets the caller's. A dry run
/// plans the same, and raises nothing.
fn make_room(asked_for: &[Rlimit], dry_run: bool) -> Option<Rlimit> {
    const ENOUGH: u64 = 512;
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let soft = now.current.filter(|&soft| soft < most)?;
    if !dry_run {
        setrlimit(Resource::Nofile, rlimit::Rlimit { current: Some(most), maximum: now.maximum }).ok()?;
    }
    let asked = asked_for.iter().any(|limit| limit.resource == Resource::Nofile);
    (!asked).then_some(Rlimit { resource: Resource::Nofile, soft: Some(soft), hard: now.maximum })
}

/// Will others be in the program's PID namespace?
fn has_company(args: &RunArgs) -> bool {
    let wanted = &args.namespaces;
    let joins = wanted.join.iter().any(|join| join.kind == Kind::Pid);
    !args.show.dry_run && (joins || args.root.repair || wanted.share.contains(&Kind::Pid))
}

fn check_descriptors(descriptors: &[i32]) -> Result<()> {
    match descriptors.iter().find(|&&fd| !is_open(fd)) {
        None => Ok(()),
        Some(fd) => Err(Failure::new(format!("--fd {fd}: you have no open descriptor {fd}"))
            .remedy(format!("open it in the shell: izba run --fd {fd} ... {fd}<FILE"))),
    }
}

/// The root file system, and what is held as long as it is used.
struct Place {
    ground: Ground,
    scratch: Option<Scratch>,
    /// Keeps the cache from pruning the tree.
    _tree: Option<Tree>,
}

impl Place {
    fn prepare(args: &RunArgs, caller: &Caller, identity: &Identity) -> Result<Self> {
        let name = root::name(&args.root_and_command[0], caller)?;
        let tree = match &name {
            RootName::Archive(path) => Some(tree(path, args, caller, identity)?),
            RootName::Host | RootName::Directory(_) => None,
        };
        let on_disk = args.root.ephemeral == Some(Ephemeral::Disk) && name != RootName::Host;
        let scratch = if on_disk && !args.show.dry_run { Some(scratch(args, caller)?) } else { None };
        // A dry run makes none, and shows where it would be.
        let planned =
            || cache_place::existing(&args.root.cache, caller).map(|dir| crate::scratch::parent(&dir).join("NEW"));
        let path =
            if on_disk { scratch.as_ref().map(|scratch| scratch.path().to_owned()).or_else(planned) } else { None };
        let ground = ground(args, name, tree.as_ref(), path);
        Ok(Self { ground, scratch, _tree: tree })
    }

    /// Goes on after a failure, which doesn't change what the program ended with.
    fn clean_up(self, caller: &Caller, identity: &Identity) {
        let Some(scratch) = self.scratch else { return };
        if let Err(failure) = scratch.remove(&|| identity.unpacking_maps(caller)) {
            output::failure(&failure);
        }
    }
}

fn ground(args: &RunArgs, name: RootName, tree: Option<&Tree>, scratch: Option<PathBuf>) -> Ground {
    let wanted = &args.namespaces;
    let old_mounts = wanted.share.contains(&Kind::Mount) || wanted.join.iter().any(|join| join.kind == Kind::Mount);
    match (name, tree) {
        (RootName::Host, _) => Ground::Host,
        (RootName::Directory(path), _) if old_mounts && path == Path::new("/") => {
            Ground::Caller { accounts: accounts(args) }
        }
        (RootName::Archive(_), Some(tree)) => Ground::Unpacked { path: tree.path().to_owned(), scratch },
        (RootName::Directory(path) | RootName::Archive(path), _) => Ground::Directory { path, scratch },
    }
}

/// The root whose users count: of the process whose mount namespace is joined, if it is named by one.
fn accounts(args: &RunArgs) -> PathBuf {
    let joined = args.namespaces.join.iter().find(|join| join.kind == Kind::Mount);
    let process = joined.filter(|join| join.path.ends_with("ns/mnt")).and_then(|join| join.path.ancestors().nth(2));
    process.map_or_else(|| PathBuf::from("/"), |process| process.join("root"))
}

fn scratch(args: &RunArgs, caller: &Caller) -> Result<Scratch> {
    let (_cache, dir) = cache_place::open(&args.root.cache, caller)?;
    Scratch::make(&dir)
}

fn tree(archive: &Path, args: &RunArgs, caller: &Caller, identity: &Identity) -> Result<Tree> {
    if args.root.repair {
        return Err(Failure::new("--repair works on a mounted system: a directory, not an archive"));
    }
    if !args.show.dry_run {
        return archive::unpacked(archive, &args.root.cache, caller, identity);
    }
    archive::ready(archive, &args.root.cache, caller, identity)?.ok_or_else(|| {
        let shown = archive.display();
        Failure::new(format!("{shown} isn't unpacked yet, and a dry run changes nothing"))
            .remedy(format!("izba run {shown} true, which unpacks it; then the dry run"))
    })
}
