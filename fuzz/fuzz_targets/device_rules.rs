//! Arbitrary text as device rules and as a devices.list: what is accepted is read again as it is written, and becomes a program and a list.
#![no_main]

use izba_sandbox::cgroup::DeviceRule;
use izba_sandbox::cgroup::device::{Program, transition, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (list, text) = input;
    let rules: Vec<DeviceRule> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for rule in &rules {
        assert_eq!(rule.to_string().parse(), Ok(*rule));
    }
    assert!(Program::compile(&rules).instructions().len() <= 11 + 13 * rules.len());
    let _refused = within(list, &rules);
    let _refused = transition(list, &rules);
});
