//! Arbitrary bytes as the start of a program.
#![no_main]

use izba_sandbox::diagnose::executable::recognise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|head: &[u8]| {
    recognise(head);
});
