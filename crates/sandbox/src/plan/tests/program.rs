//! Plans of what the program is given: its process, its ids, its terminal, its settings.

use super::*;

#[test]
fn a_program_that_is_pid_1_is_forked_early_and_once() {
    let mut sandbox = sandbox();
    sandbox.process.init = Init::Program;
    let plan = plan(&sandbox, &privileged());
    assert!(!plan.clone_flags.contains(CloneFlags::NEWPID));
    assert_eq!(forks(&plan), [&Call::Fork { namespaces: CloneFlags::NEWPID, group: None }]);
    assert!(position(&plan, "clone3(") < position(&plan, "mount_setattr("));
    assert!(has(&plan, "PR_SET_PDEATHSIG"));
}

#[test]
fn sysctls_are_written_through_our_own_proc_before_it_is_protected() {
    let mut sandbox = sandbox();
    sandbox.sysctls = vec![Sysctl { path: "net/ipv4/ip_forward".into(), value: "1".into() }];
    let plan = plan(&sandbox, &privileged());
    let written = inside(&plan).into_iter().find_map(|call| match call {
        Call::WriteSetting { at: At::In(slot, path), .. } => {
            Some((plan.slots[usize::from(slot.0)].as_str(), path.clone()))
        }
        _ => None,
    });
    assert_eq!(written, Some(("proc", CString::from(c"sys/net/ipv4/ip_forward"))));
    let titles = titles(&plan);
    let at = |title: &str| titles.iter().position(|known| *known == title).unwrap();
    assert!(
        at("mount /proc") < at("set the sysctl net/ipv4/ip_forward")
            && at("set the sysctl net/ipv4/ip_forward") < at("write-protect /proc/sys")
    );
    sandbox.system = SystemMounts::None;
    // Nothing is mounted that it could be written through; it must not be dropped in silence.
    assert!(Plan::new(&sandbox, &privileged()).is_err(), "a sysctl that is never written");
}

#[test]
fn an_ordinary_user_inside_holds_no_capability() {
    let mut sandbox = sandbox();
    sandbox.process.user = User::Become(Ids { uid: 1000, gid: 50, groups: vec![60, 61] });
    let plan = plan(&sandbox, &privileged());
    assert!(has(&plan, "{effective=0, permitted=0, inheritable=0}"));
    let order = [
        "setgroups(2, [60, 61])",
        "setresgid(50, 50, 50)",
        "setresuid(1000, 1000, 1000)",
        "capset(",
        "PR_SET_NO_NEW_PRIVS",
    ];
    let places = order.map(|text| position(&plan, text));
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_terminal_is_opened_through_our_own_devpts() {
    let mut sandbox = sandbox();
    sandbox.process.terminal = Terminal::New { rows: 24, columns: 80 };
    let plan = plan(&sandbox, &privileged());
    assert!(position(&plan, "openat2({devpts}, \"ptmx\"") < position(&plan, "sendmsg("));
    assert!(position(&plan, "setsid()") < position(&plan, "TIOCSCTTY"));
}
