//! What follows I/O weights: BFQ on the disks that it schedules, and on v2 io.cost on those for which it is enabled. The kernel takes a weight for
//! all disks whether there is such a disk or not, and a disk's scheduler can be changed at any time.
//!
//! Documentation/block/bfq-iosched.rst, "BFQ group scheduling"; cgroup-v2.rst, "IO Interface Files"; block/blk-iocost.c.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::layout::unified_mount;
use super::settings::numbers;
use super::{LimitError, Limits, Presence, Setting, Version};

const DISKS: &str = "/sys/block";

/// What every group has: cgroup-v2.rst, and `BFQ_WEIGHT_LEGACY_DFL` of block/bfq-iosched.h.
const DEFAULT: &str = "100";

/// What follows I/O weights on this machine now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weighing {
    /// Whole disks by their major and minor numbers. One of no size isn't among them: a loop device keeps its scheduler when it loses its file.
    pub disks: BTreeMap<(u32, u32), Disk>,
    /// The disks for which io.cost is enabled (v2). `None` where nothing says so: only the root of all groups has the file, so a container lacks it, and
    /// so does a kernel without io.cost.
    pub cost: Option<BTreeSet<(u32, u32)>>,
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its name in /sys/block.
    pub name: String,
    /// Does BFQ schedule it? That it knows groups, CONFIG_BFQ_GROUP_IOSCHED, is taken for granted: every distribution that has BFQ has it so.
    pub bfq: bool,
}

/// A weight that nothing follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfollowed {
    /// Which, and why.
    pub error: LimitError,
    /// Does the kernel take it all the same? Then it is followed from when something does. For a single disk there has to be something.
    pub taken: bool,
}

impl Limits {
    /// Is there an I/O weight among them?
    pub fn weigh_disks(&self) -> bool {
        let by_name = self.unified.iter().any(|(file, _)| Readers::of(file).is_some());
        self.io.weight.is_some() || self.io.weight_devices.iter().any(|device| device.weight.is_some()) || by_name
    }
}

impl Weighing {
    /// Looks at the machine. `io` is the version that the io controller is on.
    pub fn look(io: Option<Version>) -> Self {
        let entries = fs::read_dir(DISKS).into_iter().flatten().flatten();
        let disks = entries.filter_map(|entry| disk(&entry.path())).collect();
        let file = unified_mount().filter(|_| io == Some(Version::V2)).map(|top| top.join("io.cost.qos"));
        let cost = file.and_then(|file| fs::read_to_string(file).ok()).map(|text| enabled(&text));
        Self { disks, cost }
    }

    /// The first of these settings that is a weight which nothing follows, as an error.
    ///
    /// # Errors
    /// Which, why, and what would follow it.
    pub fn check(&self, settings: &[Setting]) -> Result<(), LimitError> {
        settings.iter().find_map(|setting| self.unfollowed(setting)).map_or(Ok(()), |unfollowed| Err(unfollowed.error))
    }

    /// Whether a setting is a weight that nothing follows. What the kernel itself refuses, such as a weight for a partition, is left to it.
    pub fn unfollowed(&self, setting: &Setting) -> Option<Unfollowed> {
        let readers = Readers::of_setting(setting)?;
        let value = setting.value.trim();
        let (scope, weight) = value.split_once(char::is_whitespace).unwrap_or(("default", value));
        let shown = format!("({}: {value})", setting.file);
        match parse_numbers(scope) {
            // Every disk has a weight of its own, or the group's.
            Some(_) if weight.trim() == "default" => None,
            Some(device) => self.on_disk(readers, device, &shown),
            // Who wants what every group has needs nobody to see to it.
            None if weight.trim() == DEFAULT && twin(setting).is_none_or(|value| value == DEFAULT) => None,
            None => self.on_all(readers, &shown),
        }
    }

    fn on_disk(&self, readers: Readers, device: (u32, u32), shown: &str) -> Option<Unfollowed> {
        let disk = self.disks.get(&device)?;
        if self.divides(readers, device, disk) {
            return None;
        }
        let why = self.why(readers, "BFQ doesn't schedule it", "io.cost isn't enabled for it");
        let problem = format!("nothing follows an I/O weight of the disk {} {shown}: {why}", disk.name);
        let remedy = self.remedy(readers, &disk.name, &numbers(device));
        Some(Unfollowed { error: LimitError::new(problem, remedy), taken: false })
    }

