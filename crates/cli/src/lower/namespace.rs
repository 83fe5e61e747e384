//! Which namespaces are new, kept or joined.

use izba_sandbox::idmap::IdMaps;
use izba_sandbox::namespace::{ClockOffsets, Kind, Namespace, Namespaces};

use crate::args::run::RunArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};

/// All that can be new without being asked for, and what the options change. `user` has been decided before.
pub fn lower(args: &RunArgs, caller: &Caller, user: Namespace<IdMaps>) -> Result<Namespaces> {
    let wanted = &args.namespaces;
    let mut namespaces = if args.root.repair { only_mounts() } else { Namespaces::isolated() };
    if wanted.boottime.is_some() || wanted.monotonic.is_some() {
        let (monotonic, boottime) = (wanted.monotonic.unwrap_or(0), wanted.boottime.unwrap_or(0));
        namespaces.time = Namespace::New(ClockOffsets { monotonic, boottime });
    }
    for &kind in &wanted.share {
        refuse_two_meanings(args, kind)?;
        namespaces.share(kind);
    }
    for (index, join) in wanted.join.iter().enumerate() {
        if wanted.join[..index].iter().any(|other| other.kind == join.kind) {
            return Err(Failure::new(format!("two {} namespaces can't be joined", join.kind)));
        }
        refuse_two_meanings(args, join.kind)?;
        namespaces.join(join.kind, caller.absolute(&join.path));
    }
    namespaces.user = user;
    if namespaces.is_shared(Kind::User) && !caller.privileged && namespaces.new_kinds().next().is_some() {
        return Err(Failure::new(
            "--share user: only in a user namespace of its own can an ordinary user make other namespaces",
        )
        .remedy("leave out --share user, or run izba as root"));
    }
    Ok(namespaces)
}

/// Rescue work happens on the machine as it is; only what is mounted for it goes with it.
fn only_mounts() -> Namespaces {
    Namespaces { mount: Namespace::New(()), ..Namespaces::shared() }
}

fn refuse_two_meanings(args: &RunArgs, kind: Kind) -> Result<()> {
    let wanted = &args.namespaces;
    if wanted.share.contains(&kind) && wanted.join.iter().any(|join| join.kind == kind) {
        return Err(Failure::new(format!("the {kind} namespace can't be kept and another one joined")));
    }
    let offset = if wanted.boottime.is_some() { "--boottime" } else { "--monotonic" };
    if kind == Kind::Time && (wanted.boottime.is_some() || wanted.monotonic.is_some()) {
        return Err(Failure::new(format!(
            "{offset} sets the clocks of a new time namespace, and another option keeps or joins one"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Verb};
    use clap::Parser;

    fn lowered(options: &[&str]) -> Result<Namespaces> {
        let line = ["izba", "run"].into_iter().chain(options.iter().copied()).chain(["host"]);
        let Verb::Run(args) = Cli::try_parse_from(line).unwrap().verb else { panic!("run") };
        let caller = Caller { privileged: true, ..crate::lower::environment::tests::caller(&[]) };
        lower(&args, &caller, Namespace::Share)
    }

    #[test]
    fn everything_is_new_by_default_but_time() {
        assert_eq!(lowered(&[]).unwrap(), Namespaces::isolated());
        let time = lowered(&["--boottime", "-5", "--monotonic=7"]).unwrap().time;
        assert_eq!(time, Namespace::New(ClockOffsets { monotonic: 7, boottime: -5 }));
    }

    #[test]
    fn namespaces_are_shared_and_joined() {
        let namespaces = lowered(&["--share", "net", "--join", "ipc=7", "--join", "uts=x"]).unwrap();
        assert!(namespaces.is_shared(Kind::Net));
        assert_eq!(namespaces.joined(Kind::Ipc).unwrap().as_os_str(), "/proc/7/ns/ipc");
        assert_eq!(namespaces.joined(Kind::Uts).unwrap().as_os_str(), "/cwd/x");
    }

    #[test]
    fn contradictions_are_refused() {
        for options in [
            &["--share", "net", "--join", "net=1"][..],
            &["--join", "net=1", "--join", "net=2"],
            &["--share", "time", "--boottime", "1"],
            &["--join", "time=1", "--monotonic", "1"],
        ] {
            assert!(lowered(options).is_err(), "{options:?}");
        }
    }

    #[test]
    fn rescue_work_shares_all_but_mounts() {
        let namespaces = lowered(&["--repair"]).unwrap();
        assert!(namespaces.new_kinds().eq([Kind::Mount]));
    }
}
