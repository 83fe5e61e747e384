//! Groups are ended and removed, whatever they do meanwhile. See `group/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;

use std::fs;
use std::time::Instant;

use group::{EVERYWHERE, FREEZABLE, IDLE, Kind, Made, Member, PATIENCE};
use izba_sandbox::cgroup::{Controller, Group, Place};

#[test]
fn whatever_is_in_it_a_group_is_ended_and_removed() {
    for made in Made::each(&EVERYWHERE, "remove") {
        let group = made.open();
        let mut members =
            [Member::start(&made.place, IDLE), Member::start(&made.sub("a/b"), "trap '' TERM; sleep 1000")];
        made.sub("a/empty");
        group.remove(PATIENCE).unwrap();
        assert!(made.is_gone());
        for member in &mut members {
            assert_eq!(member.ended_by(), Some(9));
        }
        group.remove(PATIENCE).unwrap();
        assert_eq!(group.processes(), Ok(vec![]));
        assert!(Group::open(&made.place).is_err());
        Group::open_rest(&made.place).unwrap().remove(PATIENCE).unwrap();
    }
}

#[test]
fn a_fork_bomb_is_ended() {
    for made in Made::each(&[Kind::V1, Kind::Unfreezable, Kind::Hybrid, Kind::V2], "bomb") {
        if !limit_processes(&made.place) {
            continue;
        }
        let _bomb = Member::bomb(&made.place);
        let group = made.open();
        let until = Instant::now() + PATIENCE;
        while group.processes().unwrap().len() < 20 {
            assert!(Instant::now() < until, "no bomb");
        }
        group.kill(PATIENCE).unwrap();
        assert_eq!(group.processes(), Ok(vec![]));
        group.remove(PATIENCE).unwrap();
    }
}

/// No more than 40 processes can be in the group then. False where they can't be limited.
fn limit_processes(place: &Place) -> bool {
    let limited = place.v1.get(&Controller::Pids).or(place.unified.as_ref()).unwrap();
    fs::write(limited.join("pids.max"), "40").is_ok()
}

#[test]
fn deep_nesting_is_removed_with_few_descriptors() {
    for made in Made::each(&FREEZABLE, "deep") {
        made.sub(&["d"; 300].join("/"));
        made.open().remove(PATIENCE).unwrap();
        assert!(made.is_gone());
    }
}

#[test]
fn a_process_that_ends_late_delays_removal_and_doesn_t_prevent_it() {
    for made in Made::each(&EVERYWHERE, "late") {
        let group = made.open();
        // Much memory to give back: the kernel is a while at it.
        let _heavy = Member::heavy(&made.place);
        for pid in group.processes().unwrap() {
            izba_sys::signal::kill(pid, 9).unwrap();
        }
        group.remove(PATIENCE).unwrap();
        assert!(made.is_gone());
    }
}

#[test]
fn sub_groups_that_appear_while_it_is_removed_delay_that_only() {
    for made in Made::each(&EVERYWHERE, "race") {
        let group = made.open();
        let dirs: Vec<_> = made.place.dirs().map(|dir| dir.join("late")).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2000).for_each(|_| dirs.iter().for_each(|dir| drop(fs::create_dir(dir)))));
            group.remove(PATIENCE).unwrap();
        });
        assert!(made.is_gone());
    }
}
