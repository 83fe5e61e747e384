//! Arbitrary bytes as answers of rtnetlink(7), and arbitrary text as tables of /proc/sysvipc and timens_offsets.
#![no_main]

use izba_sandbox::contents::read_any;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &str)| {
    let (received, table) = input;
    read_any(received, table);
});
