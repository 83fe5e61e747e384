//! Arbitrary text as /proc/self/mountinfo.
#![no_main]

use izba_sandbox::visibility::{fully_visible, hiding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|mountinfo: &str| {
    for fstype in ["proc", "sysfs"] {
        // What may be written may be read as well.
        assert!(!fully_visible(mountinfo, fstype, false) || fully_visible(mountinfo, fstype, true));
        hiding(mountinfo, fstype);
    }
});
