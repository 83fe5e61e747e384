//! Where namespaces are kept under names.

use izba_sandbox::keep::{KeepError, Kept, Shelf, Way, netns};
use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::Id;

use crate::caller::Caller;
use crate::failure::{Failure, Result};
use crate::runtime_dir;

/// Where new names go.
pub fn shelf(caller: &Caller) -> Result<Shelf> {
    runtime_dir::open(caller).map(|dir| Shelf::new(dir.path.join("ns")))
}

/// How the caller can keep namespaces. Root of a user namespace may mount at most in a mount namespace of its own, with which the mounts
/// would go, and /run/netns is another's.
pub fn way(caller: &Caller) -> Way {
    if caller.privileged && Id::own(Kind::User).is_some_and(Id::is_initial) { Way::Mounts } else { Way::Process }
}

/// Where names may be: a name that was kept without XDG_RUNTIME_DIR is found in a session that has it.
pub fn shelves(caller: &Caller) -> Vec<Shelf> {
    runtime_dir::existing(caller).iter().map(|dir| Shelf::new(dir.path.join("ns"))).collect()
}

/// What is kept under a name, or has it from ip-netns(8).
pub fn find(name: &str, caller: &Caller) -> Option<Kept> {
    shelves(caller).iter().find_map(|shelf| shelf.find(name)).or_else(|| netns::find(name))
}

/// All that is kept. Networks that a shelf has are among the names of ip-netns(8) again.
pub fn all(caller: &Caller) -> Vec<Kept> {
    shelves(caller).iter().flat_map(Shelf::all).chain(netns::all()).collect()
}

/// Lets go what is kept under a name: where it is found, and nowhere else.
pub fn release(name: &str, caller: &Caller) -> std::result::Result<(), KeepError> {
    for shelf in shelves(caller) {
        match shelf.release(name) {
            // What a killed one has left has gone now, though it wasn't anything that is kept.
            Err(KeepError::Unknown(_)) => {}
            found => return found,
        }
    }
    netns::release(name)
}

/// What a user reads of a failure.
pub fn failure(error: &KeepError) -> Failure {
    let failure = Failure::from_error(error);
    match error {
        KeepError::Taken(name) => failure.remedy(format!("another name, or izba ns drop {name} first")),
        KeepError::Invalid(_) => failure.remedy("a name without slashes"),
        KeepError::Busy(_) => failure.remedy("ps ax, which shows stopped processes as T; then the same again"),
        KeepError::Unknown(_) => failure.remedy("izba ns list shows the names"),
        KeepError::Call { what: "bind the namespace to", path, source }
            if path.ends_with("mnt") && source.raw_os_error() == Some(22) =>
        {
            failure
                .because("the kernel keeps a mount namespace only from one with a smaller id, as they could keep each other alive: mount_namespaces(7)")
                .remedy("one that was made later than your own; on Linux 6.18, where ids come in batches for each CPU, also try making it again")
        }
        KeepError::Call { .. } => failure,
    }
}
