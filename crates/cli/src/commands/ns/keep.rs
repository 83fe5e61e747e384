//! `izba ns keep` and `izba ns drop`.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use izba_sandbox::keep::KeepError;
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{Id, identify, open_namespace};

use crate::args::ns::keep::{DropArgs, KeepArgs};
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::record::{Name, Run};
use crate::target::{self, Place};
use crate::{kept, output};

/// Keeps namespaces.
pub fn keep(args: &KeepArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    refuse_taken(&args.name, &caller)?;
    let mut found = BTreeMap::new();
    for text in &args.targets {
        let target = target::resolve(text, &caller)?;
        for place in target.places(&args.kinds.named())? {
            add(&mut found, &place)?;
        }
        target.check_running()?;
    }
    if found.is_empty() {
        return Err(Failure::new("there is nothing to keep: the target is in no namespace but your own")
            .remedy("izba ns run --keep NAME makes new ones and keeps them"));
    }
    let namespaces: Vec<_> = found.into_iter().map(|(kind, (_, namespace))| (kind, namespace)).collect();
    keep_open(&args.name, &namespaces, &caller).map(|()| 0)
}

/// Keeps namespaces that are open.
pub fn keep_open(name: &Name, namespaces: &[(Kind, OwnedFd)], caller: &Caller) -> Result<()> {
    let kept = kept::shelf(caller)?.keep(name.as_str(), namespaces, kept::way(caller));
    kept.map_err(|error| kept::failure(&error))
}

/// TARGET is looked for among runs first: a kept name that is the same would never be found. Who takes it at this moment is told by
/// [`keep_open`].
pub fn refuse_taken(name: &Name, caller: &Caller) -> Result<()> {
    if kept::find(name.as_str(), caller).is_some() {
        return Err(kept::failure(&KeepError::Taken(name.to_string())));
    }
    if Run::is_there(name, caller) {
        return Err(Failure::new(format!("the name \"{name}\" is taken by a run")).remedy("another name"));
    }
    Ok(())
}

fn add(found: &mut BTreeMap<Kind, (Id, OwnedFd)>, place: &Place) -> Result<()> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("cannot open the {} namespace {}", place.kind, place.path.display())).caused_by(&error)
    };
    let namespace = open_namespace(&place.path).map_err(failed)?;
    let id = identify(namespace.as_fd()).map_err(|errno| failed(errno.into()))?;
    match found.insert(place.kind, (id, namespace)) {
        Some((other, _)) if other != id => {
            Err(Failure::new(format!("two {} namespaces can't be kept under one name", place.kind))
                .remedy("a name for each, or options such as -n for the kinds that are meant"))
        }
        _ => Ok(()),
    }
}

/// Lets them go; goes on after a failure.
pub fn drop(args: &DropArgs) -> Result<u8> {
    let caller = Caller::of_this_process();
    let released = args.names.iter().map(|name| kept::release(name, &caller));
    let failures: Vec<Failure> = released.filter_map(|released| Some(kept::failure(&released.err()?))).collect();
    let mut failures = failures.into_iter().rev();
    let Some(last) = failures.next() else { return Ok(0) };
    failures.rev().for_each(|failure| output::failure(&failure));
    Err(last)
}
