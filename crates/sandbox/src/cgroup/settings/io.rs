//! Block devices: cgroup-v2.rst "IO Interface Files", cgroup-v1/blkio-controller.rst.

use std::collections::BTreeMap;

use super::LimitError;
use super::files::Files;
use super::range::{bound_within, once, within};
use crate::cgroup::{Bound, DeviceWeight, IoLimits, IoWeight, Throttle, Version};

/// One kind of throttling: its name, v1's file, v2's key in `io.max`, and the largest rate.
struct Kind {
    name: &'static str,
    v1: &'static str,
    v2: &'static str,
    most: u64,
}

const KINDS: [Kind; 4] = [
    Kind { name: "bytes read in a second", v1: "blkio.throttle.read_bps_device", v2: "rbps", most: u64::MAX },
    Kind { name: "bytes written in a second", v1: "blkio.throttle.write_bps_device", v2: "wbps", most: u64::MAX },
    // v1 cuts off what is above 32 bits (block/blk-throttle.c).
    Kind { name: "reads in a second", v1: "blkio.throttle.read_iops_device", v2: "riops", most: u32::MAX as u64 },
    Kind { name: "writes in a second", v1: "blkio.throttle.write_iops_device", v2: "wiops", most: u32::MAX as u64 },
];

impl IoLimits {
    fn throttles(&self) -> impl Iterator<Item = (&'static Kind, &[Throttle])> {
        let rates = [&self.read_bps, &self.write_bps, &self.read_iops, &self.write_iops];
        KINDS.iter().zip(rates.map(Vec::as_slice))
    }
}

pub(super) fn check(limits: &IoLimits) -> Result<(), LimitError> {
    check_weight("an I/O weight", limits.weight)?;
    check_leaf_weight(limits.leaf_weight)?;
    once("a weight", limits.weight_devices.iter().map(|weight| numbers(weight.device)))?;
    for DeviceWeight { device, weight, leaf_weight } in &limits.weight_devices {
        check_weight(&format!("the I/O weight of {}", numbers(*device)), *weight)?;
        check_leaf_weight(*leaf_weight)?;
    }
    for (kind, throttles) in limits.throttles() {
        once(&format!("a limit of {}", kind.name), throttles.iter().map(|throttle| numbers(throttle.device)))?;
        for Throttle { device, rate } in throttles {
            // v1 takes 0 for no limit, v2 refuses it.
            bound_within(&format!("{} on {}", kind.name, numbers(*device)), Some(*rate), 1..=kind.most)?;
        }
    }
    Ok(())
}

fn check_weight(what: &str, weight: Option<IoWeight>) -> Result<(), LimitError> {
    match weight {
        Some(IoWeight::Blkio(weight)) => within(&format!("{what} in v1's scale"), weight, 10..=1000),
        Some(IoWeight::Io(weight)) => within(what, weight, 1..=10_000),
        None => Ok(()),
    }
}

fn check_leaf_weight(weight: Option<u16>) -> Result<(), LimitError> {
    weight.map_or(Ok(()), |weight| within("an I/O leaf weight", weight, 10..=1000))
}

/// As the kernel names a device: `8:0`.
pub(in crate::cgroup) fn numbers((major, minor): (u32, u32)) -> String {
    format!("{major}:{minor}")
}

pub(super) fn lower(limits: &IoLimits, files: &mut Files<'_>) {
    match files.version {
        Version::V1 => on_v1(limits, files),
        Version::V2 => on_v2(limits, files),
    }
}

/// Before Linux 5.0 `blkio.weight` was CFQ's, which runc still looks for; izba needs 5.14, where BFQ's file is all there is.
fn on_v1(limits: &IoLimits, files: &mut Files<'_>) {
    if let Some(weight) = limits.weight {
        files.write("blkio.bfq.weight", weight.bfq());
        keep_disks(limits, "blkio.bfq.weight_device", files);
    }
    if let Some(weight) = limits.leaf_weight {
        files.write("blkio.leaf_weight", weight);
    }
    for DeviceWeight { device, weight, leaf_weight } in &limits.weight_devices {
        let device = numbers(*device);
        if let Some(weight) = weight {
            files.write("blkio.bfq.weight_device", format!("{device} {}", weight.bfq()));
        }
        if let Some(weight) = leaf_weight {
            files.write("blkio.leaf_weight_device", format!("{device} {weight}"));
        }
    }
    for (kind, throttles) in limits.throttles() {
        for Throttle { device, rate } in throttles {
            let rate = match rate {
                Bound::Max => 0,
                Bound::At(rate) => *rate,
            };
            files.write(kind.v1, format!("{} {rate}", numbers(*device)));
        }
    }
}

/// Whether io.cost or BFQ is in charge is decided for each device by others and at any time, so both are told.
fn on_v2(limits: &IoLimits, files: &mut Files<'_>) {
    if let Some(weight) = limits.weight {
        files.write_twins([("io.weight", weight.io().to_string()), ("io.bfq.weight", weight.bfq().to_string())]);
        keep_disks(limits, "io.bfq.weight", files);
    }
    let weights = limits.weight_devices.iter().filter_map(|of| Some((numbers(of.device), of.weight?)));
    for (device, weight) in weights {
        let line = |weight| format!("{device} {weight}");
        files.write_twins([("io.weight", line(weight.io())), ("io.bfq.weight", line(weight.bfq()))]);
    }
    for (device, line) in max_lines(limits, files) {
        files.write("io.max", format!("{}{line}", numbers(device)));
    }
    no_leaf_weights(limits, files);
}

/// With the group's weight BFQ takes away every disk's own (`bfq_io_set_weight_legacy` in block/bfq-cgroup.c), which nobody has asked for: those
/// that no new one follows are written again.
fn keep_disks(limits: &IoLimits, file: &str, files: &mut Files<'_>) {
    let lines = files.text(file).unwrap_or_default();
    let is_new = |disk: &str| limits.weight_devices.iter().any(|of| of.weight.is_some() && numbers(of.device) == disk);
    // The group's own line begins with "default".
    let own =
        lines.lines().filter(|line| line.split_once(' ').is_some_and(|(disk, _)| disk.contains(':') && !is_new(disk)));
    own.for_each(|line| files.write(file, line));
}

/// One line for each device, with all that it is limited to.
fn max_lines(limits: &IoLimits, files: &Files<'_>) -> BTreeMap<(u32, u32), String> {
    let mut lines: BTreeMap<(u32, u32), String> = BTreeMap::new();
    for (kind, throttles) in limits.throttles() {
        for Throttle { device, rate } in throttles {
            let limit = format!(" {}={}", kind.v2, files.bound(*rate));
            lines.entry(*device).or_default().push_str(&limit);
        }
    }
    lines
}

/// runc leaves these out without a word.
fn no_leaf_weights(limits: &IoLimits, files: &mut Files<'_>) {
    let remedy = "leave it out: processes and sub-groups can't be in one group there";
    let devices = limits.weight_devices.iter().filter_map(|device| device.leaf_weight);
    for weight in limits.leaf_weight.into_iter().chain(devices) {
        files.refuse_on_v2(format!("I/O leaf weight ({weight})"), remedy);
    }
}
