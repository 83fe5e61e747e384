//! `izba run` in its simplest form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use support::{Ground, User, run};

#[test]
fn a_program_runs_in_a_directory_root_and_its_status_comes_back() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{user:?}"), user);
        let ended = run(ground.izba(user).arg("run").arg(&root).args(["sh", "-c", "id -u; echo $$; exit 7"]));
        assert_eq!((ended.status, ended.stdout.as_str()), (7, "0\n2\n"), "{user:?}: {}", ended.stderr);
    }
}
