//! izba runs itself in a user namespace, where the subordinate ids that own an archive's files are its own. It is a sandbox
//! like any other, that keeps everything but ids and mounts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use izba_sandbox::capability::Capabilities;
use izba_sandbox::facts::Facts;
use izba_sandbox::idmap::IdMaps;
use izba_sandbox::namespace::{Namespace, Namespaces};
use izba_sandbox::parent;
use izba_sandbox::plan::Plan;
use izba_sandbox::rootfs::{CallerRoot, Root, SystemMounts};
use izba_sandbox::sandbox::{Init, Sandbox};

use crate::args::internal;
use crate::failure::{Failure, Result};
use crate::lower::c_string;
use crate::start;

/// Runs one of our hidden verbs as root of a user namespace with these maps.
pub fn run(maps: IdMaps, words: Vec<OsString>) -> Result<()> {
    let sandbox = sandbox(maps, words)?;
    let facts =
        Facts::gather(&sandbox).map_err(|error| Failure::new("cannot look at this machine").caused_by(&error))?;
    let plan = Plan::new(&sandbox, &facts).map_err(|error| start::unplanned(&error))?;
    let mut child = parent::spawn(&plan, None).map_err(|error| start::failure(&error))?;
    let outcome =
        child.wait().map_err(|error| Failure::new("cannot wait for izba in a user namespace").caused_by(&error))?;
    // It has our stderr, and has said what is wrong.
    if outcome.status() == 0 { Ok(()) } else { Err(Failure::said()) }
}

/// Removes files of subordinate ids.
pub fn remove(maps: IdMaps, trees: Vec<OsString>) -> Result<()> {
    run(maps, [vec![internal::REMOVE.into()], trees].concat())
}

fn sandbox(maps: IdMaps, words: Vec<OsString>) -> Result<Sandbox> {
    let args = [vec![OsString::from("izba")], words].concat();
    // The very program that runs, wherever it came from.
    let mut sandbox = Sandbox::new(Root::Caller(CallerRoot::default()), c"/proc/self/exe", &[]);
    sandbox.namespaces = Namespaces { user: Namespace::New(maps), mount: Namespace::New(()), ..Namespaces::shared() };
    sandbox.system = SystemMounts::None;
    sandbox.process.args = args.into_iter().map(|word| c_string(word.into_vec())).collect::<Result<_>>()?;
    sandbox.process.capabilities = Capabilities::all();
    sandbox.process.init = Init::Program;
    Ok(sandbox)
}