    fn on_all(&self, readers: Readers, shown: &str) -> Option<Unfollowed> {
        if self.disks.iter().any(|(&device, disk)| self.divides(readers, device, disk)) {
            return None;
        }
        let no_bfq = if self.disks.is_empty() { "/sys/block shows no disk" } else { "BFQ schedules no disk" };
        let why = self.why(readers, no_bfq, "io.cost is enabled for no disk");
        let error = LimitError::new(
            format!("nothing follows the I/O weight {shown}: {why}"),
            self.remedy(readers, "DISK", "MAJOR:MINOR"),
        );
        Some(Unfollowed { error, taken: true })
    }

    fn divides(&self, readers: Readers, device: (u32, u32), disk: &Disk) -> bool {
        (readers.bfq && disk.bfq) || (readers.cost && self.has_cost(device))
    }

    /// Is io.cost enabled for this disk?
    pub fn has_cost(&self, device: (u32, u32)) -> bool {
        self.cost.as_ref().is_some_and(|cost| cost.contains(&device))
    }

    fn why(&self, readers: Readers, no_bfq: &str, no_cost: &str) -> String {
        let unknown = "there is no io.cost.qos here, which only the root of all groups has, to say that io.cost does";
        let no_cost = if self.cost.is_some() { no_cost } else { unknown };
        both([readers.bfq.then_some(no_bfq), readers.cost.then_some(no_cost)], ", and ")
    }

    fn remedy(&self, readers: Readers, name: &str, numbers: &str) -> String {
        let bfq = format!("echo bfq > {DISKS}/{name}/queue/scheduler");
        let cost = format!("echo {numbers} enable=1 > io.cost.qos, in the root of all groups");
        let cost = Some(cost).filter(|_| readers.cost && self.cost.is_some());
        match both([readers.bfq.then_some(&*bfq), cost.as_deref()], ", or ") {
            // By its file's name.
            ways if ways.is_empty() => "name the weight by its own option, which tells BFQ too".to_owned(),
            ways => format!("as root: {ways}"),
        }
    }
}

fn both(parts: [Option<&str>; 2], between: &str) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(between)
}

/// Who reads a file of weights.
#[derive(Clone, Copy)]
struct Readers {
    bfq: bool,
    cost: bool,
}

impl Readers {
    fn of(file: &str) -> Option<Self> {
        match file {
            "io.weight" => Some(Self { bfq: false, cost: true }),
            "io.bfq.weight" | "blkio.bfq.weight" | "blkio.bfq.weight_device" => Some(Self { bfq: true, cost: false }),
            _ => None,
        }
    }

    fn of_setting(setting: &Setting) -> Option<Self> {
        let own = Self::of(&setting.file)?;
        let Presence::Twin { file, .. } = &setting.presence else { return Some(own) };
        let twin = Self::of(file)?;
        Some(Self { bfq: own.bfq || twin.bfq, cost: own.cost || twin.cost })
    }
}

fn twin(setting: &Setting) -> Option<&str> {
    match &setting.presence {
        Presence::Twin { value, .. } => Some(value),
        Presence::Required | Presence::Optional => None,
    }
}

/// A directory of /sys/block. What has no numbers is no disk that anybody could use: one path of several to a disk.
fn disk(dir: &Path) -> Option<((u32, u32), Disk)> {
    let read = |file: &str| fs::read_to_string(dir.join(file)).ok();
    let device = parse_numbers(read("dev")?.trim()).filter(|_| read("size").is_none_or(|size| size.trim() != "0"))?;
    // There is none where bios aren't scheduled: device mapper, md.
    let schedulers = read("queue/scheduler").unwrap_or_default();
    let name = dir.file_name()?.to_string_lossy().into_owned();
    Some((device, Disk { name, bfq: is_bfq(&schedulers) }))
}

/// The scheduler in charge is in brackets: Documentation/block/switching-sched.rst.
fn is_bfq(schedulers: &str) -> bool {
    schedulers.split_ascii_whitespace().any(|word| word == "[bfq]")
}

/// From io.cost.qos: `8:16 enable=1 ctrl=auto ...`.
fn enabled(text: &str) -> BTreeSet<(u32, u32)> {
    let lines = text.lines().filter(|line| line.split_ascii_whitespace().any(|word| word == "enable=1"));
    lines.filter_map(|line| parse_numbers(line.split_ascii_whitespace().next()?)).collect()
}

fn parse_numbers(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests;
