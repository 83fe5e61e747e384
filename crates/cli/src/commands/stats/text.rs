//! Usage for people.

use std::time::Duration;

use izba_sandbox::cgroup::Bound;

use super::sample::Sample;
use crate::progress::bytes;
use crate::table::{Table, Title, numbers, words};

/// A single look.
pub fn once(samples: &[Sample]) -> Table {
    table(samples, false)
}

/// One of several looks.
pub fn again(samples: &[Sample]) -> Table {
    table(samples, true)
}

fn table(samples: &[Sample], with_cpu: bool) -> Table {
    let mut titles: Vec<Title> = vec![words("NAME")];
    titles.extend(with_cpu.then(|| numbers("CPU")));
    titles.extend(
        ["CPU TIME", "THROTTLED", "MEMORY", "LIMIT", "PEAK", "SWAP", "PIDS", "LIMIT", "READ", "WRITTEN", "OOM KILLS"]
            .map(numbers),
    );
    let mut table = Table::new(titles);
    samples.iter().for_each(|sample| table.row(row(sample, with_cpu)));
    table
}

fn row(sample: &Sample, with_cpu: bool) -> Vec<String> {
    let usage = &sample.usage;
    let (memory, pids) = (&usage.memory, &usage.pids);
    let transferred = sample.transferred();
    let state = if sample.paused { " (paused)" } else { "" };
    let mut cells = vec![format!("{}{state}", sample.name)];
    cells.extend(with_cpu.then(|| shown(sample.cpu, percent)));
    cells.extend([
        shown(usage.cpu.total, time),
        shown(sample.throttled(), percent),
        shown(memory.current, bytes),
        shown(memory.limit, |limit| bound(limit, bytes)),
        shown(memory.peak, bytes),
        shown(memory.swap, bytes),
        shown(pids.current, |count| count.to_string()),
        shown(pids.limit, |limit| bound(limit, |count| count.to_string())),
        shown(transferred.map(|(read, _)| read), bytes),
        shown(transferred.map(|(_, written)| written), bytes),
        shown(memory.events.killed, |count| count.to_string()),
    ]);
    cells
}

/// A dash where nothing is counted.
fn shown<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

fn bound(bound: Bound, show: impl FnOnce(u64) -> String) -> String {
    match bound {
        Bound::Max => "max".to_owned(),
        Bound::At(most) => show(most),
    }
}

fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}.{:02}s", time.subsec_millis() / 10),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::sample;
    use super::*;
    use izba_sandbox::cgroup::group::DeviceIo;
    use std::time::Instant;

    fn lines(table: &Table) -> Vec<String> {
        let mut out = Vec::new();
        table.write(&mut out, None).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_not_counted_is_a_dash() {
        let mut counted = sample("web", Instant::now(), 0, 61_500);
        (counted.paused, counted.cpu) = (true, Some(0.701));
        let memory = &mut counted.usage.memory;
        (memory.current, memory.limit, memory.peak) = (Some(3 << 20), Some(Bound::At(64 << 20)), Some(5 << 20));
        (counted.usage.pids.current, counted.usage.pids.limit) = (Some(2), Some(Bound::Max));
        let disk = DeviceIo { major: 8, minor: 0, read_bytes: 1024, written_bytes: 0, reads: 1, writes: 0 };
        counted.usage.io = Some(vec![disk, DeviceIo { minor: 16, ..disk }]);
        let mut bare = sample("a", Instant::now(), 0, 0);
        bare.usage.cpu.total = None;
        let expected = [
            "NAME            CPU  CPU TIME  THROTTLED   MEMORY     LIMIT     PEAK  SWAP  PIDS  LIMIT     READ  WRITTEN  OOM KILLS",
            "web (paused)  70.1%     1m01s          -  3.0 MiB  64.0 MiB  5.0 MiB     -     2    max  2.0 KiB      0 B          -",
            "a                 -         -          -        -         -        -     -     -      -        -        -          -",
        ];
        assert_eq!(lines(&again(&[counted, bare])), expected);
        assert!(!lines(&once(&[]))[0].contains("CPU  CPU TIME"));
    }

    #[test]
    fn times_have_two_units() {
        for (milliseconds, shown) in [(0, "0.00s"), (1239, "1.23s"), (61_000, "1m01s"), (3_660_000, "1h01m")] {
            assert_eq!(time(Duration::from_millis(milliseconds)), shown);
        }
    }
}
