//! systemd's driver as an ordinary user with a systemd of the own, whose login is outside of what is delegated to that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod scope;

use izba_sandbox::cgroup::systemd::{Address, PATIENCE, Systemd, SystemdError, is_systemd_running};
use scope::*;

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_process_from_outside_the_delegated_groups_is_put_into_a_scope() {
    assert!(is_systemd_running() && !is_root());
    let own = Waiting::new().group();
    assert!(!own.starts_with(group_of("", "")), "a login is not in one's own systemd's groups: {}", own.display());
    a_waiting_process_is_put_into_its_scope("start");
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_user_is_told_to_ask_the_own_systemd_where_the_systems_refuses() {
    assert!(!is_root());
    let mut system = Systemd::connect(&Address::system(None).unwrap(), PATIENCE).unwrap();
    let waiting = Waiting::new();
    let error = start(&mut system, &unit("refused"), &[waiting.pid()], &[]).unwrap_err();
    assert!(matches!(error, SystemdError::Call { .. }), "{error}");
    assert!(error.remedy().contains("own systemd"), "{error}: {}", error.remedy());
}

#[test]
#[ignore = "needs the test machine: cargo xtask test"]
fn a_process_of_the_login_is_attached_to_what_runs() {
    let (mut systemd, first, second, unit) = (connect(), Waiting::new(), Waiting::new(), unit("attach"));
    let group = start(&mut systemd, &unit, &[first.pid()], &[]).unwrap();
    systemd.attach(&unit, "", &[second.pid()]).unwrap();
    assert_eq!(second.group(), group);
    // Somebody else's process is not for the user to move.
    let error = systemd.attach(&unit, "", &[1]).unwrap_err();
    assert!(matches!(error, SystemdError::Call { .. }), "{error}");
    systemd.stop(&unit).unwrap();
}
