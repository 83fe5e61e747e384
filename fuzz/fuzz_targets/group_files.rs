//! Arbitrary text as files of control groups, /proc/PID/cgroup and /proc/self/mountinfo: no group is found outside of what is mounted.
#![no_main]

use std::path::{Component, Path};

use izba_sandbox::cgroup::Membership;
use izba_sandbox::cgroup::group::Usage;
use izba_sandbox::mountinfo::{MountLine, unescape};
use libfuzzer_sys::fuzz_target;

fn leads_up(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

fuzz_target!(|input: (&str, &str, &str)| {
    let (text, other, mountinfo) = input;
    for usage in Usage::read_any(text, other) {
        let devices = usage.io.unwrap_or_default();
        assert!(devices.len() <= text.lines().count());
    }
    if let Ok(found) = Membership::of_texts(text, other, mountinfo) {
        for dir in found.unified.iter().chain(&found.v1) {
            let mounts = mountinfo.lines().filter_map(MountLine::parse);
            let mut below = mounts.filter_map(|mount| dir.strip_prefix(unescape(mount.point)).ok());
            assert!(below.any(|below| !leads_up(below)), "{}", dir.display());
        }
        assert_eq!(Membership::of_texts(text, text, mountinfo).unwrap(), Membership::default());
    }
});
