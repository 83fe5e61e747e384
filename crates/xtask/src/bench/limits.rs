//! `cargo xtask bench limits`: starts in groups of their own, with and without limits, beside runc and crun, in each view of control groups.
//!
//! izba joins the three hierarchies of v1 that its limits need; runc and crun join all of them, and can't be told otherwise.

use super::contender::Contender;
use super::ground::{Ground, build_izba};
use super::peers::{izba, program, unshare, words};
use super::table::Heading;
use super::view::{View, has_controllers};
use super::{Options, bundle, compare};
use crate::Outcome;
use crate::setup::Account;
use std::ffi::OsString;
use std::path::Path;

/// As the bundle says it to runc and crun.
const LIMITS: [&str; 6] = ["--memory", "64M", "--pids-limit", "100", "--cpus", "1"];

/// One table for each view.
pub(super) fn run(options: &Options) -> Outcome {
    View::ALL.into_iter().filter(|view| view.is_here()).try_for_each(|view| view.measure(options))
}

/// The table of the view that this program is in.
pub(super) fn run_in(view: View, options: &Options) -> Outcome {
    let what = match view {
        View::Own => "`true`, cgroups as on this machine",
        View::V1 => "`true`, cgroup v1 alone",
        View::V2 => "`true`, cgroup v2 alone",
    };
    let ground = Ground::prepare(&build_izba(&[])?)?;
    println!();
    let heading = Heading { what, beside: "× floor", tools: &["runc", "crun", "unshare"] };
    compare(&ground, line_up(&ground)?, &heading, options)
}

fn line_up(ground: &Ground) -> Outcome<Vec<Contender>> {
    let account = Account::root();
    let directory = ground.root_for(&account)?;
    let entry = |name: &str, program: &Path, arguments: Vec<OsString>| Contender {
        name: name.into(),
        program: program.into(),
        arguments,
        account: account.clone(),
    };
    let run = |options: &[&str]| izba(&[&["run"], options].concat(), &directory);
    let mut contenders = vec![
        entry("the floor", &ground.floor, words(&[directory.as_ref(), "/bin/true".as_ref()])),
        entry("unshare", &program("unshare"), unshare(&account, &directory)),
        entry("izba run --cgroup-manager none", &ground.izba, run(&["--cgroup-manager", "none"])),
        entry("izba run", &ground.izba, run(&[])),
    ];
    let limited = has_controllers();
    if limited {
        contenders.push(entry("izba run, limits", &ground.izba, run(&LIMITS)));
    }
    for limited in [false, true].into_iter().filter(|&limits| !limits || limited) {
        for peer in ["runc", "crun"] {
            let name = if limited { format!("{peer} run, limits") } else { format!("{peer} run") };
            let place = ground.directory(&name.replace([' ', ','], "-"))?;
            let arguments = bundle::run(&place, &directory, limited)?;
            contenders.push(entry(&name, &program(peer), arguments));
        }
    }
    Ok(contenders)
}
