//! Block devices: io.stat; blkio.throttle.io_*_recursive of v1 (cgroup-v1/blkio-controller.rst).

use std::collections::BTreeMap;

use crate::cgroup::Version;
use crate::cgroup::group::GroupError;
use crate::cgroup::group::directory::Directory;
use crate::cgroup::group::interface::{device, nested, nested_value};

/// What a group has read from a block device, and written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceIo {
    /// Its number.
    pub major: u32,
    /// Its number.
    pub minor: u32,
    /// Bytes.
    pub read_bytes: u64,
    /// Bytes.
    pub written_bytes: u64,
    /// How often.
    pub reads: u64,
    /// How often.
    pub writes: u64,
}

pub(super) fn read(directory: &Directory) -> Result<Option<Vec<DeviceIo>>, GroupError> {
    match directory.version {
        Version::V2 => Ok(directory.get("io.stat")?.map(|stat| of_v2(&stat))),
        Version::V1 => {
            let bytes = directory.get("blkio.throttle.io_service_bytes_recursive")?;
            let operations = directory.get("blkio.throttle.io_serviced_recursive")?;
            Ok(bytes.map(|bytes| of_v1(&bytes, &operations.unwrap_or_default())))
        }
    }
}

/// A device without numbers, which some kernels show, hasn't been used.
pub(super) fn of_v2(stat: &str) -> Vec<DeviceIo> {
    let used = nested(stat).filter_map(|(name, pairs)| {
        let (major, minor) = device(name)?;
        let count = |key| nested_value(pairs, key)?.parse().ok();
        Some(DeviceIo {
            major,
            minor,
            read_bytes: count("rbytes")?,
            written_bytes: count("wbytes")?,
            reads: count("rios")?,
            writes: count("wios")?,
        })
    });
    used.collect()
}

pub(super) fn of_v1(bytes: &str, operations: &str) -> Vec<DeviceIo> {
    let mut devices = BTreeMap::new();
    for ((major, minor), operation, count) in counts(bytes) {
        let io = devices.entry((major, minor)).or_insert(DeviceIo { major, minor, ..DeviceIo::default() });
        match operation {
            "Read" => io.read_bytes = count,
            "Write" => io.written_bytes = count,
            _ => {}
        }
    }
    for (number, operation, count) in counts(operations) {
        match (operation, devices.get_mut(&number)) {
            ("Read", Some(io)) => io.reads = count,
            ("Write", Some(io)) => io.writes = count,
            _ => {}
        }
    }
    devices.into_values().collect()
}

/// `8:0 Read 4096`
fn counts(text: &str) -> impl Iterator<Item = ((u32, u32), &str, u64)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        Some((device(fields.next()?)?, fields.next()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same() {
        let v2 = "254:0 \n8:0 rbytes=4096 wbytes=100 rios=1 wios=2 dbytes=0 dios=0\n";
        let bytes = "8:0 Read 4096\n8:0 Write 100\n8:0 Sync 0\n8:0 Total 4196\nTotal 4196\n";
        let operations = "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n";
        let expected = [DeviceIo { major: 8, minor: 0, read_bytes: 4096, written_bytes: 100, reads: 1, writes: 2 }];
        assert_eq!(of_v2(v2), expected);
        assert_eq!(of_v1(bytes, operations), expected);
        assert_eq!(of_v1("Total 0\n", "Total 0\n"), []);
    }
}
