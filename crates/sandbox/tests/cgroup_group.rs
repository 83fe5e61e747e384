//! A group is opened and changed, and stays the one that it was. See `group/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;

use std::fs;

use group::{EVERYWHERE, IDLE, Kind, Made, Member, PATIENCE};
use izba_sandbox::cgroup::group::GroupError;
use izba_sandbox::cgroup::{Controller, Group, Place, Presence, Setting, Version};

#[test]
fn only_directories_of_control_groups_are_opened() {
    let place = Place { unified: Some("/tmp".into()), ..Place::default() };
    assert!(matches!(Group::open(&place), Err(GroupError::NotAGroup(_))));
}

#[test]
fn settings_are_written_and_refusals_say_what_and_where() {
    for made in Made::each(&[Kind::V1, Kind::Hybrid], "change") {
        let group = made.open();
        let setting = |value: &str| Setting {
            controller: Some(Controller::Pids),
            presence: Presence::Required,
            version: Version::V1,
            file: "pids.max".into(),
            value: value.into(),
        };
        group.change(&[setting("7")]).unwrap();
        let file = made.place.v1[&Controller::Pids].join("pids.max");
        assert_eq!(fs::read_to_string(&file).unwrap(), "7\n");
        let error = group.change(&[setting("lots")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("writing \"lots\" to {}: Invalid argument (os error 22)", file.display())
        );
        assert!(error.hint().is_some());
        let elsewhere = Setting { controller: Some(Controller::Hugetlb), ..setting("7") };
        assert!(matches!(group.change(&[elsewhere]), Err(GroupError::NoDirectory { .. })));
    }
}

#[test]
fn another_group_with_the_name_of_a_removed_one_stays() {
    for made in Made::each(&EVERYWHERE, "again") {
        let group = made.open();
        for dir in made.place.dirs() {
            fs::remove_dir(dir).unwrap();
            fs::create_dir(dir).unwrap();
        }
        let member = Member::start(&made.place, IDLE);
        assert_eq!(group.processes(), Ok(vec![]));
        group.remove(PATIENCE).unwrap();
        assert_eq!(made.open().processes(), Ok(vec![member.pid()]));
    }
}

#[test]
fn a_group_that_is_removed_is_gone_and_not_empty_handed() {
    for made in Made::each(&EVERYWHERE, "gone") {
        let group = made.open();
        made.place.dirs().for_each(|dir| fs::remove_dir(dir).unwrap());
        assert!(matches!(group.usage(), Err(GroupError::Gone(_))), "{:?}", group.usage());
        assert_eq!(group.processes(), Ok(vec![]));
        assert_eq!(group.signal(15), Ok(0));
        assert_eq!(group.kill(PATIENCE), Ok(()));
    }
}
