//! Rates of a disk hold: by the group's own counters against the time that has passed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::time::Instant;

use crate::disk::Disk;
use crate::group::Limited;

/// How much of a second's amount may come at once: the kernel counts in slices of 0.1 s (block/blk-throttle.c), and begins a new one early where nothing was done.
const BURST: f64 = 0.25;

/// A limit for each second, and a transfer of a disk's beginning that needs longer.
pub struct Rate {
    option: &'static str,
    rate: u32,
    dd: &'static str,
    /// Of `izba stats`, and what it has to say in the end.
    counter: &'static str,
    amount: u64,
}

pub static BYTES_WRITTEN: Rate = Rate {
    option: "--device-write-bps",
    rate: 2 << 20,
    dd: "if=/dev/zero of=DISK bs=64k count=48 oflag=direct",
    counter: "writtenBytes",
    amount: 3 << 20,
};

pub static BYTES_READ: Rate = Rate {
    option: "--device-read-bps",
    rate: 2 << 20,
    dd: "if=DISK of=/dev/null bs=64k count=48 iflag=direct",
    counter: "readBytes",
    amount: 3 << 20,
};

pub static WRITES: Rate = Rate {
    option: "--device-write-iops",
    rate: 50,
    dd: "if=/dev/zero of=DISK bs=4k count=75 oflag=direct",
    counter: "writes",
    amount: 75,
};

pub static READS: Rate = Rate {
    option: "--device-read-iops",
    rate: 50,
    dd: "if=DISK of=/dev/null bs=4k count=75 iflag=direct",
    counter: "reads",
    amount: 75,
};

impl Rate {
    /// Has dd transfer by a node of the disk under the limit, in the run that `start` starts, and looks at what the group had transferred in the time that has passed.
    pub fn holds<'a>(&self, disk: &Disk, node: &str, start: impl FnOnce(&[&str], &str) -> Limited<'a>) {
        let (volume, limit) = (format!("{node}:{node}:dev"), format!("{node}:{}", self.rate));
        let dd = self.dd.replace("DISK", node);
        let script = format!("echo up; read go; dd {dd} 2>&1 | tail -n1; read end");
        let mut run = start(&["-v", &volume, self.option, &limit], &script);
        let start = Instant::now();
        let said = run.ask("go");
        assert!(said.contains("copied"), "{said}");
        let stats = run.stats();
        let passed = start.elapsed().as_secs_f64();
        let counted = stats["io"].as_array().unwrap().iter().find(|row| row["device"] == disk.number());
        let count = counted.unwrap_or_else(|| panic!("{}: {stats:#}", disk.number()))[self.counter].as_u64().unwrap();
        assert_eq!(count, self.amount, "{stats:#}");
        let most = f64::from(self.rate) * (passed + BURST);
        assert!(f64::from(u32::try_from(count).unwrap()) <= most, "{count} {} in {passed} s, {limit}", self.counter);
    }
}
