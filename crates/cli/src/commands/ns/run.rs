//! `izba ns run`.

use izba_sandbox::namespace::Kind;
use izba_sandbox::parent::Child;

use super::keep;
use crate::args::ns::run::NsRunArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::launch::{Company, launch};
use crate::lower::unshare;
use crate::own_binary;
use crate::record::Name;

/// Runs a program in new namespaces and ends with its status.
pub fn run(args: &NsRunArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let mut sandbox = unshare::lower(args, &caller)?;
    // A root of somebody else's, and others in the PID namespace.
    if args.with.root.is_some() && !sandbox.namespaces.is_new(Kind::Pid) && !args.show.dry_run {
        own_binary::seal()?;
    }
    let kept: Vec<Kind> = sandbox.namespaces.new_kinds().collect();
    if args.with.keep.is_some() {
        sandbox.handed_out.clone_from(&kept);
    }
    let mut keeper = Keeper { name: args.with.keep.as_ref(), kinds: &kept, caller: &caller };
    launch(&sandbox, &args.show, &[], &mut keeper)
}

/// Keeps the new namespaces under a name.
struct Keeper<'a> {
    name: Option<&'a Name>,
    kinds: &'a [Kind],
    caller: &'a Caller,
}

impl Company for Keeper<'_> {
    fn before(&mut self) -> Result<()> {
        self.name.map_or(Ok(()), |name| keep::refuse_taken(name, self.caller))
    }

    fn started(&mut self, child: &mut Child) -> Result<()> {
        self.name.map_or(Ok(()), |name| keep_new(name, self.kinds, child, self.caller))
    }
}

/// They are handed out just before the program is executed, so they are there however short it lives.
fn keep_new(name: &Name, kinds: &[Kind], child: &mut Child, caller: &Caller) -> Result<()> {
    let namespaces = child.take_namespaces();
    if namespaces.len() != kinds.len() {
        return Err(Failure::new("not all of the new namespaces have been handed out, so they can't be kept"));
    }
    let namespaces: Vec<_> = kinds.iter().copied().zip(namespaces).collect();
    keep::keep_open(name, &namespaces, caller)
}
