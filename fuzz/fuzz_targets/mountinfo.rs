//! Arbitrary text as /proc/self/mountinfo.
#![no_main]

use izba_sandbox::mountinfo::{MountLine, unescape};
use izba_sandbox::visibility::{fully_visible, hiding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|mountinfo: &str| {
    for fstype in ["proc", "sysfs"] {
        // What may be written may be read as well.
        assert!(!fully_visible(mountinfo, fstype, false) || fully_visible(mountinfo, fstype, true));
        hiding(mountinfo, fstype);
    }
    for line in mountinfo.lines().filter_map(MountLine::parse) {
        // An escape takes four bytes and gives one.
        assert!(unescape(line.point).as_os_str().len() <= line.point.len());
    }
});
