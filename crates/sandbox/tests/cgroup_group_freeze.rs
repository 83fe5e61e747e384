//! Groups are frozen, thawed, and killed while they are frozen. See `group/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;

use std::thread::sleep;
use std::time::{Duration, Instant};

use group::{BUSY, FREEZABLE, IDLE, Kind, Made, Member, PATIENCE, unified, v1};
use izba_sandbox::cgroup::group::{GroupError, State};
use izba_sandbox::cgroup::{Controller, Group, Place};

#[test]
fn a_frozen_group_uses_no_cpu_time_and_goes_on_when_it_is_thawed() {
    for made in Made::each(&FREEZABLE, "freeze") {
        let group = made.open();
        let members = [Member::start(&made.place, BUSY), Member::start(&made.sub("a"), BUSY)];
        assert_eq!(group.state(), Ok(State::Running));
        group.freeze(PATIENCE).unwrap();
        assert_eq!(group.state(), Ok(State::Frozen));
        let frozen = cpu_time(&group);
        sleep(Duration::from_millis(400));
        // A process is frozen a moment before it leaves its CPU, and some kernels count whole ticks.
        assert!(cpu_time(&group) - frozen <= Duration::from_millis(10), "{:?}", made.place);
        group.thaw().unwrap();
        assert_eq!(group.state(), Ok(State::Running));
        let until = Instant::now() + PATIENCE;
        while cpu_time(&group) - frozen < Duration::from_millis(30) {
            assert!(Instant::now() < until, "{:?} doesn't run again", made.place);
        }
        drop(members);
    }
}

fn cpu_time(group: &Group) -> Duration {
    group.usage().unwrap().cpu.total.unwrap()
}

#[test]
fn frozen_and_nested_frozen_groups_can_be_killed() {
    for made in Made::each(&FREEZABLE, "nested") {
        let (group, sub) = (made.open(), made.sub("a"));
        let mut members = [Member::start(&made.place, IDLE), Member::start(&sub, IDLE)];
        Group::open(&sub).unwrap().freeze(PATIENCE).unwrap();
        group.freeze(PATIENCE).unwrap();
        group.kill(PATIENCE).unwrap();
        assert_eq!(group.processes(), Ok(vec![]));
        for member in &mut members {
            assert_eq!(member.ended_by(), Some(9));
        }
    }
}

#[test]
fn a_group_that_was_frozen_by_the_v1_freezer_is_killed_by_cgroup_v2_too() {
    for made in Made::each(&[Kind::Hybrid], "both") {
        let mut member = Member::start(&made.place, IDLE);
        let v1 = Place { unified: None, ..made.place.clone() };
        Group::open(&v1).unwrap().freeze(PATIENCE).unwrap();
        let group = made.open();
        assert_eq!(group.state(), Ok(State::Frozen));
        group.kill(PATIENCE).unwrap();
        assert_eq!(member.ended_by(), Some(9));
    }
}

#[test]
fn nobody_stops_its_own_group() {
    // The root of a hierarchy: if it weren't refused, there would be no file to do it with.
    for unified in [unified(), v1(Controller::Freezer)].into_iter().flatten() {
        let v1 = unified.ends_with("freezer").then(|| (Controller::Freezer, unified.clone()));
        let place = Place { unified: v1.is_none().then_some(unified), v1: v1.into_iter().collect(), unit: None };
        let error = Group::open(&place).unwrap().freeze(PATIENCE).unwrap_err();
        assert!(matches!(error, GroupError::CallerInside(_)), "{error}");
    }
}
