//! Arbitrary text as /proc/PID/status, which has the process's own name in it, and bytes as its command line.
#![no_main]

use izba_sandbox::survey::Id;
use izba_sandbox::survey::status::Status;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (text, cmdline) = input;
    let status = Status::parse(text);
    assert!(!status.command(cmdline).is_empty());
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
});
