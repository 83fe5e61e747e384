//! Usage for programs. What isn't counted is null.

use izba_sandbox::cgroup::group::{DeviceIo, Usage};
use serde_json::{Value, json};

use super::sample::Sample;
use crate::result::{bound, microseconds};

/// One run.
pub fn value(sample: &Sample) -> Value {
    let usage = &sample.usage;
    let io = usage.io.as_ref().map(|devices| devices.iter().map(device).collect::<Vec<_>>());
    json!({
        "name": sample.name,
        "paused": sample.paused,
        "cpu": cpu(sample),
        "memory": memory(usage),
        "pids": {
            "current": usage.pids.current,
            "peak": usage.pids.peak,
            "limit": usage.pids.limit.map(bound),
            "refused": usage.pids.refused,
        },
        "io": io,
    })
}

fn cpu(sample: &Sample) -> Value {
    let cpu = &sample.usage.cpu;
    json!({
        "percent": sample.cpu.map(|part| part * 100.0),
        "totalMicroseconds": cpu.total.map(microseconds),
        "userMicroseconds": cpu.user.map(microseconds),
        "systemMicroseconds": cpu.system.map(microseconds),
        "periods": cpu.throttling.map(|throttling| throttling.periods),
        "throttledPeriods": cpu.throttling.map(|throttling| throttling.throttled_periods),
        "throttledMicroseconds": cpu.throttling.map(|throttling| microseconds(throttling.throttled)),
    })
}

fn memory(usage: &Usage) -> Value {
    let memory = &usage.memory;
    json!({
        "currentBytes": memory.current,
        "peakBytes": memory.peak,
        "limitBytes": memory.limit.map(bound),
        "swapBytes": memory.swap,
        "swapLimitBytes": memory.swap_limit.map(bound),
        "anonymousBytes": memory.anonymous,
        "fileBytes": memory.file,
        "kernelBytes": memory.kernel,
        "oomKills": memory.events.killed,
    })
}

fn device(device: &DeviceIo) -> Value {
    json!({
        "device": format!("{}:{}", device.major, device.minor),
        "readBytes": device.read_bytes,
        "writtenBytes": device.written_bytes,
        "reads": device.reads,
        "writes": device.writes,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::sample;
    use super::*;
    use izba_sandbox::cgroup::Bound;
    use std::time::Instant;

    #[test]
    fn what_is_not_counted_is_null() {
        let mut sample = sample("web", Instant::now(), 0, 1500);
        sample.usage.memory.limit = Some(Bound::At(4096));
        sample.usage.pids.limit = Some(Bound::Max);
        let value = value(&sample);
        assert_eq!((&value["name"], &value["paused"]), (&json!("web"), &json!(false)));
        assert_eq!(value["cpu"]["totalMicroseconds"], json!(1_500_000));
        assert_eq!((&value["memory"]["limitBytes"], &value["pids"]["limit"]), (&json!(4096), &json!("max")));
        for (object, field) in [("cpu", "percent"), ("memory", "currentBytes"), ("pids", "current")] {
            assert!(value[object].get(field).is_some_and(Value::is_null), "{object}.{field}");
        }
        assert!(value["io"].is_null());
    }
}
