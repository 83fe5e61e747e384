//! What a group uses is counted, and its lack of memory known. See `group/mod.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod group;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use group::{BUSY, EVERYWHERE, HEAVY, Kind, Made, Member, PATIENCE};
use izba_sandbox::cgroup::group::GroupError;
use izba_sandbox::cgroup::{Bound, Controller, Place, Version};
use izba_sys::process::{PollFd, PollFlags, Timespec, poll};

#[test]
fn what_a_group_uses_is_counted_and_what_it_doesn_t_count_is_absent() {
    for made in Made::each(&EVERYWHERE, "usage") {
        let group = made.open();
        let idle = group.usage().unwrap();
        let members = [Member::start(&made.place, BUSY), Member::heavy(&made.sub("a"))];
        let memory = counts(&made.place, Controller::Memory, "memory.stat");
        let until = Instant::now() + PATIENCE;
        let mut usage = idle.clone();
        // The kernel adds up what CPUs have counted every two seconds.
        while usage.cpu.total < Some(Duration::from_millis(20)) || memory && usage.memory.anonymous < Some(HEAVY) {
            assert!(Instant::now() < until, "{usage:?}");
            sleep(Duration::from_millis(1));
            usage = group.usage().unwrap();
        }
        assert!(usage.cpu.total > idle.cpu.total && usage.cpu.user.is_some() && usage.cpu.system.is_some());
        assert_eq!(usage.pids.current.is_some(), counts(&made.place, Controller::Pids, "pids.current"));
        assert!(usage.pids.current.is_none_or(|current| current == 2 && usage.pids.limit == Some(Bound::Max)));
        for field in [usage.memory.current, usage.memory.anonymous, usage.memory.file, usage.memory.events.max] {
            assert_eq!(field.is_some(), memory, "{usage:?}");
        }
        assert!(!memory || usage.memory.current > Some(HEAVY) && idle.memory.current < Some(HEAVY));
        assert_eq!(usage.memory.limit, memory.then_some(Bound::Max));
        assert_eq!(usage.pressure.cpu.is_some(), made.place.unified.is_some());
        drop(members);
    }
}

fn counts(place: &Place, controller: Controller, file: &str) -> bool {
    place.of(controller).is_some_and(|(_, dir)| dir.join(file).exists())
}

#[test]
fn a_process_that_is_killed_for_lack_of_memory_is_counted_and_known_when_the_group_is_gone() {
    const LIMIT: u64 = 32 << 20;
    for made in Made::each(&[Kind::V1, Kind::V2], "oom") {
        let Some((version, dir)) = made.place.of(Controller::Memory) else { continue };
        let limit = ["memory.limit_in_bytes", "memory.max"][usize::from(version == Version::V2)];
        if !dir.join(limit).exists() {
            continue;
        }
        fs::write(dir.join(limit), LIMIT.to_string()).unwrap();
        for no_swap in ["memory.memsw.limit_in_bytes", "memory.swap.max"] {
            let value = if version == Version::V1 { LIMIT } else { 0 };
            let _ = fs::OpenOptions::new()
                .write(true)
                .open(dir.join(no_swap))
                .map(|_| fs::write(dir.join(no_swap), value.to_string()));
        }
        let group = made.open();
        let mut watch = group.watch().unwrap().unwrap();
        assert_eq!(watch.update().kills, Some(0));
        let mut member = Member::start(&made.place, "exec perl -e '$x = \"x\" x (256 << 20); sleep 1000'");
        assert_eq!(member.ended_by(), Some(9));
        if version == Version::V2 {
            let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(poll(&mut [PollFd::new(&watch, PollFlags::PRI)], Some(&patience)), Ok(1));
        }
        let oom = watch.update();
        assert_eq!((oom.kills, oom.limit), (Some(1), Some(Bound::At(LIMIT))));
        assert!(oom.peak.is_none_or(|peak| peak > LIMIT / 2 && peak <= LIMIT));
        assert_eq!(group.oom(), Ok(oom));
        assert_eq!(group.usage().unwrap().memory.events.killed, Some(1));
        group.remove(PATIENCE).unwrap();
        assert_eq!(watch.update(), oom);
        assert!(matches!(group.oom(), Err(GroupError::Gone(_))));
    }
}
