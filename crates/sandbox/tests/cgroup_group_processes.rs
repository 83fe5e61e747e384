//! The processes of a group are found and signalled. See `group/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;

use std::fs;

use group::{EVERYWHERE, IDLE, Kind, Made, Member, PATIENCE};
use izba_sandbox::cgroup::Group;

#[test]
fn processes_of_sub_groups_belong_to_the_group() {
    for made in Made::each(&EVERYWHERE, "processes") {
        let group = made.open();
        assert_eq!(group.processes(), Ok(vec![]));
        let members = [
            Member::start(&made.place, IDLE),
            Member::start(&made.sub("a"), IDLE),
            Member::start(&made.sub("b/c"), IDLE),
        ];
        let mut expected: Vec<_> = members.iter().map(Member::pid).collect();
        expected.sort_unstable();
        assert_eq!(group.processes(), Ok(expected), "{made:?}", made = made.place);
    }
}

#[test]
fn groups_that_come_and_go_meanwhile_are_no_errors() {
    for made in Made::each(&EVERYWHERE, "vanish") {
        let group = made.open();
        let member = Member::start(&made.place, IDLE);
        let place = made.place.clone();
        let busy = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            let busy = &busy;
            scope.spawn(move || {
                while busy.load(std::sync::atomic::Ordering::Relaxed) {
                    for dir in place.dirs() {
                        fs::create_dir_all(dir.join("a/b")).unwrap();
                        fs::remove_dir(dir.join("a/b")).unwrap();
                        fs::remove_dir(dir.join("a")).unwrap();
                    }
                }
            });
            let outcomes: Vec<_> = (0..300).map(|_| group.processes()).collect();
            busy.store(false, std::sync::atomic::Ordering::Relaxed);
            assert!(outcomes.iter().all(|found| *found == Ok(vec![member.pid()])), "{outcomes:?}");
        });
    }
}

#[test]
fn processes_of_threaded_sub_groups_are_found_and_ended() {
    for made in Made::each(&[Kind::V2], "threaded") {
        // A group with domain controllers on can't be the root of a threaded subtree: it has none, as nothing turns them on.
        let sub = made.sub("threads");
        fs::write(sub.unified.as_ref().unwrap().join("cgroup.type"), "threaded").unwrap();
        let mut member = Member::start(&made.place, IDLE);
        fs::write(sub.unified.as_ref().unwrap().join("cgroup.threads"), member.pid().to_string()).unwrap();
        let group = made.open();
        assert_eq!(group.processes(), Ok(vec![member.pid()]));
        assert_eq!(group.signal(0), Ok(1));
        let threaded = Group::open(&sub).unwrap().processes().unwrap_err();
        assert!(threaded.hint().unwrap().cause.contains("threaded"), "{threaded}");
        group.remove(PATIENCE).unwrap();
        assert_eq!(member.ended_by(), Some(9));
    }
}

#[test]
fn a_signal_reaches_each_process_once() {
    for made in Made::each(&EVERYWHERE, "signal") {
        let script = "trap 'n=x$n; [ $n != xx ] || exit 7' USR1; trap 'exit 5' TERM; echo up; while :; do :; done";
        let mut members = [Member::start(&made.place, script), Member::start(&made.sub("a"), script)];
        for member in &mut members {
            member.wait_for_line("up\n");
        }
        let group = made.open();
        // They start no others, which would end by it.
        assert_eq!((group.signal(10).unwrap(), group.signal(15).unwrap()), (2, 2));
        for member in &mut members {
            assert_eq!(member.0.wait().unwrap().code(), Some(5));
        }
    }
}
